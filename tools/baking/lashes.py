"""Lashes: along each lid one dark strip from the line of the lid to a saw of pointed tips."""

from dataclasses import dataclass

import numpy as np

from tools.baking.footing import Footing
from tools.baking.lids import lid_edge
from tools.baking.shape import HeadShape, unit
from tools.baking.strands import Color, Locks, join, to_linear


@dataclass(frozen=True)
class LashStyle:
    """Lengths in millimetres on a face of average size."""

    color: Color = (0.05, 0.04, 0.035)
    upper: int = 32
    """Points of the saw of each upper lid."""
    lower: int = 16
    length: float = 6.4
    """Of the longest, at the upper lid."""
    lower_length: float = 1.0
    curl: float = 0.45
    line: float = 0.8
    """Height of the dark line on the upper lid."""
    seed: int = 0


_NOTCH = (0.25, 0.55)
"""Length of a strip between two points, from the least to the most, in parts of the points' length."""
_SOFT: Color = (0.52, 0.35, 0.29)
"""What lower lashes are blended with: so few and fine that the skin shines through."""


def grow_lashes(head: HeadShape, style: LashStyle) -> tuple[Locks, Footing]:
    """Grow lashes on the edges of both lids of both eyes; at most 900 vertices.

    Returns:
        The strips, and the place on the edge of the lid each vertex belongs to.
    """
    rng = np.random.default_rng(style.seed)
    strips, places = [], []
    for eye in (0, 1):
        for is_upper in (True, False):
            strip, place = _strip(head, style, eye, is_upper, rng)
            strips.append(strip)
            places.append(place)
    joined = Footing(*(np.concatenate([getattr(p, name) for p in places]) for name in ("corners", "weights")))
    return join(strips), joined


def _strip(
    head: HeadShape, style: LashStyle, eye: int, is_upper: bool, rng: np.random.Generator
) -> tuple[Locks, Footing]:
    mm, outer, up = head.size / 1000, 1.0 if eye == 0 else -1.0, 1.0 if is_upper else -1.0
    teeth = style.upper if is_upper else style.lower
    u = np.linspace(0, 1, 2 * teeth + 1)
    edge = lid_edge(head, eye, is_upper=is_upper, at=0.05 + 0.94 * u if is_upper else 0.20 + 0.77 * u)
    root = edge.of(head.positions)
    away = unit(root - head.eyes[eye])
    rise = unit(np.array([0, up, 0]) - up * away[:, 1:2] * away)
    swell = np.clip(np.minimum(0.25 + 3 * u, 0.3 + 8 * (1 - u)), 0, 1)[:, None] * mm
    line = root + rise * (style.line if is_upper else 0.25) * swell * (0.7 + 0.5 * u[:, None]) + away * 0.28 * mm
    rim = root + away * 0.25 * mm - rise * (0.10 * mm if is_upper else 0)
    length = (
        (style.length if is_upper else style.lower_length)
        * mm
        * (np.clip(0.35 + 0.85 * np.sin(np.pi * (0.08 + 0.80 * u)) * (0.7 + 0.45 * u), 0, 1.15))
    )
    is_tip = np.arange(len(u)) % 2 == 1
    length = length * np.where(is_tip, rng.uniform(0.85, 1.1, len(u)), rng.uniform(*_NOTCH, len(u)))
    fan = outer * 1.4 * (u - 0.35) + is_tip * 0.10 * rng.normal(size=len(u))
    start = unit(np.stack([fan, np.full(len(u), 0.10 * up), np.ones(len(u))], axis=1) + 0.5 * away)
    lift = np.array([0, up * style.curl * 1.1, -0.12])
    rows = [line, rim] + [rim + length[:, None] * (a * start + a**2 * lift) for a in (0.5, 1.0)]
    paths = np.stack(rows)
    color = to_linear(style.color) if is_upper else 0.35 * to_linear(style.color) + 0.65 * to_linear(_SOFT)
    count = paths.shape[1]
    a = (np.arange(3)[:, None] * count + np.arange(count - 1)).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + count], 1), np.stack([a + 1, a + 1 + count, a + count], 1)])
    everywhere = np.tile(np.arange(count), 4)
    strip = Locks(
        positions=paths.reshape(-1, 3), normals=np.tile(away, (4, 1)), tangents=np.tile(start, (4, 1)),
        uv=np.stack([np.tile(u, 4), np.repeat([0, 0, 0.5, 1], count)], axis=1), triangles=faces.astype(np.int32),
        colors=np.tile(color, (4 * count, 1)), roots=edge.corners[everywhere, 0],
    )  # fmt: skip
    return strip, edge[everywhere]
