"""Locks of hair as a mesh: tapered ribbons swept along curves, with the directions a hair shader needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tools.baking.shape import HeadShape, nearest, unit

Color = tuple[float, float, float]


def to_linear(color: Color) -> np.ndarray:
    """sRGB in [0, 1] to linear light (gamma 2.2), ``(3,)``."""
    return np.asarray(color, float) ** 2.2


@dataclass(frozen=True)
class Locks:
    """A mesh of hair."""

    positions: np.ndarray
    """``(V, 3)`` metres."""
    normals: np.ndarray
    """Unit, ``(V, 3)``: rounded across each lock, so that a flat ribbon is lit like a strand."""
    tangents: np.ndarray
    """Unit, along the strands from root to tip, ``(V, 3)``."""
    uv: np.ndarray
    """``(V, 2)`` in [0, 1]: across a lock, along it from root to tip."""
    triangles: np.ndarray
    """``(T, 3)`` int32; both sides of a lock may be seen."""
    colors: np.ndarray
    """Linear RGB in [0, 1], ``(V, 3)``."""
    roots: np.ndarray
    """Index of the skin vertex that carries each vertex, ``(V,)`` int: it moves as that one does."""


@dataclass(frozen=True)
class Ribbon:
    """How a lock looks across and along."""

    width: float
    """Of the widest place, mm."""
    thickness: float = 0.3
    """Height of the arched cross-section, in parts of the width."""
    root: float = 0.7
    """Width at the root, in parts of the widest."""
    belly: float = 0.35
    """Where along the lock it is widest."""
    tip: float = 0.0
    """Width at the tip, in parts of the widest; 0 is a point."""
    points: int = 5
    """Vertices across."""
    is_closed: bool = False
    """Whether the lock has an underside of its own: for thick ones seen from all sides."""
    roundness: float = 0.8
    """How far normals turn to the sides at the edges; 1 is a half pipe."""

    def profile(self, along: np.ndarray) -> np.ndarray:
        """Width at places ``along`` in [0, 1], in parts of the widest."""
        rise = np.clip(along / self.belly, 0, 1)
        fall = np.clip((along - self.belly) / (1 - self.belly), 0, 1)
        grown = self.root + (1 - self.root) * np.sin(rise * np.pi / 2)
        return grown * (self.tip + (1 - self.tip) * np.cos(fall * np.pi / 2) ** 0.8)


def frames(paths: np.ndarray, outward: np.ndarray, hold: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Directions along and off strands, without sudden twists.

    Args:
        paths: ``(N, K, 3)``.
        outward: where the flat side should look, ``(N, K, 3)`` unit.
        hold: how soon a frame carried along a strand gives in to ``outward``, in [0, 1].

    Returns:
        Unit tangents and normals, ``(N, K, 3)`` each, at right angles.
    """
    tangents = unit(np.gradient(paths, axis=1))
    aside = outward - (outward * tangents).sum(-1, keepdims=True) * tangents
    normals = np.empty_like(paths)
    carried = aside[:, 0] + 1e-3 * np.roll(tangents[:, 0], 1, axis=-1)
    for k in range(paths.shape[1]):
        carried = carried - (carried * tangents[:, k]).sum(-1, keepdims=True) * tangents[:, k]
        carried = unit(unit(carried) * (1 - hold) + hold * aside[:, k])
        normals[:, k] = carried
    return tangents, unit(normals - (normals * tangents).sum(-1, keepdims=True) * tangents)


def sweep(
    head: HeadShape, paths: np.ndarray, outward: np.ndarray, ribbon: Ribbon, colors: np.ndarray,
    *, widths: np.ndarray | None = None, roots: np.ndarray | None = None,
) -> Locks:  # fmt: skip
    """Sweep a ribbon along each path.

    Args:
        head: what the paths grow from.
        paths: model millimetres, ``(N, K, 3)`` from root to tip.
        outward: where the flat side looks, unit, ``(N, K, 3)``.
        ribbon: cross-section and taper.
        colors: linear, ``(N, K, 3)``.
        widths: factor of each lock's width, ``(N,)``, or of each of its points', ``(N, K)``; default ones.
        roots: skin vertex of each lock, ``(N,)``; default the one nearest to its first point.

    Returns:
        The locks, in metres.
    """
    count, steps = paths.shape[:2]
    tangents, normals = frames(paths, outward)
    sides = np.cross(normals, tangents)
    across, bulge, turn = _section(ribbon)
    along = np.linspace(0, 1, steps)
    half = 0.5 * ribbon.width * ribbon.profile(along)[None, :, None, None]
    if widths is not None:
        half = half * widths.reshape(count, -1, 1, 1)
    lift = 2 * ribbon.thickness * bulge[:, None] * half
    points = paths[:, :, None] + sides[:, :, None] * across[:, None] * half + normals[:, :, None] * lift
    looks = normals[:, :, None] * np.cos(turn)[:, None] + sides[:, :, None] * np.sin(turn)[:, None]
    shaded = colors[:, :, None] * (1 - 0.38 * np.abs(across) ** 2.5)[:, None]
    ring = len(across)
    roots = nearest(paths[:, 0], head.model) if roots is None else roots
    uv = np.stack(np.broadcast_arrays(_columns(count, across), along[None, :, None]), axis=-1)
    return Locks(
        positions=head.to_metres(points.reshape(-1, 3)),
        normals=unit(looks / head.scale).reshape(-1, 3),
        tangents=unit(np.repeat(tangents[:, :, None], ring, axis=2) * head.scale).reshape(-1, 3),
        uv=uv.reshape(-1, 2),
        triangles=_grid_triangles(count, steps, ring, ribbon.is_closed),
        colors=np.clip(shaded.reshape(-1, 3), 0, 1),
        roots=np.repeat(roots, steps * ring),
    )


