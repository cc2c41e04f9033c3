"""One face followed from frame to frame, at a constant cost per frame."""

from dataclasses import dataclass

import cv2
import numpy as np

from freeavatar.errors import FaceError, InputError
from freeavatar.faces.align import align_matrix, crop_face
from freeavatar.faces.detect import FaceMeter, detect_faces, refine_face
from freeavatar.faces.lineup import CHOICE_TIME, Lineup, search_reach
from freeavatar.faces.retina import Face, overlap
from freeavatar.images import Frame

_LONGEST_GAP = 0.25
"""Time between two frames beyond which the track is broken, in seconds."""
_LONG_STEP, _LONGEST_STEP = 10.0, 36.0
"""Movement between two frames beyond which the face is measured again around its new place, and
beyond which the track is broken, in crop pixels."""
_SAME_FACE, _SAME_SCENE = 0.6, 0.7
"""Likeness of the face, and of the whole frame, to the frame before, below which there was a cut."""
_SAME_PLACE = 0.3
"""Overlap from which two boxes of one frame are one face."""
_LOOK_SIZE, _LOOK_MEMORY = 16, 0.95
_SCENE_SIZE, _SCENE_DETAIL = 24, 240
"""Side of the thumbnail of a frame, and of the picture it is made from, in pixels."""
_LOOK_AROUND, _LOOK_AROUND_CROWD = 30, 5
"""Frames between two searches of the whole frame for other people, while the face is in sight: if it was alone
so far, and if it was not."""
_CLOSE = 1.5
"""Distance of another face, in widths of this one, from which one could be taken for the other."""
_QUICK_SEARCH = 320
"""Long side up to which a frame is searched for other people, in pixels."""


@dataclass(frozen=True, eq=False)
class _Sight:
    """A face as it was last seen, and what it looks like: ``(768,)``, unit length."""

    face: Face
    look: np.ndarray

    def likeness(self, other: "_Sight", *, use_place: bool) -> float:
        """How like this sight another is, by look and, unless the scene was cut, by place, in [-1, 2]."""
        place = overlap(np.array(self.face.box), np.array([other.face.box]))[0]
        return float(self.look @ other.look + place * use_place)


