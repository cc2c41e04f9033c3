"""Playing curves in real time: each frame is sent when it is due."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

from freeavatar.errors import InputError
from freeavatar.rig import Curves
from freeavatar.streams.stream import Stream


class Clock:
    """The time, and waiting for it until somebody stops that."""

    _SLICE = 0.1
    """Longest sleep, seconds: how soon a wait notices that it is over."""

    def __init__(self) -> None:
        self._is_stopped = False

    def now(self) -> float:
        """Seconds since some moment, never set back."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Wait, and return whether there is no more need to: :meth:`stop` was called."""
        end = time.monotonic() + seconds
        while not self._is_stopped and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self._SLICE))
        return self._is_stopped

    def stop(self) -> None:
        """End every wait, now and later; may be called from another thread or a signal."""
        self._is_stopped = True


@dataclass
class Played:
    """What became of the frames."""

    sent: int = 0
    dropped: int = 0
    """Frames that were left out because the next one was due."""


def play(
    curves: Curves,
    streams: Sequence[Stream],
    *,
    speed: float = 1.0,
    is_looping: bool = False,
    clock: Clock | None = None,
) -> Played:
    """Send every frame to every stream when it is due, from now on; the streams stay open.

    When a frame is due depends on the start alone, so that delays do not add up. A frame that comes so late that the
    next one is due is dropped.

    Args:
        curves: what to play, at least one frame.
        streams: where to.
        speed: 2 is twice as fast.
        is_looping: begin again at the end, until the clock is stopped.
        clock: what to go by; stopping it ends the playing.

    Raises:
        InputError: the speed cannot be played.
    """
    if not 0.01 <= speed <= 100:
        raise InputError("speed is {:g}, expected a number between 0.01 and 100.", speed)
    clock, played = clock or Clock(), Played()
    start = clock.now()
    for (index, due), (_, then) in pairwise(_schedule(curves, speed, is_looping)):
        if start + then <= clock.now():
            played.dropped += 1
            continue
        if clock.wait(start + due - clock.now()):
            return played
        for stream in streams:
            stream.send(curves.weights[index], curves.head[index], float(curves.confidence[index]), due)
        played.sent += 1
    clock.wait(start + then - clock.now())
    return played


def _schedule(curves: Curves, speed: float, is_looping: bool) -> Iterator[tuple[int, float]]:
    """Frames and when they are due, seconds from the start; after the last one, when it ends."""
    times = (curves.times - curves.times[0]) / speed
    length = float(times[-1] + 1 / float(curves.rate) / speed)
    for turn in count() if is_looping else range(1):
        for index, due in enumerate(times.tolist()):
            yield index, due + turn * length
    yield len(times), length
