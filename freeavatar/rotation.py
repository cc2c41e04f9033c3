"""Rotations as unit quaternions ``(x, y, z, w)``, the order of glTF.

A glTF head looks along +Z, towards the viewer; +X is the viewer's right and +Y is up.
"""

import numpy as np
from numpy.typing import ArrayLike


def head_quaternion(yaw: ArrayLike, pitch: ArrayLike, roll: ArrayLike) -> np.ndarray:
    """Rotation of a glTF head, ``Ry(yaw) Rx(pitch) Rz(-roll)``: the roll is applied first.

    Positive yaw turns the nose towards the viewer's right (+X), positive pitch looks down (-Y),
    positive roll turns the head clockwise for the viewer, as everywhere in this package.

    Args:
        yaw: degrees, a number or ``(...)``.
        pitch: degrees, the same shape.
        roll: degrees, the same shape.

    Returns:
        Unit quaternions, ``(..., 4)`` float64.
    """
    about_y, about_x, about_z = (
        _about(axis, np.asarray(degrees, np.float64))
        for axis, degrees in ((1, yaw), (0, pitch), (2, np.negative(roll)))
    )
    return multiply(multiply(about_y, about_x), about_z)


def _about(axis: int, degrees: np.ndarray) -> np.ndarray:
    half = np.radians(degrees) / 2
    quaternion = np.zeros((*half.shape, 4))
    quaternion[..., axis], quaternion[..., 3] = np.sin(half), np.cos(half)
    return quaternion


def multiply(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Hamilton product: the rotation by ``second``, then by ``first``. ``(..., 4)`` each."""
    a, b = np.broadcast_arrays(first, second)
    vector = a[..., 3:] * b[..., :3] + b[..., 3:] * a[..., :3] + np.cross(a[..., :3], b[..., :3])
    scalar = a[..., 3] * b[..., 3] - (a[..., :3] * b[..., :3]).sum(-1)
    return np.concatenate([vector, scalar[..., None]], axis=-1)


def inverse(quaternion: np.ndarray) -> np.ndarray:
    """Inverse of unit quaternions, ``(..., 4)``."""
    return quaternion * (-1.0, -1.0, -1.0, 1.0)


def continuous(quaternions: np.ndarray) -> np.ndarray:
    """The same rotations, ``(T, 4)``, each on the side of its predecessor.

    ``q`` and ``-q`` are one rotation, yet a player that interpolates between them goes the long
    way round.
    """
    flips = np.where((quaternions[1:] * quaternions[:-1]).sum(-1) < 0, -1.0, 1.0)
    signs = np.concatenate([[1.0], np.cumprod(flips)])
    return quaternions * signs[:, None]


def matrix_quaternion(matrix: np.ndarray) -> np.ndarray:
    """Quaternion ``(4,)`` of a rotation matrix ``(3, 3)``.

    The eigenvector method of Bar-Itzhack, "New Method for Extracting the Quaternion from a
    Rotation Matrix" (2000), which has no singular case and tolerates rounding.
    """
    m = matrix
    symmetric = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
            [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], np.trace(m)],
        ]
    )
    quaternion = np.linalg.eigh(symmetric).eigenvectors[:, -1]
    return quaternion if quaternion[3] >= 0 else -quaternion


def quaternion_matrix(quaternion: ArrayLike) -> np.ndarray:
    """Rotation matrices ``(..., 3, 3)`` of unit quaternions ``(..., 4)``."""
    x, y, z, w = np.moveaxis(np.asarray(quaternion, np.float64), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
