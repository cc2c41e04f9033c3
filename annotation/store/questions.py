"""Rows of questions: added, leased where there is room for a rater, settled."""

import json
import time
from collections.abc import Sequence

from sqlite_utils import Database

from annotation.store.ids import now, timestamp
from annotation.store.settings import LabelSettings

AGREED = 2 / 3
"""Share of raters at which a question is settled."""
_REPEAT_AFTER = 8
"""Answers that lie between a question and its repeat."""
_SLOTS = (
    "(select count(*) from leases o where o.question_id = q.id and o.purpose != 'repeat' "
    "and (o.state = 'counted' or (o.state = 'held' and o.expires > ?)))"
)
"""How many raters a question has or waits for, at a time. A second look by the same person is none."""


def insert_question(db: Database, row: tuple, images: Sequence[str]) -> None:
    """Add a question, a row of the table, and its images in canonical order."""
    db.execute(f"insert into questions values ({', '.join('?' * len(row))})", row)
    db.conn.executemany(
        "insert into question_images values (?, ?, ?)", [(row[0], k, image) for k, image in enumerate(images)]
    )


def find_open(db: Database, annotator: str, form: str, purpose: str) -> str | None:
    """The oldest question that needs raters, has a free slot, and is new to the annotator."""
    row = db.execute(
        "select q.id from questions q where q.is_open = 1 and q.purpose = ? and q.form = ? "
        "and not exists (select 1 from leases l where l.question_id = q.id and l.annotator_id = ?) "
        f"and {_SLOTS} < q.wanted order by q.id limit 1",
        ("informative" if form == "ab" else purpose, form, annotator, now()),
    ).fetchone()
    return row[0] if row else None


def find_gold(db: Database, annotator: str) -> str | None:
    """A gold question the annotator was not asked."""
    row = db.execute(
        "select g.question_id from gold g join questions q on q.id = g.question_id "
        "where q.purpose != 'practice' and q.form = 'odd' and not exists "
        "(select 1 from leases l where l.question_id = q.id and l.annotator_id = ?) order by random() limit 1",
        (annotator,),
    ).fetchone()
    return row[0] if row else None


def find_repeat(db: Database, annotator: str) -> str | None:
    """A question the annotator answered once, some time ago."""
    row = db.execute(
        "select question_id from leases where annotator_id = ? and purpose != 'gold' and question_id in "
        "(select id from questions where form = 'odd') group by question_id "
        "having count(*) = 1 and max(state) = 'counted' order by max(id) desc limit 1 offset ?",
        (annotator, _REPEAT_AFTER),
    ).fetchone()
    return row[0] if row else None


def find_held(db: Database, annotator: str, form: str | None, holding: Sequence[str]) -> tuple | None:
    """An open lease of the annotator beside those in ``holding``: lease, question, form, purpose, order shown.

    One whose answer was taken back comes first, then the oldest. A lease that ran out is open as long as the
    question still has a slot for it.
    """
    return db.execute(
        "select l.id, l.question_id, q.form, l.purpose, l.shown from leases l "
        "join questions q on q.id = l.question_id where l.annotator_id = ? and l.state = 'held' "
        "and l.id not in (select value from json_each(?)) and (? is null or q.form = ?) "
        f"and (l.expires > ? or l.purpose in ('gold', 'repeat') or (q.is_open = 1 and {_SLOTS} < q.wanted)) "
        "order by exists (select 1 from leases v where v.question_id = l.question_id "
        "and v.annotator_id = l.annotator_id and v.state = 'void') desc, l.id limit 1",
        (annotator, json.dumps(list(holding)), form, form, now(), now()),
    ).fetchone()


def expiry(settings: LabelSettings) -> str:
    """When a lease that is given now runs out."""
    return timestamp(time.time() + settings.lease_seconds)


def settle(db: Database, question: str, settings: LabelSettings) -> None:
    """Close a question that has raters enough and agreement, or the most raters; else want one more.

    Gold, practice and imported questions want no raters and stay closed.
    """
    form, purpose = db.execute("select form, purpose from questions where id = ?", (question,)).fetchone()
    if purpose not in ("informative", "random"):
        return
    counts = db.execute(
        "select action, choice, count(*) from valid_answers where question_id = ? and purpose != 'repeat' "
        "group by action, choice",
        (question,),
    ).fetchall()
    votes = [count for action, _, count in counts if action == "choice"]
    raters = sum(count for _, _, count in counts)
    has_agreed = form == "grid" or (votes and max(votes) / sum(votes) >= AGREED)
    is_done = raters >= settings.most_raters or bool(sum(votes) >= settings.redundancy and has_agreed)
    wanted = min(settings.most_raters, max(settings.redundancy, raters + (not is_done)))
    db.execute("update questions set is_open = ?, wanted = ? where id = ?", (int(not is_done), wanted, question))
