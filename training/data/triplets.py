"""Triplets of images: which two of three show the more similar expressions.

A triplet file is a snapshot of labels, one JSON object a line, or the paper's CSV with a header; both name
images relative to a folder and carry a type::

    {"anchor": "a.jpg", "positive": "b.jpg", "negative": "c.jpg", "type": "TWO_CLASS_TRIPLET"}

An image is a file, a member of a zip (``faces.zip::a.jpg``) or a row of an array (``crops.npy::7``). A triplet
may be mirrored as a whole: what is known of all three images then changes sides together. Mirroring some of
them would make a one-sided smile the positive of its opposite.
"""

import csv
import json
import os
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freeavatar.errors import InputError
from freeavatar.files import make_folder, replacing

SEPARATOR = "::"
"""Between a container and what it holds."""
ROLES = ("anchor", "positive", "negative")
KINDS = {"ONE_CLASS_TRIPLET": 1, "TWO_CLASS_TRIPLET": 2, "THREE_CLASS_TRIPLET": 3}
"""How many classes of expression the images were drawn from (Vemulapalli and Agarwala 2019)."""
MARGINS = (0.0, 0.1, 0.2, 0.2)
"""Margins of the triplet loss on squared distances by the number of classes of a triplet: one, two, three
(Vemulapalli and Agarwala 2019, section 4.2)."""


@dataclass(frozen=True)
class Triplets:
    """Comparisons: anchor and positive are more similar to each other than either is to the negative."""

    images: tuple[str, ...]
    """Ids of images, each once: a path, ``archive.zip::member`` or ``crops.npy::row``."""
    index: np.ndarray
    """Anchor, positive, negative, ``(T, 3)`` int32 into ``images``."""
    kind: np.ndarray
    """Number of classes, ``(T,)`` int8: 1, 2 or 3."""

    def __post_init__(self) -> None:
        assert self.index.shape == (len(self.kind), 3), (self.index.shape, self.kind.shape)
        assert not len(self.index) or 0 <= self.index.min() <= self.index.max() < len(self.images)

    def __len__(self) -> int:
        return len(self.kind)

    def chosen(self, rows: np.ndarray) -> "Triplets":
        """The triplets at ``rows``, indices or ``(T,)`` bool, with the images they name."""
        used, index = np.unique(self.index[rows], return_inverse=True)
        images = tuple(self.images[k] for k in used)
        return Triplets(images, index.reshape(-1, 3).astype(np.int32), self.kind[rows])


def make_triplets(named: Sequence[Sequence[str]], kind: Sequence[int] | np.ndarray) -> Triplets:
    """Triplets of image ids, anchor, positive and negative each."""
    images = tuple(dict.fromkeys(image for three in named for image in three))
    number = {image: k for k, image in enumerate(images)}
    index = np.array([[number[image] for image in three] for three in named], np.int32).reshape(-1, 3)
    return Triplets(images, index, np.asarray(kind, np.int8))


def split_id(image: str) -> tuple[Path, str | None]:
    """Path of an image, or of its container and what it is called in there."""
    container, separator, member = image.partition(SEPARATOR)
    return Path(container), member if separator else None


