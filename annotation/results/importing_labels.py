"""Labels made elsewhere, into the store: FEC's CSV and ``anchor,positive,negative,type``."""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database

from annotation.results.exporting import COLUMNS
from annotation.store.ids import new_id, now
from annotation.store.images import add_image, is_forgotten, reference_id
from annotation.store.questions import insert_question
from annotation.store.store import Store
from freeavatar.errors import InputError
from freeavatar.fec import is_fec, read_fec


@dataclass(frozen=True)
class _Row:
    images: tuple[tuple[str, tuple[float, ...] | None], ...]
    """Source and box of each."""
    type: str
    votes: tuple[tuple[str, int], ...]


def import_answers(store: Store, path: Path) -> int:
    """Add the labels of a CSV, all or none; pictures the pool lacks are known by name alone, and labels of
    forgotten ones are left out.

    Returns:
        How many votes there were.

    Raises:
        InputError: columns are missing, or the file was imported before.
    """
    rows = list(_fec_rows(path) if is_fec(path) else _csv_rows(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    seen = store.get("imported", [])
    if digest in seen:
        raise InputError("{} was imported before: nothing was added.", path)
    votes = 0
    with store.write() as db:
        for row in rows:
            votes += _add(store, db, row)
        store.set("imported", [*seen, digest])
    return votes


def _fec_rows(path: Path) -> Iterator[_Row]:
    for row in read_fec(path):
        votes = tuple((f"fec:{annotator}", vote) for annotator, vote in row.votes)
        yield _Row(tuple((face.url, face.box) for face in row.faces), row.type, votes)


def _csv_rows(path: Path) -> Iterator[_Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = {name.strip().lower(): name for name in reader.fieldnames or ()}
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise InputError(
                    "{} has no column {}: expected {}, or FEC's layout; nothing was imported.",
                    path,
                    ", ".join(missing),
                    ",".join(COLUMNS),
                )
            for row in reader:
                names = [(row[header[column]] or "").strip() for column in COLUMNS]
                if not all(names[:3]):
                    raise InputError("{}, line {} names fewer than three images: complete it.", path, reader.line_num)
                yield _Row(tuple((name, None) for name in names[:3]), names[3], ((f"csv:{path.name}", 2),))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("cannot read {} ({}): give a CSV that exists.", path, error) from error


def _add(store: Store, db: Database, row: _Row) -> int:
    images = [image for source in row.images if (image := _image(store, *source)) is not None]
    if len(images) < len(row.images):
        return 0
    question = (new_id(), "odd", "imported", "imported", None, None, row.type, 0, 0, now())
    insert_question(db, question, images)
    for annotator, vote in row.votes:
        db.execute("insert or ignore into annotators values (?, 'import', null, null, '', ?)", (annotator, now()))
        db.execute(
            "insert into answers values (?, null, ?, ?, 'imported', 'choice', ?, '[0, 1, 2]', null, null, '', ?)",
            (new_id(), question[0], annotator, json.dumps([vote]), now()),
        )
    return len(row.votes)


def _image(store: Store, source: str, box: tuple[float, ...] | None) -> str | None:
    """Id of the image, which the pool may not have; None if it was forgotten."""
    known = None
    if box is None:
        known = store.value("select id from images where id = ? or source = ?", (Path(source).stem, source))
    if known is None:
        known = reference_id(source, box)
        if is_forgotten(store, known):
            return None
        add_image(store, known, kind="reference", source=source, licence="unknown", crop=None, box=box)
    return known
