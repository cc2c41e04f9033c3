"""Rigs of real faces: landmarks are read whatever way a head is turned, and two guesses are better than one."""

import csv
import zipfile

import cv2
import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.rig import ARKIT, mirrored
from tests.bundles import make_bundle
from training.data.labelled_faces import read_rigs
from training.label_faces import _ACROSS, _CHIN, _STILL, LabelConfig, fit_reader, label_faces, strength, weigh

MIRROR = np.array(mirrored(ARKIT))
MIDDLE = [10, 168, 6, 197, 195, _CHIN]
PAIRS = [*_ACROSS, (338, 109), (297, 67), (332, 103), (284, 54), (251, 21), (93, 323)]


class Faces:
    """Heads of 478 points, alike on both sides, that rigs move and that are turned at will."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        named = {*MIDDLE, *(k for pair in PAIRS for k in pair)}
        others = [k for k in range(478) if k not in named]
        pairs = [*PAIRS, *zip(others[::2], others[1::2], strict=True)]
        self.twin = np.arange(478)
        self.mean = np.zeros((478, 3))
        self.mean[MIDDLE] = rng.uniform(-1, 1, (len(MIDDLE), 3)) * [0, 1, 0.5]
        self.mean[10, 1], self.mean[_CHIN, 1] = -1, 1
        for right, left in pairs:
            self.twin[[right, left]] = left, right
            self.mean[left] = rng.uniform([0.1, -1, -0.5], [1, 1, 0.5])
            self.mean[right] = self.mean[left] * [-1, 1, 1]
        moves = rng.normal(0, 0.05, (52, 478, 3))
        moves[:, list(_STILL)] = 0
        self.moves = (moves + moves[MIRROR][:, self.twin] * [-1, 1, 1]) / 2

    def draw(self, count: int, seed: int, *, turn: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks and rigs."""
        rng = np.random.default_rng(seed)
        rigs = rng.uniform(0, 1, (count, 52)) * (rng.uniform(size=(count, 52)) < 0.3)
        points = self.mean + np.einsum("nk,kpc->npc", rigs, self.moves)
        turns = np.stack([cv2.Rodrigues(vector)[0] for vector in rng.normal(0, turn, (count, 3))])
        scale, shift = rng.uniform(0.3, 0.5, (count, 1, 1)), rng.uniform(0, 0.5, (count, 1, 3))
        return (points @ turns * scale + shift).astype(np.float16), rigs.astype(np.float32)


@pytest.fixture(scope="module")
def faces():
    return Faces()


@pytest.fixture(scope="module")
def reader(faces):
    return fit_reader(*faces.draw(800, 0), epochs=10)


def likeness(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.mean([np.corrcoef(found[:, k], true[:, k])[0, 1] for k in range(52)]))


def test_rigs_are_read_from_landmarks_however_the_head_is_turned(faces, reader):
    landmarks, rigs = faces.draw(200, 1)
    assert likeness(reader.read(landmarks), rigs) > 0.8
    straight = reader.read(faces.draw(200, 1, turn=0.0)[0])
    assert likeness(straight, reader.read(landmarks)) > 0.9


def test_mirrored_landmarks_give_mirrored_rigs_and_no_landmarks_give_nothing(faces, reader):
    landmarks = faces.draw(20, 2)[0]
    flipped = (landmarks * np.float16([-1, 1, 1]))[:, faces.twin]
    assert np.abs(reader.read(flipped) - reader.read(landmarks)[:, MIRROR]).mean() < 0.01
    landmarks[3] = np.nan
    read = reader.read(landmarks)
    assert np.isnan(read[3]).all() and not np.isnan(read[[2, 4]]).any()


