"""Fields over a surface: through the values they are given, smooth and small elsewhere."""

import numpy as np
import pytest

from tools.baking.fit import HOLD, SmoothField, close_lips, eased, fit_target, landmark_weights

SIDE = 21
POINTS = np.stack([*np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE)), np.zeros((SIDE, SIDE))], -1)
POINTS = POINTS.reshape(-1, 3)
CORNER = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)[:-1, :-1].ravel()
TRIANGLES = np.concatenate(
    [np.stack([CORNER, CORNER + 1, CORNER + SIDE], 1), np.stack([CORNER + 1, CORNER + SIDE + 1, CORNER + SIDE], 1)]
)
MIDDLE = SIDE * SIDE // 2


@pytest.fixture(scope="module")
def field():
    return SmoothField(POINTS, TRIANGLES, np.abs(POINTS[:, 0]) > 0.99)


def test_a_field_goes_through_its_values_and_fades(field):
    one = field.through(np.array([MIDDLE]), np.array([100 * HOLD]))(np.array([[0.0, 1.0, 0.0]]))
    height = one[:, 1].reshape(SIDE, SIDE)
    assert one[MIDDLE, 1] == pytest.approx(1, abs=0.02) and np.abs(one[:, [0, 2]]).max() < 1e-9
    assert height.argmax() == MIDDLE and np.abs(height[:, [0, -1]]).max() < 1e-3
    across = height[SIDE // 2, SIDE // 2 :]
    assert (np.diff(across[:6]) < 0).all() and across[1] > 0.7


def test_mirrored_values_give_a_mirrored_field(field):
    pair = np.array([MIDDLE - 4, MIDDLE + 4])
    shape = field.through(pair, np.full(2, 100 * HOLD))(np.array([[1.0, 0, 0], [-1.0, 0, 0]]))
    x = shape[:, 0].reshape(SIDE, SIDE)
    assert x == pytest.approx(-x[::-1, ::-1], abs=1e-6)


def test_a_fitted_target_reaches_its_landmarks_and_keeps_half_of_what_agrees(field):
    landmarks = np.array([MIDDLE - 3, MIDDLE + 3])
    own = np.zeros_like(POINTS)
    own[:, 1] = np.exp(-8 * (POINTS**2).sum(1))
    wanted = 2 * own[landmarks]
    fitted = fit_target(own, wanted, landmarks, field.through(landmarks, np.full(2, 100 * HOLD)))
    assert fitted[landmarks] == pytest.approx(wanted, abs=0.03)
    against = fit_target(own, -wanted, landmarks, field.through(landmarks, np.full(2, 100 * HOLD)))
    assert against[landmarks] == pytest.approx(-wanted, abs=0.03), "a target of the wrong sign is not kept"


def test_lips_that_a_jaw_parts_meet_again(field):
    pairs = np.array([[MIDDLE + SIDE, MIDDLE - SIDE], [MIDDLE + SIDE + 2, MIDDLE - SIDE + 2]])
    jaw = np.zeros_like(POINTS)
    jaw[POINTS[:, 1] < 0, 1] = -0.5
    close = close_lips({"mouthClose": np.zeros_like(POINTS), "jawOpen": jaw}, pairs, field.through(
        pairs.T.ravel(), np.full(pairs.size, 100 * HOLD)
    ))  # fmt: skip
    total = close + jaw
    assert total[pairs[:, 0]] == pytest.approx(total[pairs[:, 1]], abs=0.05)


def test_the_jaw_is_held_less():
    assert landmark_weights(["jaw_3", "lip_outer_1"]).tolist() == pytest.approx([0.15 * HOLD, HOLD])


def test_an_eased_field_keeps_what_is_held_and_has_no_peak_between() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(len(POINTS), 3))
    free = np.linalg.norm(POINTS - POINTS.mean(0), axis=1) < 0.4
    found = eased(values, TRIANGLES, free)
    np.testing.assert_array_equal(found[~free], values[~free])
    assert free.sum() > 5 and np.ptp(found[free], axis=0).max() < np.ptp(values[free], axis=0).min()
