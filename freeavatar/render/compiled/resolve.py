"""From visible triangles to bytes: each pixel is lit once where its samples lie on one smooth surface, and once for
every surface where they do not, so edges are antialiased at little more than the price of one sample.

Four pixels are lit once where they lie on one surface that hardly bends; each of them reads its own texture.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from freeavatar.render.compiled.kernels import BARE, INLINE, LOOSE, LOOSE_INLINE, ROW, SUBPIXELS
from freeavatar.render.compiled.lanes import (
    KEY,
    LANES,
    TEXEL,
    TONE_ENTRIES,
    UV,
    VIEW,
    N,
    index_tones,
    light_queue,
)
from freeavatar.render.compiled.shadow import key_light
from freeavatar.render.compiled.wrinkles import fold

ROWS = 16
"""Rows of pixels shaded at a time."""
STRAIGHT = 0.02
"""Change of the unit normal from pixel to pixel below which four are lit as one."""

F = np.float32


class Mesh(NamedTuple):
    """What is drawn, in flat arrays."""

    triangles: np.ndarray
    """``(3 T,)`` int32."""
    posed: np.ndarray
    """Vertices, ``(V ROW,)`` float32."""
    clip: np.ndarray
    """Clip positions, ``(4 V,)`` float32."""
    xy: np.ndarray
    """Vertices on the raster, ``(V, 2)`` int32."""
    bend: np.ndarray
    """Squared change of the unit normal from pixel to pixel on each triangle, ``(T,)`` float32; -1 where not yet
    known."""
    row: int
    """``ROW``: given as a number that the compiler does not know, it mixes vertices by whole vectors."""


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
    straight: np.ndarray
    """Change of the normal from pixel to pixel below which four are lit as one, ``(M,)`` float32; squared."""
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
    """Points that wait to be shaded.

    Of each material there are two queues: ``m`` for single pixels, and ``M + m`` for squares of four.
    """

    triangles: np.ndarray
    """On which triangle each point lies, ``(2 M, LANES)`` int32."""
    places: np.ndarray
    """Where in NDC, all x and then all y, ``(2 M, 2 LANES)`` float32."""
    pixels: np.ndarray
    """Where they go, ``(2 M, LANES)`` int64; of a square the first pixel."""
    weights: np.ndarray
    """Their share of the pixel, ``(2 M, LANES)`` float32."""
    counts: np.ndarray
    """How many wait, ``(2 M,)`` int64."""
    shares: np.ndarray
    """Of the queue being shaded: the weights of the triangle's first two corners, and their change to the next pixel
    and to the next row, ``(6 LANES,)`` float32."""
    points: np.ndarray
    """Its points, one after the other, ``(LANES ROW,)`` float32."""
    slopes: np.ndarray
    """Change of u and v to the next pixel and to the next row, ``(4 LANES,)`` float32."""
    channels: np.ndarray
    """Its points, channel by channel, ``(CHANNELS LANES,)`` float32."""
    totals: np.ndarray
    """sRGB times 255 and coverage of a band's pixels, ``(ROWS W, 4)`` float32; zeros between bands."""


_ONE, _ZERO, _TINY = F(1), F(0), F(1e-12)
_PIXEL = F((2 * SUBPIXELS) ** 2)


@njit(**LOOSE)
def _read_texture(q, count, slopes, right, down, texels, place, linear):
    """Fill TEXEL from a texture, bilinear, wrapping, ``right`` and ``down`` pixels from the points."""
    start, height, width = place[0], place[1], place[2]
    for i in range(count):
        u = q[UV + i] + right * slopes[i] + down * slopes[2 * N + i]
        v = q[UV + N + i] + right * slopes[N + i] + down * slopes[3 * N + i]
        x, y = u * F(width) - F(0.5), v * F(height) - F(0.5)
        x0, y0 = np.int64(np.floor(x)), np.int64(np.floor(y))
        fx, fy = x - F(x0), y - F(y0)
        x1, y1 = x0 + 1, y0 + 1
        if x0 < 0 or x0 >= width - 1:
            x0, x1 = x0 % width, (x0 % width + 1) % width
        if y0 < 0 or y0 >= height - 1:
            y0, y1 = y0 % height, (y0 % height + 1) % height
        a, b = np.uint64(start + 3 * (y0 * width + x0)), np.uint64(start + 3 * (y0 * width + x1))
        c, d = np.uint64(start + 3 * (y1 * width + x0)), np.uint64(start + 3 * (y1 * width + x1))
        for k in range(3):
            e = np.uint64(k)
            top = linear[texels[a + e]] * (_ONE - fx) + linear[texels[b + e]] * fx
            bottom = linear[texels[c + e]] * (_ONE - fx) + linear[texels[d + e]] * fx
            q[TEXEL + k * N + i] = top * (_ONE - fy) + bottom * fy


