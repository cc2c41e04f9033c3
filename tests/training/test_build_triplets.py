import json
import runpy
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import training.build_triplets as build_script
from freeavatar.errors import InputError
from freeavatar.rig import ARKIT, mirrored
from training.build_triplets import BuildConfig, build_triplets, kinds_of
from training.data.drawing import (
    NOTABLE,
    draw_acted,
    draw_classes,
    draw_clear,
    draw_recast,
)
from training.data.rigs import INDEX, RigSampler, symmetric
from training.data.triplets import read_triplets
from training.renders.faces import Casting, RenderConfig, assign_expressions, render_faces

CLASSES = ("anger", "happiness", "surprise")


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    """Ninety labelled faces of thirty people, sixty of them to train on; the images are empty."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    typical = rng.random((3, 51)) ** 4
    names = [name for name in ARKIT if name != "tongueOut"]
    lines = [",".join(["file", "split", "identity", "emotion", *names])]
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for k in range(90):
            archive.writestr(f"{k}.jpg", b"")
            known = [f"{k}.jpg", "val" if k >= 60 else "train", f"person{k // 3}", CLASSES[k % 3] if k % 7 else ""]
            lines.append(",".join([*known, *(f"{v:.3f}" for v in typical[k % 3] * rng.uniform(0.8, 1, 51))]))
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def pairs(identities, faces, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("pairs")
    render_faces(RenderConfig(identities, out, labels=faces / "labels.csv", count=24, repeats=2, sides=True))
    return out


@pytest.fixture(scope="module")
def acted(identities, faces, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("acted")
    render_faces(RenderConfig(identities, out, labels=faces / "labels.csv", count=12, is_reenactment=True))
    return out


def sides_of(rigs: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, p, n = (rigs[rows[:, k]] for k in range(3))
    near, far, other = (np.linalg.norm(x - y, axis=1) for x, y in ((a, p), (a, n), (p, n)))
    return near, far, other


def test_clear_triplets_have_a_clear_odd_one_out():
    rng = np.random.default_rng(0)
    rigs = (rng.random((6, 52)) ** 4)[np.arange(300) % 6].astype(np.float32) * rng.uniform(0.8, 1, (300, 1)).astype("f")
    rows = draw_clear(rigs, 200, rng)
    assert len(rows) == 200
    assert (rows[:, 0] != rows[:, 1]).all()
    near, far, other = sides_of(rigs, rows)
    assert (near < 0.6 * far + 1e-5).all() and (near < 0.6 * other + 1e-5).all()


def test_faces_that_are_all_alike_are_refused():
    with pytest.raises(InputError, match="hardly a clear comparison"):
        draw_clear(np.zeros((50, 52), np.float32), 10, np.random.default_rng(0))


def test_classes_are_drawn_evenly_and_persons_differ():
    classes = ["common"] * 300 + ["rare"] * 10 + ["middling"] * 50 + [""] * 40
    persons = [f"p{k // 2}" if k % 3 else "" for k in range(400)]
    rows = draw_classes(classes, persons, 9000, np.random.default_rng(0))
    names, whose = np.array(classes)[rows], np.array(persons)[rows]
    assert (names[:, 0] == names[:, 1]).all() and (names[:, 0] != names[:, 2]).all() and (names != "").all()
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (rows[:, i] != rows[:, j]).all()
        assert ((whose[:, i] != whose[:, j]) | (whose[:, i] == "")).all()
    shares = [np.mean(names[:, 2] == name) for name in ("common", "rare", "middling")]
    assert np.allclose(shares, 1 / 3, atol=0.05)


def test_classes_of_a_handful_are_left_out():
    classes = ["one"] * 30 + ["two"] * 30 + ["few"] * 3
    rows = draw_classes(classes, [""] * 63, 500, np.random.default_rng(0), fewest=20)
    assert rows.max() < 60
    with pytest.raises(InputError, match="expected at least two"):
        draw_classes(classes, [""] * 63, 500, np.random.default_rng(0), fewest=40)


def test_recast_triplets_change_the_avatar_and_keep_the_rig():
    rng = np.random.default_rng(0)
    rigs = rng.random((40, 52))[np.tile(np.arange(40), 3)]
    rigs[1], rigs[41], rigs[81] = rigs[0], rigs[0], rigs[0]
    numbers, avatars = np.tile(np.arange(40), 3), np.arange(120) // 12
    rows = draw_recast(numbers, avatars, rigs, 500, rng)
    a, p, n = rows.T
    assert len(rows) > 400
    assert (numbers[a] == numbers[p]).all() and (avatars[a] != avatars[p]).all()
    assert (avatars[a] == avatars[n]).all()
    assert (np.linalg.norm(rigs[a] - rigs[n], axis=1) > NOTABLE).all(), "rigs that look the same are no negatives"


def test_a_hard_negative_is_the_mirror_image():
    smile = np.zeros(52)
    smile[INDEX["mouthSmileLeft"]] = 1
    far = np.ones(52)
    rigs = np.stack([smile, smile[mirrored(ARKIT)], far, smile])
    rows = draw_recast(np.array([0, 1, 2, 0]), np.array([0, 0, 0, 1]), rigs, 50, np.random.default_rng(0), hard=1.0)
    assert {tuple(row) for row in rows.tolist()} == {(0, 3, 1)}


def test_rigs_on_one_avatar_are_refused():
    with pytest.raises(InputError, match="no rig is shown by two avatars"):
        draw_recast(np.arange(4), np.zeros(4), np.zeros((4, 52)), 5, np.random.default_rng(0))


@pytest.mark.parametrize("candidates", [16, 200])
def test_acted_negatives_lie_farther_than_the_median(candidates):
    rng = np.random.default_rng(0)
    rigs = rng.random((100, 52))
    rows = draw_acted(rigs, 300, rng, candidates=candidates)
    distance = np.linalg.norm(rigs[:, None] - rigs, axis=2)
    assert (rows[:, 0] == rows[:, 1]).all()
    rank = (distance[rows[:, 0]] < distance[rows[:, 0], rows[:, 2]][:, None]).mean(1)
    assert rank.min() >= (0.5 if candidates == 200 else 0.1) and rank.mean() > 0.7


def test_kinds_count_the_classes():
    triplets = np.array([[0, 1, 2], [0, 1, 3], [3, 0, 1], [0, 3, 4], [0, 4, 5]])
    assert kinds_of(["a", "a", "a", "b", "", ""], triplets).tolist() == [1, 2, 2, 3, 3]


def test_the_forms_of_a_rig_are_it_its_mirror_image_and_both_sides():
    rigs = np.random.default_rng(0).random((20, 52)).astype(np.float32)
    casting = Casting(RigSampler(rigs), np.random.default_rng(0), has_sides=True)
    plain, other, both = (casting.rig(k) for k in range(3))
    np.testing.assert_array_equal(other, plain[mirrored(ARKIT)])
    np.testing.assert_array_equal(casting.rig(0), plain)
    smile = [INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]
    assert (both[smile] == plain[smile].max()).all()
    assert both[INDEX["jawLeft"]] == both[INDEX["jawRight"]] == 0
    np.testing.assert_array_equal(symmetric(both), both)
    np.testing.assert_array_equal(both[[INDEX["eyeLookInLeft"]]], plain[[INDEX["eyeLookInLeft"]]])


def test_repeated_rigs_meet_different_avatars(identities, tmp_path):
    config = RenderConfig(identities, tmp_path, count=90, repeats=3)
    numbers = assign_expressions(config)
    avatars = np.arange(90) // 30
    assert np.bincount(numbers).tolist() == [3] * 30
    assert all(len(set(avatars[numbers == k])) == 3 for k in range(30))
    plain = assign_expressions(RenderConfig(identities, tmp_path, count=90))
    np.testing.assert_array_equal(plain, np.arange(90))


def test_wrong_render_settings_are_refused(identities, tmp_path):
    with pytest.raises(ValueError, match="repeats is 4"):
        RenderConfig(identities, tmp_path, repeats=4)
    with pytest.raises(ValueError, match="is_reenactment needs labels"):
        RenderConfig(identities, tmp_path, is_reenactment=True)


def test_renders_say_which_rig_and_which_face_they_show(pairs, acted, faces):
    numbers, rigs = np.load(pairs / "expressions.npy"), np.load(pairs / "rigs.npy")
    for k in np.unique(numbers):
        np.testing.assert_array_equal(rigs[numbers == k], rigs[[np.flatnonzero(numbers == k)[0]]].repeat(2, 0))
    files = json.loads((acted / "files.json").read_text())
    assert len(files) == len(set(files)) == 12 and all(int(name[:-4]) < 60 for name in files)


def test_every_source_becomes_a_snapshot(faces, pairs, acted, tmp_path):
    config = BuildConfig(tmp_path, faces=faces, pairs=(pairs,), acted=(acted,), count=60, fewest=2)
    built = build_triplets(config)
    assert set(built) == {"silver", "labels", "recast", "acted"}
    for name, triplets in built.items():
        again = read_triplets(tmp_path / f"{name}.jsonl")
        assert len(again) == len(triplets) > 20
        np.testing.assert_array_equal(again.index, triplets.index)
        np.testing.assert_array_equal(again.kind, triplets.kind)
    real, positive, negative = (built["acted"].images[k] for k in built["acted"].index[0])
    files = json.loads((acted / "files.json").read_text())
    assert real.split("::")[1] == files[int(positive.split("::")[1])]
    assert Path(negative.split("::")[0]) == acted / "crops.npy" and negative != positive


def test_no_image_of_the_validation_split_is_used(faces, tmp_path):
    built = build_triplets(BuildConfig(tmp_path, faces=faces, count=200, fewest=2))
    for triplets in built.values():
        assert max(int(image.split("::")[1][:-4]) for image in triplets.images) < 60


def test_the_same_seed_draws_the_same(faces, tmp_path):
    for name in ("one", "two"):
        build_triplets(BuildConfig(tmp_path / name, faces=faces, count=50, fewest=2))
    for source in ("silver", "labels"):
        one, two = ((tmp_path / name / f"{source}.jsonl").read_text() for name in ("one", "two"))
        assert one == two


def test_what_is_missing_is_named(faces, acted, pairs, tmp_path):
    with pytest.raises(ValueError, match="nothing to build from"):
        BuildConfig(tmp_path)
    with pytest.raises(ValueError, match="give --faces as well"):
        BuildConfig(tmp_path, acted=(acted,), pairs=(pairs,))
    with pytest.raises(ValueError, match="give --fec and --fec-images"):
        BuildConfig(tmp_path, fec=tmp_path)
    with pytest.raises(InputError, match=r"lacks rigs\.npy"):
        build_triplets(BuildConfig(tmp_path, pairs=(tmp_path,)))
    with pytest.raises(InputError, match=r"lacks files\.json"):
        build_triplets(BuildConfig(tmp_path, faces=faces, acted=(pairs,), fewest=2, count=10))


def test_the_command_ends_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["build_triplets", "--out", str(tmp_path), "--faces", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"labels\.csv does not exist"):
        runpy.run_path(build_script.__file__, run_name="__main__")
