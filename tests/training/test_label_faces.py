"""What viewers describe becomes sheets, a table, and rigs of real faces."""

import csv
import json
import zipfile

import cv2
import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.rig import ARKIT, mirrored
from tests.bundles import make_bundle
from training.data.descriptions import (
    MOVEMENTS,
    NAMES,
    mirrored_strengths,
    read_descriptions,
    rigs_of_strengths,
    strengths_of_rigs,
    write_descriptions,
)
from training.data.labelled_faces import DESCRIPTIONS, read_rigs
from training.describe_faces import DescribeConfig, collect, draw_sheets, questions
from training.label_faces import LabelConfig, fit_reader, label_faces, read_strengths

MIRROR = np.array(mirrored(ARKIT))
SIGNED = np.array([movement.is_signed for movement in MOVEMENTS])
COUNT = 120


def draw_strengths(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(SIGNED, rng.integers(-3, 4, (count, len(NAMES))), rng.integers(0, 4, (count, len(NAMES)))) * 1.0


def test_a_rig_shows_what_was_described_and_its_mirror_image_the_opposite():
    strengths, guess = draw_strengths(50), 0.2 * np.random.default_rng(1).random((50, 52)).astype(np.float32)
    rigs = rigs_of_strengths(strengths, guess)
    assert rigs.min() >= 0 and rigs.max() <= 1
    shown = strengths_of_rigs(rigs)
    for k, name in enumerate(NAMES):
        assert np.corrcoef(shown[:, k], strengths[:, k])[0, 1] > 0.75, name
    np.testing.assert_allclose(
        rigs_of_strengths(mirrored_strengths(strengths), guess[:, MIRROR]), rigs[:, MIRROR], atol=1e-6
    )
    np.testing.assert_array_equal(mirrored_strengths(mirrored_strengths(strengths)), strengths)


def test_what_no_viewer_describes_is_left_to_the_guess():
    guess = np.random.default_rng(1).random((4, 52)).astype(np.float32)
    rigs = rigs_of_strengths(np.zeros((4, len(NAMES))), guess)
    for name in ("eyeLookInLeft", "jawForward", "tongueOut", "mouthDimpleRight"):
        np.testing.assert_allclose(rigs[:, ARKIT.index(name)], guess[:, ARKIT.index(name)], rtol=1e-6)
    sneer = ARKIT.index("noseSneerLeft")
    np.testing.assert_allclose(rigs[:, sneer], 0.55 * guess[:, sneer], rtol=1e-6)


def test_the_guess_says_which_side_is_the_stronger_one():
    strengths, guess = np.zeros((1, len(NAMES))), np.zeros((1, 52), np.float32)
    strengths[0, NAMES.index("browDown")] = 2
    guess[0, ARKIT.index("browDownLeft")] = 0.8
    rig = rigs_of_strengths(strengths, guess)[0]
    left, right = rig[ARKIT.index("browDownLeft")], rig[ARKIT.index("browDownRight")]
    assert left > 1.5 * right > 0


def test_a_table_is_read_as_it_was_written_and_wrong_lines_are_named(tmp_path):
    table, strengths = tmp_path / DESCRIPTIONS, draw_strengths(3)
    write_descriptions(table, zip("abc", strengths, strict=True))
    found = read_descriptions(table)
    np.testing.assert_array_equal(np.stack([found[name] for name in "abc"]), strengths)
    lines = table.read_text().splitlines()
    for wrong, said in (("4", "strengths go from 0"), ("much", "expected the columns")):
        table.write_text("\n".join([*lines[:2], ",".join(["x", wrong, *lines[1].split(",")[2:]])]))
        with pytest.raises(InputError, match=f"line 3: {said}"):
            read_descriptions(table)
    with pytest.raises(InputError, match="does not exist"):
        read_descriptions(tmp_path / "none.csv")


def test_a_reader_reads_descriptions_of_faces_it_never_saw():
    rng = np.random.default_rng(0)
    mixing = rng.normal(0, 1, (len(NAMES), 40))

    def features(strengths: np.ndarray) -> np.ndarray:
        both = np.stack([strengths, mirrored_strengths(strengths)], 1) @ mixing
        return (both + rng.normal(0, 0.3, both.shape)).astype(np.float32)

    taught, held_out = draw_strengths(600), draw_strengths(100, 1)
    reader = fit_reader(features(taught), taught, epochs=25)
    read = read_strengths([reader], features(held_out))
    assert np.mean([np.corrcoef(read[:, k], held_out[:, k])[0, 1] for k in range(len(NAMES))]) > 0.8


@pytest.fixture
def faces(tmp_path):
    """Labelled faces, most of them of the train split, and a bundle."""
    folder, rng = tmp_path / "faces", np.random.default_rng(0)
    folder.mkdir()
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for k in range(COUNT):
            crop = rng.integers(0, 255, (48, 48), dtype=np.uint8)
            archive.writestr(f"{k}.png", cv2.imencode(".png", crop)[1].tobytes())
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = [(f"{k}.png", "val" if k % 10 == 9 else "train", "neutral" if k % 4 else "joy") for k in range(COUNT)]
        csv.writer(file).writerows([("file", "split", "emotion"), *rows])
    make_bundle(tmp_path / "bundle")
    return folder


def describe(faces, count: int = 80) -> None:
    names = [f"{k}.png" for k in range(count)]
    write_descriptions(faces / DESCRIPTIONS, zip(names, draw_strengths(count), strict=True))


def config_of(faces) -> LabelConfig:
    return LabelConfig(faces, faces.parent / "bundle", readers=1, epochs=1)


def test_rigs_lie_beside_the_labels_where_training_finds_them(faces):
    describe(faces)
    found = label_faces(config_of(faces))
    assert found.shape == (COUNT, 52) and found.min() >= 0 and found.max() <= 1
    train = np.arange(COUNT) % 10 != 9
    np.testing.assert_array_equal(read_rigs(faces / "labels.csv"), found[train].astype(np.float32))
    shown = strengths_of_rigs(found[:80].astype(float))[train[:80]]
    sneer = NAMES.index("noseSneer")
    assert np.corrcoef(shown[:, sneer], draw_strengths(80)[train[:80], sneer])[0, 1] > 0.8


def test_what_is_missing_is_named(faces):
    with pytest.raises(InputError, match=r"descriptions\.csv does not exist"):
        label_faces(config_of(faces))
    describe(faces, 10)
    with pytest.raises(InputError, match="describes 9 faces of the train split"):
        label_faces(config_of(faces))
    describe(faces)
    labels = faces / "labels.csv"
    labels.write_text(labels.read_text().replace("neutral", "anger"))
    with pytest.raises(InputError, match="calls no face neutral"):
        label_faces(config_of(faces))


def line(number: int, is_readable: int, strengths: np.ndarray) -> str:
    return " ".join([str(number), str(is_readable), *(f"{value:g}" for value in strengths)])


def test_what_viewers_write_about_sheets_becomes_a_table(faces, tmp_path):
    config = DescribeConfig(faces, tmp_path / "sheets", count=50)
    assert draw_sheets(config) == 2
    picture = cv2.imread(str(config.out / "sheet_001.png"))
    assert picture.shape == (1200, 1500, 3)
    assert len(questions().splitlines()) == 5 + len(MOVEMENTS)
    first, second = json.loads((config.out / "sheets.json").read_text())
    strengths = draw_strengths(20)
    lines = [line(k, int(k != 3), values) for k, values in enumerate(strengths, 1)]
    (config.out / "sheet_000.txt").write_text("\n".join(lines))
    (config.out / "sheet_001_ann.txt").write_text(line(7, 1, np.zeros(len(NAMES))))
    (config.out / "sheet_001_ben.txt").write_text(line(7, 1, np.ones(len(NAMES))))
    assert collect(config) == 20
    found = read_descriptions(faces / DESCRIPTIONS)
    assert first[2] not in found
    np.testing.assert_array_equal(found[first[4]], strengths[4])
    assert set(found[second[6]]) == {0.5}
    with pytest.raises(InputError, match="holds sheets already"):
        draw_sheets(config)
    again = DescribeConfig(faces, tmp_path / "more", count=400)
    draw_sheets(again)
    drawn = {name for sheet in json.loads((again.out / "sheets.json").read_text()) for name in sheet}
    assert not drawn & set(found)


def test_a_line_that_is_not_as_asked_for_is_named(faces, tmp_path):
    config = DescribeConfig(faces, tmp_path / "sheets", count=20)
    with pytest.raises(InputError, match="holds no sheets"):
        collect(config)
    draw_sheets(config)
    good = line(1, 1, np.zeros(len(NAMES)))
    for wrong in (good + " 1", good.replace("1 1", "21 1", 1), line(2, 1, np.full(len(NAMES), 4)), "hello"):
        (config.out / "sheet_000.txt").write_text(f"{good}\n{wrong}\n")
        with pytest.raises(InputError, match="line 2: expected the face's number"):
            collect(config)
    assert not (faces / DESCRIPTIONS).exists()