@njit(**LOOSE_INLINE)
def _share(a, b, c, x, y, clip):
    """Perspective-correct weights of the first two of three vertices at NDC ``(x, y)``, which may lie beside them."""
    aw, bw, cw = clip[a + 3], clip[b + 3], clip[c + 3]
    ax, ay = clip[a] - x * aw, clip[a + 1] - y * aw
    bx, by = clip[b] - x * bw, clip[b + 1] - y * bw
    cx, cy = clip[c] - x * cw, clip[c + 1] - y * cw
    u, v = bx * cy - by * cx, cx * ay - cy * ax
    total = u + v + ax * by - ay * bx
    scale = _ONE / (total if total != _ZERO else _ONE)
    return u * scale, v * scale


@njit(**LOOSE)
def _share_points(shares, triangles, places, count, across, down, tri, clip):
    """Fill the weights of the corners of a queue's points, and of squares their change."""
    for i in range(count):
        t = 3 * triangles[i]
        u, v = _share(4 * tri[t], 4 * tri[t + 1], 4 * tri[t + 2], places[i], places[N + i], clip)
        shares[i], shares[N + i] = u, v
    if across == 0:
        return
    for i in range(count):
        t = 3 * triangles[i]
        a, b, c = 4 * tri[t], 4 * tri[t + 1], 4 * tri[t + 2]
        u, v = _share(a, b, c, places[i] + across, places[N + i], clip)
        shares[2 * N + i], shares[3 * N + i] = u - shares[i], v - shares[N + i]
        u, v = _share(a, b, c, places[i], places[N + i] + down, clip)
        shares[4 * N + i], shares[5 * N + i] = u - shares[i], v - shares[N + i]


@njit(**LOOSE)
def _mix_points(points, shares, triangles, count, mesh):
    """Write the weighted means of the corners of triangles, ``ROW`` floats each."""
    posed, row = mesh.posed, np.uint64(ROW)
    for i in range(count):
        t = 3 * triangles[i]
        a, b = np.uint64(mesh.triangles[t]) * row, np.uint64(mesh.triangles[t + 1]) * row
        c = np.uint64(mesh.triangles[t + 2]) * row
        u, v = shares[i], shares[N + i]
        u, v, w = max(u, _ZERO), max(v, _ZERO), max(_ONE - u - v, _ZERO)
        scale = _ONE / (u + v + w)
        u, v, w, place = u * scale, v * scale, w * scale, np.uint64(i) * row
        for k in range(mesh.row):
            e = np.uint64(k)
            points[place + e] = u * posed[a + e] + v * posed[b + e] + w * posed[c + e]


@njit(**LOOSE)
def _slope_points(slopes, shares, triangles, count, mesh):
    """Write how the texture coordinates of squares change."""
    posed = mesh.posed
    for i in range(count):
        t = 3 * triangles[i]
        a, b, c = ROW * mesh.triangles[t] + 9, ROW * mesh.triangles[t + 1] + 9, ROW * mesh.triangles[t + 2] + 9
        for k in range(2):
            first, second = posed[a + k] - posed[c + k], posed[b + k] - posed[c + k]
            slopes[k * N + i] = shares[2 * N + i] * first + shares[3 * N + i] * second
            slopes[(2 + k) * N + i] = shares[4 * N + i] * first + shares[5 * N + i] * second


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
def _add(queues, k, first, tones):
    """Add the pixels ``first`` after those of queue ``k`` to the totals."""
    q = queues.channels
    for i in range(queues.counts[k]):
        pixel, weight = queues.pixels[k, i] + first, queues.weights[k, i]
        for c in range(3):
            place = min(max(np.int64(q[TEXEL + c * N + i]), 0), TONE_ENTRIES - 1)
            queues.totals[pixel, c] += weight * tones[place]
        queues.totals[pixel, 3] += weight