def guesses(rng: np.random.Generator, count: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth = rng.uniform(0, 1, (count, 52)) ** 2
    first, second = (0.6 * truth + rng.normal(0, noise, truth.shape) for noise in (0.15, 0.2))
    return first, second, truth


def test_two_guesses_that_err_apart_are_better_than_either():
    first, second, truth = guesses(np.random.default_rng(0))
    second[:, ARKIT.index("cheekPuff")] = np.random.default_rng(1).normal(0, 0.3, len(truth))
    second[0] = np.nan
    joined = weigh(first, second, truth).join(first, second)
    seen = np.arange(52) != ARKIT.index("cheekPuff")
    for k in np.flatnonzero(seen):
        r = [np.corrcoef(guess[1:, k], truth[1:, k])[0, 1] for guess in (joined, first, second)]
        assert r[0] > max(r[1:])
    blind = ARKIT.index("cheekPuff")
    assert np.corrcoef(joined[1:, blind], first[1:, blind])[0, 1] > 0.95
    np.testing.assert_allclose(joined[1:].std(0), truth.std(0), rtol=0.1)
    np.testing.assert_allclose(joined[0] / first[0], truth.std(0) / first.std(0), rtol=0.1)


def test_real_faces_get_the_spread_that_both_guesses_share():
    rng = np.random.default_rng(0)
    first, second, truth = guesses(rng)
    ours, theirs, _ = (values * 0.5 for values in guesses(rng))
    joined = (ours + theirs) / 2
    factor = strength((ours, theirs), (first, second), truth, joined)
    np.testing.assert_allclose(factor, (0.5 * truth.std(0) / joined.std(0)).clip(1, 1.5), rtol=0.1)


def test_a_guess_that_knows_nothing_says_nothing_of_strength():
    rng = np.random.default_rng(0)
    first, second, truth = guesses(rng)
    blind = rng.normal(0, 0.3, second.shape)
    factor = strength((first, rng.normal(0, 0.3, second.shape)), (first, blind), truth, first)
    np.testing.assert_array_equal(factor, 1)


@pytest.fixture
def folders(faces, tmp_path):
    """Faces with landmarks and a bundle; renders to learn from, and to weigh by."""
    rng = np.random.default_rng(0)
    for name, count in (("renders", 300), ("held_out", 60), ("faces", 12)):
        folder = tmp_path / name
        folder.mkdir()
        landmarks, rigs = faces.draw(count, len(name))
        crops = rng.integers(0, 255, (count, 144, 144), dtype=np.uint8)
        np.save(folder / "landmarks.npy", landmarks)
        if name != "faces":
            np.save(folder / "rigs.npy", rigs)
            np.save(folder / "crops.npy", crops)
            continue
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for k, crop in enumerate(crops):
                archive.writestr(f"{k}.png", cv2.imencode(".png", crop)[1].tobytes())
        with (folder / "labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                [
                    ["file", "split", "emotion"],
                    *([f"{k}.png", "train", "neutral" if k % 2 else "joy"] for k in range(12)),
                ]
            )
    make_bundle(tmp_path / "bundle")
    return tmp_path


def config_of(folder) -> LabelConfig:
    return LabelConfig(folder / "faces", (folder / "renders",), (folder / "held_out",), folder / "bundle", epochs=1)


def test_rigs_lie_beside_the_labels_where_training_finds_them(folders):
    found = label_faces(config_of(folders))
    assert found.shape == (12, 52) and found.min() >= 0 and found.max() <= 1
    np.testing.assert_array_equal(read_rigs(folders / "faces" / "labels.csv"), found.astype(np.float32))


def test_what_is_missing_is_named(folders):
    labels = folders / "faces" / "labels.csv"
    landmarks = folders / "faces" / "landmarks.npy"
    points = np.load(landmarks)
    for wrong in (points[:-1], np.full_like(points, np.nan)):
        np.save(landmarks, wrong)
        with pytest.raises(InputError, match="find them again"):
            label_faces(config_of(folders))
    np.save(landmarks, points)
    (folders / "held_out" / "landmarks.npy").rename(folders / "aside.npy")
    with pytest.raises(InputError, match=r"held_out lacks landmarks\.npy"):
        label_faces(config_of(folders))
    labels.write_text(labels.read_text().replace("neutral", "anger"))
    with pytest.raises(InputError, match="calls no face neutral"):
        label_faces(config_of(folders))
