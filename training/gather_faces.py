"""Cut the faces out of labelled pictures, and lay them beside labelled face crops: one folder to train on.

    python -m training.gather_faces --pictures PICTURES --faces FACES --out DIR
    python -m training.gather_faces --pictures PICTURES --out DIR --count 20   # under a minute

PICTURES is a folder with images.zip and labels.csv (columns ``file``, ``split`` and ARKit's blendshapes) of whole
pictures; FACES one whose images are crops already. Rows and crops of both are written; a picture without a face is
left out and named.
"""

import csv
import logging
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import tyro

from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.faces import crop_face, detect_faces, refine_face
from freeavatar.files import make_folder, replacing
from freeavatar.images import decode_image

logger = logging.getLogger(__name__)

_QUALITY = 92


@dataclass(frozen=True)
class GatherConfig:
    """What to gather."""

    pictures: Path
    """Folder of whole pictures with labels."""
    out: Path
    """Folder of the result."""
    faces: Path | None = None
    """Folder of labelled crops to go with them."""
    count: int = 0
    """Pictures to take; 0 takes all."""


def gather_faces(config: GatherConfig) -> int:
    """Write ``images.zip`` and ``labels.csv``, and return the number of faces.

    Raises:
        InputError: a folder lacks its files, or no picture shows a face.
    """
    make_folder(config.out)
    rows = _rows(config.pictures)
    rows = rows[: config.count or len(rows)]
    kept: list[dict[str, str]] = []
    with replacing(config.out / "images.zip") as temporary, zipfile.ZipFile(temporary, "w") as out:
        for row, crop in _cropped(config.pictures / "images.zip", rows):
            if crop is None:
                logger.warning("%s shows no face", row["file"])
                continue
            name = str(Path(row["file"]).with_suffix(".jpg"))
            out.writestr(name, crop)
            kept.append({**row, "file": name})
        if not kept:
            raise InputError("no picture of {} shows a face: give pictures of faces.", config.pictures)
        if config.faces is not None:
            kept += _copied(config.faces, out)
    columns = list(dict.fromkeys(name for row in (kept[0], kept[-1]) for name in row))
    with replacing(config.out / "labels.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(kept)
    return len(kept)


def _rows(folder: Path) -> list[dict[str, str]]:
    for name in ("images.zip", "labels.csv"):
        if not (folder / name).is_file():
            raise InputError("{} lacks {}: give a folder that holds images.zip and labels.csv.", folder, name)
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _cropped(path: Path, rows: list[dict[str, str]]) -> Iterator[tuple[dict[str, str], bytes | None]]:
    """Rows, each with the JPEG of its face."""
    with zipfile.ZipFile(path) as archive, ThreadPoolExecutor(2) as pool:
        for start in range(0, len(rows), 64):
            chunk = rows[start : start + 64]
            yield from zip(chunk, pool.map(_crop, [archive.read(row["file"]) for row in chunk]), strict=True)


def _crop(data: bytes) -> bytes | None:
    image = decode_image(data, "a picture")
    faces = detect_faces(image)
    if not faces:
        return None
    crop = crop_face(image, (refine_face(image, faces[0].points) or faces[0]).points)
    return cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _copied(folder: Path, out: zipfile.ZipFile) -> list[dict[str, str]]:
    """Rows of labelled crops, whose images are written into ``out``."""
    rows = _rows(folder)
    with zipfile.ZipFile(folder / "images.zip") as archive:
        for row in rows:
            out.writestr(row["file"], archive.read(row["file"]))
    return rows


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        print(gather_faces(tyro.cli(GatherConfig, description=__doc__)), "faces")
    except FreeAvatarError as error:
        sys.exit(f"training.gather_faces: {error}")
