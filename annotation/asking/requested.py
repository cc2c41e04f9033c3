"""Questions somebody wants asked: about a set of images chosen by hand."""

from collections.abc import Sequence

import numpy as np

from annotation.pool.index import SMALLEST_POOL
from annotation.store.ids import new_id, now
from annotation.store.questions import insert_question
from annotation.store.settings import read_settings
from annotation.store.store import Store
from freeavatar.errors import InputError

MOST_QUESTIONS = 200
"""Queued at once: more would hold up what the sampler wants to know."""


def queue_questions(
    store: Store, images: Sequence[str], *, proposed_by: str = "explore", seed: int | None = None
) -> int:
    """Queue odd-one-out questions within a set of images; annotators get them next.

    Args:
        store: the labels.
        images: ids; each is asked about in about two questions, at most :data:`MOST_QUESTIONS` in all.
        proposed_by: noted with each question.
        seed: of the draw; default from the system.

    Returns:
        How many questions were queued: no two of them ask about the same three images.

    Raises:
        InputError: fewer than three images, or one the pool does not show.
    """
    ids = list(dict.fromkeys(images))
    if len(ids) < SMALLEST_POOL:
        raise InputError(
            "a question takes {} different images and {} are chosen: choose more.", SMALLEST_POOL, len(ids)
        )
    wanted = min(-(-2 * len(ids) // 3), MOST_QUESTIONS)
    triplets = [[ids[k] for k in triplet] for triplet in _triplets(len(ids), wanted, np.random.default_rng(seed))]
    asked = sorted({image for triplet in triplets for image in triplet})
    marks = ", ".join("?" * len(asked))
    shown = store.value(f"select count(*) from images where crop is not null and id in ({marks})", asked)
    if missing := len(asked) - shown:
        raise InputError("{} of the chosen images are not in the pool any more: choose again.", missing)
    redundancy = read_settings(store).redundancy
    with store.write() as db:
        for triplet in triplets:
            row = (new_id(), "odd", "informative", proposed_by, None, None, None, redundancy, 1, now())
            insert_question(db, row, triplet)
    return len(triplets)


def _triplets(count: int, wanted: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Up to ``wanted`` different sets of three below ``count``, every index about equally often."""
    found: dict[tuple[int, ...], None] = {}
    for _ in range(wanted):  # each round deals every index once
        deck = rng.permutation(count)
        for k in range(0, count - count % 3, 3):
            found.setdefault(tuple(sorted(int(i) for i in deck[k : k + 3])))
            if len(found) == wanted:
                return list(found)
    return list(found)
