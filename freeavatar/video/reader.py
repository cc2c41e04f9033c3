"""Reading: any video file as upright RGB frames with exact presentation times."""

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from freeavatar.errors import Message, VideoError
from freeavatar.images import Frame
from freeavatar.video.media import open_media, read_packets, seek_before, tidy_rate

_log = logging.getLogger(__name__)

LARGEST = 3840
"""Long side of the largest frames given, in pixels: those of 8K would take four times the memory of 4K."""
_HIGHEST_RATE = 300
_DEFAULT_RATE = Fraction(30)
_RATE_PACKETS = 60
_RESTART = Fraction(1)
_SEEK_FROM, _LOOK_BACKS = 1, (Fraction(1, 4), 2)
_SLACK = Fraction(1, 10_000)  # seconds; a frame at 0.04 belongs to a range from 0.04
_IDENTITY = np.array([[1, 0], [0, 1]])


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before it is read."""

    size: tuple[int, int]
    """(H, W) of every frame, upright."""
    rate: Fraction
    """Nominal frames a second; the frames' own times are exact, this is not."""
    frames: int | None
    """Estimated number of frames; None where the file does not tell (browser recordings)."""
    duration: float | None
    """Seconds; None where the file does not tell."""
    has_audio: bool
    """Whether the file has an audio track."""


class VideoReader:
    """A video file that can be iterated over any number of times, in constant memory.

    Frames that cannot be decoded are left out with a logged warning. A frame whose size differs
    from the first one's (a browser recording may change size) is scaled to it.

    Attributes:
        info: What is known before reading, a :class:`VideoInfo`.
        start: Time of the first frame on the file's own clock, seconds; audio shares that clock.
        offset: Time of the first frame that is read, seconds from the file's first frame.
    """

    def __init__(
        self, path: str | Path, *, start: float = 0.0, end: float | None = None, largest: int = LARGEST
    ) -> None:
        """Open a video and decode its first frame.

        Args:
            path: Video file, of any container and codec FFmpeg reads.
            start: Second from which on frames are read; what lies before is not decoded, where the file's
                format allows it.
            end: Second before which reading stops; default the end of the file.
            largest: Long side, in pixels, to which larger frames are scaled down as they are decoded.

        Raises:
            VideoError: ``path`` is no file, is not a video, or no frame of it, or of that range, can be decoded.
        """
        self.path = Path(path)
        self._from = Fraction(start) - _SLACK
        self._until = None if end is None else Fraction(end) - _SLACK
        with open_media(self.path) as container:
            stream = _video_stream(container, self.path)
            stamp, first = next(_decode(container, stream), (None, None))
            if first is None:
                raise VideoError(
                    "No frame of {} can be decoded: the file is damaged or its codec is unknown; export it again as "
                    "an H.264 MP4.",
                    self.path.name,
                )
            self.start = stamp or Fraction(0)
            self._coded_size = _within(min(largest, LARGEST), first.height, first.width)
            self._matrix = _display_matrix(first)
            self.info = self._describe(container, stream)
        self.offset = self._first_time() if start > 0 or end is not None else Fraction(0)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in presentation order, reopening the file.

        Raises:
            VideoError: the file is gone or can no longer be opened.
        """
        converter = VideoReformatter()
        time = Fraction(0)
        for index, (time, frame) in enumerate(self._timed(self._from, self._until)):
            yield Frame(index, float(time - self.offset), self._upright(frame, converter))
        if self._until is None:
            self._warn_if_short(time)

    def frame_at(self, second: float) -> Frame:
        """The frame on screen at a second of the file: the last one that is not later, or the first.

        Raises:
            VideoError: the file is gone or can no longer be opened.
        """
        moment = Fraction(max(second, 0)) + _SLACK
        begins = [*(moment - back for back in _LOOK_BACKS), Fraction(-1)]
        shown = (deque(self._timed(begin, moment), maxlen=1) for begin in begins)
        near = next((frames[0] for frames in shown if frames), None)
        time, frame = near or next(self._timed(Fraction(-1), None))
        return Frame(0, float(time), self._upright(frame, VideoReformatter()))

    def _first_time(self) -> Fraction:
        first = next((time for time, _ in self._timed(self._from, self._until)), None)
        if first is None:
            length = self.info.duration
            begin = float(self._from + _SLACK)
            part = Message("from second {:g} on", (begin,))
            if self._until is not None:
                part = Message("between {:g} and {:g} s", (begin, float(self._until + _SLACK)))
            if not length:
                raise VideoError(
                    "{} shows no frame {}: it is shorter, or the range holds no frame; choose a range within it.",
                    self.path.name, part,
                )  # fmt: skip
            raise VideoError(
                "{} shows no frame {}: it ends at {:.1f} s; choose a range within it.", self.path.name, part, length
            )
        return first

    def _timed(self, begin: Fraction, until: Fraction | None) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """Frames from ``begin`` on and before ``until``, with their time since the file's first frame."""
        is_seeking = begin > _SEEK_FROM
        while True:
            with open_media(self.path) as container:
                stream = _video_stream(container, self.path)
                is_seeking = is_seeking and seek_before(container, stream, self.start + begin)
                clock = _Clock(1 / self.info.rate, self.start if is_seeking else None)
                is_first = True
                for stamp, frame in _decode(container, stream):
                    time = clock.time(stamp)
                    if time is None:
                        continue
                    if is_first and is_seeking and (stamp is None or time > begin):
                        break  # the index led astray: read all
                    is_first = False
                    if until is not None and time >= until:
                        return
                    if time >= begin:
                        yield time, frame
                else:
                    return
            is_seeking = False

    def _describe(self, container: InputContainer, stream: VideoStream) -> VideoInfo:
        rate = tidy_rate(_nominal_rate(stream) or _measure_rate(self.path))
        duration = _duration(container, stream)
        height, width = self._coded_size
        return VideoInfo(
            size=(width, height) if _is_sideways(self._matrix) else (height, width),
            rate=rate,
            frames=self._count(stream.frames or None, duration, rate),
            duration=duration,
            has_audio=bool(container.streams.audio),
        )

    def _count(self, frames: int | None, duration: float | None, rate: Fraction) -> int | None:
        """Estimated frames of the range."""
        if self._from > 0 or self._until is not None:
            ends = [float(v) for v in (duration, self._until) if v is not None]
            return max(round((min(ends) - max(float(self._from), 0)) * rate), 1) if ends else None
        return frames or (max(round(duration * rate), 1) if duration else None)

    def _upright(self, frame: av.VideoFrame, converter: VideoReformatter) -> np.ndarray:
        height, width = self._coded_size
        is_smaller = width < frame.width
        method = Interpolation.AREA if is_smaller else Interpolation.BILINEAR
        image = converter.reformat(frame, width, height, "rgb24", interpolation=method, threads=1).to_ndarray()
        return np.ascontiguousarray(_orient(image, self._matrix))

    def _warn_if_short(self, last: Fraction) -> None:
        if self.info.duration is not None and last + 1 < self.info.duration:
            _log.warning(
                "The video of %s ends after %.1f s of the %.1f s the file announces; some may be missing.",
                self.path.name, last, self.info.duration,
            )  # fmt: skip


