"""Audio carried over to a new video: kept, in step, never at the cost of the video."""

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from freeavatar.video import VideoReader, VideoWriter

RATE = 48000
PIECE = 960
BEEP = 0.02


def beeps(start: int, rate: int) -> np.ndarray:
    """Samples of faint noise with a short 1 kHz beep every half second."""
    times = np.arange(start, start + PIECE) / rate
    noise = np.random.default_rng(start).uniform(-0.02, 0.02, PIECE)
    return (noise + 0.8 * np.sin(2000 * np.pi * times) * (times % 0.5 < BEEP)).astype(np.float32)[None]


def record(
    path: Path,
    *,
    video: str = "libx264",
    audio: str = "aac",
    rate: int = RATE,
    offset: float = 0,
    video_length: float = 2,
    audio_length: float = 2,
    gap: float = 0,
) -> Path:
    """Write a recording whose audio begins ``offset`` seconds after (before, if below 0) its video.

    With a ``gap``, that many seconds of the audio are missing after its first 0.75 s.
    """
    clock = Fraction(1, 90000 if video == "libx264" else 1000)
    pictures: Any
    sound: Any
    with av.open(path, "w") as output:
        pictures = output.add_stream(video, 30, width=64, height=48, time_base=clock)
        sound = output.add_stream(audio, rate, layout="mono")
        for index in range(round(video_length * 30)):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index, np.uint8), format="rgb24")
            picture.pts, picture.time_base = round((index / 30 + max(-offset, 0)) / clock), clock
            output.mux(pictures.encode(picture))
        packets: list[Any] = []
        for start in range(0, round(audio_length * rate), PIECE):
            piece = av.AudioFrame.from_ndarray(beeps(start, rate), format="fltp", layout="mono")
            piece.rate, piece.time_base = rate, Fraction(1, rate)
            piece.pts = start + round(max(offset, 0) * rate)
            packets += sound.encode(piece)
        for packet in packets + sound.encode(None):
            if packet.pts * packet.time_base >= 0.75:
                packet.pts = packet.dts = packet.pts + round(gap / packet.time_base)
            output.mux(packet)
        output.mux(pictures.encode(None))
    return path


def rewrite(source: Path, target: Path) -> VideoReader:
    """Decode and encode again with the audio of the source; every frame must come through."""
    reader = VideoReader(source)
    with VideoWriter(target, size=reader.info.size, rate=reader.info.rate, audio_from=source) as writer:
        for frame in reader:
            writer.write(frame.image, frame.time)
    written = VideoReader(target)
    assert [frame.time for frame in written] == [frame.time for frame in reader]
    return written


def listen(path: Path) -> tuple[str, np.ndarray, float]:
    """Codec, starts of the beeps and end of the audio, in seconds from the first video frame."""
    origin, sounds, times = float(VideoReader(path).start), [], []
    with av.open(path) as container:
        stream: Any = container.streams.audio[0]
        for frame in container.decode(stream):
            samples = frame.to_ndarray()[0]
            sounds.append(np.abs(samples))
            times.append(float(frame.pts * stream.time_base) - origin + np.arange(len(samples)) / frame.sample_rate)
        codec = stream.codec.canonical_name
    time, loud = np.concatenate(times), np.concatenate(sounds) > 0.2
    starts = time[loud]
    return codec, starts[np.diff(starts, prepend=-9) > 0.1], time[-1]


def scramble_audio(path: Path, first: float, last: float) -> None:
    """Overwrite the content of the audio packets in a part of the file, both ends in [0, 1]."""
    with av.open(path) as container:
        packets: list[Any] = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, length in packets[round(first * len(packets)) : round(last * len(packets))]:
        # The first bytes may be the container's.
        data[position + 8 : position + length - 1] = b"\xff" * (length - 9)
    path.write_bytes(data)


def warnings(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)


@pytest.mark.parametrize("offset", [0, 0.4, -0.4])
@pytest.mark.parametrize(
    ("name", "audio", "rate", "kept"),
    [
        ("a.mp4", "aac", RATE, "aac"),
        ("a.ts", "aac", RATE, "aac"),
        ("a.mkv", "aac", RATE, "aac"),
        ("a.mp4", "libmp3lame", 44100, "mp3"),
        ("a.mkv", "libmp3lame", 8000, "aac"),
        ("a.webm", "libopus", RATE, "aac"),
        ("a.mov", "pcm_s16le", RATE, "aac"),
    ],
)
def test_audio_is_kept_in_step(tmp_path, caplog, offset, name, audio, rate, kept):
    video = "libvpx" if name.endswith("webm") else "libx264"
    source = record(tmp_path / name, video=video, audio=audio, rate=rate, offset=offset)
    assert rewrite(source, tmp_path / "out.mp4").info.has_audio
    codec, starts, _ = listen(tmp_path / "out.mp4")
    expected = [t for t in np.arange(0, 2, 0.5) + offset if t >= 0]
    assert codec == kept
    np.testing.assert_allclose(starts[: len(expected)], expected, atol=0.003)
    assert not warnings(caplog)


def test_copied_packets_are_the_same_bytes(tmp_path):
    source = record(tmp_path / "a.mp4")
    rewrite(source, tmp_path / "out.mp4")
    packets = []
    for path in (source, tmp_path / "out.mp4"):
        with av.open(path) as container:
            packets.append([bytes(p) for p in container.demux(audio=0) if p.size])
    assert packets[0] == packets[1]


