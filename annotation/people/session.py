"""What the page asks of the server, as plain dictionaries; sentences in them are messages."""

import sqlite3
from typing import Any

from annotation.asking.desk import LOOKING, AllDone, Asked, Desk, NoQuestion
from annotation.people.completions import ALL_ASKED, QUOTA, count_done, give_code
from annotation.people.consent import consent_id, consent_text, has_agreed, record_consent
from annotation.pool.builtin import is_builtin_settled
from annotation.store.ids import new_id
from annotation.store.settings import read_settings
from annotation.store.store import Store
from freeavatar.errors import FreeAvatarError, InputError, Message
from freeavatar.files import data_url

SOURCES = ("link", "prolific", "anonymous")
"""Where the id of an annotator comes from."""
Reply = dict[str, Any]


class Sessions:
    """Serves every annotator's page; safe for threads.

    Args:
        store: the labels.
        desk: asks and files.
    """

    def __init__(self, store: Store, desk: Desk) -> None:
        self._store, self._desk = store, desk

    def hello(self, request: Reply) -> Reply:
        """Meet an annotator: ``source`` and ``key`` of the link, or none; who they are and how far they are."""
        is_known = request.get("key") or request.get("annotator")
        annotator = _annotator_id(request) if is_known else f"anonymous:{new_id()}"
        return {
            "annotator": annotator,
            "has_consented": has_agreed(self._store, annotator),
            **self._consent(request),
            "is_ready": is_builtin_settled(self._store),
            **self._progress(annotator),
        }

    def agree(self, request: Reply) -> Reply:
        """Record consent to the text with the id ``consent_id``; today's text if it is another one by now."""
        annotator, seen = _annotator_id(request), str(request.get("consent_id"))
        if record_consent(self._store, annotator, seen, client=str(request.get("client", ""))):
            return {"annotator": annotator}
        return {"annotator": annotator, **self._consent(request)}

    def _consent(self, request: Reply) -> Reply:
        text = consent_text(self._store, str(request.get("language")))
        return {"consent": text.splitlines(), "consent_id": consent_id(text)}

    def practice(self, request: Reply) -> Reply:
        """Practice questions with their answers and what they teach; empty while they are being made."""
        rows = self._store.rows(
            "select q.id, g.note from questions q join gold g on g.question_id = q.id "
            "where q.purpose = 'practice' order by q.id limit 3"
        )
        orders = ((2, 0, 1), (0, 1, 2), (1, 2, 0))
        items = [
            {"images": self._pictures(row["id"], order), "odd": order.index(2), "note": Message(row["note"])}
            for row, order in zip(rows, orders, strict=False)
        ]
        return {"items": items, "is_ready": is_builtin_settled(self._store)}

    def ask(self, request: Reply) -> Reply:
        """A question, leased; or ``wait`` with the reason why there is none; or the ``consent`` that changed."""
        annotator = self._known(request)
        if not has_agreed(self._store, annotator):
            return self._consent(request)
        try:
            asked = self._desk.ask(annotator, form=request.get("form") or None, holding=_leases(request))
            return {"question": self._show(asked)}
        except NoQuestion as nothing:
            is_ready = is_builtin_settled(self._store)
            if is_ready and isinstance(nothing, AllDone) and not self._has_open(annotator, _leases(request)):
                done = count_done(self._store, annotator)
                code = give_code(self._store, annotator, reason=ALL_ASKED, done=done) if done else None
                return {"is_over": True, "code": code}
            return {"wait": nothing.message, "is_ready": is_ready}

    def _has_open(self, annotator: str, leases: list[str] | None) -> bool:
        """Whether the page still has a question to answer, for instance the one it fetched ahead."""
        sql = "select id from leases where annotator_id = ? and state = 'held'"
        return any(row["id"] in (leases or ()) for row in self._store.rows(sql, (annotator,)))

    def answer(self, request: Reply) -> Reply:
        """File an answer and ask on; ``stored`` is its id, once it is on disk."""
        annotator = self._known(request)
        try:
            with self._store.write():  # one transaction is one wait for the disk
                stored, following = self._file(request), self.ask(request)
        except (FreeAvatarError, sqlite3.Error):  # no next question takes the answer back; a bad answer fails again
            stored, following = self._file(request), {"wait": LOOKING, "is_ready": True}
        return {"stored": stored, **self._progress(annotator), **following}

    def _file(self, request: Reply) -> str:
        seconds = request.get("seconds")
        return self._desk.answer(
            str(request.get("lease")), str(request.get("action")), request.get("places") or [],
            seconds=None if seconds is None else float(seconds), client=str(request.get("client", "")),
        )  # fmt: skip

    def undo(self, request: Reply) -> Reply:
        """Take the last answer back; its question again.

        ``done`` is how many answers the page knows of: sent again, the request takes no second answer back.
        """
        annotator, done = self._known(request), request.get("done")
        try:
            with self._store.write():
                if isinstance(done, int) and self._progress(annotator)["done"] < done:
                    asked = self._desk.reopened(annotator)
                else:
                    asked = self._desk.undo(annotator, client=str(request.get("client", "")))
        except NoQuestion as nothing:
            return {"wait": nothing.message, **self._progress(annotator)}
        return {"question": self._show(asked), **self._progress(annotator)}

    def _known(self, request: Reply) -> str:
        annotator = _annotator_id(request)
        agreed = self._store.value("select consent_id from annotators where id = ?", (annotator,))
        if agreed is None:
            raise InputError("there is no consent under this id yet: reload the page.")
        return annotator

    def _progress(self, annotator: str) -> Reply:
        done, quota = count_done(self._store, annotator), read_settings(self._store).quota
        code = give_code(self._store, annotator, reason=QUOTA, done=done) if done >= quota else None
        return {"done": done, "quota": quota, "code": code}

    def _show(self, asked: Asked) -> Reply:
        """A question as the page shows it; why it is asked stays here."""
        shown: Reply = {"lease": asked.lease, "form": asked.form}
        if asked.form == "ab":
            clips = self._store.rows("select * from comparisons where question_id = ?", (asked.question,))[0]
            return shown | {
                "target": self._clip(clips["actor"]),
                "images": [self._clip(clips[f"clip_{k}"]) for k in asked.shown],
            }
        if asked.form == "grid":
            shown["target"] = self._pictures(asked.question, (0,))[0]
        return shown | {"images": self._pictures(asked.question, asked.shown)}

    def _pictures(self, question: str, order: tuple[int, ...]) -> list[str]:
        rows = self._store.rows(
            "select position, crop from question_images join images on images.id = image_id where question_id = ?",
            (question,),
        )
        crops = {row["position"]: row["crop"] for row in rows}
        return [data_url("image/jpeg", crops[k]) for k in order]

    def _clip(self, clip: str) -> str:
        row = self._store.rows("select mime, data from clips where id = ?", (clip,))[0]
        return data_url(row["mime"], row["data"])


def _leases(request: Reply) -> list[str] | None:
    """Ids of the questions the page has; None if it does not say."""
    held = request.get("holding")
    return [str(lease) for lease in held] if isinstance(held, list) else None


def _annotator_id(request: Reply) -> str:
    """Id from ``annotator``, or from ``source`` and ``key``.

    Raises:
        InputError: not an id.
    """
    text = request.get("annotator") or f"{request.get('source')}:{request.get('key')}"
    source, _, key = str(text).partition(":")
    if source not in SOURCES or not 1 <= len(key) <= 64 or not key.isprintable() or " " in key:
        raise InputError("the id in this link is not usable: letters and digits, at most 64 of them.")
    return f"{source}:{key}"
