"""Sprite sheets: many small faces in one JPEG, so that a page need not ask for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from freeavatar.faces import CROP_SIZE
from freeavatar.files import replacing

_QUALITY = 80


@dataclass(frozen=True)
class SheetLayout:
    """How faces lie on a sheet: row by row from the upper left."""

    cell: int
    """Side of a face in pixels."""
    columns: int
    """Faces a row, and rows a sheet."""

    @property
    def capacity(self) -> int:
        """Faces a sheet."""
        return self.columns**2


THUMBNAILS = SheetLayout(48, 16)
"""For hovering over a map."""
MOMENTS = SheetLayout(CROP_SIZE, 8)
"""Moments of a clip, at the size of a crop."""


def draw_sheet(images: Sequence[np.ndarray | None], layout: SheetLayout) -> bytes:
    """JPEG of a sheet.

    Args:
        images: at most ``layout.capacity`` square RGB images, ``(S, S, 3)`` uint8; None leaves its cell grey.
        layout: of the sheet.
    """
    rows = max(1, -(-len(images) // layout.columns))
    columns = min(layout.columns, max(1, len(images)))
    sheet = np.full((rows * layout.cell, columns * layout.cell, 3), 96, np.uint8)
    for k, image in enumerate(images):
        if image is not None:
            y, x = k // layout.columns * layout.cell, k % layout.columns * layout.cell
            small = cv2.resize(image, (layout.cell, layout.cell), interpolation=cv2.INTER_AREA)
            sheet[y : y + layout.cell, x : x + layout.cell] = small
    return encode_jpeg(sheet, _QUALITY)


def encode_jpeg(image: np.ndarray, quality: int = 88) -> bytes:
    """JPEG of an image ``(H, W, 3)`` uint8 RGB."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def read_cell(sheet: Path, cell: int, layout: SheetLayout) -> np.ndarray:
    """One face of a sheet on disk, ``(cell, cell, 3)`` uint8 RGB."""
    pixels = cv2.imread(str(sheet), cv2.IMREAD_COLOR)
    assert pixels is not None, sheet
    y, x = cell // layout.columns * layout.cell, cell % layout.columns * layout.cell
    return np.ascontiguousarray(pixels[y : y + layout.cell, x : x + layout.cell, ::-1])


class SheetWriter:
    """Writes faces one after the other into ``folder/<name>-000.jpg`` and so on; holds one sheet in memory."""

    def __init__(self, folder: Path, name: str, layout: SheetLayout = MOMENTS) -> None:
        self._folder, self._name, self._layout = folder, name, layout
        self._waiting: list[np.ndarray | None] = []
        self._sheets = 0

    def add(self, image: np.ndarray | None) -> None:
        """Add the next face; None where there is none."""
        self._waiting.append(image)
        if len(self._waiting) == self._layout.capacity:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        if self._waiting:
            with replacing(sheet_path(self._folder, self._name, self._sheets)) as temporary:
                temporary.write_bytes(draw_sheet(self._waiting, self._layout))
            self._waiting, self._sheets = [], self._sheets + 1


def sheet_path(folder: Path, name: str, number: int) -> Path:
    """Where a sheet of a series lies."""
    return folder / f"{name}-{number:03d}.jpg"
