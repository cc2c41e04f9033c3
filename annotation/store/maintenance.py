"""Backing a store up, checking it, leaving an annotator out."""

import json
import sqlite3
from pathlib import Path

from annotation.store.ids import new_id, now
from annotation.store.questions import settle
from annotation.store.settings import GRID, read_settings
from annotation.store.store import Store
from freeavatar.errors import InputError
from freeavatar.files import make_folder, replacing


def resettle(store: Store, annotator: str | None = None) -> None:
    """Open or close questions anew; all, or those an annotator answered."""
    settings = read_settings(store)
    sql = "select id from questions where purpose in ('informative', 'random')"
    values: tuple = ()
    if annotator is not None:
        sql += " and id in (select question_id from answers where annotator_id = ?)"
        values = (annotator,)
    with store.write() as db:
        for row in store.rows(sql, values):
            settle(db, row["id"], settings)


def exclude_annotator(store: Store, annotator: str, *, is_excluded: bool, reason: str) -> None:
    """Leave an annotator's answers out of everything, or take them back in; their questions open again.

    Raises:
        InputError: no such annotator.
    """
    if store.value("select 1 from annotators where id = ?", (annotator,)) is None:
        raise InputError("there is no annotator {!r}: choose one of the list.", annotator)
    before, after = ("counted", "void") if is_excluded else ("void", "counted")
    with store.write() as db:
        row = (new_id(), annotator, int(is_excluded), reason, now())
        db.execute("insert into exclusions values (?, ?, ?, ?, ?)", row)
        db.execute(
            "update leases set state = ? where annotator_id = ? and state = ? and not exists "
            "(select 1 from answers a where a.lease_id = leases.id and a.action = 'undo')",
            (after, annotator, before),
        )
        resettle(store, annotator)


def backup_store(store: Store, out: Path) -> int:
    """Copy the database while others write to it; bytes written.

    Raises:
        InputError: the file cannot be written, or is the database itself.
    """
    store.refuse_as_output(out)
    make_folder(out.parent)
    with replacing(out) as temporary:
        target = sqlite3.connect(temporary)
        try:
            store.db.conn.backup(target)
            target.execute("pragma journal_mode=delete")
        except sqlite3.Error as error:
            raise InputError("cannot back up to {} ({}): choose a folder with room.", out, error) from error
        finally:
            target.close()
        return temporary.stat().st_size


def check_store(store: Store) -> list[str]:
    """What is wrong with a database, in words; empty if nothing is."""
    problems = [f"integrity: {row[0]}" for row in store.db.execute("pragma integrity_check") if row[0] != "ok"]
    for table, rowid, parent, _ in store.db.execute("pragma foreign_key_check").fetchall():
        problems.append(f"orphan: row {rowid} of {table} has no {parent}")
    for what, sql in _CHECKS.items():
        count = store.value(f"select count(*) from ({sql})")
        if count:
            problems.append(f"{count} {what}")
    for row in store.rows("select a.id, a.choice, q.form from answers a join questions q on q.id = a.question_id"):
        most = {"odd": 2, "grid": GRID, "ab": 1}[row["form"]]
        if not all(0 <= k <= most for k in json.loads(row["choice"])):
            problems.append(f"answer {row['id']} chose a place its question does not have")
    return problems


_CHECKS = {
    "questions have a wrong number of images": (
        "select q.id from questions q left join question_images i on i.question_id = q.id where q.form != 'ab' "
        f"group by q.id having count(i.image_id) != (case q.form when 'odd' then 3 else {GRID + 1} end)"
    ),
    "A/B questions have no clips": (
        "select id from questions where form = 'ab' and id not in (select question_id from comparisons)"
    ),
    "answers were taken back twice": (
        "select undoes from answers where undoes is not null group by undoes having count(*) > 1"
    ),
    "leases were answered twice": (
        "select lease_id from answers where lease_id is not null and action != 'undo' "
        "group by lease_id having count(*) > 1"
    ),
    "answers disagree with their lease about the question": (
        "select a.id from answers a join leases l on l.id = a.lease_id where l.question_id != a.question_id "
        "or l.annotator_id != a.annotator_id"
    ),
    "leases count without an answer": (
        "select id from leases where state = 'counted' and id not in (select lease_id from answers "
        "where lease_id is not null)"
    ),
    "answers have a lease that is still held": (
        "select a.id from answers a join leases l on l.id = a.lease_id where l.state = 'held'"
    ),
    "gold answers have no question": "select question_id from gold where question_id not in (select id from questions)",
    "embeddings have an odd size": "select image_id from embeddings where length(vector) % 4 != 0",
}
