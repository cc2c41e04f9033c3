"""What the CPU's kernels share: how numba compiles them, and the raster they work on."""

from typing import Any

from numba import njit

FAST: Any = dict(cache=True, nogil=True, error_model="numpy")
"""Options of every kernel."""
BARE: Any = dict(**FAST, _nrt=False)
"""Of kernels that make no arrays: numba counts no references in them, which in loops over pixels costs more than the
work itself. They run on one core: pictures are drawn side by side, not parts of a picture."""
LOOSE: Any = dict(**BARE, fastmath=True)
"""Of kernels whose sums may be taken in any order, for the compiler to fill its lanes."""
INLINE: Any = dict(**BARE, forceinline=True)
"""Of what is called for every sample or pixel: numba passes an array as seven arguments."""
LOOSE_INLINE: Any = dict(**LOOSE, forceinline=True)

SUBPIXELS = 256
"""Vertices are snapped to this fraction of a pixel, so that coverage is exact integer arithmetic."""

NEAREST = 1e-9
"""Smallest w of a vertex that is drawn."""

FARTHEST = 2.0**29
"""Largest snapped coordinate: products of two differences stay well inside 64 bits."""

OUTSIDE = -(2**31)
"""Snapped x of a vertex that cannot be drawn."""

ROW = 16
"""Floats a vertex: position, unit normal, tangent, uv, colour, skew (3 3 3 2 3 2); one cache line. On skin that
folds, tangent and skew are those of :func:`freeavatar.render.folds.fold_frames`."""


@njit(**INLINE)
def is_top_left(dx, dy):
    """Whether a pixel centre on this edge belongs to its triangle."""
    return (dy == 0 and dx > 0) or dy < 0
