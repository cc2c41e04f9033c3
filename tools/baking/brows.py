"""Brows: a shade painted on the skin, and fine hairs over it that stand on the skin wherever it moves."""

from dataclasses import dataclass, replace

import numpy as np

from tools.baking.footing import Footing
from tools.baking.lids import lid_rim
from tools.baking.shape import HeadShape, nearest, smoothstep, unit
from tools.baking.strands import Color, Locks, Ribbon, join, sweep, to_linear, weld

_HAIR = Ribbon(0.8, root=0.8, belly=0.35, points=2)
_LIFT = (0.16, 0.5, 0.55)
"""Height of a hair's root, middle and tip above the skin, mm."""


@dataclass(frozen=True)
class BrowStyle:
    """Lengths in millimetres on a face of average size; colours sRGB; amounts in [0, 1]."""

    color: Color = (0.16, 0.11, 0.08)
    thickness: float = 0.5
    arch: float = 0.5
    angle: float = 0.0
    """Height of the tail above the head of the brow, mm."""
    length: float = 42.0
    hairs: int = 72
    """On each side."""
    density: float = 0.85
    """How much of the skin the painted shade covers."""
    height: float = 0.0
    """Shift upwards, mm."""
    mess: float = 0.3
    seed: int = 0

    def rise(self, u: np.ndarray) -> np.ndarray:
        """Height of the middle of the brow at places ``u`` from 0 at its head to 1 at its tail, mm."""
        arc = (2.5 + 4.5 * self.arch) * np.sin(np.pi * np.clip(u, 0, 1.2) ** 1.35)
        return arc - 3.0 * np.clip(u, 0, None) ** 2.2 + self.angle * u

    def half(self, u: np.ndarray) -> np.ndarray:
        """Half the height of the brow at places ``u``, mm."""
        u = np.clip(u, 0, 1)
        return (2.1 + 3.0 * self.thickness) * (1 - 0.72 * u**1.7) * (0.72 + 0.28 * np.clip(u / 0.2, 0, 1))


