"""A face that somebody drew a box around, followed even where the detector sees none."""

import cv2
import numpy as np

from freeavatar.errors import InputError
from freeavatar.faces.align import CROP_SIZE, align_matrix, inverse_matrix, transform_points, warp_image
from freeavatar.faces.detect import MIN_SCORE, detect_faces, refine_face
from freeavatar.faces.retina import Face, overlap
from freeavatar.images import Frame

Box = tuple[float, float, float, float]
"""Left, top, width and height, in pixels."""

_FRONTAL = np.array([(0.28, 0.41), (0.72, 0.41), (0.50, 0.61), (0.32, 0.78), (0.68, 0.78)])
"""Where a face that looks ahead has its points in the detector's box, in widths and heights."""
_ASPECT = 0.78
"""Width of that box by its height."""
_AROUND = 0.6
"""How far around the box a face is looked for, in its own sizes."""
_SAME_FACE = 0.2
"""Overlap with the drawn box from which a detected face is the one that was meant."""
_PATCH, _SEARCH = 48, 96
"""Sides of the picture that is found again, and of the one it is searched in, in pixels; a face is 40 wide."""
_SPAN = 1.8
"""Side of the searched part of the image, in widths of a loose crop."""
_ALIKE = 0.5
"""Likeness from which the picture counts as found."""
_MEMORY = 0.9
_STEPS = np.arange(_SEARCH - _PATCH + 1) - (_SEARCH - _PATCH) / 2
_REMOTE = 0.4 * (_STEPS**2 + _STEPS[:, None] ** 2) / _STEPS[-1] ** 2
"""Likeness that a place forfeits for its distance: faces rarely move by half their size in a frame."""
_UNSEEN = (0.05, 0.59)
"""Confidence where the detector sees nothing: below that of any face it sees."""


class DrawnFaceTracker:
    """Follows the face in a drawn box; feed it the frames in order.

    Where the detector sees a face there, its points are measured. Where it does not, the last points move along
    with what the picture shows, or hold still where that is not found again; before any detection they are those
    of a face that looks ahead and fills the box. Such frames have a confidence below 0.6.
    """

    def __init__(self, box: Box) -> None:
        """Take over the box, as it lies on the first frame: from brows to chin, or a little more."""
        self.breaks = 0
        """How often measured points gave way to moved ones or the other way round."""
        self._box = box
        self._points: np.ndarray | None = None
        self._patch: np.ndarray | None = None
        self._is_seen = False

    def update(self, frame: Frame) -> Face:
        """The face in the next frame.

        Raises:
            InputError: the box lies outside of the first frame.
        """
        if self._points is None:
            face = find_drawn(frame.image, self._box)
        else:
            face = self._follow(frame.image, self._points)
        is_seen = face.score >= MIN_SCORE
        self.breaks += self._points is not None and is_seen != self._is_seen
        self._points, self._is_seen = face.points, is_seen
        self._remember(frame.image)
        return face

    def close(self) -> None:
        """Say that there are no more frames."""

    def _follow(self, image: np.ndarray, points: np.ndarray) -> Face:
        shift, likeness = self._shift(image, points)
        moved = (points + shift).astype(np.float32)
        seen = refine_face(image, moved)
        side = _side(moved)
        if seen is not None and np.hypot(*(seen.points.mean(0) - moved.mean(0))) < side / 4:
            return seen
        return Face(_box_around(moved), moved, float(np.clip(likeness, *_UNSEEN)))

    def _shift(self, image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, float]:
        """How far the remembered picture moved, in image pixels, and how like it is; zero where it is not found."""
        assert self._patch is not None
        found = cv2.matchTemplate(_grey(image, points, _SEARCH, _SPAN), self._patch, cv2.TM_CCOEFF_NORMED)
        scores = np.nan_to_num(found) - _REMOTE
        y, x = np.unravel_index(int(scores.argmax()), scores.shape)
        likeness = float(scores[y, x] + _REMOTE[y, x])
        if likeness < _ALIKE:
            return np.zeros(2), likeness
        middle = (_SEARCH - _PATCH) / 2
        along = np.array([x + _peak(scores[y], x), y + _peak(scores[:, x], y)]) - middle
        linear = inverse_matrix(_view(points, _SEARCH, _SPAN))[:, :2]
        return linear @ along, likeness

    def _remember(self, image: np.ndarray) -> None:
        assert self._points is not None
        patch = _grey(image, self._points, _PATCH, _SPAN * _PATCH / _SEARCH)
        blend = patch if self._patch is None else _MEMORY * self._patch + (1 - _MEMORY) * patch
        self._patch = blend.astype(np.float32)


