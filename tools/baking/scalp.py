"""Where hair grows: the hairline, roots spread evenly behind it, and a shell over the scalp."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from freeavatar.avatars.glb import vertex_normals
from tools.baking.shape import HeadShape, nearest, unit
from tools.baking.strands import Locks

CENTRE = np.array([0.0, 25.0, -65.0])
"""From here the scalp is seen in every direction, model millimetres."""
_AXIS = np.array([0.0, 0.0, -72.0])
_TURN = (0, 14, 28, 40, 50, 60, 70, 77, 84, 92, 102, 116, 128, 142, 160, 180)
"""Degrees about an upright axis through the ears at which a hairline is given: 0 is the forehead."""
_HEIGHT = (67, 67, 66, 64, 56, 38, 20, 9, 8, 13, 11, -12, -36, -50, -55, -57)


@dataclass(frozen=True)
class Hairline:
    """The border of the scalp, by its differences from a full one; millimetres."""

    front: float = 0.0
    """Higher over the forehead."""
    temples: float = 0.0
    """Higher over the temples: receding."""
    sides: float = 0.0
    """Higher around the ears."""
    nape: float = 0.0
    """Higher at the back."""
    peak: float = 0.0
    """Lower in the middle of the forehead: a widow's peak."""
    crisp: float = 0.3
    """How straight it is, in [0, 1]."""

    def inside(self, points: np.ndarray) -> np.ndarray:
        """How far points ``(..., 3)`` on the skin lie behind the hairline, ``(...)`` mm; negative before it."""
        p = points - _AXIS
        turn = np.degrees(np.arctan2(np.abs(p[..., 0]), p[..., 2]))

        def bump(middle: float, width: float) -> np.ndarray:
            return np.exp(-(((turn - middle) / width) ** 2))

        line = np.interp(turn, _TURN, _HEIGHT) + self.front * bump(0, 40) + self.temples * bump(36, 17)
        line = line + self.sides * bump(86, 24) + self.nape * bump(165, 45) - self.peak * bump(0, 12)
        waves = np.sin(points[..., 0] * 0.31 + 1) + np.sin(points[..., 2] * 0.37) + np.sin(points[..., 0] * 0.83)
        return p[..., 1] - line + (1 - self.crisp) * waves


def sphere(frequency: int) -> tuple[np.ndarray, np.ndarray]:
    """A geodesic sphere: an icosahedron with edges split into ``frequency`` parts.

    Returns:
        Unit vertices ``(10 f^2 + 2, 3)`` and triangles ``(20 f^2, 3)`` wound outwards.
    """
    g = (1 + 5**0.5) / 2
    corners = np.array([np.roll((s, t * g, 0.0), k) for k in range(3) for s in (-1, 1) for t in (-1, 1)])
    gaps = np.linalg.norm(corners[:, None] - corners, axis=2)
    near = (gaps > 0) & (gaps < 2.1)
    faces = [
        (a, b, c) for a in range(12) for b in range(a) for c in range(b) if near[a, b] and near[b, c] and near[a, c]
    ]
    faces = [f if np.linalg.det(corners[list(f)]) > 0 else f[::-1] for f in faces]
    n = frequency
    grid = [(i, j) for i in range(n + 1) for j in range(n + 1 - i)]
    place = {ij: k for k, ij in enumerate(grid)}
    small = [(place[i, j], place[i + 1, j], place[i, j + 1]) for i, j in grid if i + j < n]
    small += [(place[i + 1, j], place[i + 1, j + 1], place[i, j + 1]) for i, j in grid if i + j < n - 1]
    weights = np.array([(n - i - j, i, j) for i, j in grid]) / n
    points = np.einsum("wk,fkc->fwc", weights, corners[np.array(faces)]).reshape(-1, 3)
    triangles = (np.array(small) + np.arange(20)[:, None, None] * len(grid)).reshape(-1, 3)
    unique, index = np.unique(points.round(6), axis=0, return_inverse=True)
    return unit(unique), index.ravel()[triangles]


def spread(
    count: int, candidates: np.ndarray, rng: np.random.Generator, crowding: np.ndarray | float = 1.0
) -> np.ndarray:
    """Choose points far from each other: each next one is the farthest from those before.

    Args:
        count: how many.
        candidates: ``(N, 3)``.
        rng: draws the first.
        crowding: how much denser they may lie, ``(N,)``.

    Returns:
        Indices, ``(count,)``.
    """
    chosen = np.empty(min(count, len(candidates)), int)
    chosen[0] = rng.integers(len(candidates))
    gap = np.full(len(candidates), np.inf)
    for k in range(len(chosen)):
        if k:
            chosen[k] = gap.argmax()
        gap = np.minimum(gap, np.linalg.norm(candidates - candidates[chosen[k]], axis=1) * crowding)
    return chosen


