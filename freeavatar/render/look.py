"""How a picture is taken, and how a head is turned."""

from dataclasses import dataclass, field

import numpy as np

from freeavatar.render.shading import Lighting
from freeavatar.rotation import head_quaternion, quaternion_matrix

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """How a picture is taken."""

    size: tuple[int, int] = (512, 512)
    """``(H, W)`` in pixels."""
    lighting: Lighting = field(default_factory=Lighting)
    background: tuple[Color, Color] | None = ((0.36, 0.38, 0.41), (0.19, 0.20, 0.22))
    """sRGB at the top and at the bottom; None is transparent."""
    supersample: int = 1
    """:meth:`Renderer.render` works at this many times the size and averages."""

    def __post_init__(self) -> None:
        if min(self.size) < 1 or self.supersample < 1:
            raise ValueError(f"size {self.size} and supersample {self.supersample} must be at least 1")


def head_matrix(head: np.ndarray) -> np.ndarray:
    """Rotation of the head joint, ``(..., 3, 3)`` float32, from ``(..., 3)`` degrees yaw, pitch, roll."""
    yaw, pitch, roll = np.moveaxis(np.asarray(head), -1, 0)
    return quaternion_matrix(head_quaternion(yaw, pitch, roll)).astype(np.float32)
