import struct
import zlib

import cv2
import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.images import decode_image
from freeavatar.pipeline.sources import open_source


def png(width: int, height: int) -> bytes:
    """A small PNG whose header claims another size."""
    small = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    header = b"IHDR" + struct.pack(">II", width, height) + small[24:29]
    return small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]


@pytest.mark.parametrize("data", [b"", b"GIF", png(60_000, 60_000), png(2**31 - 1, 1)])
def test_an_image_that_cannot_be_decoded_is_refused_in_words(data):
    with pytest.raises(InputError, match=r"a\.png is"):
        decode_image(data, "a.png")


def test_a_range_of_a_folder_is_some_of_its_images(tmp_path):
    for k in range(30):
        cv2.imwrite(str(tmp_path / f"{k:02}.png"), np.full((20, 30, 3), k * 8, np.uint8))
    source = open_source(tmp_path, start=0.5, end=0.7)
    frames = list(source)
    assert [int(frame.image[0, 0, 0]) // 8 for frame in frames] == list(range(15, 21)) and source.frames == 6
    assert [frame.time for frame in frames] == pytest.approx([k / 30 for k in range(6)]) and source.offset == 0.5
    assert source.frame_at(0.6).image[0, 0, 0] == 18 * 8
    with pytest.raises(InputError, match="it ends at 1"):
        open_source(tmp_path, start=2)
