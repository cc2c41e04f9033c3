"""What targets mean: measured on heads that do as the reference does, and on heads that do not."""

import re
from dataclasses import replace

import numpy as np
import pytest

from freeavatar.avatars import load_avatar
from freeavatar.avatars.meaning import (
    Head,
    Meaning,
    measure,
    reference_displacements,
    reference_heads,
    reference_landmarks,
    words_about,
)
from freeavatar.rig import ARKIT


@pytest.fixture(scope="module")
def ines():
    return load_avatar("ines")


def changed(avatar, name, change):
    """The avatar with one target ``(V, 3)`` put through ``change``."""
    targets, k = avatar.target_positions.copy(), avatar.target_names.index(name)
    targets[k] = change(targets[k])
    return replace(avatar, target_positions=targets)


def test_the_reference_has_every_target_but_the_tongue():
    assert set(reference_heads()) == set(reference_displacements()) == set(ARKIT) - {"tongueOut"}
    assert len(reference_landmarks()) == 89
    assert reference_displacements()["jawOpen"].shape == (89, 3)
    scan, app = reference_heads()["jawOpen"]
    assert (scan.size, app.size) == (0.634, 0.606) and scan.direction.tolist() == [0.0, -0.469, -0.424]


def test_an_open_jaw_is_as_large_as_on_the_reference_and_goes_down(ines):
    jaw = next(m for m in measure(ines) if m.name == "jawOpen")
    assert jaw.has_usual_strength and jaw.has_usual_direction and jaw.has_usual_share
    assert jaw.does.direction[1] < -0.3 and 0.3 < jaw.does.share < 0.5


def test_size_grows_with_the_target_and_is_free_of_the_unit_of_length(ines):
    size = {m.name: m.does.size for m in measure(ines)}
    twice = {m.name: m.does.size for m in measure(changed(ines, "mouthSmileLeft", lambda shape: 2 * shape))}
    assert twice["mouthSmileLeft"] == pytest.approx(2 * size["mouthSmileLeft"])
    assert twice["mouthSmileRight"] == size["mouthSmileRight"]
    large = replace(
        ines, positions=100 * ines.positions, target_positions=100 * ines.target_positions,
        landmarks=100 * ines.landmarks,
    )  # fmt: skip
    assert {m.name: m.does.size for m in measure(large)} == pytest.approx(size, rel=1e-4)


def test_eyes_are_found_without_landmarks(ines):
    blind = {m.name: m.does.size for m in measure(replace(ines, landmarks=None))}
    assert blind["jawOpen"] == pytest.approx(next(m for m in measure(ines) if m.name == "jawOpen").does.size, rel=0.1)
    still = changed(replace(ines, landmarks=None), "eyeBlinkLeft", np.zeros_like)
    assert measure(still) == [] and words_about(still) == []


def test_strength_is_one_between_the_heads():
    heads = (Head(0.1, np.array([0, 1.0, 0]), 0.2), Head(0.2, np.array([0, 0, 1.0]), 0.4))
    strengths = [Meaning("a", Head(size, np.array([0, 1.0, 0]), 0.3), heads).strength for size in (0.05, 0.15, 0.4)]
    assert strengths == pytest.approx([0.5, 1, 2])


def test_words_name_what_is_weak_and_what_goes_astray(ines):
    def words(name, change):
        k = ines.target_names.index(name)
        shapes = changed(ines, name, change).target_positions[k : k + 1]
        return [str(text) for text in words_about(replace(ines, target_names=(name,), target_positions=shapes))]

    weak = words("mouthSmileLeft", lambda shape: 0.4 * shape)
    assert weak[0] == "0 of 1 measured targets move the face as heads made for ARKit do."
    assert re.fullmatch(r"mouthSmileLeft: 0\.\d of the usual strength\.", weak[1])
    assert words("jawOpen", lambda shape: shape * [1, -2, 1])[1:] == [
        "jawOpen moves the skin up, where ARKit's moves it down."
    ]
