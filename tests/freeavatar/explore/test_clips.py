"""Paths of clips, sheets, bundles to look through, and what is exported."""

import csv
import io
import json
import re
import shutil

import cv2
import numpy as np
import pytest

from freeavatar.errors import FaceError, InputError, WeightsError
from freeavatar.explore.clips import ACTOR, ClipPath, face_at, load_path, trace_steps
from freeavatar.explore.export import Table, to_csv, to_list, to_npz, to_page
from freeavatar.explore.lens import Lens, available_bundles
from freeavatar.explore.sheets import SheetLayout, SheetWriter, draw_sheet, read_cell, sheet_path
from freeavatar.images import decode_image
from freeavatar.models import DEFAULT_WEIGHTS
from freeavatar.models.library import DEFAULT
from tests.files import write_clip


@pytest.fixture(scope="module")
def lens():
    return Lens(DEFAULT_WEIGHTS)


@pytest.fixture(scope="module")
def traced(lens, short_clip, tmp_path_factory):
    """A clip of ten frames, neutral to smile, and an avatar that plays it."""
    folder = tmp_path_factory.mktemp("clip")
    stages, steps = set(), trace_steps(short_clip, ["ines"], lens, folder, weights="w")
    try:
        while True:
            stages.add(next(steps).stage)
    except StopIteration as stop:
        return stop.value, folder, stages


def test_a_clip_and_its_avatar_draw_paths_that_are_kept(traced):
    path, folder, stages = traced
    assert stages == {"tracking", "ines"} and path.avatars == ["ines"] and len(path.times) == 10
    for name in (ACTOR, "ines"):
        np.testing.assert_allclose(np.linalg.norm(path.embeddings[name], axis=1), 1, atol=1e-4)
    kept = load_path(folder)
    assert kept.name == "short.mp4" and kept.weights == "w"
    np.testing.assert_array_equal(kept.embeddings["ines"], path.embeddings["ines"])
    first, last = face_at(folder, ACTOR, 0), face_at(folder, ACTOR, 9)
    assert first.shape == (144, 144, 3) and np.abs(first.astype(int) - last).mean() > 2


def test_the_avatar_is_nearer_to_the_moment_it_plays_than_to_others(traced):
    path, _, _ = traced
    far = path.embeddings[ACTOR][[9, 0]] - path.embeddings["ines"][[0, 9]]
    assert path.distance("ines")[[0, 9]].mean() < np.linalg.norm(far, axis=1).mean()


def test_distance_shift_and_worst_moments_are_what_they_say():
    actor = np.eye(16, dtype=np.float32)[[0, 0, 0, 0, 0]]
    avatar = np.eye(16, dtype=np.float32)[[0, 1, 0, 1, 2]]
    seen = np.array([1, 1, 0, 1, 1], np.float32)
    path = ClipPath(
        "x", np.arange(5) * 0.25, {ACTOR: actor, "a": avatar}, {ACTOR: np.ones(5), "a": seen}, np.zeros((5, 2))
    )
    np.testing.assert_allclose(path.distance("a"), [0, 2**0.5, np.nan, 2**0.5, 2**0.5])
    assert path.worst("a", 3) == [1, 3]  # 0 and 4 are too near to them, 2 is not seen
    assert path.shift("a") == pytest.approx(np.linalg.norm(avatar[seen > 0].mean(0) - actor[0]))


def test_long_clips_are_thinned(lens, short_clip, tmp_path, monkeypatch):
    monkeypatch.setattr("freeavatar.explore.clips.MOST_MOMENTS", 4)
    steps = trace_steps(short_clip, [], lens, tmp_path)
    for _ in steps:
        pass
    assert len(load_path(tmp_path).times) == 4
    with pytest.raises(InputError, match="no longer there"):
        load_path(tmp_path / "none")


def test_inputs_without_a_path_get_a_sentence(lens, actor_frames, tmp_path):
    grey = write_clip(tmp_path / "grey.mp4", [actor_frames[0] * 0 + 90] * 3)
    with pytest.raises(FaceError, match="no face was found in"):
        list(trace_steps(grey, [], lens, tmp_path / "a"))
    cv2.imwrite(str(tmp_path / "one.png"), actor_frames[0])
    with pytest.raises(InputError, match="is no video"):
        list(trace_steps(tmp_path / "one.png", [], lens, tmp_path / "b"))


