"""Handing out questions and taking answers: leases, redundancy, repeats, gold, undo."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlite_utils import Database

from annotation.asking.proposals import Proposal, propose, smallest_pool
from annotation.pool.index import LiveIndex, PoolIndex
from annotation.store.ids import new_id, now
from annotation.store.questions import expiry, find_gold, find_held, find_open, find_repeat, insert_question, settle
from annotation.store.settings import FORMS, GRID, LabelSettings, read_settings
from annotation.store.store import Store
from freeavatar.errors import InputError, Message


@dataclass(frozen=True)
class Asked:
    """A question as one annotator gets it."""

    lease: str
    question: str
    form: str
    purpose: str
    shown: tuple[int, ...]
    """Canonical position at each place of the screen."""


LOOKING = Message("Looking for the next question.")


class NoQuestion(InputError):
    """There is nothing to ask yet, or any more."""


class AllDone(NoQuestion):
    """Nothing is left to ask, and nothing is being made."""


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

    def ask(self, annotator: str, *, form: str | None = None, holding: Sequence[str] | None = None) -> Asked:
        """The next question, leased to this annotator.

        Args:
            annotator: id of somebody who joined.
            form: one of :data:`FORMS`; None mixes them as the settings say.
            holding: leases the annotator's page still has; another one of theirs that is open, as after a
                reload, is asked again. None always asks a new question.

        Raises:
            AllDone: everything was asked that this annotator can be asked.
            NoQuestion: there may be one in a moment.
            InputError: an unknown form.
        """
        if form is not None and form not in FORMS:
            raise InputError("there is no form {!r}: use {}.", form, ", ".join(FORMS))
        settings, index = read_settings(self._store), self._index.current()
        if holding is not None and (held := self._resume(annotator, form, holding, settings)):
            return held
        with self._lock:
            draws = self._rng.random(3)
        purpose = self._draw_purpose(settings, draws[1], draws[2])
        reasons = []
        for kind in (form,) if form else self._forms(settings, draws[0], index):
            try:
                return self._ask(annotator, kind, purpose, settings, index)
            except NoQuestion as reason:
                reasons.append(reason)
        is_over = all(isinstance(reason, AllDone) for reason in reasons) and self._index.is_fresh()
        raise (AllDone if is_over else NoQuestion)(*reasons[0].args)

    def _ask(self, annotator: str, form: str, purpose: str, settings: LabelSettings, index: PoolIndex) -> Asked:
        """A question of one form."""
        proposed = None if form == "ab" else self._propose(index, form, purpose)
        with self._store.write() as db:
            question, purpose = self._choose(db, annotator, form, purpose, settings, proposed)
            return self._lease(db, question, annotator, purpose, settings)

    def _resume(
        self, annotator: str, form: str | None, holding: Sequence[str], settings: LabelSettings
    ) -> Asked | None:
        """The open lease that the page does not have: one whose answer was taken back, else the oldest."""
        found = find_held(self._store.db, annotator, form, holding)
        if found is None:
            return None
        with self._store.write() as db:
            sql = "update leases set expires = ? where id = ? and state = 'held'"
            if not db.execute(sql, (expiry(settings), found[0])).rowcount:
                return None
        lease, question, kind, purpose, shown = found
        return Asked(lease, question, kind, purpose, tuple(json.loads(shown)))

    @staticmethod
    def _draw_purpose(settings: LabelSettings, draw: float, coin: float) -> str:
        if draw < settings.check_share:
            return "gold" if coin < 0.5 else "repeat"
        return "random" if draw < settings.check_share + settings.random_share else "informative"

    def _forms(self, settings: LabelSettings, draw: float, index: PoolIndex) -> list[str]:
        """The form drawn, then those to fall back on where it has nothing left."""
        has_ab = self._store.value("select 1 from questions where is_open = 1 and form = 'ab' limit 1")
        has_grid = settings.grid_share > 0 and len(index.ids) > GRID
        is_grid = has_grid and (draw * 997) % 1 < settings.grid_share
        first = "ab" if has_ab and draw < settings.ab_share else "grid" if is_grid else "odd"
        possible = {"odd": True, "grid": has_grid, "ab": has_ab and settings.ab_share > 0}
        return [first, *(form for form, is_possible in possible.items() if is_possible and form != first)]

    def _choose(
        self, db: Database, annotator: str, form: str, purpose: str, settings: LabelSettings,
        proposed: Proposal | None,
    ) -> tuple[str, str]:  # fmt: skip
        """Question and purpose: a check if there is one, else an open question, else the proposed one."""
        checks = {"gold": find_gold, "repeat": find_repeat}
        if purpose in checks and form == "odd":
            found = checks[purpose](db, annotator)
            if found:
                return found, purpose
        purpose = "random" if purpose == "random" else "informative"
        found = find_open(db, annotator, form, purpose)
        if found:
            return found, purpose
        if proposed is not None:
            return self._insert(db, form, purpose, settings, proposed), purpose
        other = "informative" if purpose == "random" else "random"
        found = find_open(db, annotator, form, other)
        if found:
            return found, other
        raise AllDone("You have answered every question there is for you.")

    def _propose(self, index: PoolIndex, form: str, purpose: str) -> Proposal | None:
        """A new question; None if the pool has no other one."""
        if len(index.ids) < smallest_pool(form):
            raise AllDone(
                "The pool holds {} images and this question needs {}: import more, or wait until the built-in "
                "pictures are ready.",
                len(index.ids),
                smallest_pool(form),
            )
        with self._lock:
            return propose(self._store, index, form, purpose, self._rng)

    def _insert(self, db: Database, form: str, purpose: str, settings: LabelSettings, proposed: Proposal) -> str:
        images = proposed.images
        known = db.execute(
            f"select count(*) from images where id in ({', '.join('?' * len(images))})", images
        ).fetchone()[0]
        if known < len(images):
            raise NoQuestion(LOOKING.template)  # an image was forgotten while this was drawn
        row = (
            new_id(), form, purpose, "sampler", proposed.model, proposed.probability, proposed.type,
            settings.redundancy, 1, now(),
        )  # fmt: skip
        insert_question(db, row, images)
        index = self._index.current()
        for image in images:
            if image in index.places:
                index.uses[index.places[image]] += 1
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
    db.execute(
        "insert into leases values (?, ?, ?, ?, ?, 'held', ?, ?)",
        (asked.lease, asked.question, annotator, asked.purpose, json.dumps(asked.shown), now(), expiry(settings)),
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
