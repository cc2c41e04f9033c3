import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.performance.regions import (
    CONVERGENCE,
    DIVERGENCE,
    REGION_OF,
    REGIONS,
    SKEW,
    SQUINT,
    Regions,
    keep_possible,
    scale_regions,
)
from freeavatar.rig import ARKIT, mirrored

EYES = [name for name in ARKIT if name.startswith("eyeLook")]


def rigs(count: int = 400, seed: int = 0) -> np.ndarray:
    """Random rigs, most of them possible on no face, ``(count, 52)``."""
    return np.random.default_rng(seed).random((count, 52), np.float32)


def column(weights: np.ndarray, name: str) -> np.ndarray:
    return weights[:, ARKIT.index(name)]


def turn(weights: np.ndarray, side: str) -> np.ndarray:
    """How far an eye turns towards the actor's left, in look weights."""
    outwards = column(weights, f"eyeLookOut{side}") - column(weights, f"eyeLookIn{side}")
    return outwards if side == "Left" else -outwards


def test_every_blendshape_belongs_to_one_region_and_none_to_the_head():
    assert set(REGION_OF) == set(ARKIT)
    assert set(REGION_OF.values()) == set(REGIONS) - {"head"}
    assert REGION_OF["eyeLookInLeft"] == "gaze" and REGION_OF["eyeBlinkLeft"] == "eyes"
    assert REGION_OF["noseSneerLeft"] == "cheeks" and REGION_OF["mouthClose"] == "mouth"


@pytest.mark.parametrize("region", [name for name in REGIONS if name != "head"])
def test_a_region_that_is_off_is_still_and_the_others_play_on(region):
    weights = 0.1 * rigs()
    scaled = scale_regions(weights, Regions(**{region: 0}), 1.0)
    off = np.array([REGION_OF[name] == region for name in ARKIT])
    on = ~off & (np.array(ARKIT) != "mouthClose")
    assert not scaled[:, off].any()
    np.testing.assert_array_equal(scaled[:, on], keep_possible(weights)[:, on])


def test_scales_multiply_and_stop_at_one():
    weights = np.zeros((1, 52), np.float32)
    weights[0, ARKIT.index("browInnerUp")], weights[0, ARKIT.index("cheekPuff")] = 0.3, 0.8
    scaled = scale_regions(weights, Regions(brows=2), 1.5)
    assert column(scaled, "browInnerUp") == pytest.approx(0.9) and column(scaled, "cheekPuff") == 1


def test_eyes_look_one_way_whatever_the_scales():
    weights = scale_regions(rigs(), Regions(gaze=3), 2.0)
    converged = turn(weights, "Right") - turn(weights, "Left")
    assert converged.min() >= -DIVERGENCE - 1e-5 and converged.max() <= CONVERGENCE + 1e-5
    heights = [column(weights, f"eyeLookUp{s}") - column(weights, f"eyeLookDown{s}") for s in ("Left", "Right")]
    assert np.abs(heights[0] - heights[1]).max() <= SKEW + 1e-5


def test_eyes_that_cross_meet_at_the_direction_they_looked_at_together():
    weights = np.zeros((1, 52), np.float32)
    weights[0, ARKIT.index("eyeLookInLeft")], weights[0, ARKIT.index("eyeLookInRight")] = 0.9, 0.5
    kept = keep_possible(weights)
    assert turn(kept, "Left") + turn(kept, "Right") == pytest.approx(turn(weights, "Left") + turn(weights, "Right"))
    assert turn(kept, "Right") - turn(kept, "Left") == pytest.approx(CONVERGENCE)


def test_lids_never_pass_each_other_and_lips_close_no_further_than_the_jaw_opens():
    weights = scale_regions(rigs(), Regions(eyes=3, mouth=3), 2.0)
    for side in ("Left", "Right"):
        blink, squint, wide = (column(weights, f"eye{kind}{side}") for kind in ("Blink", "Squint", "Wide"))
        assert (blink + SQUINT * squint).max() <= 1 + 1e-5 and (blink + wide).max() <= 1 + 1e-5
    assert (column(weights, "mouthClose") <= column(weights, "jawOpen")).all()


def test_what_is_possible_is_left_alone_and_correcting_twice_changes_nothing():
    once = keep_possible(rigs())
    np.testing.assert_allclose(keep_possible(once), once, atol=1e-6)
    assert once.min() >= 0 and once.max() <= 1
    for name in set(ARKIT) - set(EYES) - {"mouthClose"}:
        if not name.startswith(("eyeSquint", "eyeWide")):
            np.testing.assert_array_equal(column(once, name), column(rigs(), name))


def test_both_sides_are_treated_alike():
    swap = mirrored(ARKIT)
    np.testing.assert_allclose(keep_possible(rigs()[:, swap]), keep_possible(rigs())[:, swap], atol=1e-6)


@pytest.mark.parametrize("scale", [-0.1, 3.1, float("nan")])
def test_scales_out_of_range_are_refused(scale):
    with pytest.raises(InputError, match="region mouth is"):
        Regions(mouth=scale)
