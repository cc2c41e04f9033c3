"""The shadow of the key light for numba: the formulas of ``differentiable/shadow.py``."""

import numpy as np
from numba import njit

from freeavatar.render.compiled.kernels import BARE, INLINE
from freeavatar.render.shadow import BIAS, BLEEDING, LEAST_VARIANCE

F = np.float32
_ONE, _ZERO = F(1), F(0)
_BIAS, _LEAST_VARIANCE = F(BIAS), F(LEAST_VARIANCE)
_BLEEDING, _UNBLEED = F(BLEEDING), F(1 / (1 - BLEEDING))


@njit(**INLINE)
def key_light(x, y, z, matrix, moments, strength):
    """How much of the key light arrives at a point of the world; as that of ``differentiable/shadow.py``."""
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


@njit(**BARE)
def _blur_row(ids, depths, empty, kernel, padded, out):
    """Blur depth and squared depth of one row of a map, the two beside one another, ``(2 S,)`` float32."""
    size, reach = ids.shape[0], len(kernel) // 2
    for x in range(-reach, size + reach):
        at = min(max(x, 0), size - 1)
        depth = depths[at] if ids[at] >= 0 else empty
        padded[2 * (x + reach)], padded[2 * (x + reach) + 1] = depth, depth * depth
    out[:] = 0
    for k in range(len(kernel)):
        for j in range(2 * size):
            out[j] += kernel[k] * padded[2 * k + j]


@njit(**BARE)
def _blur_column(y, kernel, rows, out):
    """The other half of the blur: row ``y`` of what :func:`_blur_row` made ``(S, 2 S)``."""
    size, reach = rows.shape[0], len(kernel) // 2
    out[:] = 0
    for k in range(len(kernel)):
        row = rows[min(max(y + k - reach, 0), size - 1)]
        for j in range(2 * size):
            out[j] += kernel[k] * row[j]


@njit(**BARE)
def depth_moments(ids, depths, empty, kernel, padded, rows, moments):
    """Blurred depth and squared depth of a map; as that of ``differentiable/shadow.py``.

    Args:
        ids: triangle of each texel, ``(S, S)`` int32.
        depths: ``(S, S)`` float32.
        empty: depth where there is none.
        kernel: of the blur, ``(9,)`` float32.
        padded: scratch, ``(2 (S + 8),)`` float32.
        rows: scratch, ``(S, 2 S)`` float32.
        moments: written, ``(S, S, 2)`` float32.
    """
    size = ids.shape[0]
    flat = moments.reshape(size, 2 * size)
    for y in range(size):
        _blur_row(ids[y], depths[y], empty, kernel, padded, rows[y])
    for y in range(size):
        _blur_column(y, kernel, rows, flat[y])
