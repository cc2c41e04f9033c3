"""What is behind an avatar: the studio, a colour, a picture, or nothing.

Pictures with alpha are sRGB with straight alpha: colours are those of the avatar alone, so that no rim of an older
background comes along wherever they are put.
"""

import re
from pathlib import Path

import cv2
import numpy as np

from freeavatar.errors import InputError
from freeavatar.images import read_image
from freeavatar.render import Look

_COLOR = re.compile(r"#([0-9a-fA-F]{6})")
_LEAST = 16
"""Pixels: how far the pyramid of :func:`extend_colors` goes down."""


def read_background(text: str | None, size: int) -> np.ndarray:
    """The background that a setting names, ``(size, size, 3)`` uint8.

    Args:
        text: ``#204060``, a picture's path, or None and ``none`` for the studio's.
        size: height and width in pixels; a picture is scaled to fill them, and cut.

    Raises:
        InputError: it is neither a colour nor a readable picture.
    """
    if text in (None, "none"):
        top, bottom = np.array(Look().background) * 255
        ramp = (np.arange(size)[:, None] + 0.5) / size
        rows = np.rint(top + ramp * (bottom - top)).astype(np.uint8)
        return np.repeat(rows[:, None], size, axis=1)
    if match := _COLOR.fullmatch(text):
        return np.full((size, size, 3), list(bytes.fromhex(match[1])), np.uint8)
    if text.startswith("#"):
        raise InputError("background is {!r}, expected none, a colour such as #204060 or a picture.", text)
    image = read_image(Path(text))
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side]
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)


def put_over(picture: np.ndarray, background: np.ndarray) -> np.ndarray:
    """A picture ``(H, W, 4)`` uint8 in front of a background ``(H, W, 3)``; ``(H, W, 3)`` uint8."""
    alpha = picture[..., 3:].astype(np.uint16)
    return ((picture[..., :3] * alpha + background * (255 - alpha) + 127) // 255).astype(np.uint8)


def extend_colors(picture: np.ndarray) -> np.ndarray:
    """The same picture ``(H, W, 4)`` uint8 whose transparent pixels have the colours of what is near.

    They are not seen, but video codecs store colours in blocks and at half the size: black beside an edge would
    darken it. The colours are the means of ever larger neighbourhoods ("push-pull" of Gortler et al. 1996, "The
    Lumigraph", section 3.4.3).
    """
    alpha = picture[..., 3:].astype(np.float32) / 255
    levels = [np.concatenate([picture[..., :3] * alpha, alpha], axis=-1)]
    while min(levels[-1].shape[:2]) > _LEAST:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    known = levels[-1].sum((0, 1), keepdims=True)
    found = np.broadcast_to(known / max(float(known[..., 3].sum()), 1e-6), levels[-1].shape)
    for level in reversed(levels):
        found = cv2.resize(np.ascontiguousarray(found), level.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        found = level + (1 - level[..., 3:]) * found
    colors = np.rint(np.clip(found[..., :3], 0, 255)).astype(np.uint8)
    seen = picture[..., 3:] > 0
    return np.concatenate([np.where(seen, picture[..., :3], colors), picture[..., 3:]], axis=-1)
