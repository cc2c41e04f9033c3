"""Rasterisation kernels for the CPU (numba), with the outputs of nvdiffrast's primitives.

Conventions are nvdiffrast's (Laine et al. 2020, "Modular Primitives for High-Performance
Differentiable Rendering"): positions are homogeneous clip coordinates, row 0 of an image is
NDC y = -1, and a rasterised pixel holds ``(u, v, z/w, triangle index + 1)`` where u and v are the
perspective-correct barycentric weights of a triangle's first and second vertex.

Triangles with a vertex at or behind the camera (w <= 0), or millions of pixels outside the image,
are dropped, not clipped.
"""

import numpy as np
from numba import njit, prange

from freeavatar.render.compiled.kernels import FAST, NEAREST, SUBPIXELS


@njit(**FAST)
def barycentrics(pos, a, b, c, fx, fy):
    """Unnormalised perspective-correct barycentrics of NDC point ``(fx, fy)``."""
    ax, ay = pos[a, 0] - fx * pos[a, 3], pos[a, 1] - fy * pos[a, 3]
    bx, by = pos[b, 0] - fx * pos[b, 3], pos[b, 1] - fy * pos[b, 3]
    cx, cy = pos[c, 0] - fx * pos[c, 3], pos[c, 1] - fy * pos[c, 3]
    return bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx


@njit(parallel=True, **FAST)
def weigh_corners(pos, tri, order, ids, plane, width, rast):
    """Fill ``rast`` ``(H, W, 4)`` from what each pixel shows.

    Args:
        pos: clip positions, ``(V, 4)``.
        tri: ``(T, 3)`` int32.
        order: what each triangle is called, ``(T,)``.
        ids: triangle of each pixel, ``(at least H, at least W)`` int32, -1 where none.
        plane: depth of each triangle over pixels, ``(T, 3)`` float64.
        width: of the picture, ``W``.
        rast: written.
    """
    for y in prange(rast.shape[0]):
        for x in range(width):
            t = ids[y, x]
            if t < 0:
                rast[y, x, 0] = rast[y, x, 1] = rast[y, x, 2] = rast[y, x, 3] = 0
                continue
            fx, fy = (2 * x + 1) / width - 1.0, (2 * y + 1) / rast.shape[0] - 1.0
            wa, wb, wc = barycentrics(pos, tri[t, 0], tri[t, 1], tri[t, 2], fx, fy)
            total = wa + wb + wc
            scale = 1.0 / total if total != 0 else 0.0
            u, v = min(max(wa * scale, 0.0), 1.0), min(max(wb * scale, 0.0), 1.0)
            scale = 1.0 / max(u + v, 1.0)
            rast[y, x, 0], rast[y, x, 1] = u * scale, v * scale
            rast[y, x, 2] = plane[t, 0] * x + plane[t, 1] * y + plane[t, 2]
            rast[y, x, 3] = order[t] + 1


@njit(**FAST)
def rasterize_backward(pos, tri, rast, grad, grad_pos):
    """Add to ``grad_pos`` ``(V, 4)`` the gradient of the barycentrics, ``grad`` ``(H, W, 4)``.

    Triangles thinner than the snapping give none: theirs would have no bound.
    """
    height, width = rast.shape[:2]
    smallest = 4.0 / (width * height * SUBPIXELS * SUBPIXELS)
    for y in range(height):
        for x in range(width):
            t = int(rast[y, x, 3]) - 1
            if t < 0 or (grad[y, x, 0] == 0 and grad[y, x, 1] == 0):
                continue
            fx, fy = (2 * x + 1) / width - 1.0, (2 * y + 1) / height - 1.0
            a, b, c = tri[t, 0], tri[t, 1], tri[t, 2]
            ax, ay = pos[a, 0] - fx * pos[a, 3], pos[a, 1] - fy * pos[a, 3]
            bx, by = pos[b, 0] - fx * pos[b, 3], pos[b, 1] - fy * pos[b, 3]
            cx, cy = pos[c, 0] - fx * pos[c, 3], pos[c, 1] - fy * pos[c, 3]
            wa, wb, wc = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
            total = wa + wb + wc
            if abs(total) < smallest * pos[a, 3] * pos[b, 3] * pos[c, 3]:
                continue
            du, dv = grad[y, x, 0] / total, grad[y, x, 1] / total
            shared = -(du * wa + dv * wb) / total
            ga, gb, gc = du + shared, dv + shared, shared
            for vertex, gx, gy in (
                (a, gc * by - gb * cy, gb * cx - gc * bx),
                (b, ga * cy - gc * ay, gc * ax - ga * cx),
                (c, gb * ay - ga * by, ga * bx - gb * ax),
            ):
                grad_pos[vertex, 0] += gx
                grad_pos[vertex, 1] += gy
                grad_pos[vertex, 3] -= fx * gx + fy * gy


