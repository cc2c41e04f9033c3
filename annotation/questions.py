"""Handing out questions and taking answers: leases, redundancy, repeats, gold, undo."""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlite_utils import Database

from annotation.fec import TYPES
from annotation.ids import new_id, now, timestamp
from annotation.index import SMALLEST_POOL, LiveIndex, PoolIndex
from annotation.sampling import (
    GRID,
    GRID_CANDIDATES,
    count_classes,
    grid_faces,
    informative_triplet,
    odd_one_out,
    random_triplets,
)  # fmt: skip
from annotation.settings import FORMS, LabelSettings, read_settings
from annotation.store import Store
from freeavatar.errors import InputError

AGREED = 2 / 3
"""Share of raters at which a question is settled."""
_REPEAT_AFTER = 8
"""Answers that lie between a question and its repeat."""


@dataclass(frozen=True)
class Asked:
    """A question as one annotator gets it."""

    lease: str
    question: str
    form: str
    purpose: str
    shown: tuple[int, ...]
    """Canonical position at each place of the screen."""


class NoQuestion(InputError):
    """There is nothing to ask yet, or any more."""


class Desk:
    """Asks questions and files answers, for any number of threads; other processes may do the same.

    Args:
        store: the database.
        index: images to draw from.
        seed: of the sampler; default from the system.
    """

    def __init__(self, store: Store, index: LiveIndex, *, seed: int | None = None) -> None:
        self._store, self._index = store, index
        self._rng, self._lock = np.random.default_rng(seed), threading.Lock()

    def ask(self, annotator: str, *, form: str | None = None) -> Asked:
        """The next question, leased to this annotator.

        Args:
            annotator: id of somebody who joined.
            form: one of :data:`FORMS`; None mixes them as the settings say.

        Raises:
            NoQuestion: the pool is too small, or everything was asked.
            InputError: an unknown form.
        """
        settings, index = read_settings(self._store), self._index.current()
        if form is not None and form not in FORMS:
            raise InputError(f"there is no form {form!r}: use {', '.join(FORMS)}.")
        with self._lock:
            draws = self._rng.random(3)
        form = form or self._draw_form(settings, draws[0], index)
        purpose = "informative"
        if draws[1] < settings.check_share:
            purpose = "gold" if draws[2] < 0.5 else "repeat"
        elif draws[1] < settings.check_share + settings.random_share:
            purpose = "random"
        proposed = None if form == "ab" else self._propose(index, form, purpose)
        with self._store.write() as db:
            question, purpose = self._choose(db, annotator, form, purpose, settings, proposed)
            return self._lease(db, question, annotator, purpose, settings)

    def _draw_form(self, settings: LabelSettings, draw: float, index: PoolIndex) -> str:
        has_ab = self._store.value("select 1 from questions where is_open = 1 and form = 'ab' limit 1")
        if has_ab and draw < settings.ab_share:
            return "ab"
        is_grid = (draw * 997) % 1 < settings.grid_share and len(index.ids) > GRID
        return "grid" if is_grid else "odd"

    def _choose(
        self, db: Database, annotator: str, form: str, purpose: str, settings: LabelSettings,
        proposed: "tuple | None",
    ) -> tuple[str, str]:  # fmt: skip
        """Question and purpose: a check if there is one, else an open question, else the proposed one."""
        checks = {"gold": self._find_gold, "repeat": self._find_repeat}
        if purpose in checks and form == "odd":
            found = checks[purpose](db, annotator)
            if found:
                return found, purpose
        purpose = "random" if purpose == "random" else "informative"
        found = self._find_open(db, annotator, form, purpose)
        if found:
            return found, purpose
        if proposed is None:
            raise NoQuestion("There is no question of this kind for you right now; this page looks again by itself.")
        return self._insert(db, form, purpose, settings, *proposed), purpose

    @staticmethod
    def _find_open(db: Database, annotator: str, form: str, purpose: str) -> str | None:
        """The oldest question that needs raters, has a free slot, and is new to the annotator."""
        row = db.execute(
            "select q.id from questions q where q.is_open = 1 and q.purpose = ? and q.form = ? "
            "and not exists (select 1 from leases l where l.question_id = q.id and l.annotator_id = ?) "
            "and (select count(*) from leases l where l.question_id = q.id and (l.state = 'counted' "
            "or (l.state = 'held' and l.expires > ?))) < q.wanted order by q.id limit 1",
            ("informative" if form == "ab" else purpose, form, annotator, now()),
        ).fetchone()
        return row[0] if row else None

    @staticmethod
    def _find_gold(db: Database, annotator: str) -> str | None:
        row = db.execute(
            "select g.question_id from gold g join questions q on q.id = g.question_id "
            "where q.purpose != 'practice' and q.form = 'odd' and not exists "
            "(select 1 from leases l where l.question_id = q.id and l.annotator_id = ?) order by random() limit 1",
            (annotator,),
        ).fetchone()
        return row[0] if row else None

    @staticmethod
    def _find_repeat(db: Database, annotator: str) -> str | None:
        row = db.execute(
            "select question_id from leases where annotator_id = ? and purpose != 'gold' and question_id in "
            "(select id from questions where form = 'odd') group by question_id "
            "having count(*) = 1 and max(state) = 'counted' order by max(id) desc limit 1 offset ?",
            (annotator, _REPEAT_AFTER),
        ).fetchone()
        return row[0] if row else None

    def _propose(self, index: PoolIndex, form: str, purpose: str) -> tuple[list[str], float | None, str | None, str]:
        """Images, probability of the likeliest answer, type, and the model, for a new question."""
        smallest = GRID + 1 if form == "grid" else SMALLEST_POOL
        if len(index.ids) < smallest:
            raise NoQuestion(
                f"The pool holds {len(index.ids)} images and this question needs {smallest}: import more, "
                "or wait until the built-in pictures are ready."
            )
        sure: float | None
        with self._lock:
            if form == "grid":
                # Chosen for what it teaches, a grid would be no honest test.
                candidates = 1 if purpose == "random" else GRID_CANDIDATES
                chosen, sure = grid_faces(
                    index.vectors, index.uses, self._rng, sharpness=index.sharpness, candidates=candidates
                )
            elif purpose == "random":
                chosen = random_triplets(len(index.ids), self._rng, 1)[0]
                sure = float(odd_one_out(index.vectors[chosen], sharpness=index.sharpness).max())
            else:
                chosen, sure = informative_triplet(index.vectors, index.uses, self._rng, sharpness=index.sharpness)
        kind = TYPES[int(count_classes(index.vectors[chosen], index.radius)) - 1] if form == "odd" else None
        return [index.ids[k] for k in chosen], sure, kind, index.model

    def _insert(
        self, db: Database, form: str, purpose: str, settings: LabelSettings,
        images: list[str], probability: float | None, kind: str | None, model: str,
    ) -> str:  # fmt: skip
        row = (new_id(), form, purpose, "sampler", model, probability, kind, settings.redundancy, 1, now())
        insert_question(db, row, images)
        places = self._index.current().places
        for image in images:
            if image in places:
                self._index.current().uses[places[image]] += 1
        return row[0]

    def _lease(self, db: Database, question: str, annotator: str, purpose: str, settings: LabelSettings) -> Asked:
        form = db.execute("select form from questions where id = ?", (question,)).fetchone()[0]
        places = {"odd": range(3), "grid": range(1, GRID + 1), "ab": range(2)}[form]
        with self._lock:
            shown = tuple(int(k) for k in self._rng.permutation(list(places)))
        asked = Asked(new_id(), question, form, purpose, shown)
        _add_lease(db, asked, annotator, settings)
        return asked

    def answer(
        self, lease: str, action: str, places: Sequence[int] = (), *, seconds: float | None = None, client: str = ""
    ) -> str:
        """File an answer; sending the same one again files nothing.

        Args:
            lease: of :meth:`ask`.
            action: ``choice`` or ``cant_tell``.
            places: chosen places on the screen, from 0.
            seconds: how long the annotator looked.
            client: browser.

        Returns:
            Id of the answer, which is now on disk.

        Raises:
            InputError: an unknown lease, or a choice the question does not have.
        """
        with self._store.write() as db:
            row = db.execute(
                "select question_id, annotator_id, purpose, shown, state from leases where id = ?", (lease,)
            ).fetchone()
            if row is None:
                raise InputError("this question is unknown here: reload the page.")
            question, annotator, purpose, shown_text, state = row
            shown = json.loads(shown_text)
            if state != "held":
                return self._answer_of(db, lease)
            form = db.execute("select form from questions where id = ?", (question,)).fetchone()[0]
            choice = _check_choice(action, places, shown, form)
            answer = new_id()
            db.execute(
                "insert into answers values (?, ?, ?, ?, ?, ?, ?, ?, ?, null, ?, ?)",
                (answer, lease, question, annotator, purpose, action, json.dumps(choice), shown_text,
                 seconds, client[:200], now()),
            )  # fmt: skip
            is_excluded = db.execute(
                "select 1 from excluded_annotators where annotator_id = ?", (annotator,)
            ).fetchone()
            db.execute("update leases set state = ? where id = ?", ("void" if is_excluded else "counted", lease))
            settle(db, question, read_settings(self._store))
            return answer

    @staticmethod
    def _answer_of(db: Database, lease: str) -> str:
        row = db.execute("select id from answers where lease_id = ? and action != 'undo'", (lease,)).fetchone()
        if row is None:
            raise InputError("this question was taken back: reload the page.")
        return row[0]

    def undo(self, annotator: str, *, client: str = "") -> Asked:
        """Take back the annotator's last answer and ask it again.

        Raises:
            NoQuestion: there is none to take back.
        """
        settings = read_settings(self._store)
        with self._store.write() as db:
            row = db.execute(
                "select id, lease_id, question_id, purpose, shown from answers a where annotator_id = ? "
                "and action != 'undo' and lease_id is not null and not exists "
                "(select 1 from answers u where u.undoes = a.id) order by id desc limit 1",
                (annotator,),
            ).fetchone()
            if row is None:
                raise NoQuestion("There is no answer to take back.")
            answer, lease, question, purpose, shown = row
            db.execute(
                "insert into answers values (?, ?, ?, ?, ?, 'undo', '[]', ?, null, ?, ?, ?)",
                (new_id(), lease, question, annotator, purpose, shown, answer, client[:200], now()),
            )
            db.execute("update leases set state = 'void' where id = ?", (lease,))
            settle(db, question, settings)
            form = db.execute("select form from questions where id = ?", (question,)).fetchone()[0]
            asked = Asked(new_id(), question, form, purpose, tuple(json.loads(shown)))
            _add_lease(db, asked, annotator, settings)
            return asked

    def reopened(self, annotator: str) -> Asked:
        """The question that the last :meth:`undo` asked again.

        Raises:
            NoQuestion: it was answered since, or there was none.
        """
        row = self._store.db.execute(
            "select l.id, l.question_id, q.form, l.purpose, l.shown from leases l "
            "join questions q on q.id = l.question_id join answers u on u.question_id = l.question_id "
            "and u.annotator_id = l.annotator_id and u.action = 'undo' "
            "where l.annotator_id = ? and l.state = 'held' order by u.id desc, l.id desc limit 1",
            (annotator,),
        ).fetchone()
        if row is None:
            raise NoQuestion("There is no answer to take back.")
        lease, question, form, purpose, shown = row
        return Asked(lease, question, form, purpose, tuple(json.loads(shown)))