@njit(**LOOSE)
def _flush(queues, k, width, height, mesh, materials, layers, scene, tones):
    """Shade the points waiting in queue ``k`` and add them to the totals of a picture of that size."""
    m, is_square = k % len(materials.texture), k >= len(materials.texture)
    points, q, slopes = queues.points, queues.channels, queues.slopes
    triangles, count, texture = queues.triangles[k], queues.counts[k], materials.texture[m]
    across, down = (F(2 / width), F(2 / height)) if is_square else (_ZERO, _ZERO)
    _share_points(queues.shares, triangles, queues.places[k], count, across, down, mesh.triangles, mesh.clip)
    _mix_points(points, queues.shares, triangles, count, mesh)
    for i in range(count):
        key = _ONE
        if scene.shadow > 0:
            x, y, z = points[ROW * i], points[ROW * i + 1], points[ROW * i + 2]
            key = key_light(x, y, z, scene.to_key, scene.moments, scene.shadow)
        q[KEY + i] = key
    _turn_over(points, count, scene.eye, q)
    if materials.folds[m] and layers.amounts.any():
        fold(q, count, points, layers.texels, layers.places, layers.boxes, layers.amounts)
    light_queue(q, count, materials.table[m], scene.directed, scene.sky, scene.ground)
    slopes[:] = _ZERO
    if is_square:
        _slope_points(slopes, queues.shares, triangles, count, mesh)
    for corner in range(4 if is_square else 1):
        right, down = F(corner & 1) - F(0.5), F(corner >> 1) - F(0.5)
        if texture >= 0:
            place = materials.places[texture]
            _read_texture(q, count, slopes, right, down, materials.texels, place, materials.linear)
        else:
            q[TEXEL : TEXEL + 3 * N] = _ONE
        index_tones(q, count)
        _add(queues, k, (corner >> 1) * width + (corner & 1), tones)
    queues.counts[k] = 0


@njit(**INLINE)
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


@njit(**BARE)
def _finish(total, row, width, backdrop, out):
    """Write one row of pixels ``(W, 3 or 4)`` before a backdrop ``(3,)``, and empty its totals."""
    red, green, blue, half = backdrop[0], backdrop[1], backdrop[2], F(0.5)
    for x in range(width):
        place = np.uint64(row * width + x)
        cover = total[place, 3]
        if out.shape[1] == 4:
            scale = _ONE / cover if cover > 0 else _ZERO
            for k in range(3):
                out[x, k] = np.int32(total[place, k] * scale + half)
            out[x, 3] = np.int32(cover * F(255) + half)
        else:
            behind = max(_ONE - cover, _ZERO)
            out[x, 0] = np.int32(total[place, 0] + behind * red + half)
            out[x, 1] = np.int32(total[place, 1] + behind * green + half)
            out[x, 2] = np.int32(total[place, 2] + behind * blue + half)
        for k in range(4):
            total[place, k] = _ZERO


@njit(**INLINE)
def _at(y, x, stride):
    """Where sample ``(y, x)`` lies; unsigned, so that the compiler need not think of places before the first."""
    return np.uint64(y) * np.uint64(stride) + np.uint64(x)


@njit(**INLINE)
def _group(ids, stride, y, x, s, done, plane, material, reach, step):
    """Samples of pixel ``(y, x)`` on one surface with its sample ``s``, but those ``done``.

    Returns:
        ``(done, members, sx, sy)``: bits of the samples, how many joined, and the sum of where they lie.
    """
    t = ids[_at(2 * y + (s >> 1), 2 * x + (s & 1), stride)]
    members, sx, sy = 0, 0, 0
    for r in range(s, 4):
        px, py = 2 * x + (r & 1), 2 * y + (r >> 1)
        other = ids[_at(py, px, stride)]
        if other >= 0 and not (done >> r) & 1 and _is_one_surface(plane, material, reach, t, other, px, py, step):
            done |= 1 << r
            members += 1
            sx += px
            sy += py
    return done, members, sx, sy


@njit(**INLINE)
def _enqueue(queues, k, t, x, y, pixel, weight):
    """Let a point of triangle ``t`` at NDC ``(x, y)`` wait in queue ``k``; whether that is full now."""
    at = queues.counts[k]
    queues.triangles[k, at], queues.places[k, at], queues.places[k, LANES + at] = t, x, y
    queues.pixels[k, at], queues.weights[k, at] = pixel, weight
    queues.counts[k] = at + 1
    return at + 1 == LANES


@njit(**BARE)
def _find_bend(t, mesh):
    """Squared change of the unit normal from pixel to pixel on triangle ``t``, the largest along its edges."""
    found = _ZERO
    for k in range(3):
        a, b = mesh.triangles[3 * t + k], mesh.triangles[3 * t + (k + 1) % 3]
        x = F(mesh.xy[a, 0]) - F(mesh.xy[b, 0])
        y = F(mesh.xy[a, 1]) - F(mesh.xy[b, 1])
        turn = _ZERO
        for e in range(3, 6):
            change = mesh.posed[ROW * a + e] - mesh.posed[ROW * b + e]
            turn += change * change
        found = max(found, turn * _PIXEL / max(x * x + y * y, _ONE))
    return found


@njit(**INLINE)
def _one_triangle(ids, stride, y, x, plane, material, reach, step):
    """A triangle of the four pixels from ``(y, x)`` on, if all their samples lie on one surface; else -1, or -2 if they
    are empty."""
    t = seen = ids[_at(2 * y + 1, 2 * x + 1, stride)]
    different = 0
    for row in range(4):
        for column in range(4):
            different |= ids[_at(2 * y + row, 2 * x + column, stride)] ^ t
    if different == 0:
        return np.int64(t) if t >= 0 else np.int64(-2)
    if t < 0:
        return np.int64(-1)
    for row in range(4):
        for column in range(4):
            other = ids[_at(2 * y + row, 2 * x + column, stride)]
            if other != t and other != seen:
                px, py = 2 * x + column, 2 * y + row
                if other < 0 or not _is_one_surface(plane, material, reach, t, other, px, py, step):
                    return np.int64(-1)
                seen = other
    return np.int64(t)


