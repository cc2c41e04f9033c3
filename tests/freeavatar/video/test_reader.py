"""Reading videos: real files of many kinds, made here."""

import logging
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from freeavatar.errors import VideoError
from freeavatar.images import Frame
from freeavatar.video import VideoReader
from freeavatar.video import reader as reader_module
from freeavatar.video.reader import _Clock

RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)


def picture(size: tuple[int, int], index: int = 0) -> np.ndarray:
    """Red at the top left, blue at the bottom right, with a moving white bar in the middle."""
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = RED
    image[height // 2 :, width // 2 :] = BLUE
    image[:, width // 2 - 2 + index % 4] = 255
    return image


def write_video(
    path: Path,
    stamps: Sequence[int] = range(0, 60000, 3000),
    *,
    clock: int = 90000,
    size: tuple[int, int] = (48, 64),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: Fraction | int = 30,
    rotation: tuple[float, bool] = (0, False),
    container: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a video with frames at the given stamps, ticks of 1 / ``clock`` seconds."""
    with av.open(path, "w", container_options=container or {}) as output:
        shape: dict[str, Any] = {"width": size[1], "height": size[0], "pix_fmt": pix_fmt}
        stream: Any = output.add_stream(codec, rate, options, None, time_base=Fraction(1, clock), **shape)
        stream.set_display_rotation(*rotation)
        for index, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(picture(size, index), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, clock)
            frame.duration = round(clock / rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def write_audio(path: Path) -> Path:
    with av.open(path, "w") as output:
        stream = output.add_stream("aac", 48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
        frame.rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def corners(image: np.ndarray) -> list[tuple[int, ...]]:
    """Colours near the corners, rounded to 0 or 255: top left, top right, bottom left, bottom right."""
    rows, columns = (5, image.shape[0] - 6), (5, image.shape[1] - 6)
    return [tuple(int(v > 127) * 255 for v in image[y, x]) for y in rows for x in columns]


def times(path: Path) -> list[float]:
    return [frame.time for frame in VideoReader(path)]


def warnings(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)


def test_frames_are_rgb_in_order_and_can_be_read_twice(tmp_path, caplog):
    reader = VideoReader(write_video(tmp_path / "a.mp4"))
    assert reader.info.size == (48, 64) and reader.info.rate == 30
    assert reader.info.frames == 20 and reader.info.duration == pytest.approx(20 / 30)
    assert not reader.info.has_audio
    for _ in range(2):
        frames = list(reader)
        assert [f.index for f in frames] == list(range(20))
        assert all(f.image.shape == (48, 64, 3) and f.image.dtype == np.uint8 for f in frames)
        assert corners(frames[-1].image) == [RED, BLACK, BLACK, BLUE]
    assert not warnings(caplog)


def test_variable_frame_rate_times_are_exact(tmp_path):
    stamps = [100, 400, 2000, 2001, 17000, 90003, 90005]
    path = write_video(tmp_path / "vfr.mp4", stamps)
    assert times(path) == [(s - 100) / 90000 for s in stamps]


@pytest.mark.parametrize(
    ("rotation", "size", "expected"),
    [
        ((90, False), (64, 48), [BLACK, BLUE, RED, BLACK]),
        ((180, False), (48, 64), [BLUE, BLACK, BLACK, RED]),
        ((270, False), (64, 48), [BLACK, RED, BLUE, BLACK]),
        ((0, True), (48, 64), [BLACK, RED, BLUE, BLACK]),
    ],
)
def test_display_matrix_is_applied(tmp_path, rotation, size, expected):
    reader = VideoReader(write_video(tmp_path / "a.mp4", rotation=rotation))
    image = next(iter(reader)).image
    assert reader.info.size == image.shape[:2] == size
    assert corners(image) == expected
    assert image.flags.c_contiguous


def test_browser_recording_without_duration_or_frame_count(tmp_path):
    stamps = [0, 33, 66, 100, 133, 300, 333]
    path = write_video(tmp_path / "live.webm", stamps, clock=1000, codec="libvpx", container={"live": "1"})
    info = VideoReader(path).info
    assert info.duration is None and info.frames is None
    assert times(path) == [s / 1000 for s in stamps]


def test_absurd_rate_is_measured_from_the_first_frames(tmp_path):
    stamps = [round(i * 1000 / 30) for i in range(40)] + [5000]
    path = write_video(tmp_path / "a.webm", stamps, clock=1000, codec="libvpx", rate=1000)
    with av.open(path) as container:
        assert container.streams.video[0].average_rate == 1000
    assert VideoReader(path).info.rate == 30


def test_ntsc_rate_is_exact(tmp_path):
    path = write_video(tmp_path / "a.mp4", range(0, 20020, 1001), clock=30000, rate=Fraction(30000, 1001))
    assert VideoReader(path).info.rate == Fraction(30000, 1001)
    assert times(path)[-1] == 19 * 1001 / 30000


def test_frames_hidden_by_an_edit_list_are_left_out(tmp_path):
    path = write_video(tmp_path / "a.mp4", range(-9000, 51000, 3000))
    reader = VideoReader(path)
    assert reader.info.rate == 30
    assert [frame.time for frame in reader] == [i / 30 for i in range(17)]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.mp4", "libx264", "yuv444p"),
        ("a.mkv", "libx264", "yuv420p10le"),
        ("a.mov", "png", "rgb24"),
        ("a.mov", "prores_ks", "yuv422p10le"),
        ("a.avi", "mjpeg", "yuvj420p"),
    ],
)
def test_odd_sizes_and_pixel_formats(tmp_path, name, codec, pix_fmt):
    size = (48, 64) if "10le" in pix_fmt else (47, 63)
    path = write_video(tmp_path / name, range(5), clock=30, codec=codec, pix_fmt=pix_fmt, size=size)
    reader = VideoReader(path)
    images = [frame.image for frame in reader]
    assert len(images) == 5 and reader.info.size == images[0].shape[:2] == size
    assert corners(images[0]) == [RED, BLACK, BLACK, BLUE]


def test_avi_and_raw_streams_fall_back_to_the_nominal_rate(tmp_path):
    for name, period in (("a.avi", 1 / 30), ("a.h264", 1 / 25)):  # a raw stream has no clock; 25 is FFmpeg's
        path = write_video(tmp_path / name, range(20), clock=30, options={"bf": "2"})
        assert times(path) == pytest.approx(np.arange(20) * period)


def test_frames_of_another_size_are_scaled_to_the_first(tmp_path):
    first = write_video(tmp_path / "a.h264", range(5), clock=25)
    second = write_video(tmp_path / "b.h264", range(5), clock=25, size=(64, 96))
    joined = tmp_path / "c.h264"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    images = [frame.image for frame in VideoReader(joined)]
    assert len(images) == 10 and {image.shape for image in images} == {(48, 64, 3)}
    assert corners(images[-1]) == [RED, BLACK, BLACK, BLUE]


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.webm", "libvpx")])
def test_one_frame(tmp_path, name, codec):
    reader = VideoReader(write_video(tmp_path / name, [0], clock=1000, codec=codec))
    assert [(f.index, f.time) for f in reader] == [(0, 0.0)]
    assert 0 < reader.info.rate <= 300


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("a.mp4", {"movflags": "faststart"}),
        ("a.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mkv", {}),
        ("a.ts", {}),
    ],
)
def test_truncated_file_yields_what_decodes(tmp_path, caplog, name, container):
    path = write_video(
        tmp_path / name, range(0, 300 * 3000, 3000), container=container, options={"g": "30", "crf": "0"}
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found = times(path)
    assert 60 < len(found) < 200
    assert found == pytest.approx(np.arange(len(found)) / 30, abs=0.001)
    assert name == "a.ts" or warnings(caplog)  # a transport stream announces no length


def test_fragmented_file_cut_inside_a_header_opens(tmp_path):
    path = write_video(
        tmp_path / "a.mp4",
        container={"movflags": "frag_keyframe+empty_moov"},
        options={"g": "5"},
    )
    data = path.read_bytes()
    third = data.index(b"moof", data.index(b"moof", data.index(b"moof") + 4) + 4)
    path.write_bytes(data[: third + 40])
    assert len(times(path)) == 10


def test_damage_in_the_middle_is_skipped(tmp_path, caplog):
    path = write_video(tmp_path / "a.mp4", range(0, 90 * 3000, 3000), options={"g": "10", "crf": "0"})
    with av.open(path) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, length in packets[41:45]:
        data[position : position + length] = b"\xff" * length
    path.write_bytes(data)
    found = times(path)
    assert 60 < len(found) < 90 and found[-1] == 89 / 30
    assert all(a < b for a, b in pairwise(found))
    assert "damaged" in warnings(caplog)


def test_unusable_files_give_one_actionable_sentence(tmp_path):
    complete = write_video(tmp_path / "complete.mp4").read_bytes()
    (tmp_path / "headless.mp4").write_bytes(complete[: len(complete) // 2])
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 50)
    (tmp_path / "text.txt").write_text("this is not a video\n" * 50)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\ncomplete.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile complete.mp4\n")
    write_audio(tmp_path / "sound.m4a")
    unopened = "cannot be opened as a video"
    names = ("headless.mp4", "text.mp4", "text.txt", "empty.mp4", "list.m3u8", "list.ffconcat")
    expected = {"missing.mp4": "no file", "sound.m4a": "no video track"} | dict.fromkeys(names, unopened)
    for name, reason in expected.items():
        with pytest.raises(VideoError, match=reason) as caught:
            VideoReader(tmp_path / name)
        message = str(caught.value)
        assert name in message and message.endswith(".") and "\n" not in message
    with pytest.raises(VideoError, match="no file"):
        VideoReader(tmp_path)


def test_video_of_which_nothing_decodes_is_an_error(tmp_path):
    path = write_video(tmp_path / "a.mp4")
    data = path.read_bytes()
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    path.write_bytes(data[:begin] + bytes(end - begin) + data[end:])
    with pytest.raises(VideoError, match="can be decoded"):
        VideoReader(path)


def test_clock_repairs_stamps():
    period = Fraction(1, 10)
    stamps = [None, 5, 5, 4.95, None, 5.3, 0, 0.1]
    exact = [None if s is None else Fraction(s).limit_denominator(100) for s in stamps]
    clock = _Clock(period)
    found = [clock.time(stamp) for stamp in exact]
    # The first real stamp sets the origin, repeated ones are dropped, a restarted clock goes on.
    tenths = [None if t is None else t * 10 for t in found]
    assert tenths == [0, 1, None, None, 2, 4, 5, 6]


STAMPS = range(3000, 363000, 3000)


@pytest.fixture(scope="module", params=["a.mp4", "a.mkv", "a.webm", "a.ts", "a.avi"])
def four_seconds(request, tmp_path_factory) -> tuple[Path, list[Frame]]:
    """120 frames, a key frame every 25, B-frames where the codec has them; and all of them, read from the start."""
    path = tmp_path_factory.mktemp("range") / request.param
    codec = {"a.webm": "libvpx", "a.avi": "mpeg4"}.get(request.param, "libx264")
    stamps, clock = (range(120), 30) if codec == "mpeg4" else (STAMPS, 90000)
    write_video(path, stamps, clock=clock, codec=codec, options={"g": "25"})
    return path, list(VideoReader(path))


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0.5, None), (2.3, None), (2.0, 3.1), (3.9, 9), (0.1, 0.13)])
def test_a_range_holds_exactly_its_frames(four_seconds, start, end):
    path, whole = four_seconds
    reader = VideoReader(path, start=start, end=end)
    expected = [f for f in whole if f.time >= start - 1e-4 and (end is None or f.time < end - 1e-4)]
    frames = list(reader)
    assert float(reader.offset) == pytest.approx(expected[0].time)
    assert [frame.index for frame in frames] == list(range(len(expected)))
    for frame, same in zip(frames, expected, strict=True):
        assert frame.time == pytest.approx(same.time - expected[0].time, abs=1e-9)
        np.testing.assert_array_equal(frame.image, same.image)


def test_one_frame_is_the_one_on_screen(four_seconds):
    path, whole = four_seconds
    for second, index in ((-1, 0), (0, 0), (0.099, 2), (0.1, 3), (2.35, 70), (99, 119)):
        np.testing.assert_array_equal(VideoReader(path).frame_at(second).image, whole[index].image)


def test_little_more_than_a_range_is_decoded(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", range(0, 900000, 3000), options={"g": "25"})
    whole, seen = VideoReader(path, start=8, end=9), []
    decode = reader_module._decode
    monkeypatch.setattr(
        reader_module, "_decode", lambda *arguments: (seen.append(one) or one for one in decode(*arguments))
    )
    assert len(list(whole)) == 30
    assert len(seen) < 70


def test_a_range_beyond_the_end_says_how_long_the_video_is(tmp_path):
    path = write_video(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match=r"shows no frame from second 5 on: it ends at 0\.7 s"):
        VideoReader(path, start=5)
    with pytest.raises(VideoError, match="choose a range within it"):
        VideoReader(path, start=1e300)


def test_frames_beyond_4k_are_scaled_down(tmp_path):
    path = write_video(tmp_path / "a.mkv", [0], size=(40, 7680), codec="mpeg4", clock=30)
    reader = VideoReader(path)
    assert reader.info.size == (20, 3840) and next(iter(reader)).image.shape == (20, 3840, 3)
    assert corners(reader.frame_at(0).image)[0] == RED


def test_frames_are_scaled_down_as_they_are_decoded(tmp_path):
    path = write_video(tmp_path / "a.mp4", size=(480, 640), rotation=(90, False))
    reader = VideoReader(path, largest=80)
    image = next(iter(reader)).image
    assert reader.info.size == image.shape[:2] == (80, 60)
    assert corners(image) == corners(next(iter(VideoReader(path))).image)
    assert next(iter(VideoReader(path, largest=5000))).image.shape == (640, 480, 3)