def _within(largest: int, height: int, width: int) -> tuple[int, int]:
    scale = min(largest / max(height, width), 1)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[tuple[Fraction | None, av.VideoFrame]]:
    """Yield each frame that can be decoded, with its time on the file's clock if it has one."""
    # AVI holds no presentation times; those FFmpeg makes up are wrong where there are B-frames.
    clock = "dts" if container.format.name == "avi" else "pts"
    damaged = 0
    for packet in read_packets(container, stream):
        try:
            frames = stream.decode(packet)
        except av.FFmpegError:
            damaged += 1
        else:
            for frame in frames:
                ticks = getattr(frame, clock)
                yield None if ticks is None else ticks * stream.time_base, frame
    if damaged:
        _log.warning("%s: %d damaged frames were left out.", Path(container.name).name, damaged)


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise VideoError("{} has no video track, only sound or other data; choose a video of a face.", path.name)
    if streams[0].codec_context is None:
        raise VideoError("The video codec of {} is unknown; export it again as an H.264 MP4.", path.name)
    streams[0].thread_type = "AUTO"
    return streams[0]


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _nominal_rate(stream: VideoStream) -> Fraction | None:
    """Rate the file tells; None if it tells none, or a clock's instead (90000, 1000)."""
    average, base = stream.average_rate, stream.base_rate
    if not average or not 0 < average <= _HIGHEST_RATE:
        return None
    # The average is off where frames are hidden by an edit list or the last one lasts longer.
    return base if base and abs(base / average - 1) < 0.05 else average


def _measure_rate(path: Path) -> Fraction:
    """Frames a second of the first packets; a whole number where they are within 2 % of one."""
    with open_media(path) as container:
        packets = islice(read_packets(container, _video_stream(container, path)), _RATE_PACKETS)
        stamps = sorted({p.pts * p.time_base for p in packets if p is not None and p.pts is not None})
    steps = [float(b - a) for a, b in pairwise(stamps)]
    if not steps:
        return _DEFAULT_RATE
    # Pauses do not count; the mean of the rest undoes the rounding of times to milliseconds.
    rate = 1 / fmean(step for step in steps if step < 1.5 * median(steps))
    whole = max(round(rate), 1)
    if rate > _HIGHEST_RATE:
        return _DEFAULT_RATE
    return Fraction(whole) if abs(rate / whole - 1) < 0.02 else Fraction(rate)


def _display_matrix(frame: av.VideoFrame) -> np.ndarray:
    """Linear part of the display matrix: ``(x', y') = (x, y) @ matrix``, ``(2, 2)`` integers."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    return _IDENTITY if data is None else np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2]


def _is_sideways(matrix: np.ndarray) -> bool:
    return bool(abs(matrix[0, 1]) > abs(matrix[0, 0]))


def _orient(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turn and mirror an image as a display matrix says, to the nearest quarter turn."""
    if _is_sideways(matrix):
        image, matrix = image.swapaxes(0, 1), matrix[::-1]
    flip_x, flip_y = matrix.diagonal() < 0
    return image[:: -1 if flip_y else 1, :: -1 if flip_x else 1]


class _Clock:
    """Makes strictly increasing times, from 0, of a file's own stamps."""

    def __init__(self, period: Fraction, origin: Fraction | None = None) -> None:
        self.last = -period
        self._period = period
        self._origin = origin

    def time(self, stamp: Fraction | None) -> Fraction | None:
        """Time of the next frame; None if it is to be dropped because it does not come later."""
        expected = self.last + self._period
        if stamp is None:
            time = expected
        else:
            # A stamp far back means that the file's clock was restarted, not a misplaced frame.
            if self._origin is None or stamp - self._origin < self.last - _RESTART:
                self._origin = stamp - expected
            time = stamp - self._origin
        if time <= self.last:
            return None
        self.last = time
        return time