@njit(**INLINE)
def _is_straight(t, mesh, materials):
    """Whether four pixels of triangle ``t`` may be lit as one."""
    bend = mesh.bend[t]
    if bend < 0:
        bend = mesh.bend[t] = _find_bend(t, mesh)
    return bend < materials.straight[materials.of_triangle[t]]


@njit(**INLINE)
def _enqueue_pixel(ids, stride, y, x, pixel, width, height, plane, step, queues, mesh, materials, layers, scene, tones):
    """Let every surface of a pixel wait."""
    material, at, below = materials.of_triangle, _at(2 * y, 2 * x, stride), _at(2 * y + 1, 2 * x, stride)
    i0, i1, i2, i3 = ids[at], ids[at + np.uint64(1)], ids[below], ids[below + np.uint64(1)]
    is_whole, done = i0 == i1 and i0 == i2 and i0 == i3, 0
    for s in range(4):
        t = ids[_at(2 * y + (s >> 1), 2 * x + (s & 1), stride)]
        if t < 0 or (done >> s) & 1:
            continue
        if is_whole:
            done, members, sx, sy = 15, 4, 8 * x + 2, 8 * y + 2
        else:
            done, members, sx, sy = _group(ids, stride, y, x, s, done, plane, material, materials.reach, step)
        part = _ONE / F(members)
        fx, fy = (F(sx) * part + F(0.5)) / F(width) - _ONE, (F(sy) * part + F(0.5)) / F(height) - _ONE
        if _enqueue(queues, material[t], t, fx, fy, pixel, F(0.25) * F(members)):
            _flush(queues, material[t], width, height, mesh, materials, layers, scene, tones)


@njit(**BARE)
def _resolve_band(top, queues, ids, stride, plane, step, mesh, materials, layers, scene, tones, backdrop, out):
    """Shade ``ROWS`` rows of pixels from row ``top`` on."""
    material, count = materials.of_triangle, len(materials.texture)
    height, width = out.shape[0], out.shape[1]
    bottom = min(top + ROWS, height)
    for y in range(top, bottom, 2):
        for x in range(0, width, 2):
            pixel = (y - top) * width + x
            if y + 1 < bottom and x + 1 < width:
                t = _one_triangle(ids, stride, y, x, plane, material, materials.reach, step)
                if t == -2:
                    continue
                if t >= 0 and _is_straight(t, mesh, materials):
                    k, fx, fy = count + material[t], F(2 * x + 2) / F(width) - _ONE, F(2 * y + 2) / F(height) - _ONE
                    if _enqueue(queues, k, t, fx, fy, pixel, _ONE):
                        _flush(queues, k, width, height, mesh, materials, layers, scene, tones)
                    continue
            for down in range(min(2, bottom - y)):
                for right in range(min(2, width - x)):
                    _enqueue_pixel(
                        ids, stride, y + down, x + right, pixel + down * width + right, width, height, plane, step,
                        queues, mesh, materials, layers, scene, tones,
                    )  # fmt: skip
    for k in range(2 * count):
        if queues.counts[k]:
            _flush(queues, k, width, height, mesh, materials, layers, scene, tones)
    for y in range(top, bottom):
        _finish(queues.totals, y - top, width, backdrop[y], out[y])


@njit(**BARE)
def resolve(ids, plane, step, mesh, materials, layers, scene, tones, backdrop, queues, out):
    """Shade what ``ids`` shows into ``out``.

    Args:
        ids: triangle of each sample, ``(at least 2H, at least 2W)`` int32, -1 where none.
        plane: depth of each triangle over samples, ``(T, 3)`` float64.
        step: the depth that is as far as two samples are apart.
        mesh: a :class:`Mesh`.
        materials: its :class:`Materials`.
        layers: its wrinkles, :class:`freeavatar.render.compiled.wrinkles.Layers`.
        scene: a :class:`Scene`.
        tones: display values of radiance.
        backdrop: sRGB times 255 of each row, ``(H, 3)`` float32.
        queues: :class:`Queues`, empty.
        out: ``(H, W, 3 or 4)`` uint8, written.
    """
    flat, stride = ids.reshape(-1), ids.shape[1]
    for top in range(0, out.shape[0], ROWS):
        _resolve_band(top, queues, flat, stride, plane, step, mesh, materials, layers, scene, tones, backdrop, out)
