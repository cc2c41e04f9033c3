"""Faces in an image, with sub-pixel points in the landmark convention of the crops."""

import cv2
import numpy as np

from freeavatar.errors import FaceError
from freeavatar.faces.align import CROP_SIZE, align_matrix, inverse_matrix, transform_points, warp_image
from freeavatar.faces.retina import BACKGROUND, STRIDE, Face, RetinaFace

MIN_SCORE = 0.6
"""Detections that score below are not faces."""

_SMALLEST_CROP = 16
"""Side of the smallest crop worth cutting, in image pixels."""
_REGION = 192
_ZOOM = _REGION / (1.25 * CROP_SIZE)
"""A known face is measured in a picture of this side, at this many pixels per crop pixel."""

_BOTH_EVERY, _LEARNING = 10, 0.5
"""Frames between two measurements of the mirror image, and how much of each new difference is believed."""

# The detector's mean error against the landmark convention of the crops (middle between the corners
# of the eye, tip of the nose, corners of the lips), in crop pixels: offset + slope * (nose x - middle).
# A robust linear fit, symmetric left to right, of refine_face to MediaPipe's landmarks on 1,271 sharp faces.
_OFFSET = np.array([(0.746, 0.231), (-0.746, 0.231), (0, 1.79), (-0.866, 1.851), (0.866, 1.851)])
_SLOPE = np.array([(-0.166, -0.068), (-0.166, 0.068), (0.207, 0), (-0.171, -0.023), (-0.171, 0.023)])

_DETECTOR = RetinaFace()


def detect_faces(
    image: np.ndarray, *, max_side: int = 320, min_score: float = MIN_SCORE, largest_side: int = 1280
) -> list[Face]:
    """Find the faces of an image.

    The image is searched with its long side brought to ``max_side`` pixels; as long as no face is found,
    again at twice the size, as far as ``largest_side`` and the image's own resolution go.

    Args:
        image: RGB, ``(H, W, 3)`` uint8, upright.
        max_side: long side of the first search, in pixels.
        min_score: lowest score of a face, in [0, 1].
        largest_side: long side of the last search, in pixels.

    Returns:
        The faces, largest first.
    """
    long_side = max(image.shape[:2])
    side = max_side
    while True:
        faces = _detect_at(image, side / long_side, min_score)
        side *= 2
        if faces or side > largest_side or side >= 2 * long_side:
            return sorted(faces, key=lambda face: -face.area)


def refine_face(image: np.ndarray, points: np.ndarray, *, min_score: float = MIN_SCORE) -> Face | None:
    """Measure a face again, upright and at a fixed size, near where it is known to be.

    The face and its mirror image are both measured and averaged: that halves the noise of the eye line
    and makes a mirrored image give exactly mirrored points.

    Args:
        image: RGB, ``(H, W, 3)`` uint8.
        points: roughly where the five points are, ``(5, 2)``, in image pixels.
        min_score: lowest mean score of both, in [0, 1].

    Returns:
        The face nearest to ``points``, or None if there is none.
    """
    return FaceMeter().measure(image, points, min_score=min_score)


class FaceMeter:
    """Measures one face from frame to frame as :func:`refine_face` does, in little more than half the time.

    What the face and its mirror image differ by hardly changes from frame to frame. So both are measured at first and
    every :data:`_BOTH_EVERY` frames; in between the face alone is, and moved by half of what they differed by.
    """

    def __init__(self) -> None:
        self._lean: np.ndarray | None = None
        self._age = 0

    def measure(self, image: np.ndarray, points: np.ndarray, *, min_score: float = MIN_SCORE) -> Face | None:
        """Measure the face in the next frame: see :func:`refine_face`."""
        matrix = align_matrix(points) * _ZOOM
        matrix[:, 2] += (_REGION - _ZOOM * CROP_SIZE) / 2
        region = warp_image(image, matrix, _REGION, supersample=1)
        centre = transform_points(matrix, points).mean(0)
        both = self._lean is None or self._age % _BOTH_EVERY == 0
        pictures = [region, cv2.flip(region, 1)] if both else [region]
        plain, *flipped = _DETECTOR.detect(pictures, min_score=min_score / 2)
        pair = [_nearest(plain, centre), *(_nearest([f.mirrored(_REGION) for f in found], centre) for found in flipped)]
        faces = [face for face in pair if face is not None]
        score = sum(face.score for face in faces) / len(pair)
        if score < min_score:
            self._lean = None
            return None
        found = np.mean([face.points for face in faces], axis=0)
        self._age += 1
        if len(faces) == 2:
            self._learn(found - faces[0].points)
        elif not both and self._lean is not None:
            found = found + self._lean
        box = np.mean([face.box for face in faces], axis=0)
        return _calibrated(_moved(Face(tuple(box.tolist()), found, score), inverse_matrix(matrix)))

    def _learn(self, lean: np.ndarray) -> None:
        self._lean = lean if self._lean is None else self._lean + _LEARNING * (lean - self._lean)


def _detect_at(image: np.ndarray, scale: float, min_score: float) -> list[Face]:
    """Faces of the image scaled by ``scale``, in the pixels of the unscaled image."""
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (width, height), interpolation=method)
    # Few different shapes reach the network: its memory stays flat over a folder of odd sizes.
    small = cv2.copyMakeBorder(small, 0, -height % STRIDE, 0, -width % STRIDE, cv2.BORDER_CONSTANT, value=BACKGROUND)
    grow = np.array([[image.shape[1] / width, 0, 0], [0, image.shape[0] / height, 0]])
    moved = (_moved(face, grow) for face in _DETECTOR.detect([small], min_score=min_score)[0])
    return [face for face in map(_calibrated, moved) if face is not None]


def _nearest(faces: list[Face], centre: np.ndarray) -> Face | None:
    """The face nearest to ``centre`` of those half as sure as the surest."""
    sure = [face for face in faces if face.score >= faces[0].score / 2]
    return min(sure, key=lambda face: np.hypot(*(face.points.mean(0) - centre)), default=None)


def _moved(face: Face, matrix: np.ndarray) -> Face:
    """The face through an affine map; a turned box keeps its size and turns about its centre."""
    left, top, right, bottom = face.box
    centre = transform_points(matrix, np.array([(left + right) / 2, (top + bottom) / 2]))
    half = np.array([right - left, bottom - top]) / 2 * np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    box = (*(centre - half).tolist(), *(centre + half).tolist())
    return Face(box, transform_points(matrix, face.points).astype(np.float32), face.score)


def _calibrated(face: Face) -> Face | None:
    """The face with the detector's mean error taken off; None if it is too small or has no shape."""
    points = face.points.astype(np.float64)
    try:
        matrix = align_matrix(points)
    except FaceError:
        return None
    if np.hypot(*matrix[:, 0]) > CROP_SIZE / _SMALLEST_CROP:
        return None
    aligned = transform_points(matrix, points)
    aligned += _OFFSET + _SLOPE * (aligned[2, 0] - CROP_SIZE / 2)
    return Face(face.box, transform_points(inverse_matrix(matrix), aligned).astype(np.float32), face.score)
