"""From visible triangles to bytes: each pixel is shaded once where its samples lie on one smooth surface, and once
for every surface where they do not, so edges are antialiased at little more than the price of one sample.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from freeavatar.render.compiled.kernels import FAST, LOOSE, ROW
from freeavatar.render.compiled.lanes import (
    ALBEDO,
    KEY,
    LANES,
    RADIANCE,
    TONE_ENTRIES,
    UV,
    VIEW,
    N,
    shade_queue,
)
from freeavatar.render.compiled.wrinkles import fold
from freeavatar.render.shadow import BIAS, BLEEDING, LEAST_VARIANCE

ROWS = 8
"""Rows of pixels that a thread shades at a time."""

F = np.float32


class Mesh(NamedTuple):
    """What is drawn, in flat arrays."""

    triangles: np.ndarray
    """``(3 T,)`` int32."""
    posed: np.ndarray
    """Vertices, ``(V ROW,)`` float32."""
    clip: np.ndarray
    """Clip positions, ``(4 V,)`` float32."""


class Materials(NamedTuple):
    """What the mesh is made of."""

    of_triangle: np.ndarray
    """``(T,)`` int32."""
    table: np.ndarray
    """Of :func:`freeavatar.render.surfaces.material_table`, ``(M, 12)``."""
    texture: np.ndarray
    """Index of each material's texture, -1 for none, ``(M,)`` int64."""
    reach: np.ndarray
    """What widens what passes as one surface, ``(M,)``."""
    folds: np.ndarray
    """Whether each material has wrinkles, ``(M,)`` bool."""
    texels: np.ndarray
    """Of all textures, flat, uint8."""
    places: np.ndarray
    """Where each texture begins, its height and its width, ``(X, 3)`` int64."""
    linear: np.ndarray
    """Linear light of every byte, ``(256,)`` float32."""


class Lights(NamedTuple):
    """What shines."""

    directed: np.ndarray
    """Directions and colours, ``(L, 6)`` float32; the first is the key light."""
    sky: np.ndarray
    """``(3,)``."""
    ground: np.ndarray
    """``(3,)``."""
    to_key: np.ndarray
    """Matrix of the key light, ``(4, 4)``."""


class Scene(NamedTuple):
    """Those lights, flat as numba wants it, the shadow of the key light, and the eye."""

    directed: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    to_key: np.ndarray
    moments: np.ndarray
    """Of the key light's map, ``(S, S, 2)``."""
    shadow: np.float32
    """How strong it is, in [0, 1]."""
    eye: np.ndarray
    """``(3,)``."""


class Queues(NamedTuple):
    """Points that wait to be shaded, of one worker, or with an axis before of all."""

    points: np.ndarray
    """``(M LANES ROW,)`` float32."""
    channels: np.ndarray
    """``(M, CHANNELS LANES)`` float32."""
    pixels: np.ndarray
    """Where they go, ``(M, LANES)`` int64."""
    weights: np.ndarray
    """Their share of the pixel, ``(M, LANES)`` float32."""
    counts: np.ndarray
    """How many wait, ``(M,)`` int64."""
    totals: np.ndarray
    """sRGB times 255 and coverage of a band's pixels, ``(ROWS W, 4)`` float32."""


_ONE, _ZERO = F(1), F(0)
_BIAS, _LEAST_VARIANCE = F(BIAS), F(LEAST_VARIANCE)
_BLEEDING, _UNBLEED = F(BLEEDING), F(1 / (1 - BLEEDING))


