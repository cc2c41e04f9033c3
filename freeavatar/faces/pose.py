"""Head angles from five points."""

import numpy as np

from freeavatar.faces.align import CROP_SIZE, align_matrix, transform_points

# Linear in the aligned points, plus squares and products of the nose's offset; symmetric left to
# right. Robust least squares on the points refine_face finds in 6,500 training crops, against
# MediaPipe's head matrix (roll outermost, then yaw, then pitch). Degrees per crop pixel, or per its square.
_MIDDLE = np.array((CROP_SIZE / 2, 85.0))
_EYE_DISTANCE, _DOWN, _MOUTH_WIDTH = 36.5, 39.7, 31.2
_YAW = 2.08
_PITCH = np.array((2.66, 2.423, 0.0182, 0.194, -0.495, -0.753))
_ROLL = np.array((0.078, -0.0512))


def head_pose(points: np.ndarray) -> tuple[float, float, float]:
    """Head angles from five points in an image, by an average head's geometry.

    Args:
        points: ``(5, 2)``, in image pixels, of the unrotated image (not of the crop).

    Returns:
        ``(yaw, pitch, roll)`` in degrees: positive yaw turns the nose towards the right edge of the
        image, positive pitch looks down, positive roll turns the head clockwise in the image.

    Raises:
        FaceError: the points do not span a face.
    """
    matrix = align_matrix(points)
    eye_left, eye_right, nose, mouth_left, mouth_right = transform_points(matrix, np.asarray(points, np.float64))
    x, y = nose - _MIDDLE
    down = np.hypot(*(mouth_left + mouth_right - eye_left - eye_right)) / 2 - _DOWN
    across = np.hypot(*(eye_right - eye_left)) - _EYE_DISTANCE
    smile = mouth_right[0] - mouth_left[0] - _MOUTH_WIDTH
    pitch = _PITCH @ (1, y, x**2, across, down, smile)
    in_plane = np.degrees(np.arctan2(matrix[0, 1], matrix[0, 0]))
    return (
        float(np.clip(_YAW * x, -90, 90)),
        float(np.clip(pitch, -90, 90)),
        float(in_plane + _ROLL @ (x, x * y)),
    )
