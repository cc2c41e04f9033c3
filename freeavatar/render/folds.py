"""How texture coordinates lie on skin, along which wrinkles tilt the normal; and how dark furrows are."""

import numpy as np

from freeavatar.avatars.avatar import Avatar

CAVITY_DEPTH = 0.0006
"""Metres of a furrow that is as dark as they get."""
CAVITY_COLOR = (0.34, 0.46, 0.50)
"""How much of each primary such a furrow swallows: light that comes out of a fold went through skin, and is red."""


def fold_frames(avatar: Avatar) -> tuple[np.ndarray, np.ndarray]:
    """How texture coordinates grow over the skin at rest.

    Returns:
        The surface gradient of u, ``(V, 3)`` float32 per metre, and ``(V, 2)`` float32: the gradient of v is the first
        of these times that of u, and the second times what is at right angles to it (normal x gradient of u). The
        avatar's tangents and zeros where nothing folds.
    """
    tangents, skew = avatar.tangents.copy(), np.zeros((len(avatar.positions), 2), np.float32)
    if avatar.wrinkles is None:
        return tangents, skew
    folds = np.isin(avatar.material, avatar.wrinkles.materials)
    faces = avatar.triangles[folds[avatar.triangles].all(1)]
    p, t = avatar.positions[faces].astype(np.float64), avatar.uv[faces].astype(np.float64)
    (e1, e2), (d1, d2) = ((x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]) for x in (p, t))
    normal = np.cross(e1, e2)
    square = np.maximum((normal * normal).sum(1, keepdims=True), 1e-24)
    area = np.sqrt(square)
    total = np.zeros((2, len(avatar.positions), 3))
    weight = np.zeros((len(avatar.positions), 1))
    # The dual basis of the edges: a function with differences d1, d2 along them has this gradient.
    first, second = np.cross(e2, normal) / square, np.cross(normal, e1) / square
    for k in range(3):
        np.add.at(weight, faces[:, k], area)
        for axis in range(2):
            np.add.at(total[axis], faces[:, k], area * (first * d1[:, axis, None] + second * d2[:, axis, None]))
    u, v = (gradient / np.maximum(weight, 1e-18) for gradient in total)
    u -= avatar.normals * (avatar.normals * u).sum(1, keepdims=True)
    length = np.maximum((u * u).sum(1), 1e-9)
    across = np.cross(avatar.normals, u)
    tangents[folds] = u[folds]
    skew[folds] = np.stack([(v * u).sum(1), (v * across).sum(1)], axis=1)[folds] / length[folds, None]
    return tangents, skew