@njit(**FAST)
def _key_light(x, y, z, matrix, moments, strength):
    """How much of the key light arrives at a point of the world; as :func:`shadow.key_light`."""
    size = moments.shape[0]
    u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]
    v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]
    depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
    half, last = F(size) * F(0.5), F(size - 1)
    u = min(max((u + _ONE) * half - F(0.5), _ZERO), last)
    v = min(max((v + _ONE) * half - F(0.5), _ZERO), last)
    x0, y0 = min(np.int64(u), size - 2), min(np.int64(v), size - 2)
    fx, fy = u - F(x0), v - F(y0)
    top = moments[y0, x0, 0] + fx * (moments[y0, x0 + 1, 0] - moments[y0, x0, 0])
    bottom = moments[y0 + 1, x0, 0] + fx * (moments[y0 + 1, x0 + 1, 0] - moments[y0 + 1, x0, 0])
    mean = top + fy * (bottom - top)
    behind = depth - _BIAS - mean
    if behind <= _ZERO:
        return _ONE
    top = moments[y0, x0, 1] + fx * (moments[y0, x0 + 1, 1] - moments[y0, x0, 1])
    bottom = moments[y0 + 1, x0, 1] + fx * (moments[y0 + 1, x0 + 1, 1] - moments[y0 + 1, x0, 1])
    variance = max(top + fy * (bottom - top) - mean * mean, _LEAST_VARIANCE)
    lit = (variance / (variance + behind * behind) - _BLEEDING) * _UNBLEED
    return _ONE - strength * (_ONE - min(max(lit, _ZERO), _ONE))


@njit(**LOOSE)
def _tint(q, count, texels, place, linear):
    """Multiply the albedo of points by a texture, bilinear, wrapping."""
    start, height, width = place[0], place[1], place[2]
    for i in range(count):
        x, y = q[UV + i] * F(width) - F(0.5), q[UV + N + i] * F(height) - F(0.5)
        x0, y0 = np.int64(np.floor(x)), np.int64(np.floor(y))
        fx, fy = x - F(x0), y - F(y0)
        x1, y1 = x0 + 1, y0 + 1
        if x0 < 0 or x1 >= width:
            x0, x1 = x0 % width, x1 % width
        if y0 < 0 or y1 >= height:
            y0, y1 = y0 % height, y1 % height
        a, b = np.uint64(start + 3 * (y0 * width + x0)), np.uint64(start + 3 * (y0 * width + x1))
        c, d = np.uint64(start + 3 * (y1 * width + x0)), np.uint64(start + 3 * (y1 * width + x1))
        for k in range(3):
            e = np.uint64(k)
            top = linear[texels[a + e]] * (_ONE - fx) + linear[texels[b + e]] * fx
            bottom = linear[texels[c + e]] * (_ONE - fx) + linear[texels[d + e]] * fx
            q[ALBEDO + k * N + i] *= top * (_ONE - fy) + bottom * fy


@njit(**LOOSE)
def _gather(points, at, t, x, y, tri, posed, clip):
    """Write vertices interpolated over triangle ``t`` at NDC ``(x, y)`` as point ``at``, ``ROW`` floats.

    All arrays are flat.
    """
    a, b, c = np.uint64(tri[3 * t]), np.uint64(tri[3 * t + 1]), np.uint64(tri[3 * t + 2])
    four, one, three, row = np.uint64(4), np.uint64(1), np.uint64(3), np.uint64(ROW)
    a4, b4, c4 = a * four, b * four, c * four
    aw, bw, cw = clip[a4 + three], clip[b4 + three], clip[c4 + three]
    ax, ay = clip[a4] - x * aw, clip[a4 + one] - y * aw
    bx, by = clip[b4] - x * bw, clip[b4 + one] - y * bw
    cx, cy = clip[c4] - x * cw, clip[c4 + one] - y * cw
    u, v, w = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
    total = u + v + w
    scale = _ONE / total if total != _ZERO else _ZERO
    u, v = min(max(u * scale, _ZERO), _ONE), min(max(v * scale, _ZERO), _ONE)
    scale = _ONE / max(u + v, _ONE)
    u, v = u * scale, v * scale
    w = _ONE - u - v
    a, b, c, place = a * row, b * row, c * row, np.uint64(at) * row
    for k in range(ROW):
        e = np.uint64(k)
        points[place + e] = u * posed[a + e] + v * posed[b + e] + w * posed[c + e]


@njit(**LOOSE)
def _turn_over(points, count, eye, q):
    """Points, one after the other, to the channels of a queue."""
    for k in range(ROW - 2):
        for i in range(count):
            q[k * N + i] = points[i * ROW + k]
    for k in range(3):
        for i in range(count):
            q[VIEW + k * N + i] = eye[k] - q[VIEW + k * N + i]


