"""Which triangle each sample of a picture shows: triangles sorted into bands of rows, filled band by band.

Coverage is exact integer arithmetic. Of triangles at one depth the first shows;
:func:`canonical_order` puts them in an order that does not depend on the file's. What lies behind all that a tile of
samples shows so far is passed over (Greene et al., "Hierarchical Z-Buffer Visibility", 1993), so triangles are best
given front to back.
"""

import numpy as np
from numba import njit

from freeavatar.render.compiled.kernels import BARE, INLINE, LOOSE_INLINE, OUTSIDE, SUBPIXELS, is_top_left

BAND = 16
"""Rows of samples in a band."""

TILE = 4
"""Rows of samples whose farthest depth is kept, ``RUN`` samples wide; they divide a band."""

RUN = 16
"""Samples of a row that are drawn at once; the rows of a raster are padded to a multiple of it."""

EMPTY_DEPTH = np.nextafter(np.float32(1), np.float32(2))
"""Just behind the far plane, which itself is seen."""

MARGIN = 1e-6
"""Depth that a triangle's nearest corner may be off its samples by rounding."""


def canonical_order(triangles: np.ndarray) -> np.ndarray:
    """Order of triangles ``(T, 3)`` by their vertices alone: ``(T,)`` indices."""
    low, middle, high = np.sort(triangles, axis=1).T
    return np.lexsort([triangles[:, 1], triangles[:, 0], high, middle, low])