def _add_lease(db: Database, asked: Asked, annotator: str, settings: LabelSettings) -> None:
    expires = timestamp(time.time() + settings.lease_seconds)
    db.execute(
        "insert into leases values (?, ?, ?, ?, ?, 'held', ?, ?)",
        (asked.lease, asked.question, annotator, asked.purpose, json.dumps(asked.shown), now(), expires),
    )


def _check_choice(action: str, places: Sequence[int], shown: Sequence[int], form: str) -> list[int]:
    """Canonical positions of the chosen places."""
    if action == "cant_tell":
        return []
    is_count_right = len(places) >= 1 if form == "grid" else len(places) == 1
    is_known = all(isinstance(place, int) and 0 <= place < len(shown) for place in places)
    if action != "choice" or not is_count_right or not is_known or len(set(places)) == len(shown):
        raise InputError("this is no answer to the question: choose among what is shown.")
    return sorted({shown[place] for place in places})


def insert_question(db: Database, row: tuple, images: Sequence[str]) -> None:
    """Add a question, a row of the table, and its images in canonical order."""
    db.execute(f"insert into questions values ({', '.join('?' * len(row))})", row)
    db.conn.executemany(
        "insert into question_images values (?, ?, ?)", [(row[0], k, image) for k, image in enumerate(images)]
    )


def settle(db: Database, question: str, settings: LabelSettings) -> None:
    """Close a question that has raters enough and agreement, or the most raters; else want one more."""
    counts = db.execute(
        "select action, choice, count(*) from valid_answers where question_id = ? and purpose != 'repeat' "
        "group by action, choice",
        (question,),
    ).fetchall()
    votes = [count for action, _, count in counts if action == "choice"]
    raters = sum(count for _, _, count in counts)
    form = db.execute("select form from questions where id = ?", (question,)).fetchone()[0]
    has_agreed = form == "grid" or (votes and max(votes) / sum(votes) >= AGREED)
    is_done = raters >= settings.most_raters or bool(sum(votes) >= settings.redundancy and has_agreed)
    wanted = min(settings.most_raters, max(settings.redundancy, raters + (not is_done)))
    db.execute("update questions set is_open = ?, wanted = ? where id = ?", (int(not is_done), wanted, question))
