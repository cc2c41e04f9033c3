"""The loose crop: one upright similarity transform per face, the same for photos and video.

Points are continuous image coordinates: ``(0, 0)`` is the top-left corner of the image, so the
middle of its first pixel is ``(0.5, 0.5)``.
"""

import cv2
import numpy as np

from freeavatar.errors import FaceError

CROP_SIZE = 144
"""Side of the loose crop, in pixels; the face fills its central 70 %."""

_BLUR = 3.0
"""How soon an image that is finer than its picture is blurred wholly, by (1, 2, 1) / 4 both ways: a third finer."""
_EYES_TO_SIDE, _DOWN_TO_SIDE, _DROP = 3.8, 3.4, 0.25


def align_matrix(points: np.ndarray) -> np.ndarray:
    """Similarity transform from image coordinates to the loose crop.

    The crop's x axis is the mean of the eye line and the normal of the line from the eyes to the
    mouth; its side is the larger of 3.8 eye distances and 3.4 eye-to-mouth distances, so that a
    head in profile keeps its size; its centre lies a quarter of the way from the eyes to the mouth.
    The nose takes no part. After the alignment of FFHQ (Karras et al. 2019, appendix A). It holds
    for the crops the encoder is trained on to within the 0.1-pixel rounding of their landmarks.

    Args:
        points: five points, ``(5, 2)``, in image coordinates.

    Returns:
        ``(2, 3)`` float64; ``crop = matrix[:, :2] @ point + matrix[:, 2]``, without reflection.

    Raises:
        FaceError: the eyes and the mouth coincide or are not finite, so no axis is defined.
    """
    eye_left, eye_right, _, mouth_left, mouth_right = np.asarray(points, np.float64)
    eyes, mouth = (eye_left + eye_right) / 2, (mouth_left + mouth_right) / 2
    across, down = eye_right - eye_left, mouth - eyes
    axis = across + np.array((down[1], -down[0]))
    side = max(_EYES_TO_SIDE * np.hypot(*across), _DOWN_TO_SIDE * np.hypot(*down))
    length = np.hypot(*axis)
    if not length > 1e-6:
        raise FaceError(
            "The five points {} do not span a face: the eyes must lie apart from each other and above the mouth; "
            "detect the face again.",
            np.round(points, 1).tolist(),
        )
    cos, sin = axis / length * CROP_SIZE / side
    linear = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack((linear, CROP_SIZE / 2 - linear @ (eyes + _DROP * down)))


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points ``(..., 2)`` by an affine ``matrix`` ``(2, 3)``."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def inverse_matrix(matrix: np.ndarray) -> np.ndarray:
    """The ``(2, 3)`` matrix that undoes ``matrix``."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack((linear, -linear @ matrix[:, 2]))


def crop_face(image: np.ndarray, points: np.ndarray, *, size: int = CROP_SIZE) -> np.ndarray:
    """Cut the loose crop out of an image; what lies outside the image repeats its border.

    Args:
        image: RGB, ``(H, W, 3)`` uint8.
        points: five points of the face, ``(5, 2)``, in image coordinates.
        size: side of the crop, in pixels.

    Returns:
        RGB, ``(size, size, 3)`` uint8, free of aliasing at any face size.

    Raises:
        FaceError: the points do not span a face.
    """
    return warp_image(image, align_matrix(points) * (size / CROP_SIZE), size)


def warp_image(image: np.ndarray, matrix: np.ndarray, size: int, *, supersample: int = 2) -> np.ndarray:
    """Resample an image through a similarity, antialiased.

    Sampling is linear on a grid ``supersample`` times as fine and then averaged, so that the sharpness
    of a moving face does not flicker with its sub-pixel phase; a finer image is averaged down first, by the whole
    number that leaves it less than twice as fine, and blurred as far as it then still is finer.

    Args:
        image: ``(H, W, 3)`` uint8.
        matrix: ``(2, 3)``, from image coordinates to those of the result.
        size: side of the result, in pixels.
        supersample: samples per pixel of the result, along each axis.

    Returns:
        ``(size, size, 3)`` uint8; what lies outside the image repeats its border.
    """
    side = size * supersample
    image, fine = _shrunk_to(image, matrix * supersample, side)
    # OpenCV counts from the middle of the first pixel, points from its corner.
    fine = np.column_stack((fine[:, :2], fine[:, 2] + fine[:, :2].sum(1) / 2 - 0.5))
    warped = cv2.warpAffine(image, fine, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped if supersample == 1 else cv2.resize(warped, (size, size), interpolation=cv2.INTER_AREA)


def _shrunk_to(image: np.ndarray, matrix: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of ``image`` that ``matrix`` maps into the square, with no detail finer than the square shows."""
    scale = np.hypot(*matrix[:, 0])
    if scale >= 1:
        return image, matrix
    factor = int(1 / scale)
    corners = np.array([(0, 0), (side, 0), (0, side), (side, side)], np.float64)
    reach = transform_points(inverse_matrix(matrix), corners)
    margin = np.ceil(2 / scale)
    bounds = np.array(image.shape[1::-1])
    low = np.clip(np.floor(reach.min(0) - margin), 0, bounds - 1).astype(int)
    high = np.clip(np.ceil(reach.max(0) + margin), low + 1, bounds).astype(int)
    shape = np.maximum(1, (high - low) // factor)
    high = np.minimum(low + factor * shape, bounds)
    part = image[low[1] : high[1], low[0] : high[0]]
    if factor > 1:
        part = cv2.resize(part, (int(shape[0]), int(shape[1])), interpolation=cv2.INTER_AREA)
    blur = min(1.0, _BLUR * (1 - scale * factor))
    part = cv2.addWeighted(part, 1 - blur, cv2.GaussianBlur(part, (3, 3), 0), blur, 0)
    grow = (high - low) / shape
    return part, np.column_stack((matrix[:, :2] * grow, matrix[:, 2] + matrix[:, :2] @ low))