@njit(**INLINE)
def _rows(xy, depth, tri, t, height, width):
    """First and last row of samples that triangle ``t`` may cover; first > last if none."""
    a, b, c = tri[t, 0], tri[t, 1], tri[t, 2]
    ax, bx, cx = xy[a, 0], xy[b, 0], xy[c, 0]
    if ax == OUTSIDE or bx == OUTSIDE or cx == OUTSIDE:
        return 1, 0
    centre = SUBPIXELS // 2
    if max(ax, bx, cx) < centre or min(ax, bx, cx) > width * SUBPIXELS - centre:
        return 1, 0
    za, zb, zc = depth[a], depth[b], depth[c]
    if not (max(za, zb, zc) >= -1.0 and min(za, zb, zc) <= 1.0):
        return 1, 0
    ay, by, cy = xy[a, 1], xy[b, 1], xy[c, 1]
    low = max(0, (min(ay, by, cy) - centre + SUBPIXELS - 1) // SUBPIXELS)
    high = min(height - 1, (max(ay, by, cy) - centre) // SUBPIXELS)
    return low, high


@njit(**INLINE)
def _plane(xy, depth, tri, t, plane):
    """Depth over samples: ``plane[t, 0] * x + plane[t, 1] * y + plane[t, 2]``; False without area."""
    a, b, c = tri[t, 0], tri[t, 1], tri[t, 2]
    ux, uy = np.float64(xy[b, 0] - xy[a, 0]), np.float64(xy[b, 1] - xy[a, 1])
    vx, vy = np.float64(xy[c, 0] - xy[a, 0]), np.float64(xy[c, 1] - xy[a, 1])
    area = ux * vy - uy * vx
    if area == 0:
        return False
    du, dv = depth[b] - depth[a], depth[c] - depth[a]
    zx = SUBPIXELS * (du * vy - dv * uy) / area
    zy = SUBPIXELS * (dv * ux - du * vx) / area
    plane[t, 0], plane[t, 1] = zx, zy
    plane[t, 2] = depth[a] + zx * (0.5 - xy[a, 0] / SUBPIXELS) + zy * (0.5 - xy[a, 1] / SUBPIXELS)
    return True


@njit(**INLINE)
def _columns(xy, tri, t, width):
    """First and last tile of a row of samples that triangle ``t`` may touch."""
    ax, bx, cx = xy[tri[t, 0], 0], xy[tri[t, 1], 0], xy[tri[t, 2], 0]
    centre = SUBPIXELS // 2
    low = max(0, (min(ax, bx, cx) - centre + SUBPIXELS - 1) // SUBPIXELS)
    high = min(width - 1, (max(ax, bx, cx) - centre) // SUBPIXELS)
    return low // RUN, high // RUN


@njit(**BARE)
def count_triangles(xy, depth, tri, height, width, plane, box, nearest, starts):
    """See where triangles lie.

    Args:
        xy: of vertices on the raster, as :func:`freeavatar.render.compiled.pose.snap` puts them.
        depth: of vertices.
        tri: ``(T, 3)``.
        height: of the raster in samples.
        width: of the raster in samples.
        plane: written, depth over samples, ``(T, 3)`` float64.
        box: written, first and last row of samples, first and last column of tiles, ``(T, 4)`` int32.
        nearest: written, the least depth, ``(T,)`` float32.
        starts: written, where each band's triangles begin in a list of all bands', ``(bands + 1,)`` int64.
    """
    starts[:] = 0
    for t in range(tri.shape[0]):
        low, high = _rows(xy, depth, tri, t, height, width)
        if low <= high and not _plane(xy, depth, tri, t, plane):
            low, high = 1, 0
        box[t, 0], box[t, 1] = low, high
        if low <= high:
            box[t, 2], box[t, 3] = _columns(xy, tri, t, width)
            nearest[t] = min(depth[tri[t, 0]], depth[tri[t, 1]], depth[tri[t, 2]]) - MARGIN
            for band in range(low // BAND, high // BAND + 1):
                starts[band + 1] += 1
    for band in range(1, len(starts)):
        starts[band] += starts[band - 1]


@njit(**BARE)
def sort_triangles(box, starts, ends, order):
    """Fill ``order`` with the triangles of each band; ``ends`` ``(bands,)`` is scratch."""
    for band in range(len(ends)):
        ends[band] = starts[band]
    for t in range(box.shape[0]):
        if box[t, 0] <= box[t, 1]:
            for band in range(box[t, 0] // BAND, box[t, 1] // BAND + 1):
                order[ends[band]] = t
                ends[band] += 1


@njit(**INLINE)
def _fill_lanes(ea, eb, ec, da, db, dc, z, slope, t, at, depths, ids):
    """Draw into ``RUN`` samples of a row; written without branches, for the compiler to do them at once."""
    for k in range(RUN):
        place = at + np.uint64(k)
        near, seen = depths[place], ids[place]
        depth = z + slope * np.float32(k)
        shows = ((ea + da * k) | (eb + db * k) | (ec + dc * k)) >= 0 and depth < near and depth >= np.float32(-1)
        depths[place] = depth if shows else near
        ids[place] = t if shows else seen


@njit(**LOOSE_INLINE)
def _farthest(depths, at, stride):
    """The largest depth of the tile that begins at ``at``."""
    found = np.float32(-2)
    for y in range(TILE):
        for k in range(RUN):
            found = max(found, depths[at + np.uint64(y * stride) + np.uint64(k)])
    return found


@njit(**INLINE)
def _is_hidden(nearest, far, first, last):
    """Whether tiles ``first`` to ``last`` show nothing behind ``nearest``."""
    for tile in range(first, last + 1):  # noqa: SIM110  # numba knows no generators here
        if nearest <= far[tile]:
            return False
    return True


@njit(**INLINE)
def _fill(xy, tri, t, plane, nearest, first, last, y0, y1, stride, depths, ids, far):
    """Draw rows ``y0..y1`` of triangle ``t`` into a row of tiles, from column ``first`` to ``last``.

    ``far`` holds the farthest depth of each tile.
    """
    a, b, c = tri[t, 0], tri[t, 1], tri[t, 2]
    ax, ay = xy[a, 0], xy[a, 1]
    bx, by = xy[b, 0], xy[b, 1]
    cx, cy = xy[c, 0], xy[c, 1]
    if (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < 0:
        bx, by, cx, cy = cx, cy, bx, by
    centre = SUBPIXELS // 2
    da, db, dc = (by - cy) * SUBPIXELS, (cy - ay) * SUBPIXELS, (ay - by) * SUBPIXELS
    na, nb, nc = (cx - bx) * SUBPIXELS, (ax - cx) * SUBPIXELS, (bx - ax) * SUBPIXELS
    py, px = y0 * SUBPIXELS + centre, first * RUN * SUBPIXELS + centre
    ea = (cx - bx) * (py - by) - (cy - by) * (px - bx) - (0 if is_top_left(cx - bx, cy - by) else 1)
    eb = (ax - cx) * (py - cy) - (ay - cy) * (px - cx) - (0 if is_top_left(ax - cx, ay - cy) else 1)
    ec = (bx - ax) * (py - ay) - (by - ay) * (px - ax) - (0 if is_top_left(bx - ax, by - ay) else 1)
    zx, zy, z0 = plane[t, 0], plane[t, 1], plane[t, 2]
    slope, least = np.float32(zx), z0 + min(zy * y0, zy * y1) + min(zx * (RUN - 1), 0.0) - MARGIN
    for tile in range(first, last + 1):
        x = tile * RUN
        if max(nearest, np.float32(least + zx * x)) <= far[tile]:
            fa, fb, fc, is_drawn = ea, eb, ec, False
            for y in range(y0, y1 + 1):
                # Outside of one edge at both ends of the run is outside of it between them.
                ga, gb, gc = fa + (RUN - 1) * da, fb + (RUN - 1) * db, fc + (RUN - 1) * dc
                if (max(fa, ga) | max(fb, gb) | max(fc, gc)) >= 0:
                    z = np.float32(z0 + zy * y + zx * x)
                    _fill_lanes(fa, fb, fc, da, db, dc, z, slope, t, np.uint64(y * stride + x), depths, ids)
                    is_drawn = True
                fa, fb, fc = fa + na, fb + nb, fc + nc
            if is_drawn:
                far[tile] = _farthest(depths, np.uint64(y0 // TILE * TILE * stride + x), stride)
        ea, eb, ec = ea + RUN * da, eb + RUN * db, ec + RUN * dc


@njit(**BARE)
def _fill_band(y0, y1, xy, tri, plane, box, nearest, order, stride, depths, ids, far):
    """Draw the triangles in ``order`` into rows ``y0..y1``."""
    ids[y0 * stride : (y1 + 1) * stride] = -1
    depths[y0 * stride : (y1 + 1) * stride] = EMPTY_DEPTH
    far[y0 // TILE : y1 // TILE + 1] = EMPTY_DEPTH
    for t in order:
        near, first, last = nearest[t], np.int64(box[t, 2]), np.int64(box[t, 3])
        top, bottom = max(y0, np.int64(box[t, 0])), min(y1, np.int64(box[t, 1]))
        for row in range(top // TILE, bottom // TILE + 1):
            if not _is_hidden(near, far[row], first, last):
                low, high = max(top, row * TILE), min(bottom, row * TILE + TILE - 1)
                _fill(xy, tri, t, plane, near, first, last, low, high, stride, depths, ids, far[row])


@njit(**BARE)
def fill_bands(xy, tri, plane, box, nearest, starts, order, far, depths, ids):
    """Fill ``ids`` (-1 where empty) and ``depths``, ``(bands * BAND, stride)`` int32 and float32.

    ``far`` is scratch, ``(bands * BAND / TILE, stride / RUN)`` float32.
    """
    stride, flat_ids, flat_depths = ids.shape[1], ids.reshape(-1), depths.reshape(-1)
    for band in range(len(starts) - 1):
        listed, y0 = order[starts[band] : starts[band + 1]], band * BAND
        _fill_band(y0, y0 + BAND - 1, xy, tri, plane, box, nearest, listed, stride, flat_depths, flat_ids, far)
