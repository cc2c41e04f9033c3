"""The line of visitors who wait for the machine: one works, the others know their place."""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

_POLL = 0.25
FORGOTTEN = 90.0
"""Seconds without a sign of life after which a place is given away."""


class Line:
    """Places in order of arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[object, float] = {}

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Stand in the line for as long as the block lasts."""
        place = Place(self)
        place.touch()
        try:
            yield place
        finally:
            with self._lock:
                self._places.pop(place, None)

    def _position(self, place: object) -> int:
        now = time.monotonic()
        with self._lock:
            self._places[place] = now
            for other, seen in list(self._places.items()):
                if other is not place and now - seen > FORGOTTEN:
                    del self._places[other]
            return list(self._places).index(place)


class Place:
    """One visitor's place."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def touch(self) -> int:
        """Say that this visitor is still there; how many come before."""
        return self._line._position(self)

    def wait(self) -> Generator[int, None, None]:
        """Wait for the turn: yields how many come before, a few times a second, and ends when none does."""
        while before := self.touch():
            yield before
            time.sleep(_POLL)
