"""Putting actor and avatars side by side."""

import cv2
import numpy as np
import torch

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
        self._renderer, self._look = renderer, Look((size, size))
        order = [performance.names.index(n) if n in performance.names else -1 for n in renderer.avatar.target_names]
        padded = np.concatenate([performance.weights, np.zeros((len(performance.weights), 1), np.float32)], axis=1)
        self._weights = torch.from_numpy(padded[:, order]).to(renderer.device)
        self._head = performance.head

    def render(self, index: int) -> np.ndarray:
        """Picture of one frame, ``(size, size, 3)`` uint8."""
        head = self._head[index : index + 1]
        with torch.inference_mode():
            image = self._renderer.render(self._weights[index : index + 1], head=head, look=self._look)
            return (image[0].permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).cpu().numpy()
