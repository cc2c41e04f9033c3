import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from freeavatar.avatars import avatar_path, load_avatar
from freeavatar.errors import InputError, VideoError, WeightsError
from freeavatar.files import write_png
from freeavatar.models import load_bundle
from freeavatar.networks import Identity, save_identity
from freeavatar.performance.editing import Neutral, around, edit
from freeavatar.pipeline import (
    AnimateOptions,
    Player,
    Regions,
    animate,
    animation,
    load_profile,
    load_take,
    missing_spans,
    most_moving,
    save_profile,
)
from freeavatar.pipeline.acting import identity_of, identity_path
from freeavatar.pipeline.take import save_take
from freeavatar.rig import ARKIT
from freeavatar.video import VideoReader
from tests.files import write_clip

SMALL = AnimateOptions(height=96)
INES = load_avatar("ines")


@pytest.fixture(scope="module")
def run(short_clip, tmp_path_factory):
    """A folder with the short clip and a small run of it on ines, and the report."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copy(short_clip, folder / "clip.mp4")
    return folder, animate(folder / "clip.mp4", ["ines"], out=folder / "out", options=SMALL)


@pytest.fixture
def no_tracking(monkeypatch):
    """Decoding a video for its track fails."""

    def refuse(*_):
        raise AssertionError("the clip was tracked again")

    monkeypatch.setattr(animation, "follow", refuse)


def weights_of(report):
    return np.array(json.loads(report.files["ines"]["json"].read_text())["weights"])


def test_a_take_comes_back_as_it_was_saved(run):
    take = load_take(run[1].take)
    assert run[1].take.name == "clip.take.npz" and run[1].take in run[1].paths
    again = load_take(save_take(replace(take, path=run[0] / "again.take.npz")))
    assert again.info == take.info and [acted.avatar for acted in again.acted.values()] == ["ines"]
    for name in ("times", "features", "head", "points", "confidence", "embeddings", "cuts"):
        np.testing.assert_array_equal(getattr(again.track, name), getattr(take.track, name))
    np.testing.assert_array_equal(again.raw(INES.content).weights, take.raw(INES.content).weights)


def test_other_settings_need_no_tracking_and_give_what_a_new_run_gives(run, tmp_path, no_tracking):
    options = replace(SMALL, gain=0.5, smoothing=0.2, regions=Regions(jaw=0))
    again = animate(run[0] / "clip.mp4", ["ines"], out=run[0] / "out", options=options)
    from_take = animate(run[1].take, ["ines"], out=tmp_path, options=options)
    np.testing.assert_array_equal(weights_of(again), weights_of(from_take))
    assert not weights_of(again)[:, ARKIT.index("jawOpen")].any()
    assert from_take.take == tmp_path / "clip.take.npz"
    assert len(list(VideoReader(from_take.files["ines"]["video"]))) == 10


@pytest.mark.parametrize("change", [{"start": 0.1}, {"face": 1}, {"smoothing": 0, "calibration": "none"}])
def test_a_take_of_another_track_is_not_reused(run, change, no_tracking):
    with pytest.raises(AssertionError, match="tracked again"):
        animate(run[0] / "clip.mp4", ["ines"], out=run[0] / "out", options=replace(SMALL, **change))


def test_an_avatar_that_was_not_in_the_run_is_decoded_from_the_take(run, tmp_path, no_tracking):
    animate(run[1].take, ["kofi"], out=tmp_path, options=SMALL)
    names = {acted.avatar for acted in load_take(tmp_path / "clip.take.npz").acted.values()}
    assert names == {"ines", "kofi"}


def test_other_weights_decode_nothing_new(run, tmp_path):
    take = load_take(run[1].take)
    old = save_take(replace(take, info=replace(take.info, weights="0" * 12), path=tmp_path / "old.take.npz"))
    shutil.copy(run[0] / "clip.mp4", tmp_path)
    with pytest.raises(WeightsError, match="made with other weights"):
        animate(old, ["kofi"], out=tmp_path / "out", options=SMALL)
    assert load_bundle().id == take.info.weights and len(take.info.weights) == 12


def test_an_avatar_that_was_drawn_anew_plays_what_was_decoded_for_the_one_before(run, tmp_path, no_tracking):
    take = load_take(run[1].take)
    before = {"0" * 12: take.acted[INES.content]}
    old = replace(take, info=replace(take.info, weights="0" * 12), acted=before, path=tmp_path / "old.take.npz")
    shutil.copy(run[0] / "clip.mp4", tmp_path)
    animate(save_take(old), ["ines"], out=tmp_path / "out", options=SMALL)
    again = load_take(tmp_path / "out" / "clip.take.npz")
    np.testing.assert_array_equal(again.raw(INES.content).weights, take.raw(INES.content).weights)


def test_a_take_finds_its_video_beside_it_and_says_when_it_is_gone_or_another(run, tmp_path):
    take = load_take(shutil.copy(run[1].take, tmp_path))
    take = replace(take, info=replace(take.info, source="/nowhere/clip.mp4"))
    with pytest.raises(InputError, match="is gone: put it back, or beside the take"):
        take.source()
    (tmp_path / "clip.mp4").write_bytes(b"short")
    with pytest.raises(InputError, match="is not the file that"):
        take.source()
    shutil.copy(run[0] / "clip.mp4", tmp_path)
    assert take.source().frame_at(0.2).index == 0 and take.source().size == (480, 640)


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_take_is_refused(data, tmp_path):
    (tmp_path / "a.take.npz").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.take\.npz"):
        load_take(tmp_path / "a.take.npz")


def test_a_damaged_take_is_tracked_anew(run, tmp_path):
    (tmp_path / "clip.take.npz").write_bytes(b"damaged")
    report = animate(run[0] / "clip.mp4", ["ines"], out=tmp_path, options=SMALL)
    assert load_take(report.take).track.found.all()


def test_a_picture_of_a_moment_is_that_of_the_video(run):
    player = Player(load_take(run[1].take))
    options = replace(SMALL, height=96)
    frames = [frame.image for frame in VideoReader(run[1].files["ines"]["video"])]
    picture = player.picture("ines", 9 / 25, options, size=96)
    assert picture.shape == (96, 96, 3)
    assert np.abs(picture.astype(int) - frames[9][:, -96:]).mean() < 9
    assert np.abs(picture.astype(int) - player.picture("ines", 0, options, size=96)).mean() > 1.5


def test_a_frame_edited_alone_is_that_of_the_whole(run):
    raw = load_take(run[1].take).raw(INES.content)
    count = 200
    rng = np.random.default_rng(0)
    long = replace(
        raw, weights=rng.random((count, 52), np.float32), times=np.arange(count) / 25,
        head=rng.normal(0, 9, (count, 3)).astype(np.float32), cuts=np.arange(count) % 90 == 80,
        confidence=(np.arange(count) % 70 < 30).astype(np.float32),
    )  # fmt: skip
    options, neutral = AnimateOptions(smoothing=1, calibration="none"), Neutral(np.zeros(52), np.zeros(3))
    whole = edit(long, options, neutral)
    for index in (0, 31, 69, 75, 80, 130, 170, 199):
        part, k = around(long, index)
        assert len(part.times) < 60
        np.testing.assert_allclose(edit(part, options, neutral).weights[k], whole.weights[index], atol=1e-6)
        np.testing.assert_allclose(edit(part, options, neutral).head[k], whole.head[index], atol=1e-5)


def test_a_profile_saved_from_a_take_is_the_neutral_of_the_next(run, tmp_path):
    player = Player(load_take(run[1].take))
    profile = player.profile("Ada", replace(SMALL, calibration=0.0))
    used = load_profile(save_profile(profile, tmp_path / "ada.json"))
    marked = player.perform("ines", replace(SMALL, calibration=0.0))
    from_profile = player.perform("ines", replace(SMALL, calibration=used))
    np.testing.assert_allclose(from_profile.weights, marked.weights, atol=1e-4)
    np.testing.assert_allclose(from_profile.head, marked.head, atol=1e-2)
    with pytest.raises(InputError, match="too short a time to find its neutral"):
        player.profile("Ada", SMALL)
    with pytest.raises(InputError, match="other weights"):
        player.perform("ines", replace(SMALL, calibration=replace(used, weights="f" * 12)))


def test_the_head_is_a_region(run):
    player = Player(load_take(run[1].take))
    full, half, still = (
        player.perform("ines", replace(SMALL, calibration="none", regions=Regions(head=scale))).head
        for scale in (1, 0.5, 0)
    )
    assert np.abs(full).max() > 1 and not still.any()
    np.testing.assert_allclose(half, full / 2, atol=1e-4)


def test_a_range_is_exact_and_its_neutral_second_is_one_of_the_input(run, tmp_path):
    options = replace(SMALL, start=0.12, end=0.32, calibration=0.2)
    report = animate(run[0] / "clip.mp4", ["ines"], out=tmp_path, options=options)
    take, whole = load_take(report.take), load_take(run[1].take)
    assert report.frames == 5 and take.offset == pytest.approx(0.12)
    np.testing.assert_allclose(take.track.times, np.arange(5) / 25, atol=1e-9)
    np.testing.assert_allclose(take.track.points, whole.track.points[3:8], atol=3)
    frames = list(VideoReader(report.files["ines"]["video"]))
    assert [round(frame.time, 3) for frame in frames] == [0, 0.04, 0.08, 0.12, 0.16]
    with pytest.raises(InputError, match="no face around second 9"):
        animate(run[0] / "clip.mp4", ["ines"], out=tmp_path, options=replace(options, calibration=9.0))
    with pytest.raises(VideoError, match="no frame from second 5 on"):
        animate(run[0] / "clip.mp4", ["ines"], out=tmp_path, options=replace(SMALL, start=5.0))


def test_stretches_without_a_face_and_the_liveliest_controls():
    confidence = np.array([0, 0, 1, 1, 0, 1, 0])
    assert missing_spans(np.arange(7) / 10, confidence, 10) == [
        (0, pytest.approx(0.2)), (pytest.approx(0.4), pytest.approx(0.5)), (pytest.approx(0.6), pytest.approx(0.7)),
    ]  # fmt: skip
    assert missing_spans(np.arange(3) / 10, np.ones(3), 10) == []


def test_the_controls_that_moved_most_come_first(run):
    performance = Player(load_take(run[1].take)).perform("ines", SMALL)
    names = most_moving(performance, 6)
    assert {"mouthSmileLeft", "mouthSmileRight"} <= set(names)
    still = replace(performance, weights=np.zeros_like(performance.weights))
    assert most_moving(still) == []


def settings_in(report, name):
    return json.loads(report.files[name]["json"].read_text())["settings"]


@pytest.fixture
def hero(tmp_path):
    """A copy of an avatar that ships, by a name of its own."""
    return shutil.copy(avatar_path("pip"), tmp_path / "hero.glb")


def test_another_file_of_the_same_name_plays_its_own_curves(run, hero, tmp_path):
    first = animate(run[1].take, [hero], out=tmp_path / "first", options=SMALL)
    player = Player(load_take(first.take))
    before = player.picture(hero, 9 / 25, SMALL, size=96)
    shutil.copy(avatar_path("moss"), hero)
    second = animate(first.take, [hero], out=tmp_path / "second", options=SMALL)
    names = [json.loads(report.files["hero"]["json"].read_text())["names"] for report in (first, second)]
    assert names == [list(load_avatar(name).target_names) for name in ("pip", "moss")]
    assert len(load_take(second.take).acted) == 3, "ines, and both that went by the name"
    assert np.abs(player.picture(hero, 9 / 25, SMALL, size=96).astype(int) - before).mean() > 5


def test_what_was_learned_since_is_played(run, hero, tmp_path):
    first = animate(run[1].take, [hero], out=tmp_path / "first", options=SMALL)
    player = Player(load_take(first.take))
    before = player.picture(hero, 9 / 25, SMALL, size=96)
    avatar = load_avatar(hero)
    learned = Identity(avatar.target_names, torch.from_numpy(avatar.drive / 4))
    save_identity(identity_path(avatar), learned, load_bundle().id, avatar.content)
    second = animate(first.take, [hero], out=tmp_path / "second", options=SMALL)
    strengths = [np.array(json.loads(r.files["hero"]["json"].read_text())["weights"]).max() for r in (first, second)]
    assert strengths[1] < 0.6 * strengths[0]
    assert np.abs(player.picture(hero, 9 / 25, SMALL, size=96).astype(int) - before).mean() > 0.5


def test_a_file_by_the_name_of_an_avatar_that_ships_is_not_taken_for_it(run, tmp_path):
    fake = load_avatar(shutil.copy(avatar_path("kofi"), tmp_path / "ines.glb"))
    bundle = load_bundle()
    assert identity_of(INES, bundle) is bundle.identities["ines"]
    assert identity_of(fake, bundle) is not bundle.identities["ines"]


def test_results_name_the_weights_that_made_them(run, tmp_path):
    take = load_take(run[1].take)
    shutil.copy(run[0] / "clip.mp4", tmp_path)
    old = save_take(replace(take, info=replace(take.info, weights="0" * 12), path=tmp_path / "old.take.npz"))
    report = animate(old, ["ines"], out=tmp_path / "out", options=SMALL)
    assert settings_in(report, "ines")["bundle"] == "0" * 12 and load_take(report.take).info.weights == "0" * 12
    assert settings_in(run[1], "ines")["bundle"] == load_bundle().id


def test_images_of_a_folder_that_changed_are_tracked_again(actor_frames, tmp_path, monkeypatch):
    folder = tmp_path / "frames"
    folder.mkdir()
    for k in range(3):
        write_png(actor_frames[0], folder / f"{k}.png")
    animate(folder, ["ines"], out=tmp_path / "out", options=SMALL)
    before = folder.stat().st_mtime_ns
    with (folder / "1.png").open("wb") as file:  # in place: the folder's own time does not change
        file.write(cv2.imencode(".png", actor_frames[9][..., ::-1])[1].tobytes())
    assert folder.stat().st_mtime_ns == before
    report = animate(folder, ["ines"], out=tmp_path / "out", options=replace(SMALL, smoothing=0.01))
    smile = load_take(report.take).raw(INES.content).weights[:, ARKIT.index("mouthSmileLeft")]
    assert smile[1] > smile[0] + 0.2 and smile[1] > smile[2] + 0.2


def test_curves_are_not_smoothed_across_a_cut(actor_frames, tmp_path):
    other = np.ascontiguousarray(actor_frames[9][:, ::-1])[60:420, 80:560]
    shots = [actor_frames[0]] * 8 + [cv2.resize(other, (640, 480))] * 8
    clip = write_clip(tmp_path / "cut.mp4", shots)
    report = animate(clip, ["ines"], out=tmp_path, options=replace(SMALL, smoothing=1, calibration="none"))
    assert np.flatnonzero(load_take(report.take).track.cuts).tolist() == [8]
    smile = weights_of(report)[:, ARKIT.index("mouthSmileLeft")]
    assert smile[8] - smile[7] > 0.8 * (smile[12] - smile[2]) > 0.2
