import csv
import json

import av
import cv2
import numpy as np
import pygltflib
import pytest

from freeavatar.errors import AvatarError, FaceError, InputError, VideoError
from freeavatar.export.background import read_background
from freeavatar.pipeline import AnimateOptions, animate, animate_steps
from freeavatar.video import VideoReader
from tests.files import write_clip
from tests.heads import HeadFile

RAW = AnimateOptions(smoothing=0, calibration="none")


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def weights_of(path):
    return np.array(json.loads(path.read_text())["weights"])


@pytest.fixture(scope="module")
def both(short_clip, tmp_path_factory):
    """The short clip on two avatars: report and progress."""
    seen = []
    out = tmp_path_factory.mktemp("out")
    options = AnimateOptions(has_each=True)
    return animate(short_clip, ["ines", "mei"], out=out, options=options, on_progress=seen.append), seen, out


def test_every_file_of_every_avatar_is_written_and_nothing_else(both):
    report, _, out = both
    expected = {f"short_{name}.{kind}" for name in ("ines", "mei") for kind in ("mp4", "csv", "json", "glb", "vrma")}
    assert {path.name for path in out.iterdir()} == expected | {"short.mp4", "short.take.npz"}
    assert {path.name for path in report.paths} == expected | {"short.mp4", "short.take.npz"}


def test_of_several_avatars_one_video_is_made_unless_each_is_asked_for(both, short_clip, tmp_path):
    report = animate(short_clip, ["ines", "mei"], out=tmp_path)
    assert {path.name for path in tmp_path.glob("*.mp4")} == {"short.mp4"}
    assert report.combined == tmp_path / "short.mp4" and set(report.files["ines"]) == {"csv", "json", "glb", "vrma"}
    assert report.combined.read_bytes() == (both[2] / "short.mp4").read_bytes()


def test_one_row_key_and_picture_per_frame(both):
    report, _, out = both
    assert report.frames == 10
    assert len(read_rows(out / "short_ines.csv")) == 10
    assert len(weights_of(out / "short_ines.json")) == 10
    assert len(list(VideoReader(out / "short_ines.mp4"))) == 10
    animation = pygltflib.GLTF2().load(str(out / "short_ines.glb")).animations[0]
    assert {channel.target.path for channel in animation.channels} == {"weights", "rotation"}


def test_pictures_stand_side_by_side(both):
    _, _, out = both
    assert VideoReader(out / "short_ines.mp4").info.size == (512, 684 + 512)
    assert VideoReader(out / "short.mp4").info.size == (512, 684 + 2 * 512)
    last = list(VideoReader(out / "short.mp4"))[-1].image
    assert last[:, 684:1196].std() > 20 and last[:, 1196:].std() > 20


def test_a_smile_in_the_clip_is_a_smile_in_the_rig(both):
    _, _, out = both
    rows = read_rows(out / "short_ines.csv")
    smile = [float(row["MouthSmileLeft"]) + float(row["MouthSmileRight"]) for row in rows]
    assert smile[-1] > smile[0] + 0.3


def test_progress_goes_through_both_stages_up_to_the_end(both):
    _, seen, _ = both
    assert [p.stage for p in seen] == sorted((p.stage for p in seen), reverse=True)
    assert {p.stage for p in seen} == {"tracking", "rendering"}
    assert all(p.total == 10 for p in seen)
    assert [max(p.done for p in seen if p.stage == stage) for stage in ("tracking", "rendering")] == [10, 10]


