"""Faces that are drawn, and that the detector takes for real."""

from functools import cache

import cv2
import numpy as np

from freeavatar.faces import align_matrix
from freeavatar.images import Frame

LIGHT, DARK = (224, 172, 140), (150, 100, 75)
POINTS = np.array([(0.41, 0.46), (0.59, 0.46), (0.5, 0.585), (0.42, 0.69), (0.58, 0.69)])
"""Five points of the drawn face, in units of its picture's side."""
BACKGROUND = (120, 140, 160)


@cache
def draw_face(size: int = 256, *, skin: tuple[int, int, int] = (224, 172, 140), gaze: float = 0.0) -> np.ndarray:
    """A drawn face the detector takes for real, RGB ``(size, size, 3)`` uint8."""
    side = 1024
    image = np.full((side, side, 3), BACKGROUND, np.uint8)

    def oval(x: float, y: float, width: float, height: float, color: tuple[float, ...], *arc: float) -> None:
        start, end, line = arc or (0, 360, -1 / side)
        axes = round(side * width), round(side * height)
        cv2.ellipse(image, (round(side * x), round(side * y)), axes, 0, start, end, color, round(side * line), 16)

    def shaded(shade: float) -> tuple[float, ...]:
        return tuple(min(255, shade * channel) for channel in skin)

    oval(0.5, 0.42, 0.27, 0.33, (50, 35, 30))
    oval(0.5, 0.85, 0.08, 0.15, shaded(0.85))
    oval(0.5, 1.08, 0.42, 0.2, (60, 80, 120))
    oval(0.5, 0.5, 0.22, 0.3, skin)
    oval(0.5, 0.27, 0.22, 0.1, (50, 35, 30))
    for x in (0.41, 0.59):
        oval(x, 0.46, 0.055, 0.035, shaded(0.86))
        oval(x, 0.46, 0.042, 0.02, (250, 250, 250))
        oval(x + gaze, 0.46, 0.018, 0.02, (70, 45, 30))
        oval(x + gaze, 0.46, 0.008, 0.009, (5, 5, 5))
        oval(x, 0.462, 0.045, 0.026, (60, 40, 35), 180, 360, 0.008)
        oval(x, 0.425, 0.06, 0.025, (60, 40, 30), 200, 340, 0.014)
        oval(0.5 + (x - 0.5) / 3, 0.595, 0.012, 0.007, (120, 70, 60))
        oval(0.5 + (x - 0.5) * 2.5, 0.5, 0.02, 0.05, shaded(0.9))
    oval(0.5, 0.58, 0.03, 0.02, shaded(1.05))
    oval(0.5, 0.69, 0.08, 0.022, (170, 70, 75))
    oval(0.5, 0.69, 0.06, 0.004, (90, 30, 35))
    image = cv2.resize(cv2.GaussianBlur(image, (0, 0), 3), (size, size), interpolation=cv2.INTER_AREA)
    image.flags.writeable = False
    return image


def place(canvas: np.ndarray, face: np.ndarray, x: int, y: int) -> np.ndarray:
    """The canvas with the face's picture on it, its top-left corner at (x, y)."""
    canvas = canvas.copy()
    canvas[y : y + face.shape[0], x : x + face.shape[1]] = face
    return canvas


def blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def distance(points: np.ndarray, truth: np.ndarray) -> float:
    """Largest distance between two sets of points, in crop pixels of the second."""
    return float(np.linalg.norm(points - truth, axis=1).max() * np.hypot(*align_matrix(truth)[:, 0]))


def frames_of(images: list[np.ndarray], *, rate: float = 25, start: int = 0) -> list[Frame]:
    return [Frame(start + i, (start + i) / rate, image) for i, image in enumerate(images)]


def stage(*faces: tuple[int, int, int], skins: tuple[tuple[int, int, int], ...] = (LIGHT, DARK)) -> np.ndarray:
    """A frame of 320 x 480 with faces, each given as (side, x, y), in their order's colour of skin."""
    image = blank(320, 480)
    for (side, x, y), skin in zip(faces, skins, strict=False):
        image = place(image, draw_face(side, skin=skin), x, y)
    return image
