"""Curves from takes, CSV and JSON."""

from fractions import Fraction

import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.export import write_live_link_csv, write_rig_json
from freeavatar.pipeline import read_curves
from freeavatar.pipeline.take import Acted, Take, TakeInfo, save_take
from freeavatar.pipeline.tracking import Track
from freeavatar.rig import ARKIT, Controls, Curves

FRAMES = 40
JAW = ARKIT.index("jawOpen")


def write_take(folder, **jaws: float):
    """A take of a face that is neutral, then opens its jaw, on avatars by name."""
    track = Track(
        times=np.arange(FRAMES) / 30, features=np.ones((FRAMES, 4), np.float32),
        embeddings=np.ones((FRAMES, 16), np.float32), head=np.zeros((FRAMES, 3), np.float32),
        points=np.zeros((FRAMES, 5, 2), np.float32), confidence=np.ones(FRAMES, np.float32),
        cuts=np.zeros(FRAMES, bool),
    )  # fmt: skip
    acted = {}
    for name, jaw in jaws.items():
        weights = np.zeros((FRAMES, len(ARKIT)), np.float32)
        weights[FRAMES // 2 :, JAW] = jaw
        acted[f"content of {name}"] = Acted(name, weights, np.eye(len(ARKIT), dtype=np.float32))
    info = TakeInfo(
        source="a.mp4", size=1, modified=1, weights="w", rate="30", offset="0", start=0.0, end=None, face=0, box=None,
        is_sequence=True,
    )  # fmt: skip
    return save_take(Take(info, track, acted, folder / "a.take.npz"))


def test_a_take_plays_its_first_avatar_or_the_one_that_is_asked_for(tmp_path):
    path = write_take(tmp_path, ines=0.8, kofi=0.4)
    jaws = [read_curves(path, avatar=avatar).weights[-5, JAW] for avatar in (None, "ines", "kofi")]
    assert jaws[0] == jaws[1] == pytest.approx(0.8, abs=0.1) and jaws[2] == pytest.approx(0.4, abs=0.1)
    assert len(read_curves(path).times) == FRAMES


def test_a_csv_is_read(tmp_path):
    weights = np.zeros((3, len(ARKIT)), np.float32)
    weights[:, JAW] = (0.1, 0.2, 0.3)
    curves = Curves(
        weights=weights, times=np.arange(3) / 30, rate=Fraction(30), head=np.zeros((3, 3), np.float32),
        confidence=np.ones(3, np.float32), cuts=np.zeros(3, bool),
    )  # fmt: skip
    write_live_link_csv(curves, tmp_path / "a.CSV")
    np.testing.assert_allclose(read_curves(tmp_path / "a.CSV").weights, weights, atol=1e-6)
    with pytest.raises(InputError, match="holds one performance: leave the avatar out"):
        read_curves(tmp_path / "a.CSV", avatar="ines")


def test_json_is_read_where_it_has_arkits_names(tmp_path):
    def write(*names: str) -> None:
        controls = Controls(
            avatar="robin", names=names, weights=np.full((2, len(names)), 0.5, np.float32), times=np.array([0, 0.04]),
            rate=Fraction(25), head=np.ones((2, 3), np.float32), confidence=np.array([1, 0], np.float32),
        )  # fmt: skip
        write_rig_json(controls, tmp_path / "a.json")

    write("ears", "jawOpen")
    curves = read_curves(tmp_path / "a.json")
    assert curves.weights[:, JAW].tolist() == [0.5, 0.5] and curves.weights.sum() == 1
    assert curves.rate == 25 and curves.confidence.tolist() == [1, 0] and curves.head.min() == 1
    write("ears", "tail")
    with pytest.raises(InputError, match="has none of ARKit's blendshapes"):
        read_curves(tmp_path / "a.json")


def test_a_file_that_is_no_recording_is_explained(tmp_path):
    with pytest.raises(InputError, match="give a take that exists"):
        read_curves(tmp_path / "gone.take.npz")
