"""Pictures as data URLs, for parts of the page that change too fast for files."""

import cv2
import numpy as np

from freeavatar.explore.sheets import encode_jpeg
from freeavatar.files import data_url


def picture_url(image: np.ndarray, *, height: int | None = None) -> str:
    """A JPEG of an image ``(H, W, 3)`` uint8 RGB as a data URL, scaled down to ``height`` if it is taller."""
    if height is not None and image.shape[0] > height:
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return data_url("image/jpeg", encode_jpeg(image))
