"""Ask viewers what they see in faces: sheets of numbered faces, and the table that comes of what is written down.

    python -m training.describe_faces --faces FACES --out SHEETS --count 400
    python -m training.describe_faces --faces FACES --out SHEETS --is-collecting

The first command draws faces of FACES (a folder with images.zip and labels.csv) that nobody described yet, evenly over
emotions, onto ``SHEETS/sheet_000.png`` and on, and says in ``SHEETS/questions.txt`` what a viewer writes beside each as
``sheet_000.txt``: a line a face. The second gathers all that was written in ``FACES/descriptions.csv``, which
``training.label_faces`` learns from. Several viewers of one sheet write ``sheet_000_NAME.txt``: their mean counts.
"""

import json
import logging
import sys
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.files import make_folder, replacing
from freeavatar.images import decode_image
from training.data.descriptions import MOVEMENTS, STRONGEST, are_possible, read_descriptions, write_descriptions
from training.data.labelled_faces import DESCRIPTIONS, read_rows

_COLUMNS, _ROWS, _CELL = 5, 4, 300
_MARGIN = 0.07
"""Share of a crop that is cut off at each edge."""
_SHEETS = "sheets.json"
_YELLOW = (255, 255, 0)


@dataclass(frozen=True)
class DescribeConfig:
    """Whom to describe, and where."""

    faces: Path
    """Folder with images.zip and labels.csv."""
    out: Path
    """Folder of the sheets, and of what is written about them."""
    count: int = 400
    """Faces to draw; whole sheets of 20 are."""
    split: str = "train"
    """Split to draw from; what is described of ``val`` measures."""
    seed: int = 0
    is_collecting: bool = False
    """Gather what was written, in place of drawing sheets."""


def questions() -> str:
    """What a viewer is told."""
    lines = [
        "Each sheet shows 20 numbered faces. Look at each and write a line with these numbers, separated by spaces:",
        "its number; 1, or 0 if it is drawn, covered or unreadable; then how strong each movement is, judged against",
        f"that person's own face at rest: 0 none, 1 slight, 2 clear, {STRONGEST} as strong as people can.",
        "Left and right are the picture's.",
        "",
    ]
    return "\n".join(lines + [f"{k:2d}  {movement.question}" for k, movement in enumerate(MOVEMENTS, 1)]) + "\n"


def draw_sheets(config: DescribeConfig) -> int:
    """Write sheets, and return their number.

    Raises:
        InputError: the folder lacks its files, sheets are there already, or too few faces are left.
    """
    if (config.out / _SHEETS).exists():
        raise InputError("{} holds sheets already: collect what was written, or name another folder.", config.out)
    table = config.faces / DESCRIPTIONS
    known = set(read_descriptions(table)) if table.is_file() else set()
    rows = [row for row in read_rows(config.faces / "labels.csv", split=config.split) if row["file"] not in known]
    size = _COLUMNS * _ROWS
    if min(len(rows), config.count) < size:
        raise InputError(
            "{} faces of {} are not described yet, and {} are asked for: a sheet takes {}.",
            len(rows), config.faces, config.count, size,
        )  # fmt: skip
    usual = Counter(row.get("emotion") for row in rows)
    weights = np.array([1 / usual[row.get("emotion")] for row in rows])
    count = min(config.count, len(rows)) // size * size
    chosen = np.random.default_rng(config.seed).choice(len(rows), count, replace=False, p=weights / weights.sum())
    names = [rows[k]["file"] for k in chosen]
    sheets = [names[start : start + size] for start in range(0, count, size)]
    make_folder(config.out)
    with zipfile.ZipFile(config.faces / "images.zip") as archive:
        for number, sheet in enumerate(sheets):
            picture = _sheet([decode_image(archive.read(name), name) for name in sheet])
            cv2.imwrite(str(config.out / f"sheet_{number:03d}.png"), picture[..., ::-1])
    (config.out / "questions.txt").write_text(questions())
    with replacing(config.out / _SHEETS) as temporary:
        temporary.write_text(json.dumps(sheets))
    return len(sheets)


def _sheet(images: list[np.ndarray]) -> np.ndarray:
    cells = []
    for number, image in enumerate(images, 1):
        edge = int(_MARGIN * len(image))
        loose = image[edge : len(image) - edge, edge : len(image) - edge]
        cell = cv2.resize(loose, (_CELL, _CELL), interpolation=cv2.INTER_CUBIC)
        cv2.rectangle(cell, (0, 0), (44, 30), (0, 0, 0), -1)
        cv2.putText(cell, str(number), (4, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.85, _YELLOW, 2)
        cells.append(cell)
    return np.vstack([np.hstack(cells[start : start + _COLUMNS]) for start in range(0, len(cells), _COLUMNS)])


def collect(config: DescribeConfig) -> int:
    """Add what was written to the table of FACES, and return the number of faces that it describes.

    Raises:
        InputError: there are no sheets, or a line is not as asked for.
    """
    if not (config.out / _SHEETS).is_file():
        raise InputError("{} holds no sheets: draw them first, without --is-collecting.", config.out)
    table = config.faces / DESCRIPTIONS
    found = read_descriptions(table) if table.is_file() else {}
    for number, names in enumerate(json.loads((config.out / _SHEETS).read_text())):
        said: dict[str, list[np.ndarray]] = {}
        for path in sorted(config.out.glob(f"sheet_{number:03d}*.txt")):
            for place, strengths in _read(path, len(names)):
                said.setdefault(names[place], []).append(strengths)
        found |= {name: np.mean(viewed, axis=0) for name, viewed in said.items()}
    write_descriptions(table, found.items())
    return len(found)


def _read(path: Path, count: int) -> list[tuple[int, np.ndarray]]:
    """Places on a sheet, and the strengths seen there; those of unreadable faces are left out."""
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            values = np.array([float(part) for part in line.split()])
        except ValueError:
            values = np.empty(0)
        is_whole = len(values) == len(MOVEMENTS) + 2 and 1 <= values[0] <= count
        if not is_whole or not are_possible(values[2:]):
            raise InputError(
                "{}, line {}: expected the face's number, 1 or 0, and {} strengths up to {}.",
                path, number, len(MOVEMENTS), STRONGEST,
            )  # fmt: skip
        if values[1]:
            found.append((int(values[0]) - 1, values[2:]))
    return found


def main() -> None:
    """Draw or collect, as the command line says."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = tyro.cli(DescribeConfig, description=__doc__)
    try:
        if config.is_collecting:
            print(f"{collect(config)} faces are described in {config.faces / DESCRIPTIONS}")
        else:
            print(f"{draw_sheets(config)} sheets in {config.out}: what to write is in questions.txt there")
    except FreeAvatarError as error:
        sys.exit(f"training.describe_faces: {error}")


if __name__ == "__main__":
    main()
