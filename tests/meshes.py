"""Small meshes for the renderer: a ball that is an avatar, and triangles at random."""

from dataclasses import replace
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np

from freeavatar.avatars import Avatar, Material, WrinkleLayer, Wrinkles
from freeavatar.render import Camera
from freeavatar.render.compiled.kernels import SUBPIXELS

CAMERA = Camera((0.0, 0.0, 0.0), 0.32)
SIZE = 16


def ball(detail: int) -> tuple[np.ndarray, np.ndarray]:
    """Icosphere: unit vertices ``(V, 3)``, triangles ``(T, 3)`` wound outwards."""
    g = (1 + 5**0.5) / 2
    points = [(s, t * g, 0.0) for s in (-1, 1) for t in (-1, 1)]
    vertices = np.array([np.roll(p, k) for k in range(3) for p in points]) / np.hypot(1, g)
    gaps = np.linalg.norm(vertices[:, None] - vertices[None], axis=2)
    near = (gaps > 0) & (gaps < gaps[gaps > 0].min() * 1.01)
    tri = np.array(
        [(a, b, c) for a in range(12) for b in range(a) for c in range(b) if near[a, b] and near[b, c] and near[a, c]]
    )
    for _ in range(detail):
        edges = np.sort(tri[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
        edges, place = np.unique(edges, axis=0, return_inverse=True)
        ab, bc, ca = (place.reshape(-1, 3) + len(vertices)).T
        a, b, c = tri.T
        middle = vertices[edges].mean(1)
        vertices = np.concatenate([vertices, middle / np.linalg.norm(middle, axis=1, keepdims=True)])
        tri = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
    corners = vertices[tri]
    outward = (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) * corners.mean(1)).sum(1) > 0
    tri[~outward] = tri[~outward][:, ::-1]
    return vertices, tri


def make_avatar(detail: int = 2) -> Avatar:
    """A ball of radius 0.1 about the origin: nose at +z, neck below y = -0.06, targets puff and drop."""
    unit, tri = ball(detail)
    is_nose, is_neck = unit[:, 2] > 0.9, unit[:, 1] < -0.6
    positions = (unit * np.where(is_nose, 0.12, 0.1)[:, None]).astype(np.float32)
    drop = np.where(unit[:, 1:2] < 0, (0.0, -0.03, 0.0), 0.0)
    count = len(unit)
    return Avatar(
        name="ball",
        path=Path("ball.glb"),
        content="ball",
        license="CC0",
        author="test",
        positions=positions,
        normals=unit.astype(np.float32),
        tangents=np.zeros((count, 3), np.float32),
        uv=(unit[:, :2] / 2 + 0.5).astype(np.float32),
        colors=np.where(is_nose[:, None], (0.8, 0.02, 0.02), (0.3, 0.4, 0.4)).astype(np.float32),
        triangles=tri.astype(np.int32),
        material=np.zeros(count, np.int32),
        materials=(Material("skin", (1.0, 1.0, 1.0), 0.6, None),),
        target_names=("puff", "drop"),
        correctives=(),
        drive=np.zeros((2, 52), np.float32),
        target_positions=np.stack([unit * 0.02, drop]).astype(np.float32),
        target_normals=np.zeros((2, count, 3), np.float32),
        head_weight=(~is_neck).astype(np.float32),
        head_pivot=np.zeros(3, np.float32),
        landmarks=None,
    )


def wrinkled(avatar: Avatar, depth: float = 0.002) -> Avatar:
    """The same with a ring of waves that follows puff, and one over a part of it that puff without drop brings."""
    y, x = np.mgrid[:64, :48] / np.array((32.0, 24.0))[:, None, None] - 1
    height = depth * np.cos(14 * np.hypot(x, y)) * np.clip(1 - np.hypot(x, y), 0, 1)
    slopes = np.gradient(height, axis=(1, 0))
    layers = [
        WrinkleLayer(
            name, box, np.stack([height, slopes[0] * 48 / w, slopes[1] * 64 / h], -1).astype(np.float32), terms
        )
        for name, box, w, h, terms in (
            ("all", (0.2, 0.15, 0.8, 0.85), 0.6, 0.7, ((1.0, ("puff",)),)),
            ("part", (0.3, 0.4, 0.6, 0.7), 0.3, 0.3, ((0.3, ("puff", "!drop")), (0.2, ("drop",)))),
        )
    ]
    return replace(avatar, wrinkles=Wrinkles((0,), tuple(layers)))


def crumbled(avatar: Avatar, size: float) -> Avatar:
    """Every triangle alone, shrunk to ``size`` of itself."""
    index = avatar.triangles.ravel()
    corners = avatar.positions[avatar.triangles]
    middle = corners.mean(1, keepdims=True)
    parts = {
        name: getattr(avatar, name)[index]
        for name in ("normals", "tangents", "uv", "colors", "material", "head_weight")
    }
    return replace(
        avatar,
        positions=(middle + size * (corners - middle)).reshape(-1, 3),
        triangles=np.arange(len(index), dtype=np.int32).reshape(-1, 3),
        target_positions=avatar.target_positions[:, index],
        target_normals=avatar.target_normals[:, index],
        **parts,
    )


def clip(pixels: object, z: float = 0.0) -> np.ndarray:
    """Clip positions, w = 1, of points given in pixels of a square image."""
    xy = np.asarray(pixels, float) / (SIZE / 2) - 1
    return np.concatenate([xy, np.full((len(xy), 1), z), np.ones((len(xy), 1))], axis=1)


def snapped(pos: np.ndarray) -> list[tuple[int, int]]:
    scale = Fraction(SIZE * SUBPIXELS, 2)
    half = Fraction(1, 2)
    return [tuple(floor((Fraction(v) / Fraction(p[3]) + 1) * scale + half) for v in p[:2]) for p in pos]


def inside(corners: list[tuple[int, int]], x: int, y: int) -> tuple[int, int, int] | None:
    """Edge functions at a point, or None outside of a clockwise (y down) triangle by the top-left rule."""
    values = []
    for k in range(3):
        (x0, y0), (x1, y1) = corners[(k + 1) % 3], corners[(k + 2) % 3]
        value = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        is_top, is_left = y0 == y1 and x1 > x0, y1 < y0
        if value < 0 or (value == 0 and not (is_top or is_left)):
            return None
        values.append(value)
    return values[0], values[1], values[2]


def soup(rng: np.random.Generator, triangles: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangles that share vertices and edges; half of the vertices lie on pixel centres and corners."""
    xy = rng.uniform(-4, SIZE + 4, (60, 2))
    xy[::2] = np.round(xy[::2] * 2) / 2
    pos = clip(xy)
    pos[:, 2] = rng.uniform(-1.3, 1.3, len(pos))
    tri = np.stack([rng.choice(len(pos), 3, replace=False) for _ in range(triangles)])
    w = np.where(np.arange(len(pos)) % 3 == 0, 2.0, 1.0)
    return pos * w[:, None], tri


def nearest(pos: np.ndarray, tri: np.ndarray) -> dict[tuple[int, int], dict[int, Fraction]]:
    """Exact depth of every triangle at every pixel ``(y, x)`` it covers."""
    points, found = snapped(pos), {}
    depth = [Fraction(p[2]) / Fraction(p[3]) for p in pos]
    for t, (a, b, c) in enumerate(tri.tolist()):
        (ax, ay), (bx, by), (cx, cy) = points[a], points[b], points[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        b, c = (b, c) if area > 0 else (c, b)
        for y, x in np.ndindex(SIZE, SIZE):
            centre = (x * SUBPIXELS + SUBPIXELS // 2, y * SUBPIXELS + SUBPIXELS // 2)
            edges = inside([points[a], points[b], points[c]], *centre)
            if edges is not None:
                z = (edges[0] * depth[a] + edges[1] * depth[b] + edges[2] * depth[c]) / abs(area)
                if -1 <= z <= 1:
                    found.setdefault((y, x), {})[t] = z
    return found


AVATAR = make_avatar()