def test_a_bundle_without_a_decoder_shows_its_space_and_says_why_it_drives_nothing(tmp_path, lens, actor_frames):
    half = tmp_path / "half"
    half.mkdir()
    for name in ("config.json", "encoder.safetensors", "encoder.onnx"):
        shutil.copy(DEFAULT_WEIGHTS / name, half)
    blind = Lens(half)
    crop = actor_frames[0][:400, :400]
    for mine, theirs in zip(blind.encode([crop]), lens.encode([crop]), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    with pytest.raises(WeightsError, match="the bundle half has no decoder"):
        blind.draw("ines", np.zeros((1, 384)))
    with pytest.raises(WeightsError, match="holds no weights"):
        Lens(tmp_path)


def test_a_morph_begins_and_ends_with_its_faces(lens):
    rng = np.random.default_rng(0)
    first, last = rng.normal(size=(2, 384)).astype(np.float32)
    strip = lens.morph("ines", first, last, steps=3)
    ends = lens.draw("ines", np.stack([first, last]))
    np.testing.assert_array_equal(strip[0], ends[0])
    np.testing.assert_array_equal(strip[2], ends[1])
    assert (strip[1] != strip[0]).any() and (strip[1] != strip[2]).any()


def test_bundles_are_the_default_and_the_users(user_home):
    shutil.copytree(DEFAULT_WEIGHTS, user_home / "bundles" / "mine")
    assert list(available_bundles()) == [DEFAULT, "mine"]


def test_faces_lie_on_sheets_in_order(tmp_path):
    layout = SheetLayout(8, 2)
    faces = [np.full((20, 20, 3), shade, np.uint8) for shade in (10, 60, 120, 180, 240)]
    assert decode_image(draw_sheet(faces[:3], layout), "sheet").shape == (16, 16, 3)
    writer = SheetWriter(tmp_path, "x", layout)
    for face in [*faces, None]:
        writer.add(face)
    writer.flush()
    for k, face in enumerate(faces):
        cell = read_cell(sheet_path(tmp_path, "x", k // 4), k % 4, layout)
        assert abs(int(cell.mean()) - int(face.mean())) < 4


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    vectors, points = rng.normal(size=(3, 16)).astype("f4"), rng.normal(size=(3, 2)).astype("f4")
    return Table("A </script> map", ["a", "b", "c"], ["x/1.png", "x/2.png", "x/3.png"], vectors, points,
                 {"label": ["joy", "", "</script>"]}).rows([2, 0])  # fmt: skip


def test_lists_tables_and_arrays_hold_the_chosen_rows(table):
    assert to_list(table).decode().splitlines() == ["c\tx/3.png", "a\tx/1.png"]
    rows = list(csv.DictReader(io.StringIO(to_csv(table).decode())))
    assert [row["id"] for row in rows] == ["c", "a"] and rows[1]["label"] == "joy"
    assert float(rows[1]["e3"]) == pytest.approx(float(table.vectors[1, 3]), abs=1e-6)
    with np.load(io.BytesIO(to_npz(table))) as arrays:
        np.testing.assert_array_equal(arrays["embedding"], table.vectors)
        assert arrays["ids"].tolist() == ["c", "a"] and arrays["points"].shape == (2, 2)


def test_the_map_is_one_page_that_asks_nothing_of_the_network(table):
    page = to_page(table, ["data:image/jpeg;base64,AA=="], [0, 1], note="Trust me.").decode()
    own = re.sub(r"<script>/\*\*.*?</script>", "", page, count=1, flags=re.S)
    assert "http" not in own and "A &lt;/script&gt; map" in own and "Trust me." in own
    data = json.loads(re.search(r"const data = (.*);\n", own).group(1))
    assert data["sources"] == list(table.sources) and data["words"] == ["</script>", "joy"]
    assert own.count("</script>") == 1