@njit(parallel=True, **FAST)
def interpolate(attr, rast, tri, out):
    """Fill ``out`` ``(H, W, C)`` with ``attr`` ``(V, C)`` at each covered pixel, 0 elsewhere."""
    for y in prange(rast.shape[0]):
        for x in range(rast.shape[1]):
            t = int(rast[y, x, 3]) - 1
            if t < 0:
                out[y, x, :] = 0
                continue
            u, v = rast[y, x, 0], rast[y, x, 1]
            a, b, c = tri[t, 0], tri[t, 1], tri[t, 2]
            for k in range(attr.shape[1]):
                out[y, x, k] = u * attr[a, k] + v * attr[b, k] + (1 - u - v) * attr[c, k]


@njit(**FAST)
def interpolate_backward(attr, rast, tri, grad, grad_attr, grad_rast):
    """Add to ``grad_attr`` ``(V, C)`` and fill ``grad_rast`` ``(H, W, 4)`` from ``grad`` ``(H, W, C)``."""
    for y in range(rast.shape[0]):
        for x in range(rast.shape[1]):
            t = int(rast[y, x, 3]) - 1
            if t < 0:
                continue
            u, v = rast[y, x, 0], rast[y, x, 1]
            a, b, c = tri[t, 0], tri[t, 1], tri[t, 2]
            for k in range(attr.shape[1]):
                g = grad[y, x, k]
                grad_attr[a, k] += u * g
                grad_attr[b, k] += v * g
                grad_attr[c, k] += (1 - u - v) * g
                grad_rast[y, x, 0] += g * (attr[a, k] - attr[c, k])
                grad_rast[y, x, 1] += g * (attr[b, k] - attr[c, k])


@njit(parallel=True, **FAST)
def texture(tex, uv, out):
    """Bilinear lookup of ``tex`` ``(h, w, C)`` at ``uv`` ``(N, 2)``, wrapping, into ``out`` ``(N, C)``."""
    height, width = tex.shape[:2]
    for i in prange(uv.shape[0]):
        x, y = uv[i, 0] * width - 0.5, uv[i, 1] * height - 0.5
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        fx, fy = x - x0, y - y0
        x0, y0 = x0 % width, y0 % height
        x1, y1 = (x0 + 1) % width, (y0 + 1) % height
        for k in range(tex.shape[2]):
            top = tex[y0, x0, k] * (1 - fx) + tex[y0, x1, k] * fx
            bottom = tex[y1, x0, k] * (1 - fx) + tex[y1, x1, k] * fx
            out[i, k] = top * (1 - fy) + bottom * fy


@njit(**FAST)
def texture_backward(tex, uv, grad, grad_tex, grad_uv):
    """Add to ``grad_tex`` and fill ``grad_uv`` from ``grad`` ``(N, C)``."""
    height, width = tex.shape[:2]
    for i in range(uv.shape[0]):
        x, y = uv[i, 0] * width - 0.5, uv[i, 1] * height - 0.5
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        fx, fy = x - x0, y - y0
        x0, y0 = x0 % width, y0 % height
        x1, y1 = (x0 + 1) % width, (y0 + 1) % height
        for k in range(tex.shape[2]):
            g = grad[i, k]
            grad_tex[y0, x0, k] += g * (1 - fx) * (1 - fy)
            grad_tex[y0, x1, k] += g * fx * (1 - fy)
            grad_tex[y1, x0, k] += g * (1 - fx) * fy
            grad_tex[y1, x1, k] += g * fx * fy
            across_top, across_bottom = tex[y0, x1, k] - tex[y0, x0, k], tex[y1, x1, k] - tex[y1, x0, k]
            top = tex[y0, x0, k] + across_top * fx
            bottom = tex[y1, x0, k] + across_bottom * fx
            grad_uv[i, 0] += g * (across_top * (1 - fy) + across_bottom * fy) * width
            grad_uv[i, 1] += g * (bottom - top) * height


