"""Pictures as data URLs, for parts of the page that change too fast for files."""

import base64

import cv2
import numpy as np

from freeavatar.errors import InputError
from freeavatar.explore.sheets import encode_jpeg
from freeavatar.files import data_url
from freeavatar.images import decode_image


def picture_url(image: np.ndarray, *, height: int | None = None) -> str:
    """A JPEG of an image ``(H, W, 3)`` uint8 RGB as a data URL, scaled down to ``height`` if it is taller."""
    if height is not None and image.shape[0] > height:
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return data_url("image/jpeg", encode_jpeg(image))


def image_of(url: object, *, largest: int) -> np.ndarray:
    """The image of a data URL that a browser sent, ``(H, W, 3)`` uint8 RGB.

    Args:
        url: what was sent.
        largest: characters of the longest that is looked at.

    Raises:
        InputError: it is none, or too large.
    """
    if not isinstance(url, str) or not url.startswith("data:image/") or len(url) > largest:
        raise InputError("the browser sent no picture that can be used: reload the page.")
    try:
        return decode_image(base64.b64decode(url.partition(",")[2]), "the picture")
    except ValueError as error:
        raise InputError("the browser sent a damaged picture: reload the page.") from error
