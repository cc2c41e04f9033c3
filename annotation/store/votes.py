"""Answers gathered by question, and what they say about distances."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from annotation.store.settings import read_settings
from annotation.store.store import Store

Choice = tuple[int, ...]
PURPOSES = ("informative", "random", "repeat", "gold", "imported")
"""Why a question was asked. Random ones are an honest test set; a repeat is the same person's second answer."""


@dataclass(frozen=True)
class Tally:
    """A question and its valid answers; repeats by the same person make a tally of their own."""

    id: str
    form: str
    purpose: str
    type: str | None
    images: tuple[str, ...]
    """In canonical order; of a grid the first is the target."""
    votes: tuple[tuple[str, Choice], ...]
    """Annotator and chosen canonical positions, oldest first."""

    def has_raters(self, least: int) -> bool:
        """Whether as many people answered; imported labels come without their raters, a repeat is one person's."""
        return self.purpose in ("imported", "repeat") or len({annotator for annotator, _ in self.votes}) >= least

    def majority(self) -> tuple[Choice, float]:
        """The most frequent choice and its share; ties go to the lower position."""
        counts = Counter(choice for _, choice in self.votes)
        choice, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
        return choice, count / len(self.votes)

    def likes(self) -> dict[int, float]:
        """Of a grid: share of raters who picked each position."""
        return {k: sum(k in c for _, c in self.votes) / len(self.votes) for k in range(1, len(self.images))}


def fewest_raters(store: Store) -> int:
    """How many people have to answer a question before their agreement says anything."""
    return min(2, read_settings(store).redundancy)


def read_tallies(
    store: Store, *, forms: Sequence[str] = ("odd", "grid"), purposes: Collection[str] = ()
) -> list[Tally]:
    """Every question with at least one valid vote, in the order they were made.

    Args:
        store: the labels.
        forms: of questions.
        purposes: some of :data:`PURPOSES`; none stands for all but repeats, whose raters would count twice.
    """
    purposes = set(purposes or PURPOSES) - (set() if purposes else {"repeat"})
    marks = ", ".join("?" * len(forms))
    images: dict[str, list[str]] = {}
    votes: dict[tuple[str, bool], list[tuple[str, Choice]]] = {}
    with store.snapshot():
        questions = store.rows(f"select id, form, purpose, type from questions where form in ({marks})", forms)
        for row in store.rows("select question_id, image_id from question_images order by question_id, position"):
            images.setdefault(row["question_id"], []).append(row["image_id"])
        sql = (
            "select question_id, annotator_id, choice, purpose = 'repeat' as is_repeat from valid_answers "
            "where action = 'choice' and purpose != 'practice' order by id"
        )
        for row in store.rows(sql):
            vote = (row["annotator_id"], tuple(json.loads(row["choice"])))
            votes.setdefault((row["question_id"], bool(row["is_repeat"])), []).append(vote)
    found = [
        Tally(
            q["id"], q["form"], "repeat" if is_repeat else q["purpose"], q["type"],
            tuple(images.get(q["id"], ())), tuple(votes[q["id"], is_repeat]),
        )
        for q in sorted(questions, key=lambda q: q["id"])
        for is_repeat in (False, True)
        if (q["id"], is_repeat) in votes
    ]  # fmt: skip
    return [tally for tally in found if tally.purpose in purposes]


def comparisons_of(tally: Tally, *, min_agreement: float) -> list[tuple[str, str, str, float]]:
    """Anchor, positive, negative and agreement of each comparison a question settled.

    Odd-one-out gives one row, whose anchor and positive may be swapped for the second constraint. A grid
    gives a row for every pair of a face most picked and a face most left.
    """
    if tally.form == "odd":
        choice, share = tally.majority()
        if share < min_agreement:
            return []
        anchor, positive = (image for k, image in enumerate(tally.images) if k != choice[0])
        return [(anchor, positive, tally.images[choice[0]], share)]
    likes = tally.likes()
    picked = [k for k, share in likes.items() if share >= max(min_agreement, 0.5)]
    left = [k for k, share in likes.items() if 1 - share >= max(min_agreement, 0.5) and k not in picked]
    return [
        (tally.images[0], tally.images[p], tally.images[n], min(likes[p], 1 - likes[n])) for p in picked for n in left
    ]


def constraints_of(tally: Tally, *, min_agreement: float = 0.5) -> list[tuple[str, str, str]]:
    """Every constraint ``anchor nearer to positive than to negative``; an odd-one-out gives two."""
    rows = comparisons_of(tally, min_agreement=min_agreement)
    if tally.form == "grid":
        return [row[:3] for row in rows]
    return [triplet for a, p, n, _ in rows for triplet in ((a, p, n), (p, a, n))]
