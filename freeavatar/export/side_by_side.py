"""Putting actor and avatars side by side."""

import os

import cv2
import numpy as np

from freeavatar.framing import Framing
from freeavatar.render import Look, Renderer
from freeavatar.rig import Controls

MAX_ASPECT = 16 / 9
"""Wider actors are fitted between bars."""
MOST_WORKERS = 4
"""Threads that draw side by side, each with buffers of 11 MB an avatar at 512 pixels."""


def actor_width(size: tuple[int, int], height: int) -> int:
    """Width of the actor's panel, even."""
    width = round(height * min(size[1] / size[0], MAX_ASPECT))
    return max(2, width + width % 2)


def fitted(size: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """``(H, W)`` of a picture of ``size`` ``(h, w)``, scaled to fit into ``(height, width)``."""
    scale = min(height / size[0], width / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def letterbox(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale an image ``(h, w, 3)`` uint8 to fit into ``(height, width)``, bars around it."""
    h, w = fitted(image.shape[:2], height, width)
    method = cv2.INTER_AREA if h < image.shape[0] else cv2.INTER_LINEAR
    panel = np.full((height, width, 3), 16, np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    panel[top : top + h, left : left + w] = cv2.resize(image, (w, h), interpolation=method)
    return panel


class Puppet:
    """An avatar that plays."""

    def __init__(
        self, renderer: Renderer, controls: Controls, *, size: int, framing: Framing = "face", has_alpha: bool = False
    ) -> None:
        self._renderer, self._controls = renderer, controls
        self._look = Look((size, size), background=None) if has_alpha else Look((size, size))
        self._camera = renderer.camera(framing)
        self._batch = renderer.batch((size, size))
        self.workers = 1 if renderer.is_on_gpu else min(os.cpu_count() or 1, MOST_WORKERS)
        """Threads that may draw it side by side."""
        self._first, self._pictures = 0, np.empty((0, size, size, 4 if has_alpha else 3), np.uint8)

    def render(self, index: int) -> np.ndarray:
        """Picture of one frame, ``(size, size, 3)`` uint8, or 4 with straight alpha; it is the caller's.

        So many threads as there are workers may ask side by side; one asks for frames in order.
        """
        if self._batch == 1:
            return self._draw(slice(index, index + 1))[0]
        if not self._first <= index < self._first + len(self._pictures):
            self._first, self._pictures = index, self._draw(slice(index, index + self._batch))
        return self._pictures[index - self._first]

    def _draw(self, part: slice) -> np.ndarray:
        weights, heads = self._controls.weights[part], self._controls.head[part]
        return self._renderer.pictures(weights, heads, look=self._look, camera=self._camera)
