"""How a picture is taken, and how a head is turned."""

from dataclasses import dataclass, field

import numpy as np

from freeavatar.rotation import head_quaternion, quaternion_matrix

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """A directional light."""

    direction: tuple[float, float, float]
    """Towards the light, in the world (x to the viewer's right, y up, z where the avatar looks)."""
    color: tuple[float, float, float]
    """Linear RGB radiance."""


@dataclass(frozen=True)
class Lighting:
    """Lights and sky; the default is a portrait studio: a warm key from the upper left, a cool fill, a rim."""

    lights: tuple[Light, ...] = field(
        default_factory=lambda: (
            Light((-0.62, 0.62, 0.80), (2.02, 1.88, 1.70)),
            Light((0.90, 0.12, 0.60), (0.32, 0.37, 0.46)),
            Light((0.62, 0.50, -0.72), (1.25, 1.28, 1.40)),
        )
    )
    """The first is the key: it casts the shadow and shows in the eyes."""
    sky: tuple[float, float, float] = (0.37, 0.39, 0.44)
    ground: tuple[float, float, float] = (0.20, 0.16, 0.14)
    shadow: float = 0.85
    """How much of the key light a shadow takes away, in [0, 1]."""


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
