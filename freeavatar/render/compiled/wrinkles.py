"""The formulas of ``differentiable/folds.py`` for numba, over the queues of ``lanes.py``."""

from typing import NamedTuple

import numpy as np
from numba import njit

from freeavatar.avatars.avatar import Avatar
from freeavatar.render.compiled.kernels import LOOSE, ROW
from freeavatar.render.compiled.lanes import ALBEDO, MIRRORED, NORMAL, TANGENT, UV, N
from freeavatar.render.folds import CAVITY_COLOR, CAVITY_DEPTH

F = np.float32
_ONE, _ZERO, _HALF = F(1), F(0), F(0.5)
_TINY, _STEEP = F(1e-12), F(1 / CAVITY_DEPTH)
_RED, _GREEN, _BLUE = (F(v) for v in CAVITY_COLOR)


class Layers(NamedTuple):
    """Wrinkles in flat arrays."""

    texels: np.ndarray
    """Height and its growth along u and v, of all layers, flat, float32."""
    places: np.ndarray
    """Where each layer begins, its height and its width, ``(L, 3)`` int64."""
    boxes: np.ndarray
    """``(L, 4)`` float32: u0, v0, and texels for each unit of u and of v."""
    amounts: np.ndarray
    """Weights of the layers, ``(L,)`` float32; set for every picture."""


def pack_layers(avatar: Avatar) -> Layers:
    """An avatar's wrinkles, all at rest."""
    layers = avatar.wrinkles.layers if avatar.wrinkles else ()
    sizes = [layer.heights.shape[:2] for layer in layers]
    starts = np.cumsum([0] + [3 * h * w for h, w in sizes])[:-1]
    boxes = [
        (layer.box[0], layer.box[1], w / (layer.box[2] - layer.box[0]), h / (layer.box[3] - layer.box[1]))
        for layer, (h, w) in zip(layers, sizes, strict=True)
    ]
    return Layers(
        np.concatenate([np.zeros(0, np.float32), *(layer.heights.ravel() for layer in layers)]),
        np.array([(start, *size) for start, size in zip(starts, sizes, strict=True)], np.int64).reshape(-1, 3),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.zeros(len(layers), np.float32),
    )


@njit(**LOOSE)
def _add_layer(q, count, texels, place, box, amount):
    """Add one layer's height and slopes to the three channels from MIRRORED on."""
    start, height, width = place[0], place[1], place[2]
    for i in range(count):
        x, y = (q[UV + i] - box[0]) * box[2], (q[UV + N + i] - box[1]) * box[3]
        if x < _ZERO or y < _ZERO or x > F(width) or y > F(height):
            continue
        x, y = min(max(x - _HALF, _ZERO), F(width - 1)), min(max(y - _HALF, _ZERO), F(height - 1))
        x0, y0 = np.int64(x), np.int64(y)
        fx, fy = x - F(x0), y - F(y0)
        x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
        a, b = start + 3 * (y0 * width + x0), start + 3 * (y0 * width + x1)
        c, d = start + 3 * (y1 * width + x0), start + 3 * (y1 * width + x1)
        for k in range(3):
            top = texels[a + k] + fx * (texels[b + k] - texels[a + k])
            bottom = texels[c + k] + fx * (texels[d + k] - texels[c + k])
            q[MIRRORED + k * N + i] += amount * (top + fy * (bottom - top))


@njit(**LOOSE)
def fold(q, count, points, texels, places, boxes, amounts):
    """Tilt the normals and darken the albedo of a queue's points by the wrinkles there.

    Args:
        q: flat, ``(CHANNELS * LANES,)`` float32; its MIRRORED is overwritten.
        count: of points.
        points: the same points one after the other, ``(LANES ROW,)``; the last two floats of each are the skew.
        texels: see :class:`Layers`, as the rest.
    """
    for k in range(3):
        for i in range(count):
            q[MIRRORED + k * N + i] = _ZERO
    u0 = u1 = q[UV]
    v0 = v1 = q[UV + N]
    for i in range(1, count):
        u, v = q[UV + i], q[UV + N + i]
        u0, u1, v0, v1 = min(u0, u), max(u1, u), min(v0, v), max(v1, v)
    touched = False
    for layer in range(len(amounts)):
        box, place = boxes[layer], places[layer]
        if (
            amounts[layer] > 0
            and u1 >= box[0]
            and v1 >= box[1]
            and (u0 - box[0]) * box[2] <= F(place[2])
            and (v0 - box[1]) * box[3] <= F(place[1])
        ):
            _add_layer(q, count, texels, place, box, amounts[layer])
            touched = True
    if not touched:
        return
    for i in range(count):
        height, along_u, along_v = q[MIRRORED + i], q[MIRRORED + N + i], q[MIRRORED + 2 * N + i]
        if height == _ZERO and along_u == _ZERO and along_v == _ZERO:
            continue
        nx, ny, nz = q[NORMAL + i], q[NORMAL + N + i], q[NORMAL + 2 * N + i]
        scale = _ONE / np.sqrt(max(nx * nx + ny * ny + nz * nz, _TINY))
        nx, ny, nz = nx * scale, ny * scale, nz * scale
        tx, ty, tz = q[TANGENT + i], q[TANGENT + N + i], q[TANGENT + 2 * N + i]
        along = along_u + points[i * ROW + ROW - 2] * along_v
        across = points[i * ROW + ROW - 1] * along_v
        sx = along * tx + across * (ny * tz - nz * ty)
        sy = along * ty + across * (nz * tx - nx * tz)
        sz = along * tz + across * (nx * ty - ny * tx)
        upright = nx * sx + ny * sy + nz * sz
        q[NORMAL + i] = nx - (sx - upright * nx)
        q[NORMAL + N + i] = ny - (sy - upright * ny)
        q[NORMAL + 2 * N + i] = nz - (sz - upright * nz)
        dark = min(max(-height * _STEEP, _ZERO), _ONE)
        q[ALBEDO + i] *= _ONE - dark * _RED
        q[ALBEDO + N + i] *= _ONE - dark * _GREEN
        q[ALBEDO + 2 * N + i] *= _ONE - dark * _BLUE
