"""The soft shadow of the key light: a map of depths seen from the light, blurred, compared by its variance.

Donnelly and Lauritzen, "Variance Shadow Maps", 2006: depth and its square can be filtered like any picture, and
Chebyshev's inequality bounds the share of the filtered area that lies before a point.
"""

import numpy as np

MAP_SIZE = 256
"""Side of the map in texels."""
EMPTY = 0.6
"""Depth of texels that nothing covers: about the back of the avatar. A far one would eat the shadow's edge."""
KERNEL = tuple(k / 25 for k in (1, 2, 3, 4, 5, 4, 3, 2, 1))
"""The blur along each axis."""
BIAS = 0.018
"""Depth by which a surface may lie behind the map unshaded, in parts of the map's half side."""
LEAST_VARIANCE = 6e-5
BLEEDING = 0.3
"""Shares of light below this count as dark: the bound is loose where occluders overlap."""


def light_matrix(positions: np.ndarray, direction: tuple[float, float, float]) -> np.ndarray:
    """World to the light's clip space, ``(4, 4)`` float32, around an avatar's ``positions`` ``(V, 3)``."""
    low, high = positions.min(0).astype(np.float64), positions.max(0).astype(np.float64)
    back = np.asarray(direction, np.float64) / max(float(np.linalg.norm(direction)), 1e-12)
    right = np.cross((0, 1, 0) if abs(back[1]) < 0.99 else (0, 0, 1), back)
    right /= max(float(np.linalg.norm(right)), 1e-12)
    axes = np.stack([right, np.cross(back, right), -back])
    matrix = np.eye(4)
    matrix[:3, :3] = axes / max(float(np.linalg.norm(high - low)) / 2, 1e-9)
    matrix[:3, 3] = -matrix[:3, :3] @ ((low + high) / 2)
    return matrix.astype(np.float32)