@njit(**FAST)
def _exit(pos, tri, t, vertical, forward, px, py, height, width):
    """Edge by which a walk from pixel centre ``(px, py)`` along one axis leaves triangle ``t``, and after how far.

    Along x (y if ``vertical``), to higher (``forward``) or lower coordinates, in pixels; edge -1 if it misses ``t``.
    """
    found, farthest = -1, -np.inf
    fx, fy = (2 * px + 1) / width - 1.0, (2 * py + 1) / height - 1.0
    for edge in range(3):
        a, b = tri[t, edge], tri[t, (edge + 1) % 3]
        ax = (pos[a, 0] / pos[a, 3] - fx) * 0.5 * width
        ay = (pos[a, 1] / pos[a, 3] - fy) * 0.5 * height
        bx = (pos[b, 0] / pos[b, 3] - fx) * 0.5 * width
        by = (pos[b, 1] / pos[b, 3] - fy) * 0.5 * height
        if vertical:
            ax, ay, bx, by = ay, ax, by, bx
        if (ay < 0) == (by < 0):
            continue
        distance = ax - ay * (bx - ax) / (by - ay)
        distance = distance if forward else -distance
        if distance > farthest:
            found, farthest = edge, distance
    return found, farthest


@njit(**FAST)
def _is_silhouette(pos, a, b, c, o, vertical, height, width):
    """Whether edge ``a``-``b`` of triangle ``a b c`` bounds the surface and is blended along this axis.

    It bounds the surface if no drawn triangle ``a b o`` lies across it, or one folded to the side of
    ``c`` in the image. Steep edges are blended along x and flat ones along y, so that none counts twice.
    """
    ax, ay = pos[a, 0] / pos[a, 3], pos[a, 1] / pos[a, 3]
    bx, by = pos[b, 0] / pos[b, 3] - ax, pos[b, 1] / pos[b, 3] - ay
    if (abs(bx) * width > abs(by) * height) != vertical:
        return False
    if o < 0 or pos[o, 3] <= NEAREST:
        return True
    side_c = bx * (pos[c, 1] / pos[c, 3] - ay) - by * (pos[c, 0] / pos[c, 3] - ax)
    side_o = bx * (pos[o, 1] / pos[o, 3] - ay) - by * (pos[o, 0] / pos[o, 3] - ax)
    return side_c * side_o >= 0


@njit(**FAST)
def _crossing(pos, tri, opposite, t, vertical, forward, px, py, height, width):
    """Where a silhouette edge of triangle ``t`` crosses from pixel centre ``(px, py)`` to the next one.

    Returns ``(edge, distance)``: distance in [0, 1] pixel towards the neighbour along x (or y if
    ``vertical``), at higher (``forward``) or lower coordinates; edge -1 if none crosses. Coverage was
    decided on snapped vertices, so an edge just outside the two centres still counts.
    """
    slack = 2.0 / SUBPIXELS
    edge, distance = _exit(pos, tri, t, vertical, forward, px, py, height, width)
    if edge < 0 or distance < -slack or distance > 1.0 + slack:
        return -1, 2.0
    a, b, c = tri[t, edge], tri[t, (edge + 1) % 3], tri[t, (edge + 2) % 3]
    if not _is_silhouette(pos, a, b, c, opposite[t, edge], vertical, height, width):
        return -1, 2.0
    return edge, min(max(distance, 0.0), 1.0)


@njit(**FAST)
def _pair(pos, tri, opposite, rast, y, x, vertical):
    """Blend between pixel ``(y, x)`` and its right (or, if ``vertical``, next-row) neighbour.

    Returns ``(triangle, edge, from_first, alpha)``: ``alpha`` in [-0.5, 0.5] is how far the nearer
    surface reaches past the middle between the two centres; edge -1 means no silhouette.
    """
    y2, x2 = (y + 1, x) if vertical else (y, x + 1)
    first, second = int(rast[y, x, 3]) - 1, int(rast[y2, x2, 3]) - 1
    if first == second:
        return -1, -1, True, 0.0
    from_first = second < 0 or (first >= 0 and rast[y, x, 2] < rast[y2, x2, 2])
    height, width = rast.shape[:2]
    t, px, py = (first, x, y) if from_first else (second, x2, y2)
    edge, distance = _crossing(pos, tri, opposite, t, vertical, from_first, px, py, height, width)
    return t, edge, from_first, distance - 0.5


