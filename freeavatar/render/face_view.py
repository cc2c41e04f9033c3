"""An avatar's face from the front, framed as the encoder sees tracked faces."""

from functools import cached_property

import cv2
import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.faces.align import align_matrix, inverse_matrix, transform_points
from freeavatar.models.encoder import VIEW
from freeavatar.render.camera import Camera
from freeavatar.render.look import Look
from freeavatar.render.renderer import Renderer
from freeavatar.rig import ARKIT


class FaceView:
    """Pictures of one avatar's face; eyes and mouth keep their places as a face tracker holds them."""

    def __init__(self, renderer: Renderer, size: int) -> None:
        """Of a renderer's avatar, ``size`` pixels a side."""
        self.renderer, self.size = renderer, size

    @property
    def avatar(self) -> Avatar:
        """Whose face it is."""
        return self.renderer.avatar

    @cached_property
    def _moves(self) -> np.ndarray:
        """How the controls move eyes and mouth corners, ``(K, 5, 3)``; the nose takes no part."""
        gaps = self.avatar.positions[:, None] - self.avatar.face_points
        nearest = np.linalg.norm(gaps, axis=2).argmin(0)
        moves = self.avatar.target_positions[: len(self.avatar.target_names), nearest].copy()
        moves[:, :2] = 0
        return moves

    def camera(self, weights: np.ndarray) -> Camera:
        """The camera for weights of the avatar's controls, ``(K,)``."""
        points = self.avatar.face_points + np.tensordot(weights, self._moves, axes=1)
        # Image coordinates run downwards.
        crop = align_matrix(points[:, :2] * (1, -1))
        left, top, right, bottom = VIEW
        x, y = transform_points(inverse_matrix(crop), np.array([(left + right) / 2, (top + bottom) / 2]))
        side = (bottom - top) / np.hypot(*crop[0, :2])
        return Camera((float(x), -float(y), float(points[:, 2].mean())), float(side))

    def picture(self, weights: np.ndarray) -> np.ndarray:
        """The face wearing weights ``(K,)``, ``(size, size, 3)`` uint8 RGB."""
        weights = np.asarray(weights, np.float32)
        look = Look((self.size, self.size))
        return self.renderer.picture(weights, look=look, camera=self.camera(weights))

    def neutral(self) -> np.ndarray:
        """The face at rest, ``(size, size, 3)`` uint8 RGB."""
        return self.picture(np.zeros(len(self.avatar.target_names), np.float32))

    def region(self, names: tuple[str, ...], *, margin: float = 0.04) -> np.ndarray:
        """Where controls act, seen on the neutral face.

        Args:
            names: ARKit's blendshapes; what follows them counts.
            margin: added all around, as a share of the picture's side.

        Returns:
            ``(size, size)`` bool.
        """
        rows = np.flatnonzero(self.avatar.drive[:, [ARKIT.index(name) for name in names]].any(1))
        moves: np.ndarray = np.linalg.norm(self.avatar.target_positions[rows], axis=2)
        size = self.size
        mask = np.zeros((size, size), np.uint8)
        clip = self.camera(np.zeros(len(self.avatar.target_names), np.float32)).matrix()
        for move in moves:
            moved = self.avatar.positions[move > 0.6 * max(float(move.max()), 1e-9)]
            points = np.c_[moved, np.ones(len(moved))] @ clip.T
            pixels = (points[:, :2] / points[:, 3:] + 1) / 2 * size
            for half in (pixels[:, 0] < size / 2, pixels[:, 0] >= size / 2):
                if half.sum() > 2:
                    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(pixels[half]).astype(np.int32)), 1)
        reach = max(1, round(margin * size))
        return cv2.dilate(mask, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
