"""Correctives: what two shapes both do is taken back, and skin that they push together bunches up."""

import numpy as np
import pytest

from tools.baking.correctives import BULGES, CORRECTIVES, SHARED, _bulge, _common
from tools.baking.landmarks import LANDMARKS
from tools.baking.rigs import ARTIST_RIG, VRM_RIG, _corrected


def test_what_two_shapes_share_is_the_lesser_where_they_agree():
    one = np.array([[0, 2.0, 0], [1.0, 0, 0], [0, 1.0, 0]])
    other = np.array([[0, 3.0, 0], [0, 1.0, 0], [0, -1.0, 0]])
    assert _common(one, other) == pytest.approx(np.array([[0, 2.0, 0], [0, 0, 0], [0, 0, 0]]))


def test_a_bulge_is_highest_at_its_centre_and_ends_at_its_reach():
    points = np.array([[0, 0, 0], [0.5, 0, 0], [1.0, 0, 0], [2.0, 0, 0]])
    found = _bulge(points, np.tile([0, 0, 1.0], (4, 1)), np.zeros(3), 1.0, 0.1)
    assert found[:, 2] == pytest.approx([0.1, 0.1 * 0.75**2, 0, 0]) and not found[:, :2].any()


def test_every_pair_is_known():
    assert set(BULGES) <= set(CORRECTIVES.values()) and set(SHARED) <= {one for one, _ in CORRECTIVES.values()}
    assert {name for name, _, _ in BULGES.values()} <= set(LANDMARKS)


def test_a_sum_of_shapes_brings_its_correctives():
    fixed = _corrected({"noseSneerLeft": 1.2, "mouthUpperUpLeft": 0.5, "eyeBlinkLeft": 0.25})
    assert fixed["fix_noseSneerLeft_mouthUpperUpLeft"] == pytest.approx(0.6)
    assert fixed["fix_eyeBlinkLeft_half"] == pytest.approx(0.25 * 0.75)
    assert not [name for name in fixed if "Right" in name or "jaw" in name]


@pytest.mark.parametrize("rig", [VRM_RIG, ARTIST_RIG])
def test_controls_are_sums_of_known_shapes(rig):
    drivers = [weight for driver in rig.drivers.values() for weight in driver.values()]
    assert all(0 < weight <= 1 for weight in drivers)
    assert all(fix in CORRECTIVES for _, shape in rig.correctives.values() for fix in shape if fix[:4] == "fix_")