@njit(**FAST)
def _blend(color, out, y, x, other_y, other_x, amount):
    for k in range(color.shape[2]):
        out[y, x, k] += amount * (color[other_y, other_x, k] - color[y, x, k])


@njit(parallel=True, **FAST)
def antialias(color, rast, pos, tri, opposite, out):
    """Fill ``out`` ``(H, W, C)`` with ``color``, blended across silhouette edges."""
    height, width = rast.shape[:2]
    for row in prange(height):
        y = np.int64(row)
        for x in range(width):
            out[y, x, :] = color[y, x, :]
            for step in range(4):
                vertical, back = step >= 2, step % 2 == 1
                y1, x1 = (y - 1, x) if vertical and back else (y, x - 1) if back else (y, x)
                y2, x2 = (y1 + 1, x1) if vertical else (y1, x1 + 1)
                if y1 < 0 or x1 < 0 or y2 >= height or x2 >= width:
                    continue
                if rast[y1, x1, 3] == rast[y2, x2, 3]:
                    continue
                _, edge, from_first, alpha = _pair(pos, tri, opposite, rast, y1, x1, vertical)
                if edge < 0:
                    continue
                is_near = from_first != back
                other_y, other_x = (y1, x1) if back else (y2, x2)
                if alpha > 0 and not is_near:
                    _blend(color, out, y, x, other_y, other_x, alpha)
                elif alpha < 0 and is_near:
                    _blend(color, out, y, x, other_y, other_x, -alpha)


@njit(**FAST)
def antialias_backward(color, rast, pos, tri, opposite, grad, grad_color, grad_pos):
    """Add to ``grad_color`` and ``grad_pos`` the gradient of :func:`antialias`, ``grad`` ``(H, W, C)``."""
    height, width = rast.shape[:2]
    grad_color += grad
    for y in range(height):
        for x in range(width):
            for vertical in (False, True):
                y2, x2 = (y + 1, x) if vertical else (y, x + 1)
                if y2 >= height or x2 >= width or rast[y, x, 3] == rast[y2, x2, 3]:
                    continue
                t, edge, from_first, alpha = _pair(pos, tri, opposite, rast, y, x, vertical)
                if edge < 0:
                    continue
                near_y, near_x, far_y, far_x = (y, x, y2, x2) if from_first else (y2, x2, y, x)
                dy, dx, sy, sx = (far_y, far_x, near_y, near_x) if alpha > 0 else (near_y, near_x, far_y, far_x)
                slope = 0.0
                for k in range(color.shape[2]):
                    g = grad[dy, dx, k]
                    grad_color[dy, dx, k] -= abs(alpha) * g
                    grad_color[sy, sx, k] += abs(alpha) * g
                    slope += g * (color[sy, sx, k] - color[dy, dx, k])
                slope = slope if alpha > 0 else -slope
                _edge_gradient(
                    pos, tri[t, edge], tri[t, (edge + 1) % 3], vertical, near_y, near_x, height, width,
                    slope if from_first else -slope, grad_pos,
                )  # fmt: skip


@njit(**FAST)
def _edge_gradient(pos, a, b, vertical, y, x, height, width, slope, grad_pos):
    """Add the gradient of the crossing distance of edge ``a``-``b`` times ``slope``."""
    along, across = (1, 0) if vertical else (0, 1)
    size_along, size_across = (height, width) if vertical else (width, height)
    f_across = (2 * (x if vertical else y) + 1) / size_across - 1.0
    pa, qa = pos[a, along] / pos[a, 3], (pos[a, across] / pos[a, 3] - f_across)
    pb, qb = pos[b, along] / pos[b, 3], (pos[b, across] / pos[b, 3] - f_across)
    span = qb - qa
    k = 0.5 * size_along * slope
    gpa, gpb = k * qb / span, -k * qa / span
    gqa = -k * qb * (pb - pa) / (span * span)
    gqb = k * qa * (pb - pa) / (span * span)
    for vertex, gp, gq in ((a, gpa, gqa), (b, gpb, gqb)):
        w = pos[vertex, 3]
        grad_pos[vertex, along] += gp / w
        grad_pos[vertex, across] += gq / w
        grad_pos[vertex, 3] -= (gp * pos[vertex, along] + gq * pos[vertex, across]) / (w * w)
