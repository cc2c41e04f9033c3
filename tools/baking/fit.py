"""ARKit's targets fitted to reference figures: smooth corrections of MakeHuman's own that reach the landmarks."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import factorized

REACH = 0.4
"""Distances between the eyes over which a correction fades."""
HOLD = 1000.0
"""How strongly landmarks are held."""
JAW_HOLD = 0.15
"""Of that, for the landmarks of the jaw, which slide on soft skin."""
FIXED = 1e4
OWN_SHARE = 0.5
"""How much of the best multiple of MakeHuman's target is kept beneath the correction: it knows the shape of the lips
between landmarks."""


class SmoothField:
    """Fields over a surface that take given values at some vertices and are smooth and small elsewhere.

    Least squares: the squared Laplacian of the field (cotangent weights, Pinkall and Polthier 1993), a screen that
    pulls it to zero over :data:`REACH`, and the values, each by its weight.
    """

    def __init__(self, points: np.ndarray, triangles: np.ndarray, fixed: np.ndarray) -> None:
        """Args:
        points: of the rest surface, ``(V, 3)``, in distances between the eyes.
        triangles: ``(T, 3)``.
        fixed: vertices that stay where they are, ``(V,)`` bool.
        """
        stiffness, mass = _laplacian(points, triangles)
        self._energy = stiffness @ diags(1 / mass) @ stiffness + REACH**-4 * diags(mass) + FIXED * diags(1.0 * fixed)

    def through(self, vertices: np.ndarray, weights: np.ndarray) -> "Interpolation":
        """Fields that take values at ``vertices`` ``(L,)`` as their ``weights`` ``(L,)`` demand."""
        return Interpolation(self._energy, vertices, weights)


class Interpolation:
    """Smooth fields by their values at some vertices."""

    def __init__(self, energy: csr_matrix, vertices: np.ndarray, weights: np.ndarray) -> None:
        self._vertices, self._weights = vertices, weights
        self._count = energy.shape[0]
        held = np.bincount(vertices, weights, self._count)
        self._solve = factorized((energy + diags(held)).tocsc())

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The field ``(V, 3)`` with ``values`` ``(L, 3)``."""
        right = [np.bincount(self._vertices, self._weights * values[:, axis], self._count) for axis in range(3)]
        return np.stack([self._solve(column) for column in right], axis=1)


def _laplacian(points: np.ndarray, triangles: np.ndarray) -> tuple[csr_matrix, np.ndarray]:
    """Cotangent stiffness ``(V, V)`` and the area about each vertex ``(V,)``."""
    count = len(points)
    mass, entries = np.zeros(count), []
    for corner in range(3):
        i, j, opposite = (triangles[:, (corner + k) % 3] for k in range(3))
        u, v = points[i] - points[opposite], points[j] - points[opposite]
        twice_area = np.linalg.norm(np.cross(u, v), axis=1)
        weight = np.clip((u * v).sum(1) / np.maximum(twice_area, 1e-9), 0.05, 10) / 2
        entries += [(i, j, -weight), (j, i, -weight), (i, i, weight), (j, j, weight)]
        np.add.at(mass, opposite, twice_area / 6)
    rows, columns, values = (np.concatenate([entry[k] for entry in entries]) for k in range(3))
    return coo_matrix((values, (rows, columns)), (count, count)).tocsr(), np.maximum(mass, 1e-5)


def fit_target(own: np.ndarray, wanted: np.ndarray, landmarks: np.ndarray, field: Interpolation) -> np.ndarray:
    """A target that moves the landmarks as wanted, ``(V, 3)``.

    Args:
        own: MakeHuman's target, ``(V, 3)``.
        wanted: displacements of the landmarks, ``(L, 3)``.
        landmarks: their vertices, ``(L,)``.
        field: through those.
    """
    there = own[landmarks]
    share = np.clip((there * wanted).sum() / max((there**2).sum(), 1e-9), 0, 1.5) * OWN_SHARE
    return share * own + field(wanted - share * there)


def landmark_weights(names: Sequence[str]) -> np.ndarray:
    """How strongly each landmark is held, ``(L,)``."""
    return np.array([HOLD * (JAW_HOLD if name.startswith("jaw_") else 1.0) for name in names])


def close_lips(targets: Mapping[str, np.ndarray], pairs: np.ndarray, field: Interpolation) -> np.ndarray:
    """``mouthClose`` ``(V, 3)`` that brings lips together again which ``jawOpen`` parts.

    Args:
        targets: displacements ``(V, 3)`` of ``mouthClose`` and ``jawOpen``.
        pairs: vertices of the upper and the lower lip that touch at rest, ``(P, 2)``.
        field: through the upper ones, then the lower ones.
    """
    close, jaw = targets["mouthClose"], targets["jawOpen"]
    upper, lower = pairs.T
    middle = (close[upper] + close[lower] + jaw[upper] + jaw[lower]) / 2
    wanted = np.concatenate([middle - jaw[upper], middle - jaw[lower]])
    return close + field(wanted - close[np.concatenate([upper, lower])])


def eased(field: np.ndarray, triangles: np.ndarray, free: np.ndarray) -> np.ndarray:
    """A field ``(V, 3)``, made harmonic (each value the mean of its neighbours) at the vertices ``free`` ``(V,)``."""
    count = len(field)
    start, end = triangles.ravel(), np.roll(triangles, 1, axis=1).ravel()
    joined = coo_matrix((np.ones(len(start)), (start, end)), (count, count)).tocsr()
    joined = ((joined + joined.T) > 0).astype(np.float64)
    laplacian = (diags(np.asarray(joined.sum(1)).ravel()) - joined).tocsr()
    held = ~free
    solve = factorized(laplacian[free][:, free].tocsc())
    out = field.copy()
    right = -laplacian[free][:, held] @ field[held]
    out[free] = np.stack([solve(column) for column in right.T], axis=1)
    return out
