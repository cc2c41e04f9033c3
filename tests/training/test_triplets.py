import csv
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.rig import ARKIT, mirrored
from training.data.drawing import draw_clear
from training.data.fec import cut_triplets, read_comparisons
from training.data.triplets import read_triplets, write_jsonl

LINE = {"anchor": "a.jpg", "positive": "b.jpg", "negative": "c.jpg", "type": "ONE_CLASS_TRIPLET"}


@pytest.fixture
def images(tmp_path) -> Path:
    """A folder with three files, a zip and an array of images."""
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(b"image")
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        archive.writestr("deep/d.jpg", b"image")
    np.save(tmp_path / "crops.npy", np.zeros((2, 144, 144), np.uint8))
    return tmp_path


def write_lines(path: Path, *lines: dict) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_snapshot_is_read_with_every_form_of_image_and_type(images):
    other = {**LINE, "anchor": "faces.zip::deep/d.jpg", "positive": "crops.npy::1", "type": 2}
    found = read_triplets(write_lines(images / "t.jsonl", LINE, other, {**LINE, "type": "3"}))
    assert found.kind.tolist() == [1, 2, 3] and found.kind.dtype == np.int8
    assert found.index.dtype == np.int32 and found.index[2].tolist() == found.index[0].tolist()
    assert [Path(found.images[k]).name for k in found.index[0]] == ["a.jpg", "b.jpg", "c.jpg"]
    assert found.images[found.index[1, 0]] == str(images / "faces.zip::deep/d.jpg")
    assert found.images[found.index[1, 1]] == str(images / "crops.npy::1")
    assert len(set(found.images)) == len(found.images) == 5


def test_what_is_written_reads_back_the_same_even_from_another_folder(images, tmp_path_factory):
    other = {**LINE, "anchor": "faces.zip::deep/d.jpg", "positive": "crops.npy::1", "type": 2}
    found = read_triplets(write_lines(images / "t.jsonl", LINE, other))
    path = write_jsonl(found, tmp_path_factory.mktemp("elsewhere") / "sub" / "t.jsonl")
    again = read_triplets(path)
    np.testing.assert_array_equal(again.index, found.index)
    np.testing.assert_array_equal(again.kind, found.kind)
    assert [Path(a).resolve() for a in again.images] == [Path(b).resolve() for b in found.images]


def test_the_papers_csv_equals_a_snapshot(images):
    (images / "t.csv").write_text("anchor,positive,negative,type\na.jpg,b.jpg,c.jpg,ONE_CLASS_TRIPLET\n")
    snapshot = read_triplets(write_lines(images / "t.jsonl", LINE))
    found = read_triplets(images / "t.csv")
    assert found.images == snapshot.images and found.index.tolist() == [[0, 1, 2]] and found.kind.tolist() == [1]


