import json
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import training.evaluate as evaluate_script
from freeavatar.errors import InputError
from freeavatar.models import DecoderConfig, EncoderConfig
from freeavatar.networks import Bundle, Encoder, RigDecoder, save_bundle
from freeavatar.rig import ARKIT, mirrored
from tests.files import SHARED
from training.data.labelled_faces import read_rows
from training.data.rigs import INDEX
from training.evaluate import PRESETS, EvaluateConfig, Evaluation, Sizes, evaluate
from training.measure.figures import bootstrap, draw_label_triplets, identity_leakage, nearest, side_hits, triplet_hits
from training.measure.retrieval import CELL, QUERIES, Gallery, draw_sheet
from training.renders.held_out import GESTURES, HeldOut, gesture_rigs


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    """Forty labelled faces of ten people, half of them to measure on."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    names = [name for name in ARKIT if name != "tongueOut"]
    lines = [",".join(["file", "source", "split", "identity", "emotion", *names])]
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for k in range(40):
            image = cv2.resize(rng.integers(0, 255, (9, 9), np.uint8), (144, 144))
            archive.writestr(f"{k}.jpg", cv2.imencode(".jpg", image)[1].tobytes())
            known = [f"{k}.jpg", "fer2013", "val" if k % 2 else "train", f"p{k // 8}", ("joy", "fear", "")[k % 3]]
            lines.append(",".join([*known, *(f"{v:.3f}" for v in rng.random(51) ** 3)]))
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """An untrained bundle."""
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(image_size=32, feature_size=16))
    return save_bundle(tmp_path_factory.mktemp("weights"), Bundle(encoder, RigDecoder(DecoderConfig(16))))


def test_a_triplet_counts_only_if_both_are_nearer_to_each_other():
    anchor, positive = np.array([[0.0, 0.0]] * 3), np.array([[1.0, 0.0]] * 3)
    negative = np.array([[3.0, 0.0], [1.5, 0.0], [-0.5, 0.0]])
    assert triplet_hits(anchor, positive, negative).tolist() == [True, False, False]


def test_intervals_cover_the_mean_and_count_groups_not_trials():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(50), 20)
    hits = (rng.uniform(size=50) < 0.6)[group]
    alone, together = bootstrap(hits, np.arange(1000), chance=0.5), bootstrap(hits, group, chance=0.5)
    assert alone.value == together.value == pytest.approx(hits.mean())
    assert alone.low < alone.value < alone.high
    assert together.high - together.low > 3 * (alone.high - alone.low)
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * hits.std() / np.sqrt(1000), rel=0.1)
    sure = bootstrap(np.ones(9, bool), np.arange(9), chance=0.5)
    assert (sure.value, sure.low, sure.high, sure.count) == (1, 1, 1, 9)


def test_trials_that_share_any_of_their_images_are_no_separate_evidence():
    """The interval covers the truth as often as it says, where every image is hard or easy by itself."""
    rng, covered, naive = np.random.default_rng(0), 0, 0
    for _ in range(60):
        ease = rng.normal(0, 1.2, 60)
        triplets = np.stack([rng.permutation(60)[:3] for _ in range(400)])
        hits = rng.uniform(size=400) < 1 / (1 + np.exp(-ease[triplets].sum(1)))
        figures = [bootstrap(hits, images, chance=0.5) for images in (triplets, triplets[:, 0])]
        covered, naive = (n + (f.low <= 0.5 <= f.high) for n, f in zip((covered, naive), figures, strict=True))
    assert covered >= 54 and naive < covered - 6


def test_label_triplets_share_the_first_label_and_draw_labels_evenly():
    labels = ["a"] * 200 + ["b"] * 10 + ["c"] * 30
    rows = draw_label_triplets(labels, count=3000)
    names = np.array(labels)[rows]
    assert (
        (names[:, 0] == names[:, 1]).all() and (names[:, 0] != names[:, 2]).all() and (rows[:, 0] != rows[:, 1]).all()
    )
    assert np.allclose([np.mean(names[:, 2] == name) for name in "abc"], 1 / 3, atol=0.03)


def test_the_score_on_human_labels_is_the_reference_scripts(tmp_path):
    script = SHARED / "eval" / "score_triplets.py"
    if not script.exists():
        pytest.skip("shared data absent: the reference script is not there")
    rows = read_rows(SHARED / "faces" / "labels.csv", split="val")
    rows = [row for row in rows if row["source"] == "fer2013" and row["emotion"]]
    rng = np.random.default_rng(0)
    classes = np.unique([row["emotion"] for row in rows], return_inverse=True)[1]
    embedding = np.eye(16)[classes] + rng.normal(0, 0.4, (len(rows), 16))
    embedding = (embedding / np.linalg.norm(embedding, axis=1, keepdims=True)).astype(np.float32)
    np.savez(tmp_path / "emb.npz", paths=[row["file"] for row in rows], embedding=embedding)
    command = [sys.executable, str(script), "--embeddings", str(tmp_path / "emb.npz")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    triplets = draw_label_triplets([row["emotion"] for row in rows])
    hits = triplet_hits(*(embedding[triplets[:, k]].astype(float) for k in range(3)))
    assert printed.startswith(f"triplet accuracy {hits.mean():.4f} on {len(rows)} images")


def test_neighbours_come_nearest_first_and_leave_out_the_excluded():
    gallery = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert nearest(np.array([[0.4]]), gallery, 3).tolist() == [[0, 1, 2]]
    excluded = np.array([[True, False, False, False]])
    assert nearest(np.array([[0.4]]), gallery, 3, excluded=excluded).tolist() == [[1, 2, 3]]


def test_leakage_tells_persons_from_noise():
    rng = np.random.default_rng(0)
    persons = [f"p{k % 40}" for k in range(400)]
    clustered = np.eye(40)[np.arange(400) % 40] + rng.normal(0, 0.01, (400, 40))
    assert identity_leakage(clustered, persons).value == 1
    noise = identity_leakage(rng.normal(size=(400, 16)), persons)
    assert noise.value == pytest.approx(noise.chance, abs=0.06)
    assert noise.chance == pytest.approx(1 - (1 - 9 / 399) ** 5, abs=0.005)


def test_leakage_asks_only_for_those_seen_twice():
    figure = identity_leakage(np.eye(8), ["a", "a", "b", "", "", "", "", ""])
    assert figure.count == 2


def test_the_side_of_a_gesture_is_told_from_the_other_and_from_both():
    numbers, avatars = np.tile(np.arange(9), 6), np.repeat(np.arange(6), 9)
    rng = np.random.default_rng(0)
    told = np.eye(9)[numbers]
    hits, asked = side_hits(told, numbers, avatars, draws=3, rng=rng)
    assert hits.all() and len(hits) == 6 * 6 * 3 and set(numbers[asked] % 3) == {0, 1}
    swapped = np.eye(9)[numbers]
    swapped[::2] = np.eye(9)[[1, 0, 2, 4, 3, 5, 7, 6, 8]][numbers[::2]]
    assert 0.2 < side_hits(swapped, numbers, avatars, draws=3, rng=rng)[0].mean() < 0.8
    blind = np.eye(3)[numbers // 3] + rng.normal(0, 0.01, (54, 3))
    assert side_hits(blind, numbers, avatars, draws=5, rng=rng)[0].mean() == pytest.approx(1 / 3, abs=0.15)


@pytest.mark.parametrize("gesture", GESTURES)
def test_gestures_are_one_sided_and_mirror_each_other(gesture):
    base = np.random.default_rng(0).random(52).astype(np.float32) * 0.3
    base = (base + base[mirrored(ARKIT)]) / 2
    left, right, both = gesture_rigs(base, gesture, 0.8)
    np.testing.assert_allclose(right, left[mirrored(ARKIT)])
    for name, amount in GESTURES[gesture].items():
        twin = name.replace("Left", "Right")
        assert left[INDEX[name]] == pytest.approx(0.8 * amount) and left[INDEX[twin]] == 0
        assert both[INDEX[name]] == both[INDEX[twin]] == pytest.approx(0.8 * amount)


def test_held_out_faces_are_rendered_once(faces, identities, tmp_path):
    labels = faces / "labels.csv"
    first = HeldOut(tmp_path, identities).one_sided(labels, takes=2)
    assert first.crops.shape == (18, 144, 144) and len(set(first.avatars)) == 3
    assert (first.avatars.reshape(-1, 3) == first.avatars[::3, None]).all(), "the three forms share an avatar"
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    again = HeldOut(tmp_path, identities).one_sided(labels, takes=2)
    np.testing.assert_array_equal(again.crops, first.crops)
    assert made == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    HeldOut(tmp_path, identities, limit=2).one_sided(labels, takes=2)
    assert len(list(tmp_path.iterdir())) == 2, "other identities are another set"


def test_a_rig_is_recast_on_different_avatars(faces, identities, tmp_path):
    found = HeldOut(tmp_path, identities).recast(faces / "labels.csv", rigs=4, repeats=3)
    for number in range(4):
        rows = np.flatnonzero(found.numbers == number)
        assert len(set(found.avatars[rows])) == 3
        np.testing.assert_array_equal(found.rigs[rows], found.rigs[rows[:1]].repeat(3, 0))


def test_identities_must_be_there(tmp_path):
    with pytest.raises(InputError, match=r"holds 0 \.glb files"):
        HeldOut(tmp_path, tmp_path)


def test_the_sheet_shows_no_neighbour_of_the_same_person():
    crops = np.arange(40, dtype=np.uint8)[:, None, None].repeat(144, 1).repeat(144, 2)
    persons = np.array([f"p{k // 2}" for k in range(40)])
    gallery = Gallery(crops, np.arange(40.0)[:, None], persons, np.array(["x"] * 40))
    sheet = draw_sheet(gallery, gallery)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3 and sheet.shape[0] == 28 + 2 * QUERIES * CELL
    row = sheet[28 + CELL // 2, :, 0]
    asked, first = int(row[CELL // 2]), int(row[CELL + 14 + CELL // 2])
    assert asked // 2 != first // 2 and abs(asked - first) <= 2


@pytest.fixture
def config(faces, identities, weights, tmp_path, monkeypatch) -> EvaluateConfig:
    monkeypatch.setitem(PRESETS, "small", Sizes(None, 8, 4, 2, None))
    return EvaluateConfig(faces, identities, tmp_path / "out", weights, tmp_path / "renders", preset="small")


def test_every_figure_comes_with_its_interval_and_a_picture(config):
    figures = evaluate(config)
    report = json.loads((config.out / "evaluation.json").read_text())
    assert set(report["figures"]) == set(figures) and report["weights"] == str(config.weights)
    for name in (
        "human labels", "cross-domain", "cross-domain, any other rig", "same rig on another avatar",
        "left or right", "left or right, brow", "left or right, pooled feature", "same person among 5",
    ):  # fmt: skip
        assert 0 <= figures[name].low <= figures[name].value <= figures[name].high <= 1
    assert figures["human labels"].count == 20000 and figures["cross-domain"].count == 5000
    assert cv2.imread(str(config.out / "retrieval.png")).shape[2] == 3
    before = (config.out / "evaluation.json").read_text()
    evaluate(config)
    assert json.loads(before)["figures"] == json.loads((config.out / "evaluation.json").read_text())["figures"]


def test_embeddings_that_follow_the_rig_score_full_marks(config):
    from freeavatar.networks import load_bundle

    evaluation = Evaluation(config, load_bundle(config.weights))
    evaluation.acted_embedding = evaluation.acted.rigs.astype(float)
    evaluation.real = np.nan_to_num(evaluation.rigs).astype(float)
    assert evaluation.cross_domain()["cross-domain"].value == 1


def test_the_command_ends_with_a_sentence(identities, tmp_path, monkeypatch):
    arguments = ["--faces", str(tmp_path), "--avatars", str(identities), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["evaluate", *arguments])
    with pytest.raises(SystemExit, match=r"labels\.csv does not exist"):
        runpy.run_path(evaluate_script.__file__, run_name="__main__")