class FaceTracker:
    """Follows one face; feed it the frames in order.

    While the face is in sight it is measured in a small region around its last place. When it is lost,
    or the scene is cut, the whole frame is searched, and of several faces the one that looks and lies
    most like the face is taken, unless it is more like somebody else who was seen beside it. So it goes as well while
    somebody else is close, who may pass in front.
    """

    def __init__(self, *, face: int = 0) -> None:
        """Choose the face to follow.

        Args:
            face: which of the people that :func:`freeavatar.faces.find_faces` counts.

        Raises:
            InputError: ``face`` is negative.
        """
        if face < 0:
            raise InputError("Face {} does not exist: faces are counted from 0, the largest; give 0 or more.", face)
        self.breaks = 0
        """How often the track was broken so far: by a cut, by a jump, or by the face out of sight."""
        self._rank = face
        self._known: _Sight | None = None
        self._meter = FaceMeter()
        self._in_sight = False
        self._previous_look = np.zeros(3 * _LOOK_SIZE**2)
        self._scene = np.zeros(3 * _SCENE_SIZE**2)
        self._use_place = True
        self._others: list[_Sight] = []
        self._lineup = Lineup()
        self._first_time, self._last_time = np.inf, -np.inf
        self._age = 0

    def update(self, frame: Frame) -> Face | None:
        """Find the face in the next frame.

        Returns:
            The face, its points not yet smoothed, or None if it is not in sight.

        Raises:
            FaceError: within a second of the first face, there were never as many as the rank asks for.
        """
        self._watch_scene(frame.image)
        sight = self._follow(frame.image)
        unbroken = sight is not None and frame.time - self._last_time <= _LONGEST_GAP
        if sight is None:
            sight = self._search(frame.image) if self._known else self._choose(frame)
        elif self._age % (_LOOK_AROUND_CROWD if self._others else _LOOK_AROUND) == 0:
            self._note_others(frame.image, detect_faces(frame.image, largest_side=_QUICK_SEARCH), sight.face)
        self._age += 1
        self._last_time = frame.time
        self._in_sight = sight is not None
        if sight is None:
            return None
        if self._known and not (unbroken and _step(self._known.face, sight.face) < _LONGEST_STEP):
            self.breaks += 1
            self._meter = FaceMeter()
        self._remember(sight)
        return sight.face

    def close(self) -> None:
        """Say that there are no more frames.

        Raises:
            FaceError: there were faces, but never as many as the rank asks for.
        """
        most = len(self._lineup.first)
        if self._known is None and most:
            if most == 1:
                raise FaceError("Face {} was asked for but the clip shows only one face: give 0.", self._rank)
            raise FaceError(
                "Face {} was asked for but the clip shows only {} faces, counted from 0, the largest: give 0 to {}.",
                self._rank, most, most - 1,
            )  # fmt: skip

    def _choose(self, frame: Frame) -> _Sight | None:
        """The face of the wanted rank, as soon as there is one."""
        faces = detect_faces(frame.image, largest_side=search_reach(self._age))
        if faces:
            self._first_time = min(self._first_time, frame.time)
        if frame.time - self._first_time > CHOICE_TIME:
            self.close()
        self._lineup.add(frame, faces)
        chosen = self._lineup.now[self._rank] if len(self._lineup.now) > self._rank else None
        if chosen is None:
            return None
        self._note_others(frame.image, faces, chosen)
        return _measure(frame.image, chosen)

    def _follow(self, image: np.ndarray) -> _Sight | None:
        """The face near its last place; None if it is gone or the scene was cut."""
        if not (self._known and self._in_sight and self._use_place):
            return None
        if self._is_crowded():
            return self._pick(image, detect_faces(image, largest_side=_QUICK_SEARCH))
        face = self._meter.measure(image, self._known.face.points)
        if face is not None and _step(self._known.face, face) > _LONG_STEP:
            face = refine_face(image, face.points)
        if face is None:
            return None
        sight = _Sight(face, _look(image, face))
        return sight if sight.look @ self._previous_look > _SAME_FACE else None

    def _search(self, image: np.ndarray) -> _Sight | None:
        """The face anywhere in the frame."""
        return self._pick(image, detect_faces(image, largest_side=search_reach(self._age)))

    def _is_crowded(self) -> bool:
        """Whether somebody else is close to the face."""
        assert self._known is not None
        left, top, right, bottom = self._known.face.box
        centre = np.array([left + right, top + bottom]) / 2
        others = np.array([other.face.box for other in self._others]).reshape(-1, 2, 2).mean(1)
        return bool((np.linalg.norm(others - centre, axis=1) < _CLOSE * (right - left)).any())

    def _pick(self, image: np.ndarray, faces: list[Face]) -> _Sight | None:
        """The most alike of these faces, unless it is more like somebody else; the others move along."""
        assert self._known is not None
        best, best_likeness, sights = None, -np.inf, [_Sight(face, _look(image, face)) for face in faces]
        for sight in sights:
            likeness = self._known.likeness(sight, use_place=self._use_place)
            rivals = (other.likeness(sight, use_place=self._use_place) for other in self._others)
            if likeness > max([best_likeness, *rivals]):
                best, best_likeness = sight, likeness
        rest = [sight for sight in sights if sight is not best]
        self._others = [self._moved_along(other, rest) for other in self._others]
        return None if best is None else _measure(image, best.face)

    def _moved_along(self, other: _Sight, sights: list[_Sight]) -> _Sight:
        """Somebody else at the place where they are now, if that is clear."""
        assert self._known is not None
        best = max(sights, key=lambda sight: other.likeness(sight, use_place=True), default=None)
        if best is None or self._known.likeness(best, use_place=True) > other.likeness(best, use_place=True):
            return other
        return _Sight(best.face, other.look)

    def _note_others(self, image: np.ndarray, faces: list[Face], target: Face) -> None:
        """Remember who else is in the frame."""
        boxes = np.array([face.box for face in faces]).reshape(-1, 4)
        apart = overlap(np.array(target.box), boxes) < _SAME_PLACE
        others = [face for face, is_apart in zip(faces, apart, strict=True) if is_apart]
        self._others = [_Sight(face, _look(image, face)) for face in others]

    def _watch_scene(self, image: np.ndarray) -> None:
        """After a cut, places mean nothing until the face is found again."""
        scene = _thumbnail(image)
        self._use_place &= bool(scene @ self._scene > _SAME_SCENE)
        self._scene = scene

    def _remember(self, sight: _Sight) -> None:
        self._use_place = True
        look = sight.look
        if self._known:
            look = _LOOK_MEMORY * self._known.look + (1 - _LOOK_MEMORY) * look
            look /= max(float(np.linalg.norm(look)), 1e-9)
        self._known, self._previous_look = _Sight(sight.face, look), sight.look


def _measure(image: np.ndarray, face: Face) -> _Sight:
    face = refine_face(image, face.points) or face
    return _Sight(face, _look(image, face))


def _look(image: np.ndarray, face: Face) -> np.ndarray:
    """What the face looks like, apart from brightness and contrast: ``(768,)``, unit length."""
    return _unit(crop_face(image, face.points, size=_LOOK_SIZE))


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """What the frame looks like, apart from brightness and contrast: ``(1728,)``, unit length."""
    step = max(1, min(image.shape[:2]) // _SCENE_DETAIL)
    size = image.shape[1] // step, image.shape[0] // step
    sparse = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    return _unit(cv2.resize(sparse, (_SCENE_SIZE, _SCENE_SIZE), interpolation=cv2.INTER_AREA))


def _unit(image: np.ndarray) -> np.ndarray:
    values = image.astype(np.float64).ravel()
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-9)


def _step(face: Face, other: Face) -> float:
    """Mean movement of the points from one face to another, in crop pixels."""
    moved = np.linalg.norm(other.points - face.points, axis=1).mean()
    return float(moved * np.hypot(*align_matrix(face.points)[:, 0]))
