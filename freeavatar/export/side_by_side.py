"""Putting actor and avatars side by side."""

import cv2
import numpy as np

from freeavatar.render import Look, Renderer
from freeavatar.rig import Performance

MAX_ASPECT = 16 / 9
"""Wider actors are fitted between bars."""


def actor_width(size: tuple[int, int], height: int) -> int:
    """Width of the actor's panel, even."""
    width = round(height * min(size[1] / size[0], MAX_ASPECT))
    return max(2, width + width % 2)


def fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale an image ``(h, w, 3)`` uint8 to fit into ``(height, width)``, bars around it."""
    h, w = image.shape[:2]
    scale = min(height / h, width / w)
    new = (max(1, round(w * scale)), max(1, round(h * scale)))
    small = cv2.resize(image, new, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    panel = np.full((height, width, 3), 16, np.uint8)
    top, left = (height - new[1]) // 2, (width - new[0]) // 2
    panel[top : top + new[1], left : left + new[0]] = small
    return panel


class Puppet:
    """An avatar with its performance, rendered frame by frame."""

    def __init__(self, renderer: Renderer, performance: Performance, *, size: int) -> None:
        self._renderer, self._look, self._camera = renderer, Look((size, size)), renderer.default_camera()
        order = [performance.names.index(n) if n in performance.names else -1 for n in renderer.avatar.target_names]
        padded = np.concatenate([performance.weights, np.zeros((len(performance.weights), 1), np.float32)], axis=1)
        self._weights = padded[:, order]
        self._head = performance.head
        self._picture = np.empty((size, size, 3), np.uint8)

    def render(self, index: int) -> np.ndarray:
        """Picture of one frame, ``(size, size, 3)`` uint8; the next frame is drawn into the same array."""
        return self._renderer.picture(
            self._weights[index], self._head[index], look=self._look, camera=self._camera, out=self._picture
        )
