"""Everything another machine's store has, into this one."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlite_utils import Database

from annotation.store.images import content_hash
from annotation.store.maintenance import resettle
from annotation.store.store import Store, refuse_stranger
from freeavatar.errors import InputError

_OF_QUESTION = "question_id not in barred_questions"
_TABLES = {
    "consents": "", "annotators": "", "agreements": "", "completions": "",
    "images": "id not in barred_images", "embeddings": "image_id not in barred_images", "clips": "",
    "questions": "id not in barred_questions", "question_images": _OF_QUESTION, "comparisons": _OF_QUESTION,
    "gold": _OF_QUESTION, "leases": _OF_QUESTION, "answers": _OF_QUESTION, "exclusions": "",
    "snapshots": "id not in barred_snapshots", "snapshot_images": "snapshot_id not in barred_snapshots",
}  # fmt: skip
"""Parents before children, and which rows come in; settings stay each store's own."""


@dataclass(frozen=True)
class Merged:
    """What a merge did."""

    added: dict[str, int]
    """Rows by table."""
    barred: int
    """Images that were forgotten here and did not come back, nor what hangs on them."""
    forgotten_there: list[str]
    """Images here that the other store forgot; they stay until `forget` is called here, too."""


def merge_store(store: Store, other: Path) -> Merged:
    """Add everything another store has, all or nothing; rows with the same id are the same.

    The other file is only read.

    Raises:
        InputError: the other is missing, no label store, newer, damaged, or the same file.
    """
    if other.exists() and other.resolve() == store.path.resolve():
        raise InputError("{} is this database itself: give another one.", other)
    with _copied(other, store.path.parent) as copy:
        connection = store.db.conn
        connection.create_function("content_hash", 1, content_hash, deterministic=True)
        connection.execute("attach database ? as other", (str(copy),))
        try:
            with store.write() as db:
                barred = _bar(db)
                forgotten = _forgotten_there(db)
                added = {table: _add_rows(db, table, which) for table, which in _TABLES.items()}
                db.execute(
                    "update images set crop = o.crop, kind = o.kind, licence = o.licence from other.images o "
                    "where o.id = images.id and images.crop is null and o.crop is not null"
                )
                _settle_merged(store)
        finally:
            for name in ("images", "questions", "snapshots"):
                connection.execute(f"drop table if exists temp.barred_{name}")
            connection.execute("detach database other")
    return Merged(added, barred, forgotten)


@contextmanager
def _copied(other: Path, folder: Path) -> Iterator[Path]:
    """A copy of a label store, brought up to this version: the file itself may be somebody else's."""
    if not other.is_file():
        raise InputError("there is no database {}: give one that exists.", other)
    with tempfile.TemporaryDirectory(dir=folder, prefix="merging-") as scratch:
        copy = Path(scratch) / "other.db"
        source = sqlite3.connect(f"file:{quote(str(other.resolve()))}?mode=ro", uri=True)
        try:
            refuse_stranger(Database(source, execute_plugins=False), other)
            target = sqlite3.connect(copy)
            source.backup(target)
            target.close()
        except sqlite3.Error as error:
            raise InputError("{} cannot be read as a database ({}): give another one.", other, error) from error
        finally:
            source.close()
        fresh = Store(copy)
        odd = fresh.value("select id from images where length(id) != 32 or id glob '*[^0-9a-f]*'")
        fresh.close()
        if odd is not None:
            raise InputError(
                "{} holds an image with the id {!r}, which FreeAvatar never gives: not merged.", other, odd
            )
        yield copy


def _bar(db: Database) -> int:
    """Name the rows of the other store that show what was forgotten here; how many images those are."""
    db.execute(
        "create temp table barred_images as select id from other.images where id in (select image_id from "
        "main.tombstones) or (exists (select 1 from main.tombstones) and content_hash(crop) in (select crop_hash "
        "from main.tombstones where crop_hash is not null))"
    )
    for name, key in (("question", "question_images"), ("snapshot", "snapshot_images")):
        db.execute(
            f"create temp table barred_{name}s as select distinct {name}_id from other.{key} "
            "where image_id in barred_images"
        )
    return db.execute("select count(*) from barred_images").fetchone()[0]


def _forgotten_there(db: Database) -> list[str]:
    """Images here that have a tombstone there; the other tombstones hold here from now on."""
    rows = db.execute(
        "select id from images where id in (select image_id from other.tombstones) or (exists (select 1 from "
        "other.tombstones) and content_hash(crop) in (select crop_hash from other.tombstones where crop_hash "
        "is not null)) order by id"
    ).fetchall()
    known = "select id from main.images"
    db.execute(f"insert or ignore into tombstones select * from other.tombstones where image_id not in ({known})")
    return [row[0] for row in rows]


def _add_rows(db: Database, table: str, which: str) -> int:
    columns = [column.name for column in db.table(table).columns]
    values = ["0" if column == "is_own" else column for column in columns]  # its files are another machine's
    sql = f"insert or ignore into {table} ({', '.join(columns)}) select {', '.join(values)} from other.{table}"
    return db.execute(sql + (f" where {which}" if which else "")).rowcount


def _settle_merged(store: Store) -> None:
    """Leases and questions both stores have may have gone further in the other."""
    with store.write() as db:
        db.execute(
            "update leases set state = 'counted' where state = 'held' "
            "and exists (select 1 from answers a where a.lease_id = leases.id and a.action != 'undo')"
        )
        db.execute(
            "update leases set state = 'void' where state = 'counted' "
            "and exists (select 1 from answers a where a.lease_id = leases.id and a.action = 'undo')"
        )
        resettle(store)
