"""Who is in a clip: people counted in the order a number calls them."""

from collections.abc import Iterable

import numpy as np

from freeavatar.faces.detect import detect_faces
from freeavatar.faces.retina import Face, overlap
from freeavatar.images import Frame

CHOICE_TIME = 1.0
"""Time from the first face during which others may turn up and are counted, in seconds."""
SEARCH, DEEP_SEARCH = 640, 1280
"""Long sides up to which a frame is searched for a face that is not in sight: mostly, and now and then."""
_DEEP_SEARCH_EVERY = 10
PATIENCE = 5.0
"""Seconds without any face after which nobody is expected any more."""
_SAME_PLACE = 0.3
"""Overlap from which two boxes, a frame apart, are one person."""
_FAR, _GROWTH = 2.0, 1.5
"""How far somebody who is missing may have moved between two frames, in widths of the face, and how much grown."""


def search_reach(index: int) -> int:
    """Long side of the finest search of the ``index``-th frame without a face, in pixels."""
    return DEEP_SEARCH if index % _DEEP_SEARCH_EVERY == 0 else SEARCH


class Lineup:
    """People in the order they were seen, those who were seen together largest first."""

    def __init__(self) -> None:
        self.first: list[tuple[Frame, Face]] = []
        """The frame in which each was seen first, and the face there."""
        self.now: list[Face | None] = []
        """Each one's face in the last frame."""
        self._last: list[Face] = []

    def add(self, frame: Frame, faces: list[Face]) -> None:
        """Count the faces of the next frame, given largest first."""
        self.now = [None] * len(self._last)
        strange = [face for face in faces if not self._recognise(face, self._overlaps(face), _SAME_PLACE)]
        for face in strange:
            if not self._recognise(face, self._nearness(face), 0):
                self.first.append((frame, face))
                self.now.append(face)
                self._last.append(face)

    def _recognise(self, face: Face, likeness: np.ndarray, least: float) -> bool:
        """Take a face for the person whom it is most like and more than ``least``, of those not seen in this frame."""
        missing = [person for person, seen in enumerate(self.now) if seen is None]
        best = max(missing, key=lambda person: likeness[person], default=None)
        if best is None or not likeness[best] > least:
            return False
        self.now[best] = self._last[best] = face
        return True

    def _overlaps(self, face: Face) -> np.ndarray:
        """With where everybody was last, ``(P,)``."""
        return overlap(np.array(face.box), np.array([known.box for known in self._last]).reshape(-1, 4))

    def _nearness(self, face: Face) -> np.ndarray:
        """To where everybody was last, ``(P,)``: negative beyond :data:`_FAR` widths or for another size."""
        found = []
        for known in self._last:
            width = known.box[2] - known.box[0]
            step = np.hypot(*(face.points.mean(0) - known.points.mean(0))) / width
            is_alike = 1 / _GROWTH < (face.box[2] - face.box[0]) / width < _GROWTH
            found.append(_FAR - step if is_alike else -1.0)
        return np.array(found)


def find_faces(frames: Iterable[Frame]) -> list[tuple[Frame, Face]]:
    """People seen within a second of the first face, in the order that ``face`` of :func:`track_faces` counts.

    Returns:
        The frame in which each was seen first, and the face there; empty if there is none in five seconds.
    """
    lineup, begin = Lineup(), None
    for index, frame in enumerate(frames):
        if frame.time > (PATIENCE if begin is None else begin + CHOICE_TIME):
            break
        lineup.add(frame, detect_faces(frame.image, largest_side=search_reach(index)))
        if begin is None and lineup.first:
            begin = frame.time
    return lineup.first
