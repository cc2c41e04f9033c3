"""Questions annotators do not agree on."""

from dataclasses import dataclass

from annotation.store.store import Store
from annotation.store.votes import read_tallies


@dataclass(frozen=True)
class Dispute:
    """An odd-one-out with its votes."""

    question: str
    crops: tuple[bytes, ...]
    """JPEG of each face, in canonical order."""
    votes: tuple[int, ...]
    """How many called each face the odd one."""


def disputed(store: Store, count: int) -> list[Dispute]:
    """The ``count`` questions with the least agreement; those with more votes first among equals."""
    tallies = [tally for tally in read_tallies(store, forms=("odd",)) if len(tally.votes) > 1]
    tallies = [tally for tally in tallies if tally.majority()[1] < 1]
    tallies.sort(key=lambda tally: (tally.majority()[1], -len(tally.votes)))
    found = []
    for tally in tallies[:count]:
        crops = [store.value("select crop from images where id = ?", (image,)) for image in tally.images]
        if all(crop is not None for crop in crops):
            votes = tuple(sum(choice == (k,) for _, choice in tally.votes) for k in range(3))
            found.append(Dispute(tally.id, tuple(crops), votes))
    return found
