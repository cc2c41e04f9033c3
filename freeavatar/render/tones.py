"""Between light and display; arrays of numpy and tensors of torch alike."""

from typing import Any


def to_linear(srgb: Any) -> Any:
    """sRGB in [0, 1] to linear light (gamma 2.2)."""
    return srgb.clip(0) ** 2.2


def tone_map(linear: Any) -> Any:
    """Linear radiance to sRGB in [0, 1] by a filmic curve (Hable's form as fitted by Narkowicz 2015)."""
    x = linear.clip(0) * 0.72
    x = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    return x.clip(0, 1) ** (1 / 2.2)
