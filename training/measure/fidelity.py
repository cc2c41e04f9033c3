"""How near drawn pictures come to rendered ones."""

import cv2
import numpy as np

WINDOW, SIGMA = (11, 11), 1.5
"""Of the structural similarity (Wang et al. 2004)."""


def fidelity(found: np.ndarray, true: np.ndarray, regions: np.ndarray) -> dict[str, float]:
    """Mean error of pictures, on the whole and within regions.

    Args:
        found: ``(N, H, W, 3)`` uint8.
        true: ``(N, H, W, 3)`` uint8.
        regions: mouth and eyes, ``(N, H, W)`` bool.

    Returns:
        ``l1`` in [0, 1], ``psnr`` in decibels, ``ssim`` in [-1, 1], and the same within regions, ``region_...``.
    """
    rows = [_one(f, np.asarray(t), r) for f, t, r in zip(found, true, regions, strict=True)]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _one(found: np.ndarray, true: np.ndarray, region: np.ndarray) -> dict[str, float]:
    a, b = found.astype(np.float32) / 255, true.astype(np.float32) / 255
    similar = ssim(a, b).mean(2)
    figures = {}
    for prefix, where in (("", np.ones_like(region)), ("region_", region)):
        error = (a - b)[where]
        figures[f"{prefix}l1"] = float(np.abs(error).mean())
        figures[f"{prefix}psnr"] = float(-10 * np.log10(max(float(np.square(error).mean()), 1e-10)))
        figures[f"{prefix}ssim"] = float(similar[where].mean())
    return figures


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Map of the structural similarity of pictures ``(H, W, 3)`` in [0, 1] (Wang et al. 2004, equation 13)."""

    def blur(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, WINDOW, SIGMA)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, both = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    return (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