@njit(**LOOSE)
def _flush(queues, m, materials, layers, scene, tones):
    """Shade the points waiting in queue ``m`` and add them to the totals."""
    points, q = queues.points[m * LANES * ROW : (m + 1) * LANES * ROW], queues.channels[m]
    count, texture = queues.counts[m], materials.texture[m]
    for i in range(count):
        key = _ONE
        if scene.shadow > 0:
            x, y, z = points[ROW * i], points[ROW * i + 1], points[ROW * i + 2]
            key = _key_light(x, y, z, scene.to_key, scene.moments, scene.shadow)
        q[KEY + i] = key
    _turn_over(points, count, scene.eye, q)
    if texture >= 0:
        _tint(q, count, materials.texels, materials.places[texture], materials.linear)
    if materials.folds[m] and layers.amounts.any():
        fold(q, count, points, layers.texels, layers.places, layers.boxes, layers.amounts)
    shade_queue(q, count, materials.table[m], scene.directed, scene.sky, scene.ground)
    for i in range(count):
        pixel, weight = queues.pixels[m, i], queues.weights[m, i]
        for k in range(3):
            place = min(max(np.int64(q[RADIANCE + k * N + i]), 0), TONE_ENTRIES - 1)
            queues.totals[pixel, k] += weight * tones[place]
        queues.totals[pixel, 3] += weight
    queues.counts[m] = 0


@njit(inline="always", **FAST)
def _is_one_surface(plane, material, reach, first, other, x, y, step):
    """Whether two triangles meet smoothly at sample ``(x, y)``: one material, depth and slope.

    ``reach`` widens what passes as smooth: between locks of hair a pixel need not be shaded twice.
    """
    if first == other:
        return True
    if material[first] != material[other]:
        return False
    dx, dy = plane[first, 0] - plane[other, 0], plane[first, 1] - plane[other, 1]
    dz = dx * x + dy * y + plane[first, 2] - plane[other, 2]
    step *= reach[material[first]]
    return abs(dz) < 0.75 * step and abs(dx) < step and abs(dy) < step


@njit(**FAST)
def _finish(total, y, row, width, backdrop, out):
    """Write one row of pixels."""
    channels = out.shape[2]
    for x in range(width):
        place = row * width + x
        cover = total[place, 3]
        if channels == 4:
            scale = _ONE / cover if cover > 0 else _ZERO
            for k in range(3):
                out[y, x, k] = np.uint8(min(total[place, k] * scale + F(0.5), F(255)))
            out[y, x, 3] = np.uint8(min(cover * F(255) + F(0.5), F(255)))
        else:
            for k in range(3):
                color = total[place, k] + max(_ONE - cover, _ZERO) * backdrop[y, k]
                out[y, x, k] = np.uint8(min(color + F(0.5), F(255)))


@njit(inline="always", **FAST)
def _group(ids, y, x, s, done, plane, material, reach, step):
    """Samples of pixel ``(y, x)`` on one surface with its sample ``s``, but those ``done``.

    Returns:
        ``(done, members, sx, sy)``: bits of the samples, how many joined, and the sum of where they lie.
    """
    t = ids[2 * y + (s >> 1), 2 * x + (s & 1)]
    members, sx, sy = 0, 0, 0
    for r in range(s, 4):
        px, py = 2 * x + (r & 1), 2 * y + (r >> 1)
        other = ids[py, px]
        if other >= 0 and not (done >> r) & 1 and _is_one_surface(plane, material, reach, t, other, px, py, step):
            done |= 1 << r
            members += 1
            sx += px
            sy += py
    return done, members, sx, sy


@njit(inline="always", **FAST)
def _enqueue(queues, m, t, x, y, pixel, weight, mesh):
    """Let triangle ``t`` at NDC ``(x, y)`` wait in queue ``m``; whether that is full now."""
    at = queues.counts[m]
    _gather(queues.points, m * LANES + at, t, x, y, mesh.triangles, mesh.posed, mesh.clip)
    queues.pixels[m, at], queues.weights[m, at] = pixel, weight
    queues.counts[m] = at + 1
    return at + 1 == LANES