def find_drawn(image: np.ndarray, box: Box) -> Face:
    """The face that a box was drawn around: as detected, or looking ahead and filling the box.

    Args:
        image: RGB, ``(H, W, 3)`` uint8.
        box: in its pixels.

    Raises:
        InputError: the box lies outside of the image.
    """
    left, top, width, height = box
    if left >= image.shape[1] or top >= image.shape[0]:
        raise InputError(
            "the crop begins at {:g},{:g}, outside of the picture of {} x {} pixels: give left,top,width,height "
            "within it.",
            left,
            top,
            image.shape[1],
            image.shape[0],
        )
    x, y = max(int(left - _AROUND * width), 0), max(int(top - _AROUND * height), 0)
    part = image[y : int(top + (1 + _AROUND) * height) + 1, x : int(left + (1 + _AROUND) * width) + 1]
    drawn = np.array([left, top, left + width, top + height])
    for face in detect_faces(np.ascontiguousarray(part)):
        found = Face(
            tuple((np.array(face.box) + (x, y, x, y)).tolist()), face.points + np.array((x, y), np.float32), face.score
        )
        if overlap(drawn, np.array([found.box]))[0] > _SAME_FACE:
            return refine_face(image, found.points) or found
    size = np.sqrt(width * height / _ASPECT) * np.array([_ASPECT, 1.0])
    points = (np.array([left + width / 2, top + height / 2]) + (_FRONTAL - 0.5) * size).astype(np.float32)
    return Face(tuple(drawn.tolist()), points, _UNSEEN[1])


def _side(points: np.ndarray) -> float:
    """Side of the loose crop, in image pixels."""
    return float(CROP_SIZE / np.hypot(*align_matrix(points)[:, 0]))


def _view(points: np.ndarray, size: int, span: float) -> np.ndarray:
    """Map of the image to a square of ``size`` pixels that shows ``span`` loose crops, ``(2, 3)``; not turned."""
    scale = size / (span * _side(points))
    centre = transform_points(inverse_matrix(align_matrix(points)), np.full(2, CROP_SIZE / 2))
    return np.column_stack((np.eye(2) * scale, size / 2 - scale * centre))


def _grey(image: np.ndarray, points: np.ndarray, size: int, span: float) -> np.ndarray:
    part = warp_image(image, _view(points, size, span), size, supersample=1)
    return cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _peak(scores: np.ndarray, place: int | np.intp) -> float:
    """Where between its neighbours the best of a row of scores lies, from a parabola, in [-0.5, 0.5]."""
    if not 0 < place < len(scores) - 1:
        return 0.0
    before, best, after = (float(value) for value in scores[place - 1 : place + 2])
    bend = before - 2 * best + after
    return 0.0 if bend > -1e-6 else float(np.clip((before - after) / (2 * bend), -0.5, 0.5))


def _box_around(points: np.ndarray) -> tuple[float, float, float, float]:
    """The detector's box of a face that looks ahead and has these points."""
    height = np.ptp(points[:, 1]) / np.ptp(_FRONTAL[:, 1])
    centre = points.mean(0) - (_FRONTAL.mean(0) - 0.5) * (height * _ASPECT, height)
    half = np.array([height * _ASPECT, height]) / 2
    return tuple((*(centre - half).tolist(), *(centre + half).tolist()))
