"""The layout of Google's Facial Expression Comparison data (FEC; Vemulapalli and Agarwala 2019).

No header. Three times URL and face box (left, right, top, bottom as shares of width and height), the
type of the triplet, then pairs of annotator and vote; a vote names the image, 1 to 3, that is not part
of the most similar pair.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import numpy as np

from freeavatar.errors import InputError
from freeavatar.faces import Face, detect_faces, refine_face
from freeavatar.files import replacing

TYPES = ("ONE_CLASS_TRIPLET", "TWO_CLASS_TRIPLET", "THREE_CLASS_TRIPLET")
"""How many expression classes the three images were drawn from."""
_MARGIN = 0.4
"""Of a box's width and height, around it: the boxes are tight, and the detector wants a whole head."""
_SMALLEST = 16
"""Side in pixels of the smallest part that is searched."""


@dataclass(frozen=True)
class FecFace:
    """A face in a picture."""

    url: str
    box: tuple[float, ...]
    """Left, right, top, bottom as shares of the picture's width and height."""

    @property
    def file_name(self) -> str:
        """Name the picture has when it was downloaded."""
        return PurePosixPath(unquote(urlsplit(self.url).path)).name


@dataclass(frozen=True)
class FecRow:
    """A triplet and its votes."""

    faces: tuple[FecFace, FecFace, FecFace]
    type: str
    votes: tuple[tuple[str, int], ...]
    """Annotator, and the odd image: 0, 1 or 2."""


def find_face(image: np.ndarray, box: tuple[float, ...]) -> Face | None:
    """The face in a box of FEC, the nearest to its middle; None if there is none.

    Args:
        image: RGB, ``(H, W, 3)`` uint8.
        box: left, right, top, bottom as shares of width and height.
    """
    height, width = image.shape[:2]
    left, right, top, bottom = np.array(box) * (width, width, height, height)
    x, y = _MARGIN * (right - left), _MARGIN * (bottom - top)
    low = np.maximum([left - x, top - y], 0).astype(int)
    high = np.minimum([right + x, bottom + y], [width, height]).astype(int)
    if (high - low).min() < _SMALLEST:
        return None
    centre = np.array([left + right, top + bottom]) / 2 - low
    faces = detect_faces(np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]]))
    inside = [face for face in faces if (np.abs(face.points.mean(0) - centre) < (x, y)).all()]
    if not inside:
        return None
    nearest = min(inside, key=lambda face: float(np.hypot(*(face.points.mean(0) - centre))))
    return refine_face(image, nearest.points + low)


def is_fec(path: Path) -> bool:
    """Whether a CSV looks like FEC's."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return len(first) >= 16 and first[15].strip() in TYPES


def read_fec(path: Path) -> Iterator[FecRow]:
    """Rows of a FEC CSV.

    Raises:
        InputError: it cannot be read, or a row has other columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, cells in enumerate(csv.reader(file), 1):
                if cells:
                    yield _row([cell.strip() for cell in cells], f"{path}, line {number}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("cannot read {} ({}): give a CSV that exists.", path, error) from error


def _row(cells: list[str], where: str) -> FecRow:
    if len(cells) < 18 or len(cells) % 2:
        raise InputError(
            "{} has {} columns: FEC has 3 x (URL and box of 4), the type, then annotator and vote of each rater.",
            where,
            len(cells),
        )
    try:
        faces = [FecFace(cells[k], tuple(float(cell) for cell in cells[k + 1 : k + 5])) for k in (0, 5, 10)]
        votes = tuple((cells[k], int(cells[k + 1]) - 1) for k in range(16, len(cells), 2) if cells[k])
    except ValueError as error:
        raise InputError("{} holds no number where FEC has one ({}): check its columns.", where, error) from error
    if cells[15] not in TYPES or not votes or not all(0 <= vote <= 2 for _, vote in votes):
        raise InputError("{}: expected a type of {} and votes of 1, 2 or 3.", where, ", ".join(TYPES))
    return FecRow((faces[0], faces[1], faces[2]), cells[15], votes)


def write_fec(rows: Iterable[FecRow], path: Path) -> int:
    """Write rows as FEC has them; how many there were.

    Raises:
        InputError: the file cannot be written.
    """
    count = 0
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in rows:
            faces = [value for face in row.faces for value in (face.url, *face.box)]
            votes = [value for annotator, vote in row.votes for value in (annotator, vote + 1)]
            writer.writerow([*faces, row.type, *votes])
            count += 1
    return count
