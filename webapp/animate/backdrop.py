"""What views show behind an avatar."""

from functools import lru_cache

import numpy as np

from freeavatar.export.background import read_background

_SQUARE = 16


@lru_cache(maxsize=8)
def backdrop(background: str | None, size: int) -> np.ndarray | None:
    """A background of the settings, ``(size, size, 3)`` uint8: chequered if it is transparent; None for the studio.

    Raises:
        InputError: it cannot be read.
    """
    if background is None:
        return None
    if background != "none":
        return read_background(background, size)
    row, column = np.indices((size, size)) // _SQUARE
    return np.where((row + column) % 2, 200, 235).astype(np.uint8)[..., None].repeat(3, axis=2)
