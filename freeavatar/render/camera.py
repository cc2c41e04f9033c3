"""A pinhole camera looking along -z, y up, at a point."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """Looks at ``target`` from the front; the picture is ``extent`` metres high at the target."""

    target: tuple[float, float, float]
    extent: float
    """Height of the picture at the target, in the avatar's units."""
    field_of_view: float = 22.0
    """Vertical, degrees."""

    @property
    def distance(self) -> float:
        """From the eye to the target."""
        return self.extent / 2 / np.tan(np.radians(self.field_of_view) / 2)

    @property
    def eye(self) -> np.ndarray:
        """Position of the eye, ``(3,)``."""
        return np.asarray(self.target) + [0, 0, self.distance]

    def matrix(self, aspect: float = 1.0) -> np.ndarray:
        """World to clip space, ``(4, 4)`` float32; clip y points down, so row 0 is the top.

        Args:
            aspect: width / height of the picture.
        """
        near, far = self.distance * 0.25, self.distance * 4
        f = 1 / np.tan(np.radians(self.field_of_view) / 2)
        projection = np.array(
            [
                [f / aspect, 0, 0, 0],
                [0, -f, 0, 0],
                [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)],
                [0, 0, -1, 0],
            ]
        )
        view = np.eye(4)
        view[:3, 3] = -self.eye
        return (projection @ view).astype(np.float32)
