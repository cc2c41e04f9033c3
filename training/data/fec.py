"""The Facial Expression Comparison dataset (Vemulapalli and Agarwala 2019), from its CSV and local images."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from freeavatar.errors import InputError
from freeavatar.faces import CROP_SIZE, crop_face
from freeavatar.fec import FecFace, FecRow, find_face, read_fec
from freeavatar.files import make_folder, replacing
from freeavatar.images import read_image
from training.data.triplets import KINDS, SEPARATOR, Triplets, make_triplets

logger = logging.getLogger(__name__)

AGREEMENT = 2 / 3
"""Share of raters that must agree: the paper's strong agreement."""


@dataclass(frozen=True)
class Comparison:
    """A rated triplet."""

    faces: tuple[FecFace, ...]
    """Anchor, positive, negative: the raters' odd one out is last."""
    kind: int
    agreement: float
    """Share of the raters that chose that odd one out."""


def read_comparisons(path: Path, *, agreement: float = AGREEMENT) -> list[Comparison]:
    """Rows of FEC's CSV on which enough raters agree.

    Raises:
        InputError: no such file, a row of another layout, or no row that passes.
    """
    rows = [_compared(row) for row in read_fec(path)]
    agreed = [row for row in rows if row.agreement >= agreement - 1e-9]
    if not agreed:
        raise InputError(
            "{} has no triplet on which {:.0%} of the raters agree ({} in all).", path, agreement, len(rows)
        )
    return agreed


def _compared(row: FecRow) -> Comparison:
    votes = [vote for _, vote in row.votes]
    (odd, count), *others = Counter(votes).most_common()
    if others and others[0][1] == count:
        count = 0  # a tie tells no odd one out, whatever agreement is asked for
    faces = list(row.faces)
    negative = faces.pop(odd)
    return Comparison((*faces, negative), KINDS[row.type], count / len(votes))


def cut_triplets(comparisons: Sequence[Comparison], *, images: Path, out: Path) -> Triplets:
    """Cut the faces out of local images, aligned as the encoder sees them, into ``out/crops.npy``.

    Args:
        comparisons: from :func:`read_comparisons`.
        images: folder with the images, called as in their URLs.
        out: folder of the result.

    Returns:
        The triplets all of whose images are there and show their face.

    Raises:
        InputError: there is none.
    """
    places = {image.name: image for image in images.rglob("*") if image.is_file()}
    names = {face: face.file_name for row in comparisons for face in row.faces}
    whole = [row for row in comparisons if all(names[face] in places for face in row.faces)]
    faces = list(dict.fromkeys(face for row in whole for face in row.faces))
    row_of: dict[FecFace, int] = {}
    crops = make_folder(out) / "crops.npy"
    with replacing(crops) as temporary:
        array = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(faces), CROP_SIZE, CROP_SIZE))
        for face in tqdm(faces, unit="face", disable=None):
            try:
                image = read_image(places[names[face]])
                found = find_face(image, face.box)
            except InputError as error:  # what a dead link left behind
                logger.warning("%s", error)
                continue
            if found is not None:
                array[len(row_of)] = cv2.cvtColor(crop_face(image, found.points), cv2.COLOR_RGB2GRAY)
                row_of[face] = len(row_of)
        array.flush()
    kept = [row for row in whole if all(face in row_of for face in row.faces)]
    logger.info("%d of %d triplets have all three images", len(kept), len(comparisons))
    if not kept:
        raise InputError(
            "{} holds all three images of none of {} triplets: download them there.", images, len(comparisons)
        )
    named = [tuple(f"{crops}{SEPARATOR}{row_of[face]}" for face in row.faces) for row in kept]
    return make_triplets(named, [row.kind for row in kept])