@njit(**FAST)
def _resolve_band(top, queues, ids, plane, step, mesh, materials, layers, scene, tones, backdrop, out):
    """Shade ``ROWS`` rows of pixels from row ``top`` on."""
    material, reach = materials.of_triangle, materials.reach
    height, width = out.shape[0], out.shape[1]
    across, down = F(1 / width), F(1 / height)
    bottom = min(top + ROWS, height)
    queues.totals[: (bottom - top) * width] = 0
    for y in range(top, bottom):
        for x in range(width):
            i0, i1 = ids[2 * y, 2 * x], ids[2 * y, 2 * x + 1]
            i2, i3 = ids[2 * y + 1, 2 * x], ids[2 * y + 1, 2 * x + 1]
            if (i0 & i1 & i2 & i3) == -1:
                continue
            is_whole = i0 == i1 and i0 == i2 and i0 == i3
            pixel, done = (y - top) * width + x, 0
            for s in range(4):
                t = ids[2 * y + (s >> 1), 2 * x + (s & 1)]
                if t < 0 or (done >> s) & 1:
                    continue
                if is_whole:
                    done, members, sx, sy = 15, 4, 8 * x + 2, 8 * y + 2
                else:
                    done, members, sx, sy = _group(ids, y, x, s, done, plane, material, reach, step)
                part = _ONE / F(members)
                fx, fy = (F(sx) * part + F(0.5)) * across - _ONE, (F(sy) * part + F(0.5)) * down - _ONE
                if _enqueue(queues, material[t], t, fx, fy, pixel, F(0.25) * F(members), mesh):
                    _flush(queues, material[t], materials, layers, scene, tones)
    for m in range(len(materials.texture)):
        _flush(queues, m, materials, layers, scene, tones)
    for y in range(top, bottom):
        _finish(queues.totals, y, y - top, width, backdrop, out)


@njit(parallel=True, **FAST)
def resolve(ids, plane, step, mesh, materials, layers, scene, tones, backdrop, queues, workers, out):
    """Shade what ``ids`` shows into ``out``.

    Args:
        ids: triangle of each sample, ``(2H, at least 2W)`` int32, -1 where none.
        plane: depth of each triangle over samples, ``(T, 3)`` float64.
        step: the depth that is as far as two samples are apart.
        mesh: a :class:`Mesh`.
        materials: its :class:`Materials`.
        layers: its wrinkles, :class:`freeavatar.render.compiled.wrinkles.Layers`.
        scene: a :class:`Scene`.
        tones: display values of radiance.
        backdrop: sRGB times 255 of each row, ``(H, 3)`` float32.
        queues: the :class:`Queues` of all workers.
        workers: how many share the rows.
        out: ``(H, W, 3 or 4)`` uint8, written.
    """
    height = out.shape[0]
    bands = (height + ROWS - 1) // ROWS
    for worker in prange(workers):
        own = Queues(
            queues.points[worker], queues.channels[worker], queues.pixels[worker], queues.weights[worker],
            queues.counts[worker], queues.totals[worker],
        )  # fmt: skip
        for band in range(worker, bands, workers):
            _resolve_band(band * ROWS, own, ids, plane, step, mesh, materials, layers, scene, tones, backdrop, out)


@njit(parallel=True, **FAST)
def depth_moments(ids, depths, empty, kernel, rows, moments):
    """Blurred depth and squared depth of a map; as :func:`shadow.shadow_moments`.

    Args:
        ids: triangle of each texel, ``(S, S)`` int32.
        depths: ``(S, S)`` float32.
        empty: depth where there is none.
        kernel: of the blur, ``(9,)`` float32.
        rows: scratch, ``(S, S, 2)`` float32.
        moments: written, ``(S, S, 2)`` float32.
    """
    size, reach = ids.shape[0], len(kernel) // 2
    for y in prange(size):
        rows[y] = 0
        for k in range(len(kernel)):
            for x in range(size):
                at = min(max(x + k - reach, 0), size - 1)
                depth = depths[y, at] if ids[y, at] >= 0 else empty
                rows[y, x, 0] += kernel[k] * depth
                rows[y, x, 1] += kernel[k] * depth * depth
    for y in prange(size):
        moments[y] = 0
        for k in range(len(kernel)):
            at = min(max(y + k - reach, 0), size - 1)
            for x in range(size):
                for c in range(2):
                    moments[y, x, c] += kernel[k] * rows[at, x, c]