def _section(ribbon: Ribbon) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Across in [-1, 1], height in [-1, 1] and turn of the normal (radians), ``(points,)`` each."""
    if ribbon.is_closed:
        angle = np.linspace(0, 2 * np.pi, ribbon.points, endpoint=False)
        return np.sin(angle), np.cos(angle), angle
    across = np.linspace(-1, 1, ribbon.points)
    return across, 1 - across**2 if ribbon.points > 2 else 0 * across, across * ribbon.roundness * np.pi / 2


def _columns(count: int, across: np.ndarray) -> np.ndarray:
    """Texture columns, ``(count, 1, points)``: each lock shows another strip, half the texture wide."""
    start = np.random.default_rng(count).uniform(0, 0.5, count)
    return start[:, None, None] + 0.25 * (across + 1)


def _grid_triangles(count: int, steps: int, ring: int, is_closed: bool) -> np.ndarray:
    columns = ring if is_closed else ring - 1
    lock, row, column = np.meshgrid(np.arange(count), np.arange(steps - 1), np.arange(columns), indexing="ij")
    base = lock * steps * ring + row * ring
    a, b = base + column, base + (column + 1) % ring
    c, d = a + ring, b + ring
    quads = np.stack([a, c, b, b, c, d], axis=-1)
    return quads.reshape(-1, 3).astype(np.int32)


def join(parts: Sequence[Locks]) -> Locks:
    """Several meshes as one."""
    shift = np.cumsum([0] + [len(p.positions) for p in parts[:-1]])
    merged = {
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in ("positions", "normals", "tangents", "uv", "colors", "roots")
    }
    triangles = np.concatenate([p.triangles + s for p, s in zip(parts, shift, strict=True)]).astype(np.int32)
    return Locks(triangles=triangles, **merged)


def weld(locks: Locks) -> Locks:
    """Leave out triangles without area, as those at pointed tips, and vertices none uses."""
    corners = locks.positions[locks.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    triangles = locks.triangles[area > 1e-12]
    used, index = np.unique(triangles, return_inverse=True)
    fields = ("positions", "normals", "tangents", "uv", "colors", "roots")
    kept = {name: getattr(locks, name)[used] for name in fields}
    return replace(locks, triangles=index.reshape(-1, 3).astype(np.int32), **kept)


def ripples(points: np.ndarray, wavelength: float, rng: np.random.Generator, waves: int = 7) -> np.ndarray:
    """Smooth noise, about in [-1, 1]: plane waves in random directions.

    Args:
        points: ``(..., 3)``.
        wavelength: in the points' unit.
        rng: draws directions and phases.
        waves: how many are added.

    Returns:
        ``(...)``.
    """
    directions = unit(rng.normal(size=(waves, 3))) * 2 * np.pi / wavelength * rng.uniform(0.7, 1.4, (waves, 1))
    return np.sin(points @ directions.T + rng.uniform(0, 2 * np.pi, waves)).sum(-1) / np.sqrt(2 * waves) * 1.2


def strand_texture(size: tuple[int, int], seed: int) -> np.ndarray:
    """Fine streaks along the strands, to multiply the colour of hair.

    Args:
        size: ``(h, w)`` in texels; strands run along h.
        seed: of the streaks.

    Returns:
        ``(h, w)`` in [0, 1], about 0.82 on average; wraps around across.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    v, u = np.meshgrid(np.linspace(0, 1, height), np.arange(width) / width, indexing="ij")
    streaks = np.zeros(size)
    for frequency, amount in ((3, 0.6), (6, 0.9), (11, 0.8), (17, 0.4)):
        for _ in range(4):
            cycles = int(frequency * rng.uniform(0.7, 1.3))
            drift = 0.35 * np.sin(v * rng.uniform(1, 4) + rng.uniform(0, 6)) / frequency
            fade = 0.6 + 0.4 * np.sin(v * rng.uniform(2, 7) + rng.uniform(0, 6))
            streaks += amount * fade * np.sin(2 * np.pi * (cycles * (u + drift)) + rng.uniform(0, 6))
    return np.clip(0.82 + 0.10 * streaks / streaks.std(), 0, 1)