def decoded(path):
    """Frames with alpha, by a decoder that knows it."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        name = "libvpx-vp9" if path.suffix == ".webm" else stream.codec.name
        decoder = av.CodecContext.create(name, "r")
        decoder.extradata = stream.codec_context.extradata
        packets = [packet for packet in container.demux(stream) if packet.size]
        return [frame.to_ndarray(format="rgba") for packet in [*packets, None] for frame in decoder.decode(packet)]


def over(picture, background):
    """What a program makes of straight alpha."""
    alpha = picture[..., 3:] / 255
    return picture[..., :3] * alpha + background * (1 - alpha)


def test_an_avatar_alone_is_transparent_without_a_rim(both, tmp_path):
    take, pictures = both[2] / "short.take.npz", {}
    for video in ("png", "webm", "prores"):
        options = AnimateOptions(background="none", video=video)
        report = animate(take, ["ines"], out=tmp_path, options=options)
        path = report.files["ines"]["avatar"]
        if video == "png":
            files = sorted(path.iterdir())
            pictures[video] = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]] for file in files]
            assert [file.name for file in files] == [f"{k:06}.png" for k in range(1, 11)]
        else:
            pictures[video] = decoded(path)
    beside = list(VideoReader(both[2] / "short_ines.mp4"))[-1].image[:, 684:]
    exact = pictures["png"][-1]
    assert 0.3 < (exact[..., 3] == 255).mean() < 0.9 and len({len(found) for found in pictures.values()}) == 1
    rim = (exact[..., 3] > 0) & (exact[..., 3] < 255)
    for video, most in (("webm", 4), ("prores", 2)):
        found = pictures[video][-1]
        assert np.abs(found[..., 3].astype(int) - exact[..., 3]).mean() < 0.1
        for background in (0, 255):
            off = over(found, background) - over(exact, background)
            assert np.abs(off[rim].mean()) < most / 2 and np.abs(off[~rim]).mean() < most
    studio = read_background(None, 512)
    assert np.abs(over(exact, studio) - beside)[rim].mean() < 8  # H.264 has no finer edges
    again = list(VideoReader(tmp_path / "short_ines.mp4"))[-1].image[:, 684:]
    assert np.abs(again.astype(int) - beside).mean() < 2


def test_a_colour_or_a_picture_stands_behind_the_avatar(both, tmp_path):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((90, 60, 3), (30, 20, 200), np.uint8))
    for background, color in (("#204060", (32, 64, 96)), (str(tmp_path / "red.png"), (200, 20, 30))):
        options = AnimateOptions(background=background)
        report = animate(both[2] / "short.take.npz", ["ines"], out=tmp_path, options=options)
        assert report.files["ines"]["avatar"] == tmp_path / "short_ines.avatar.mp4"
        alone = list(VideoReader(report.files["ines"]["avatar"]))
        beside = list(VideoReader(report.files["ines"]["video"]))
        assert len(alone) == len(beside) == 10 and alone[0].image.shape == (512, 512, 3)
        for corner in (alone[-1].image[:40, :40], beside[-1].image[:40, 690:720]):
            np.testing.assert_allclose(corner.mean((0, 1)), color, atol=3)


def test_a_rig_of_other_names_gets_its_own_controls_and_the_csv_keeps_arkits(both, short_clip, tmp_path):
    path = HeadFile([("happy", "aa", "blinkLeft", "blinkRight")]).save(tmp_path / "vrm.glb")
    animate(short_clip, ["ines", path], out=tmp_path)
    assert (tmp_path / "short_ines.csv").read_bytes() == (both[2] / "short_ines.csv").read_bytes()
    rows = read_rows(tmp_path / "short_vrm.csv")
    assert float(rows[-1]["MouthSmileLeft"]) > float(rows[0]["MouthSmileLeft"]) + 0.1
    names = json.loads((tmp_path / "short_vrm.json").read_text())["names"]
    weights = weights_of(tmp_path / "short_vrm.json")
    assert names == ["happy", "aa", "blinkLeft", "blinkRight"] and weights.shape == (10, 4)
    assert weights[-1, 0] > weights[0, 0] + 0.3


def test_two_runs_are_equal(both, short_clip, tmp_path):
    animate(short_clip, ["ines"], out=tmp_path)
    for kind in ("csv", "glb"):
        assert (tmp_path / f"short_ines.{kind}").read_bytes() == (both[2] / f"short_ines.{kind}").read_bytes()


def test_an_image_gives_a_png(actor_frames, tmp_path):
    cv2.imwrite(str(tmp_path / "face.png"), actor_frames[9][..., ::-1])
    report = animate(tmp_path / "face.png", out=tmp_path / "out")
    picture = cv2.imread(str(report.files["ines"]["image"]))
    assert picture.shape == (512, 684 + 512, 3)
    (row,) = read_rows(report.files["ines"]["csv"])
    assert float(row["MouthSmileLeft"]) > 0.3
    report = animate(tmp_path / "face.png", out=tmp_path / "out", options=AnimateOptions(background="none"))
    alone = cv2.imread(str(report.files["ines"]["avatar"]), cv2.IMREAD_UNCHANGED)
    assert alone.shape == (512, 512, 4) and alone[0, 0, 3] == 0 and alone[300, 256, 3] == 255


def test_images_of_a_folder_are_independent_without_smoothing_and_calibration(actor_frames, tmp_path):
    for name, picks in (("all", (0, 5, 9)), ("one", (9,))):
        (tmp_path / name).mkdir()
        for k in picks:
            cv2.imwrite(str(tmp_path / name / f"{k}.png"), actor_frames[k][..., ::-1])
    both = [animate(tmp_path / name, out=tmp_path / "out", options=RAW) for name in ("all", "one")]
    several, single = (weights_of(report.files["ines"]["json"]) for report in both)
    assert several.shape == (3, 52)
    np.testing.assert_allclose(several[2], single[0], atol=2e-5)


def test_no_head_pose_keeps_the_head_still_everywhere(short_clip, tmp_path):
    report = animate(short_clip, out=tmp_path, options=AnimateOptions(has_head_pose=False))
    rows = read_rows(report.files["ines"]["csv"])
    assert all(float(row["HeadYaw"]) == 0 for row in rows)
    animation = pygltflib.GLTF2().load(str(report.files["ines"]["glb"])).animations[0]
    assert {channel.target.path for channel in animation.channels} == {"weights"}


def test_gain_scales_the_expression(both, short_clip, tmp_path):
    report = animate(short_clip, out=tmp_path, options=AnimateOptions(gain=0.5))
    full = weights_of(both[2] / "short_ines.json")
    np.testing.assert_allclose(weights_of(report.files["ines"]["json"]), full * 0.5, atol=2e-5)


def test_frames_without_a_face_are_counted_and_held(actor_frames, tmp_path):
    grey = np.full_like(actor_frames[0], 128)
    clip = write_clip(tmp_path / "gap.mp4", [actor_frames[9]] * 4 + [grey] * 3)
    report = animate(clip, out=tmp_path / "out")
    assert report.frames == 7 and report.frames_without_face == 3
    assert "3 of them show no face" in report.summary()
    weights = weights_of(report.files["ines"]["json"])
    np.testing.assert_allclose(weights[6], weights[2], atol=0.15)


def test_a_clip_without_a_face_is_refused_and_leaves_nothing(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (6, 120, 160, 3), np.uint8)
    clip = write_clip(tmp_path / "noise.mp4", list(noise))
    with pytest.raises(FaceError, match=r"no face was found in noise\.mp4"):
        animate(clip, out=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_closing_the_generator_cancels_and_leaves_nothing_half_written(short_clip, tmp_path):
    steps = animate_steps(short_clip, ["ines"], out=tmp_path / "out")
    for progress in steps:
        if progress.stage == "rendering" and progress.done:
            break
    steps.close()
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("source", "avatars", "options", "error", "message"),
    [
        ("gone.mp4", ["ines"], {}, InputError, "does not exist"),
        ("text.mp4", ["ines"], {}, VideoError, "text.mp4"),
        ("empty", ["ines"], {}, InputError, "holds no image"),
        ("short.mp4", ["ines", "ines"], {}, AvatarError, "do not all differ"),
        ("short.mp4", ["ines"], {"background": "#12"}, InputError, "a colour such as #204060"),
        ("short.mp4", ["ines"], {"background": "gone.jpg"}, InputError, "cannot read gone.jpg"),
        ("short.mp4", ["ines"], {"device": "cuda"}, InputError, "no cuda device"),
        ("short.mp4", ["ines"], {"calibration": 99.0}, InputError, "no face around second 99"),
        ("short.mp4", ["ines"], {"face": 3}, FaceError, "face"),
    ],
)
def test_bad_input_is_refused_in_words(source, avatars, options, error, message, short_clip, tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty").mkdir()
    (tmp_path / "short.mp4").write_bytes(short_clip.read_bytes())
    with pytest.raises(error, match=message):
        animate(tmp_path / source, avatars, out=tmp_path / "out", options=AnimateOptions(**options))


@pytest.mark.parametrize(
    "options",
    [
        {"smoothing": 2},
        {"gain": -1},
        {"face": -1},
        {"calibration": "soon"},
        {"height": 1},
        {"video": "avi"},
        {"reduce": -0.1},
        {"background": "none", "video": "mp4"},
        {"start": -1},
        {"start": 2, "end": 2},
        {"end": float("inf")},
        {"box": (0, 0, 5, 50)},
        {"box": (0, 0, 50, float("inf"))},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InputError, match="expected"):
        AnimateOptions(**options)


def test_the_result_never_overwrites_the_input(short_clip, tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(short_clip.read_bytes())
    with pytest.raises(InputError, match="would overwrite"):
        animate(clip, ["ines", "mei"], out=tmp_path)
    assert clip.read_bytes() == short_clip.read_bytes()
