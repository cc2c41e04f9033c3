"""Writing videos, read back with the reader and with PyAV."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from freeavatar.errors import FreeAvatarError, InputError, VideoError
from freeavatar.video import VideoReader, VideoWriter

GREY = np.full((48, 64, 3), 128, np.uint8)


def write(path: Path, times: list[float], image: np.ndarray = GREY, rate: Fraction = Fraction(30)) -> Path:
    with VideoWriter(path, size=image.shape[:2], rate=rate) as writer:
        for time in times:
            writer.write(image, time)
    return path


def left_behind(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("clock", [90000, 1000, 600, 24000, 30000, 12800, 15360, 16000])
def test_times_survive_exactly(tmp_path, clock):
    ticks = np.unique(np.random.default_rng(clock).integers(1, clock * 20, 50))
    times = [0.0, *(float(Fraction(int(tick), clock)) for tick in ticks)]
    once = write(tmp_path / "a.mp4", times)
    decoded = [frame.time for frame in VideoReader(once)]
    assert decoded == times
    twice = write(tmp_path / "b.mp4", decoded)
    assert [frame.time for frame in VideoReader(twice)] == times


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001)])
def test_rate_duration_and_count_are_told(tmp_path, rate):
    info = VideoReader(write(tmp_path / "a.mp4", [float(i / rate) for i in range(60)], rate=rate)).info
    assert info.rate == rate and info.frames == 60
    assert info.duration == pytest.approx(float(60 / rate), abs=1e-5)


def test_output_is_what_browsers_play(tmp_path):
    path = write(tmp_path / "a.mp4", [0.0, 0.1])
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert (stream.codec.canonical_name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.color_range == 1 and stream.colorspace == 1  # limited, BT.709
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert left_behind(tmp_path) == {"a.mp4"}


def test_colours_survive(tmp_path):
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :32], image[:, 32:64], image[:, 64:] = (220, 170, 150), (200, 30, 60), (20, 90, 200)
    frame = next(iter(VideoReader(write(tmp_path / "a.mp4", [0.0], image))))
    for x in (16, 48, 80):
        np.testing.assert_allclose(frame.image[32, x].astype(int), image[32, x], atol=4)


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (47, 64), (1, 1)])
def test_odd_sizes_are_padded_by_repeating_the_border(tmp_path, size):
    image = np.broadcast_to(np.linspace(60, 200, size[1]).astype(np.uint8)[None, :, None], (*size, 3))
    reader = VideoReader(write(tmp_path / "a.mp4", [0.0, 0.04], image))
    frame = next(iter(reader))
    assert reader.info.size == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    np.testing.assert_allclose(frame.image[: size[0], : size[1]].astype(int), image, atol=6)
    np.testing.assert_allclose(frame.image[-1, -1].astype(int), image[-1, -1], atol=6)


def test_mirrored_views_are_written_as_they_look(tmp_path):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = 255
    frame = next(iter(VideoReader(write(tmp_path / "a.mp4", [0.0], image[:, ::-1]))))
    assert frame.image[:, :24].mean() < 20 and frame.image[:, 40:].mean() > 235


def test_one_frame_lasts_one_period(tmp_path):
    assert VideoReader(write(tmp_path / "a.mp4", [0.0])).info.duration == pytest.approx(1 / 30, abs=1e-4)


def test_old_file_survives_an_error_and_no_temporary_stays(tmp_path):
    path = write(tmp_path / "a.mp4", [0.0])
    before = path.read_bytes()
    with pytest.raises(KeyError), VideoWriter(path, size=(48, 64), rate=Fraction(30)) as writer:
        for index in range(60):
            writer.write(GREY, index / 30)
        raise KeyError
    assert path.read_bytes() == before
    assert left_behind(tmp_path) == {"a.mp4"}


def test_old_file_is_replaced_on_success_even_while_it_is_read(tmp_path):
    path = write(tmp_path / "a.mp4", [0.0, 0.5])
    reader = VideoReader(path)
    with VideoWriter(path, size=reader.info.size, rate=reader.info.rate, audio_from=path) as writer:
        for frame in reader:
            writer.write(frame.image, frame.time * 2)
    assert [frame.time for frame in VideoReader(path)] == [0.0, 1.0]


def test_bad_arguments_are_explained(tmp_path):
    for size, rate in (((0, 64), Fraction(30)), ((48, 64), Fraction(0))):
        with pytest.raises(InputError, match="positive"):
            VideoWriter(tmp_path / "a.mp4", size=size, rate=rate)
    for image, time, reason in (
        (GREY[:-1], 1.0, "expected"),
        (GREY.astype(np.float32), 1.0, "expected"),
        (GREY, 0.0, "increase"),
    ):
        with (
            pytest.raises(InputError, match=reason),
            VideoWriter(tmp_path / "a.mp4", size=(48, 64), rate=Fraction(30)) as writer,
        ):
            writer.write(GREY, 0.0)
            writer.write(image, time)
    assert not left_behind(tmp_path)


def test_a_file_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "taken.mp4").mkdir()
    for name, reason in (("nowhere/a.mp4", "no folder"), ("taken.mp4", "cannot be")):
        with pytest.raises(VideoError, match=reason) as caught:
            write(tmp_path / name, [0.0])
        assert isinstance(caught.value, FreeAvatarError) and "\n" not in str(caught.value)
    with pytest.raises(VideoError, match="No frame"):
        write(tmp_path / "a.mp4", [])
    assert left_behind(tmp_path) == {"taken.mp4"}


@pytest.mark.parametrize(("name", "codec", "digits"), [("a.webm", "libvpx-vp9", 3), ("a.mov", "prores", 5)])
def test_alpha_times_and_colours_survive(tmp_path, name, codec, digits):
    image = np.zeros((48, 64, 4), np.uint8)
    image[...] = (40, 90, 200, 0)
    image[:, 32:, 3] = 255
    times = [0.0, 0.04, 0.1, 0.14]
    with VideoWriter(tmp_path / name, size=(48, 64), rate=Fraction(25), has_alpha=True) as writer:
        for time in times:
            writer.write(image, time)
    with av.open(tmp_path / name) as container:
        stream = container.streams.video[0]
        decoder = av.CodecContext.create(codec, "r")
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert [round(float(packet.pts * packet.time_base), digits) for packet in packets] == times
        frames = [frame.to_ndarray(format="rgba") for packet in packets for frame in decoder.decode(packet)]
    assert len(frames) == 4 and stream.codec.canonical_name == codec.removeprefix("libvpx-")
    np.testing.assert_allclose(frames[-1], image, atol=4)


def test_an_mp4_with_alpha_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.mp4 cannot be transparent: write a \.webm"):
        VideoWriter(tmp_path / "a.mp4", size=(48, 64), rate=Fraction(25), has_alpha=True)