def scalp_roots(
    head: HeadShape, hairline: Hairline, count: int, rng: np.random.Generator,
    depth: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:  # fmt: skip
    """Points on the scalp, evenly spread but denser along the hairline, ``(count, 3)`` model millimetres.

    Args:
        head: the skin.
        hairline: where the scalp ends.
        count: how many.
        rng: jitters them.
        depth: distance of points ``(N, 3)`` to another line along which they lie denser, ``(N,)`` mm.
    """
    directions, _ = sphere(32)
    directions = unit(directions + rng.normal(0, 0.012, directions.shape))
    points = head.solid.project(directions, CENTRE)
    inside = hairline.inside(points)
    points, inside = points[inside > 0], inside[inside > 0]
    edge = inside if depth is None else np.minimum(inside, depth(points))
    return points[spread(count, points, rng, 1 + 0.8 * np.exp(-edge / 9))]


def scalp_shell(
    head: HeadShape, hairline: Hairline, frequency: int, inset: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The scalp as a mesh that ends ``inset`` millimetres behind the hairline.

    Returns:
        Points on the skin ``(V, 3)`` in model millimetres, triangles ``(T, 3)``, and how far each point lies
        behind that border, ``(V,)`` mm.
    """
    directions, triangles = sphere(frequency)
    points = head.solid.project(directions, CENTRE)
    points, triangles, _ = clip(points, triangles, lambda p: hairline.inside(p) - inset)
    return points, triangles, np.maximum(hairline.inside(points) - inset, 0)


def clip(
    points: np.ndarray, triangles: np.ndarray, level: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep the part of a mesh where ``level`` is positive; triangles are cut along the line.

    Args:
        points: ``(V, 3)``.
        triangles: ``(T, 3)``.
        level: of points ``(N, 3)``, ``(N,)``.

    Returns:
        Points ``(N, 3)``, triangles ``(T, 3)``, and for each point the vertex it was, or the kept end of the
        edge it cuts, ``(N,)``.
    """
    inside = level(points) > 0
    count = inside[triangles].sum(1)
    one = _turned(triangles[count == 1], inside, True)
    two = _turned(triangles[count == 2], inside, False)
    edges = np.concatenate([one[:, [0, 1]], one[:, [0, 2]], two[:, [1, 0]], two[:, [2, 0]]])
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    ab, ac, ba, ca = np.split(index.ravel() + len(points), np.cumsum([len(one), len(one), len(two)]))
    kept, lost = points[unique[:, 0]], points[unique[:, 1]]
    for _ in range(10):
        middle = (kept + lost) / 2
        is_kept = (level(middle) > 0)[:, None]
        kept, lost = np.where(is_kept, middle, kept), np.where(is_kept, lost, middle)
    pieces = [triangles[count == 3], np.stack([one[:, 0], ab, ac], 1)]
    pieces += [np.stack([two[:, 1], two[:, 2], ca], 1), np.stack([two[:, 1], ca, ba], 1)]
    used, where = np.unique(np.concatenate(pieces), return_inverse=True)
    source = np.concatenate([np.arange(len(points)), unique[:, 0]])
    return np.concatenate([points, kept])[used], where.reshape(-1, 3), source[used]


def _turned(triangles: np.ndarray, inside: np.ndarray, wanted: bool) -> np.ndarray:
    """The triangles with the one corner that is (``wanted``) or is not inside put first."""
    first = (inside[triangles] == wanted).argmax(1)
    return triangles[np.arange(len(triangles))[:, None], (first[:, None] + np.arange(3)) % 3]


def shell_locks(
    head: HeadShape, points: np.ndarray, triangles: np.ndarray, flow: np.ndarray, colors: np.ndarray,
    *, uv: np.ndarray | None = None, roots: np.ndarray | None = None,
) -> Locks:  # fmt: skip
    """A shell as a mesh of hair.

    Args:
        head: what it lies on.
        points: model millimetres, ``(V, 3)``.
        triangles: ``(T, 3)``.
        flow: direction of the hair, ``(V, 3)``.
        colors: linear, ``(V, 3)``.
        uv: texture coordinates, ``(V, 2)``; default one spot, for hair without streaks.
        roots: skin vertex of each point, ``(V,)``; default the nearest.
    """
    metres = head.to_metres(points)
    normals = vertex_normals(metres, triangles, np.arange(len(metres)))
    tangents = unit(flow - (flow * normals).sum(1, keepdims=True) * normals + 1e-6)
    return Locks(
        positions=metres, normals=normals, tangents=tangents,
        uv=np.full((len(points), 2), 0.5) if uv is None else uv, triangles=triangles.astype(np.int32),
        colors=np.clip(colors, 0, 1), roots=nearest(points, head.model) if roots is None else roots,
    )  # fmt: skip
