import json
from dataclasses import replace

import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.performance.profile import load_profile, make_profile, save_profile
from freeavatar.rig import ARKIT


@pytest.fixture
def profile():
    neutral = np.zeros(52)
    neutral[ARKIT.index("jawOpen")], neutral[ARKIT.index("cheekPuff")] = 0.25, 0.125
    return make_profile("Ada", "0123456789ab", neutral, np.array([1.0, -2, 3]))


def test_a_profile_comes_back_as_it_was_saved(profile, tmp_path):
    path = save_profile(profile, tmp_path / "ada.json")
    assert load_profile(path) == profile
    assert path.stat().st_size < 5000 and json.loads(path.read_text())["name"] == "Ada"


def test_it_gives_the_neutral_also_of_blendshapes_it_does_not_know(profile):
    few = replace(profile, names=("cheekPuff", "jawOpen"), neutral=(0.125, 0.25))
    np.testing.assert_array_equal(few.weights_of_neutral(), profile.weights_of_neutral())
    assert few.weights_of_neutral()[ARKIT.index("jawOpen")] == 0.25


def test_other_weights_are_refused(profile):
    profile.check_weights("0123456789ab")
    with pytest.raises(InputError, match="the profile of Ada was made with other weights"):
        profile.check_weights("ba9876543210")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "is not a profile"),
        ({"version": 7}, "version 7, expected 1"),
        ({"neutral": {"earWiggle": 0.1}}, "earWiggle is none of ARKit's"),
        ({"neutral": {"jawOpen": 1.5}}, "jawOpen is 1.5, expected 0 to 1"),
        ({"neutral": {"jawOpen": float("nan")}}, "jawOpen is nan"),
        ({"neutral": [1, 2]}, "is damaged"),
        ({"head": [1, 2]}, "is damaged"),
        ({"head": [1, 2, 1e9]}, "head's angles"),
    ],
)
def test_a_file_that_is_no_profile_is_refused_in_words(profile, change, message, tmp_path):
    path = save_profile(profile, tmp_path / "a.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=message):
        load_profile(path)


@pytest.mark.parametrize("data", [b"", b"\x00\xff\x10", b"[1]", b"[" * 200_000])
def test_bytes_that_are_no_profile_are_refused_in_words(data, tmp_path):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.json is not a profile"):
        load_profile(tmp_path / "a.json")
    with pytest.raises(InputError, match="give a profile that exists"):
        load_profile(tmp_path / "gone.json")