def read_triplets(path: str | Path, *, images: str | Path | None = None) -> Triplets:
    """Read a snapshot (``.jsonl``) or the paper's CSV (``anchor,positive,negative,type``).

    Args:
        path: the file.
        images: folder the images are relative to; default the file's own.

    Returns:
        Triplets whose ids start with the folder; every image exists.

    Raises:
        InputError: the file cannot be read or is empty, lacks a column, has an unknown type, names an image
            twice in a triplet, or names an image that is not there.
    """
    path = Path(path)
    folder = path.parent if images is None else Path(images)
    readers: dict[str, Callable[[Path], Iterator[dict[str, object]]]] = {".jsonl": _json_rows, ".csv": _csv_rows}
    if path.suffix.lower() not in readers:
        raise InputError("{} is neither .jsonl nor .csv: give a snapshot of triplets or the paper's CSV.", path)
    try:
        rows = list(readers[path.suffix.lower()](path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot read {} ({}): give a file of triplets.", path, error) from error
    if not rows:
        raise InputError("{} holds no triplet: expected one a line.", path)
    named, kinds = zip(*(_parse(row, f"{path}, triplet {k}") for k, row in enumerate(rows, 1)), strict=True)
    found = make_triplets([tuple(os.path.join(folder, name) for name in three) for three in named], kinds)
    check_images(found.images, str(path))
    return found


def _json_rows(path: Path) -> Iterator[dict[str, object]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(
                    "{}, line {} is no JSON ({}): expected an object a line.", path, number, error
                ) from error
            if not isinstance(row, dict):
                raise InputError(
                    "{}, line {} is no object: expected one with {}, type.", path, number, ", ".join(ROLES)
                )
            yield row


def _csv_rows(path: Path) -> Iterator[dict[str, object]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        header = reader.fieldnames or []
        if header and header[0].startswith("http"):
            raise InputError("{} has FEC's own layout: cut its faces with training.build_triplets --fec first.", path)
        missing = [name for name in (*ROLES, "type") if name not in header]
        if header and missing:
            raise InputError("{} lacks {}: expected columns {}, type.", path, ", ".join(missing), ", ".join(ROLES))
        yield from reader


def _parse(row: dict[str, object], where: str) -> tuple[tuple[str, str, str], int]:
    missing = [name for name in (*ROLES, "type") if row.get(name) in (None, "")]
    if missing:
        raise InputError("{} lacks {}: expected {} and type.", where, ", ".join(missing), ", ".join(ROLES))
    anchor, positive, negative = (str(row[role]) for role in ROLES)
    if len({anchor, positive, negative}) < 3:
        raise InputError("{} names an image twice: expected three different images.", where)
    return (anchor, positive, negative), parse_kind(row["type"], where)


def parse_kind(value: object, where: str) -> int:
    """1, 2 or 3 of ``ONE_CLASS_TRIPLET``, ``1``, ...

    Raises:
        InputError: anything else.
    """
    text = str(value).strip().upper()
    if text in KINDS:
        return KINDS[text]
    if text in ("1", "2", "3"):
        return int(text)
    raise InputError("{} has type {!r}: expected one of {} or 1, 2, 3.", where, value, ", ".join(KINDS))


def check_images(images: Sequence[str], source: str) -> None:
    """See that every image exists; containers are opened once.

    Raises:
        InputError: one does not; ``source`` is what named it.
    """
    containers: dict[Path, Collection[str]] = {}
    for image in images:
        path, member = split_id(image)
        if path not in containers:
            containers[path] = _is_file(path) if member is None else _members(path)
        if (member or "") not in containers[path]:
            raise InputError(
                "{} names an unknown image, {}: put it there, or give the folder of images.", source, image
            )


def _is_file(path: Path) -> Collection[str]:
    return {""} if path.is_file() else ()


def _members(container: Path) -> Collection[str]:
    """What a zip holds, or the numbers of an array's rows."""
    try:
        if container.suffix.lower() == ".npy":
            return {str(row) for row in range(len(np.load(container, mmap_mode="r")))}
        with zipfile.ZipFile(container) as archive:
            return set(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError("cannot read {} ({}): expected a zip or .npy of images.", container, error) from error


def write_jsonl(triplets: Triplets, path: str | Path) -> Path:
    """Write a snapshot that names images relative to its own folder, and return its path.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    folder = make_folder(path.parent).resolve()
    places = [split_id(image) for image in triplets.images]
    relative = {place: Path(os.path.relpath(place.resolve(), folder)).as_posix() for place in {p for p, _ in places}}
    names = [relative[p] if member is None else f"{relative[p]}{SEPARATOR}{member}" for p, member in places]
    words = {number: word for word, number in KINDS.items()}
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for three, kind in zip(triplets.index, triplets.kind, strict=True):
            row = {role: names[k] for role, k in zip(ROLES, three, strict=True)}
            file.write(json.dumps({**row, "type": words[int(kind)]}, ensure_ascii=False) + "\n")
    return path