def skin_under(head: HeadShape, xy: np.ndarray) -> Footing:
    """The skin seen from the front at places ``xy``, ``(N, 2)`` metres."""
    low, high = xy.min(0) - 0.01, xy.max(0) + 0.01
    tri = head.triangles
    corners = head.positions[tri]
    around = (corners[..., :2].max(1) > low).all(1) & (corners[..., :2].min(1) < high).all(1)
    tri = tri[around & (head.normals[tri, 2].mean(1) > 0.1)]
    a, b, c = np.moveaxis(head.positions[tri][..., :2], 1, 0)
    area = _cross(b - a, c - a)
    p = xy[:, None]
    weights = np.stack([_cross(b - p, c - p), _cross(c - p, a - p), _cross(a - p, b - p)], axis=-1)
    weights = weights / np.where(np.abs(area) < 1e-12, 1e-12, area)[:, None]
    depth = (weights * head.positions[tri, 2]).sum(-1)
    inside = weights.min(-1)
    best = np.where(inside > -1e-6, depth, -9 + np.minimum(inside, 0)).argmax(1)
    chosen = np.clip(weights[np.arange(len(xy)), best], 0, 1)[..., None]
    chosen = chosen / chosen.sum(1, keepdims=True)
    return Footing(tri[best], chosen[..., 0])


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _origin(head: HeadShape, style: BrowStyle, eye: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the flat frame of a brow begins, ``(2,)`` metres, and its axes' lengths: towards the tail and up."""
    mm, centre, outer = head.size / 1000, head.eyes[eye], 1.0 if eye == 0 else -1.0
    top = head.positions[lid_rim(head, eye), 1].max()
    return np.array([centre[0] - 0.43 * style.length * outer * mm, top + (9.0 + style.height) * mm]), np.array(
        [outer * mm, mm]
    )


def brow_middle(head: HeadShape, style: BrowStyle, xy: np.ndarray) -> np.ndarray:
    """Places ``(N, 2)`` metres in the middle of a brow's height, above or below places ``xy``."""
    middle = xy.copy()
    for eye in (0, 1):
        start, axes = _origin(head, style, eye)
        u = (xy[:, 0] - start[0]) / (axes[0] * style.length)
        here = (xy[:, 0] > 0) == (eye == 0)
        middle[here, 1] = start[1] + axes[1] * style.rise(u[here])
    return middle


def brow_shade(head: HeadShape, style: BrowStyle, points: np.ndarray) -> np.ndarray:
    """How much of the brows' colour points of the skin ``(..., 3)`` take on, in [0, 1], ``(...)``."""
    rng = np.random.default_rng(style.seed)
    total = np.zeros(points.shape[:-1])
    for eye in (0, 1):
        start, axes = _origin(head, style, eye)
        x, y = np.moveaxis((points[..., :2] - start) / axes, -1, 0)
        u = x / style.length
        v = (y - style.rise(u)) / style.half(u)
        # Streaks across the slope of the hairs break up the edge, most at the upper one and at the head.
        streak = 0.5 + 0.5 * np.sin(
            2.4 * x - 1.1 * y * np.clip(1.5 - u, 0, 1) + 1.3 * np.sin(0.9 * x) + rng.uniform(0, 6)
        )
        ragged = v + 0.30 * (streak - 0.5) * np.sign(v)
        body = smoothstep(1.25, 0.55, np.abs(ragged)) * smoothstep(-0.05, 0.12 + 0.06 * streak, u)
        body = body * smoothstep(1.06, 0.86, u) * (points[..., 2] > head.eyes[eye, 2] - 0.01)
        total = np.maximum(total, body * (0.86 + 0.14 * streak))
    return style.density * total


def grow_brows(head: HeadShape, style: BrowStyle) -> Locks:
    """Grow both brows: short fine hairs on an arch above each eye; at most 1,000 vertices."""
    rng = np.random.default_rng(style.seed)
    return join([_brow(head, style, eye, rng) for eye in (0, 1)])


def _brow(head: HeadShape, style: BrowStyle, eye: int, rng: np.random.Generator) -> Locks:
    mm = head.size / 1000
    u = (np.arange(style.hairs) + rng.uniform(0, 1, style.hairs)) / style.hairs * 0.97
    v = (0.5 + np.arange(style.hairs) * 0.618) % 1 * 1.8 - 1.0
    root = np.stack([u * style.length, style.rise(u) + v * style.half(u)], axis=1)
    slope = np.radians(72 - 56 * np.clip(u / 0.35, 0, 1) - 32 * np.clip((u - 0.35) / 0.65, 0, 1))
    slope = slope - np.radians(24) * v * np.clip(u * 5, 0, 1) + style.mess * rng.normal(0, 0.20, len(u))
    heading = np.stack([np.cos(slope), np.sin(slope)], axis=1)
    length = (6.4 - 1.8 * u) * (0.7 + 0.4 * style.thickness) * rng.uniform(0.75, 1.15, len(u))
    along = np.linspace(0, 1, len(_LIFT))
    bend = np.stack([heading[:, 1], -heading[:, 0]], axis=1) * (0.18 * length)[:, None]
    flat = root[:, None] + (length[:, None] * along)[..., None] * heading[:, None] + along[:, None] ** 2 * bend[:, None]
    start, axes = _origin(head, style, eye)
    footing = skin_under(head, start + flat.reshape(-1, 2) * axes)
    points, normals = footing.of(head.positions), unit(footing.of(head.normals))
    raised = points + normals * (np.tile(_LIFT, len(u)) * mm)[:, None]
    shape = (len(u), len(_LIFT), 3)
    dark = 1 + 0.25 * rng.uniform(-1, 1, (len(u), 1, 1))
    colors = np.broadcast_to(to_linear(style.color), shape) * dark
    roots = nearest(points.reshape(shape)[:, 0], head.positions)
    paths, outward = head.to_model(raised).reshape(shape), normals.reshape(shape)
    widths = np.full(len(u), head.size) * rng.uniform(0.8, 1.2, len(u))
    hairs = weld(sweep(head, paths, outward, _HAIR, colors, widths=widths, roots=roots))
    normals = unit(skin_under(head, hairs.positions[:, :2]).of(head.normals))
    return replace(hairs, normals=normals)