def test_audio_ends_at_most_one_second_after_the_video(tmp_path):
    for name, audio, video in (("a.mp4", "aac", "libx264"), ("a.webm", "libopus", "libvpx")):
        source = record(tmp_path / name, audio=audio, video=video, audio_length=5)
        rewrite(source, tmp_path / "out.mp4")
        assert 2.9 < listen(tmp_path / "out.mp4")[2] <= 3


def test_short_audio_and_no_audio(tmp_path, caplog):
    rewrite(record(tmp_path / "a.mp4", audio_length=0.6), tmp_path / "short.mp4")
    _, starts, end = listen(tmp_path / "short.mp4")
    np.testing.assert_allclose(starts, [0, 0.5], atol=0.003)
    assert 0.6 <= end < 0.7
    with VideoWriter(tmp_path / "silent.mp4", size=(48, 64), rate=Fraction(30)) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8), 0)
    assert not rewrite(tmp_path / "silent.mp4", tmp_path / "out.mp4").info.has_audio
    assert not warnings(caplog)


def test_missing_piece_becomes_silence(tmp_path):
    source = record(tmp_path / "a.webm", audio="libopus", video="libvpx", video_length=4, gap=1.2)
    rewrite(source, tmp_path / "out.mp4")
    np.testing.assert_allclose(listen(tmp_path / "out.mp4")[1], [0, 0.5, 2.2, 2.7], atol=0.03)


@pytest.mark.parametrize(("name", "audio"), [("a.mp4", "aac"), ("a.mkv", "flac")])
def test_damaged_packets_are_left_out(tmp_path, caplog, name, audio):
    source = record(tmp_path / name, audio=audio)
    scramble_audio(source, 0.3, 0.6)
    rewrite(source, tmp_path / "out.mp4")
    starts = listen(tmp_path / "out.mp4")[1]
    np.testing.assert_allclose(starts[[0, -1]], [0, 1.5], atol=0.03)
    assert "damaged" in warnings(caplog)


@pytest.mark.parametrize(
    ("name", "audio", "video"),
    [("a.mp4", "aac", "libx264"), ("a.mkv", "flac", "libx264"), ("a.webm", "libopus", "libvpx")],
)
def test_audio_damaged_throughout_does_not_lose_the_video(tmp_path, caplog, name, audio, video):
    source = record(tmp_path / name, audio=audio, video=video)
    scramble_audio(source, 0, 1)
    rewrite(source, tmp_path / "out.mp4")


def test_absurd_times_of_audio_end_it(tmp_path, caplog):
    source = record(tmp_path / "a.webm", audio="libopus", video="libvpx", gap=100_000)
    rewrite(source, tmp_path / "out.mp4")
    assert listen(tmp_path / "out.mp4")[2] < 1.1
    assert "damaged" in warnings(caplog)


def test_file_that_cannot_give_audio_is_left_out(tmp_path, caplog):
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 50)
    for name in ("text.mp4", "missing.mp4"):
        target = tmp_path / "out.mp4"
        with VideoWriter(target, size=(48, 64), rate=Fraction(30), audio_from=tmp_path / name) as writer:
            writer.write(np.zeros((48, 64, 3), np.uint8), 0)
        assert not VideoReader(target).info.has_audio
        assert name in warnings(caplog)


def test_audio_of_a_file_without_video_starts_on_its_own_clock(tmp_path):
    sound = tmp_path / "a.wav"
    with av.open(sound, "w") as output:
        stream = output.add_stream("pcm_s16le", RATE, layout="mono")
        for start in range(0, RATE, PIECE):
            piece = av.AudioFrame.from_ndarray(beeps(start, RATE), format="fltp", layout="mono")
            piece.rate = RATE
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    with VideoWriter(tmp_path / "out.mp4", size=(48, 64), rate=Fraction(30), audio_from=sound) as writer:
        for index in range(30):
            writer.write(np.zeros((48, 64, 3), np.uint8), index / 30)
    np.testing.assert_allclose(listen(tmp_path / "out.mp4")[1], [0, 0.5], atol=0.003)


@pytest.mark.parametrize(("name", "audio"), [("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.ts", "aac")])
@pytest.mark.parametrize("begin", [0.7, 5.2])
def test_audio_of_a_range_is_cut_with_it(tmp_path, name, audio, begin):
    source = record(tmp_path / name, audio=audio, offset=-0.2, video_length=8, audio_length=8)
    reader = VideoReader(source, start=begin, end=begin + 1.5)
    with VideoWriter(
        tmp_path / "out.mp4", size=reader.info.size, rate=reader.info.rate, audio_from=source,
        audio_start=reader.offset, audio_tail=0.0,
    ) as writer:  # fmt: skip
        for frame in reader:
            writer.write(frame.image, frame.time)
    _, starts, end = listen(tmp_path / "out.mp4")
    beeps = np.arange(0, 8, 0.5) - 0.2 - float(reader.offset)
    np.testing.assert_allclose(starts, [t for t in beeps if 0 <= t < 1.48], atol=0.003)
    assert 1.4 < end <= 1.55
