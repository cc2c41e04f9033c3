"""Completion codes: what an annotator shows for having finished, and what the researcher checks it against."""

import base64
import csv
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from annotation.store.ids import now
from annotation.store.store import Store
from freeavatar.files import make_folder, replacing

QUOTA, ALL_ASKED = "quota", "all asked"
"""Why a code was given: answers enough, or no question left."""


@dataclass(frozen=True)
class Completion:
    """A code that was given."""

    code: str
    annotator: str
    reason: str
    answers: int
    """When the code was given."""
    answers_now: int
    """Without those taken back since."""
    created: str


def count_done(store: Store, annotator: str) -> int:
    """Answers of an annotator that were not taken back."""
    return store.value(
        "select count(*) from answers a where annotator_id = ? and action != 'undo' "
        "and not exists (select 1 from answers u where u.undoes = a.id)",
        (annotator,),
    )


def give_code(store: Store, annotator: str, *, reason: str, done: int) -> str:
    """The completion code, eight letters and digits only this database can make; kept for the researcher."""
    digest = hmac.new(store.secret().encode(), annotator.encode(), hashlib.sha256).digest()
    code = base64.b32encode(digest)[:8].decode()
    if store.value("select 1 from completions where code = ?", (code,)) is None:
        with store.write() as db:
            row = (code, annotator, reason, done, now())
            db.execute("insert or ignore into completions values (?, ?, ?, ?, ?)", row)
    return code


def read_completions(store: Store) -> list[Completion]:
    """Every code that was given, oldest first."""
    rows = store.rows("select code, annotator_id, reason, answers, created from completions order by created, rowid")
    return [
        Completion(
            row["code"], row["annotator_id"], row["reason"], row["answers"],
            count_done(store, row["annotator_id"]), row["created"],
        )
        for row in rows
    ]  # fmt: skip


def write_completions(completions: Sequence[Completion], out: Path) -> None:
    """Write codes as CSV.

    Raises:
        InputError: the file cannot be written.
    """
    make_folder(out.parent)
    with replacing(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Completion)])
        writer.writerows(map(astuple, completions))
