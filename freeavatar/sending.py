"""The face before a camera, or in a video that plays in real time, sent on as it moves."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from freeavatar.errors import FaceError
from freeavatar.pipeline.live import Live, LiveSettings
from freeavatar.streams import Clock, Stream
from freeavatar.video import VideoReader
from freeavatar.video.camera import WIDTH

_REPORT = 1.0
"""Seconds between two lines on how it goes."""


def play_video(path: Path, clock: Clock, *, is_looping: bool = False) -> Iterator[tuple[np.ndarray, float]]:
    """A video's pictures, each given when it is due, from the first one on; late ones are left out.

    Args:
        path: the video.
        clock: what to go by; stopping it ends the playing.
        is_looping: begin again at the end.

    Yields:
        RGB ``(H, W, 3)`` uint8, and when it was due, seconds of the clock.

    Raises:
        VideoError: it cannot be read.
    """
    reader = VideoReader(path, largest=WIDTH)
    period, begin, last = 1 / float(reader.info.rate), clock.now(), 0.0
    while True:
        for frame in reader:
            due, last = begin + frame.time, frame.time
            if due + period <= clock.now():
                continue
            if clock.wait(due - clock.now()):
                return
            yield frame.image, due
        begin += last + period
        if not is_looping or clock.wait(0):
            return


class LiveSender:
    """Follows a face, sends every moment to every stream, and says once a second how that goes."""

    def __init__(
        self, live: Live, streams: Sequence[Stream], settings: LiveSettings, *, clock: Clock,
        say: Callable[[str], None], calibrate_after: float | None = None,
    ) -> None:  # fmt: skip
        """Get ready.

        Args:
            live: drives one avatar, whose curves are sent.
            streams: where to; they stay open.
            settings: what becomes of the curves.
            clock: the one that times of pictures are of.
            say: gets a line of text.
            calibrate_after: second from the first picture on which the first face seen is taken for neutral.
        """
        self._live, self._streams, self._settings = live, streams, settings
        self._clock, self._say, self._calibrate_after = clock, say, calibrate_after
        self._begin: float | None = None
        self._told = 0.0
        self._delays: list[float] = []
        self.sent = 0
        """Moments sent so far."""

    def step(self, image: np.ndarray, taken: float) -> None:
        """Follow a picture and send what comes of it.

        Args:
            image: RGB, ``(H, W, 3)`` uint8.
            taken: when, seconds of the clock, later than the one before.
        """
        if self._begin is None:
            self._begin = self._told = taken
        time = taken - self._begin
        moment = self._live.step(image, taken, self._settings)
        (played,) = moment.played.values()
        for stream in self._streams:
            stream.send(played.curves, played.head, moment.confidence, time)
        self.sent += 1
        now = self._clock.now()
        self._delays.append(now - taken)
        if moment.confidence > 0 and self._calibrate_after is not None and time >= self._calibrate_after:
            self._calibrate_after = None
            self.calibrate()
        if now - self._told >= _REPORT:
            self._report(now, has_face=moment.confidence > 0)

    def calibrate(self) -> None:
        """Take the face of this moment for neutral, and say whether that could be done."""
        try:
            self._live.calibrate()
        except FaceError as error:
            self._say(f"not calibrated: {error}")
        else:
            self._say("calibrated: this face is neutral from now on.")

    def _report(self, now: float, *, has_face: bool) -> None:
        rate, delay = len(self._delays) / (now - self._told), 1000 * float(np.median(self._delays))
        self._say(f"{rate:4.1f} frames a second, {delay:3.0f} ms to sent, {'a face' if has_face else 'no face'}")
        self._told, self._delays = now, []
