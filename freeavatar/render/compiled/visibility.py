"""Which triangle each sample of a picture shows: triangles sorted into bands of rows, filled side by side.

Coverage is exact integer arithmetic. Of triangles at one depth the first shows;
:func:`canonical_order` puts them in an order that does not depend on the file's.
"""

import numpy as np
from numba import njit, prange

from freeavatar.render.compiled.kernels import FAST, OUTSIDE, SUBPIXELS, is_top_left

BAND = 16
"""Rows of samples in a band."""

CHUNKS = 64
"""Parts of the list of triangles that threads sort side by side."""

RUN = 16
"""Samples of a row that are drawn at once; the rows of a raster are padded to a multiple of it."""

EMPTY_DEPTH = np.nextafter(np.float32(1), np.float32(2))
"""Just behind the far plane, which itself is seen."""


def canonical_order(triangles: np.ndarray) -> np.ndarray:
    """Order of triangles ``(T, 3)`` by their vertices alone: ``(T,)`` indices."""
    low, middle, high = np.sort(triangles, axis=1).T
    return np.lexsort([triangles[:, 1], triangles[:, 0], high, middle, low])


@njit(**FAST)
def spread(k, count, strides):
    """The k-th of ``count`` jobs in an order that gives each of a few threads jobs from all over the picture."""
    rows = (count + strides - 1) // strides
    long = count - (rows - 1) * strides
    if k < long * rows:
        return k // rows + strides * (k % rows)
    k -= long * rows
    return long + k // (rows - 1) + strides * (k % (rows - 1))


@njit(**FAST)
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


@njit(**FAST)
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


@njit(parallel=True, **FAST)
def count_triangles(xy, depth, tri, height, width, plane, rows, counts):
    """Fill ``plane`` ``(T, 3)`` float64, ``rows`` ``(T, 2)`` int32 and ``counts`` ``(CHUNKS, bands)`` int64."""
    total = tri.shape[0]
    for chunk in prange(CHUNKS):
        counts[chunk, :] = 0
        for t in range(chunk * total // CHUNKS, (chunk + 1) * total // CHUNKS):
            low, high = _rows(xy, depth, tri, t, height, width)
            if low <= high and not _plane(xy, depth, tri, t, plane):
                low, high = 1, 0
            rows[t, 0], rows[t, 1] = low, high
            if low <= high:
                for band in range(low // BAND, high // BAND + 1):
                    counts[chunk, band] += 1


@njit(**FAST)
def place_bands(counts, starts):
    """Turn ``counts`` into where each chunk writes; fill ``starts`` ``(bands + 1,)``; return how many in all."""
    place = 0
    for band in range(counts.shape[1]):
        starts[band] = place
        for chunk in range(counts.shape[0]):
            count = counts[chunk, band]
            counts[chunk, band] = place
            place += count
    starts[counts.shape[1]] = place
    return place


@njit(parallel=True, **FAST)
def sort_triangles(rows, counts, order):
    """Fill ``order`` with the triangles of each band."""
    total = rows.shape[0]
    for chunk in prange(CHUNKS):
        for t in range(chunk * total // CHUNKS, (chunk + 1) * total // CHUNKS):
            if rows[t, 0] <= rows[t, 1]:
                for band in range(rows[t, 0] // BAND, rows[t, 1] // BAND + 1):
                    order[counts[chunk, band]] = t
                    counts[chunk, band] += 1


@njit(**FAST)
def _fill_lanes(ea, eb, ec, da, db, dc, z, slope, t, at, depths, ids):
    """Draw into ``RUN`` samples of a row; written without branches, for the compiler to do them at once."""
    for k in range(RUN):
        place = at + np.uint64(k)
        near, seen = depths[place], ids[place]
        depth = z + slope * np.float32(k)
        shows = ((ea + da * k) | (eb + db * k) | (ec + dc * k)) >= 0 and depth < near and depth >= np.float32(-1)
        depths[place] = depth if shows else near
        ids[place] = t if shows else seen


@njit(inline="always", **FAST)
def _fill(xy, tri, t, plane, y0, y1, width, stride, depths, ids):
    """Draw triangle ``t`` into rows ``y0..y1`` of the picture."""
    a, b, c = tri[t, 0], tri[t, 1], tri[t, 2]
    ax, ay = xy[a, 0], xy[a, 1]
    bx, by = xy[b, 0], xy[b, 1]
    cx, cy = xy[c, 0], xy[c, 1]
    if (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < 0:
        bx, by, cx, cy = cx, cy, bx, by
    centre = SUBPIXELS // 2
    low_x = max(0, (min(ax, bx, cx) - centre + SUBPIXELS - 1) // SUBPIXELS) // RUN * RUN
    high_x = min(width - 1, (max(ax, bx, cx) - centre) // SUBPIXELS)
    da, db, dc = (by - cy) * SUBPIXELS, (cy - ay) * SUBPIXELS, (ay - by) * SUBPIXELS
    py, px = y0 * SUBPIXELS + centre, low_x * SUBPIXELS + centre
    ea = (cx - bx) * (py - by) - (cy - by) * (px - bx) - (0 if is_top_left(cx - bx, cy - by) else 1)
    eb = (ax - cx) * (py - cy) - (ay - cy) * (px - cx) - (0 if is_top_left(ax - cx, ay - cy) else 1)
    ec = (bx - ax) * (py - ay) - (by - ay) * (px - ax) - (0 if is_top_left(bx - ax, by - ay) else 1)
    zx, zy, z0 = plane[t, 0], plane[t, 1], plane[t, 2]
    slope = np.float32(zx)
    for y in range(y0, y1 + 1):
        fa, fb, fc = ea, eb, ec
        for x in range(low_x, high_x + 1, RUN):
            # Outside of one edge at both ends of the run is outside of it between them.
            ga, gb, gc = fa + (RUN - 1) * da, fb + (RUN - 1) * db, fc + (RUN - 1) * dc
            if (max(fa, ga) | max(fb, gb) | max(fc, gc)) >= 0:
                z = np.float32(z0 + zy * y + zx * x)
                _fill_lanes(fa, fb, fc, da, db, dc, z, slope, t, np.uint64(y * stride + x), depths, ids)
            fa += RUN * da
            fb += RUN * db
            fc += RUN * dc
        ea += (cx - bx) * SUBPIXELS
        eb += (ax - cx) * SUBPIXELS
        ec += (bx - ax) * SUBPIXELS


@njit(parallel=True, **FAST)
def fill_bands(xy, tri, plane, rows, starts, order, width, depths, ids):
    """Fill ``ids`` ``(H, stride)`` int32 (-1 where empty) and ``depths`` ``(H, stride)`` float32, ``width`` of each."""
    height, stride = ids.shape
    bands = (height + BAND - 1) // BAND
    flat_ids, flat_depths = ids.reshape(-1), depths.reshape(-1)
    for k in prange(bands):
        band = spread(np.int64(k), bands, 8)
        y0, y1 = band * BAND, min(band * BAND + BAND, height) - 1
        flat_ids[y0 * stride : (y1 + 1) * stride] = -1
        flat_depths[y0 * stride : (y1 + 1) * stride] = EMPTY_DEPTH
        for place in range(starts[band], starts[band + 1]):
            t = order[place]
            first, last = max(y0, np.int64(rows[t, 0])), min(y1, np.int64(rows[t, 1]))
            _fill(xy, tri, t, plane, first, last, width, stride, flat_depths, flat_ids)