def test_images_may_lie_in_another_folder(images, tmp_path_factory):
    path = write_lines(tmp_path_factory.mktemp("labels") / "t.jsonl", LINE)
    assert read_triplets(path, images=images).images[0] == str(images / "a.jpg")
    with pytest.raises(InputError, match=r"unknown image, .*a\.jpg"):
        read_triplets(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({**LINE, "negative": "gone.jpg"}, r"unknown image, .*gone\.jpg"),
        ({**LINE, "negative": "faces.zip::gone.jpg"}, "unknown image"),
        ({**LINE, "negative": "crops.npy::2"}, "unknown image"),
        ({**LINE, "negative": "crops.npy::-1"}, "unknown image"),
        ({**LINE, "negative": "gone.zip::a.jpg"}, "cannot read"),
        ({**LINE, "negative": "a.jpg"}, "names an image twice"),
        ({**LINE, "type": "FOUR"}, "expected one of ONE_CLASS_TRIPLET"),
        ({k: v for k, v in LINE.items() if k != "positive"}, "triplet 1 lacks positive"),
    ],
)
def test_a_wrong_triplet_is_named(images, line, message):
    with pytest.raises(InputError, match=message):
        read_triplets(write_lines(images / "t.jsonl", line))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.jsonl", "", "holds no triplet"),
        ("t.csv", "", "holds no triplet"),
        ("t.csv", "anchor,positive,negative,type\n", "holds no triplet"),
        ("t.csv", "anchor,positive,kind\na,b,1\n", "lacks negative, type"),
        ("t.csv", "https://host/a.jpg,0,1,0,1\n", "FEC's own layout"),
        ("t.jsonl", "{broken\n", "line 1 is no JSON"),
        ("t.jsonl", "[1]\n", "line 1 is no object"),
        ("t.txt", "", "neither .jsonl nor .csv"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_triplets(tmp_path / name)


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_triplets(tmp_path / "gone.jsonl")


def test_a_triplet_mirrored_as_a_whole_stays_true():
    """What lets augmentation mirror a triplet's images together, labels and all."""
    rigs = np.random.default_rng(0).random((200, 52)).astype(np.float32) ** 8
    a, p, n = draw_clear(rigs, 300, np.random.default_rng(0)).T
    mirror = rigs[:, mirrored(ARKIT)]
    near = np.linalg.norm(mirror[a] - mirror[p], axis=1)
    assert (near < np.linalg.norm(mirror[a] - mirror[n], axis=1)).all()
    assert (near < np.linalg.norm(mirror[p] - mirror[n], axis=1)).all()


def fec_row(names, votes, kind="TWO_CLASS_TRIPLET", box=(0, 1, 0, 1)) -> list:
    faces = [part for name in names for part in (f"https://host/{name}?x=1", *box)]
    return [*faces, kind, *(part for k, vote in enumerate(votes) for part in (f"rater{k}", vote))]


def write_fec(path: Path, *rows) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_the_raters_odd_one_out_is_the_negative(tmp_path):
    path = write_fec(tmp_path / "fec.csv", fec_row(["a.jpg", "b.jpg", "c.jpg"], [2, 2, 2, 2, 1, 2]))
    (found,) = read_comparisons(path)
    assert [face.file_name for face in found.faces] == ["a.jpg", "c.jpg", "b.jpg"]
    assert found.kind == 2 and found.agreement == pytest.approx(5 / 6)


def test_raters_who_disagree_are_filtered(tmp_path):
    agreed, split = fec_row("abc", [3, 3, 3, 3, 1, 2]), fec_row("abc", [3, 3, 3, 1, 1, 2])
    path = write_fec(tmp_path / "fec.csv", agreed, split, fec_row("abc", [1, 1, 2, 2]))
    assert len(read_comparisons(path)) == 1
    assert len(read_comparisons(path, agreement=0.5)) == 2
    assert len(read_comparisons(path, agreement=0.4)) == 2, "a tie names no odd one out"
    with pytest.raises(InputError, match="no triplet on which 100% of the raters agree"):
        read_comparisons(path, agreement=1.0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["a", "b"], "line 1 has 2 columns"),
        (fec_row("abc", [4, 4, 4]), "votes of 1, 2 or 3"),
        (fec_row("abc", [1], box=("x", 1, 0, 1)), "no number where FEC has one"),
        (fec_row("abc", [1], kind="TRIPLET"), "expected a type of ONE_CLASS_TRIPLET"),
    ],
)
def test_another_layout_of_fec_is_explained(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        read_comparisons(write_fec(tmp_path / "fec.csv", row))


def test_fec_becomes_rows_of_crops_and_drops_what_is_missing(actor_frames, tmp_path):
    (tmp_path / "images").mkdir()
    for name, image in zip(
        "abcd", [actor_frames[0], actor_frames[5], actor_frames[9], np.zeros((99, 99, 3))], strict=True
    ):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.jpg"), image[..., ::-1])
    rows = [fec_row([f"{k}.jpg" for k in names], [3, 3, 3]) for names in ("abc", "bca", "abd", "abz")]
    path = write_fec(tmp_path / "fec.csv", *rows)
    found = cut_triplets(read_comparisons(path), images=tmp_path / "images", out=tmp_path / "out")
    assert len(found) == 2 and len(found.images) == 3, "d shows no face and z is not there"
    crops = np.load(tmp_path / "out" / "crops.npy")
    assert crops.shape[1:] == (144, 144) and crops[:3].std((1, 2)).min() > 10
    again = read_triplets(write_jsonl(found, tmp_path / "out" / "fec.jsonl"))
    np.testing.assert_array_equal(again.index, found.index)
    with pytest.raises(InputError, match="holds all three images of none"):
        cut_triplets(read_comparisons(path), images=tmp_path / "out", out=tmp_path / "out")
