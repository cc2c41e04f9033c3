"""Images: files decoded, and frames of a video."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from freeavatar.errors import InputError

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
"""Endings of files read as images."""


@dataclass(frozen=True)
class Frame:
    """One frame of a video."""

    index: int
    """Place in the video, from 0."""
    time: float
    """Presentation time, seconds from the first frame read, strictly increasing."""
    image: np.ndarray
    """Upright RGB, ``(H, W, 3)`` uint8."""


def decode_image(data: bytes, name: str) -> np.ndarray:
    """Decode an image file to HWC uint8 RGB, upright.

    Raises:
        InputError: not an image OpenCV can read.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise InputError("{} is damaged or larger than a thousand megapixels: give a smaller image.", name) from error
    if pixels is None:
        raise InputError("{} is not a readable image: give a PNG, JPEG, WebP, BMP or TIFF.", name)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def is_image(path: Path) -> bool:
    """Whether a file's ending is an image's; hidden files, such as macOS's ``._a.jpg``, are none."""
    return path.suffix.lower() in IMAGES and not path.name.startswith(".")


def read_image(path: Path) -> np.ndarray:
    """Read an image file to HWC uint8 RGB, upright.

    Raises:
        InputError: it cannot be read, or is no image OpenCV knows.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError("cannot read {} ({}): give an image that exists.", path, error.strerror) from error
    return decode_image(data, path.name)
