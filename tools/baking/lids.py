"""The edges of the lids."""

import numpy as np

from tools.baking.footing import Footing
from tools.baking.shape import HeadShape

_OPENING = 2.3
"""Width of the opening of an eye over its height, to begin with."""


def lid_rim(head: HeadShape, eye: int) -> np.ndarray:
    """Vertices along the edge of the opening of an eye, counter-clockwise, ``(N,)`` int.

    Stretched, the opening is almost round: inverted in a circle, its edge is the hull of all that lies beyond.
    """
    d = head.positions - head.eyes[eye]
    front = (d[:, 2] > 0.25 * head.eye_radius) & (np.linalg.norm(d, axis=1) < 1.35 * head.eye_radius)
    edge = np.flatnonzero(front & (head.normals[:, 2] > 0.35))
    middle, stretch = _emptiest(d[edge, :2] * [1.0, _OPENING], head.eye_radius) / [1.0, _OPENING], _OPENING
    for _ in range(4):
        flat = (d[edge, :2] - middle) * [1.0, stretch]
        rim = edge[_hull(flat / (flat**2).sum(1, keepdims=True))]
        low, high = d[rim, :2].min(0), d[rim, :2].max(0)
        middle = (low + high) / 2
        stretch = np.clip((high[0] - low[0]) / (high[1] - low[1]), 1.2, 5)
    return rim


def _emptiest(points: np.ndarray, reach: float) -> np.ndarray:
    """The place within ``reach`` of the origin that is farthest from all points ``(N, 2)``, ``(2,)``."""
    grid = np.stack(np.meshgrid(*[np.linspace(-reach, reach, 41)] * 2), axis=-1).reshape(-1, 2)
    grid = grid[np.linalg.norm(grid, axis=1) <= reach]
    return grid[np.linalg.norm(grid[:, None] - points, axis=2).min(1).argmax()]


def _hull(points: np.ndarray) -> np.ndarray:
    """Indices of the corners of the convex hull of points ``(N, 2)``, counter-clockwise (gift wrapping)."""
    corners = [int(points[:, 0].argmax())]
    while True:
        step = points - points[corners[-1]]
        best = int((corners[-1] + 1) % len(points))
        for k in range(len(points)):
            turn = step[best, 0] * step[k, 1] - step[best, 1] * step[k, 0]
            if turn < -1e-12 or (abs(turn) <= 1e-12 and step[k] @ step[k] > step[best] @ step[best]):
                best = k
        if best == corners[0] or len(corners) > len(points):
            return np.array(corners)
        corners.append(best)


def lid_edge(head: HeadShape, eye: int, *, is_upper: bool, at: np.ndarray) -> Footing:
    """Places on the edge of a lid.

    Args:
        head: the skin.
        eye: 0 is the left one.
        is_upper: which lid.
        at: where, from 0 at the inner corner to 1 at the outer one, ``(N,)``.
    """
    rim = lid_rim(head, eye)
    points = head.positions[rim]
    x = (points[:, 0] - head.eyes[eye, 0]) * (1.0 if eye == 0 else -1.0)
    inner, outer = points[x.argmin()], points[x.argmax()]
    line = inner[1] + (points[:, 0] - inner[0]) / (outer[0] - inner[0]) * (outer[1] - inner[1])
    chosen = (points[:, 1] >= line) == is_upper
    chosen[[x.argmin(), x.argmax()]] = True
    order = np.argsort(x[chosen])
    path, rim = points[chosen][order], rim[chosen][order]
    lengths = np.concatenate([[0], np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()])
    place = np.interp(at * lengths[-1], lengths, np.arange(len(path)))
    low = np.minimum(place.astype(int), len(path) - 2)
    share = place - low
    return Footing(np.stack([rim[low], rim[low + 1]], axis=1), np.stack([1 - share, share], axis=1))


def lid_places(head: HeadShape, eye: int, *, is_upper: bool, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places as in :func:`lid_edge`: points ``(N, 3)`` in metres, and the skin vertex nearest to each, ``(N,)``."""
    edge = lid_edge(head, eye, is_upper=is_upper, at=at)
    return edge.of(head.positions), edge.corners[np.arange(len(at)), edge.weights.argmax(1)]
