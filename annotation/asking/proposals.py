"""New questions out of the pool; no set of images twice where the pool is so small that it would show."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from annotation.pool.index import SMALLEST_POOL, PoolIndex
from annotation.pool.sampling import (
    GRID,
    GRID_CANDIDATES,
    count_classes,
    grid_faces,
    informative_triplet,
    odd_one_out,
    random_triplets,
)  # fmt: skip
from annotation.store.store import Store
from freeavatar.fec import TYPES

_SMALL_POOL = 24
"""Up to this many images all triplets are listed (2,024); with more, the same one hardly comes twice."""
_SMALL_GRID_POOL = GRID + 4
_TRIES = 60
"""Grids drawn from a small pool before it counts as used up."""


@dataclass(frozen=True)
class Proposal:
    """A question nobody was asked yet."""

    images: list[str]
    """In canonical order; of a grid the first is the target."""
    probability: float
    """Of the likeliest answer."""
    type: str | None
    model: str


def smallest_pool(form: str) -> int:
    """How many images a form of question needs."""
    return GRID + 1 if form == "grid" else SMALLEST_POOL


def propose(store: Store, index: PoolIndex, form: str, purpose: str, rng: np.random.Generator) -> Proposal | None:
    """Draw a question; None if the pool has no other one.

    Args:
        store: where the questions are that were asked already.
        index: at least :func:`smallest_pool` images.
        form: ``odd`` or ``grid``.
        purpose: ``random``, or chosen for what it teaches.
        rng: source of chance.
    """
    drawn = (_draw_grid if form == "grid" else _draw_odd)(store, index, purpose, rng)
    if drawn is None:
        return None
    chosen, sure = drawn
    kind = TYPES[int(count_classes(index.vectors[chosen], index.radius)) - 1] if form == "odd" else None
    return Proposal([index.ids[k] for k in chosen], sure, kind, index.model)


def _draw_odd(
    store: Store, index: PoolIndex, purpose: str, rng: np.random.Generator
) -> tuple[np.ndarray, float] | None:
    triples = None
    if len(index.ids) <= _SMALL_POOL:
        asked = {frozenset(images) for images in _asked(store, "odd")}
        free = [t for t in combinations(range(len(index.ids)), 3) if frozenset(index.ids[k] for k in t) not in asked]
        if not free:
            return None
        triples = rng.permuted(np.array(free), axis=1)
    if purpose != "random":
        return informative_triplet(index.vectors, index.uses, rng, sharpness=index.sharpness, triples=triples)
    chosen = random_triplets(len(index.ids), rng, 1)[0] if triples is None else rng.choice(triples)
    return chosen, float(odd_one_out(index.vectors[chosen], sharpness=index.sharpness).max())


def _draw_grid(
    store: Store, index: PoolIndex, purpose: str, rng: np.random.Generator
) -> tuple[np.ndarray, float] | None:
    is_small = len(index.ids) <= _SMALL_GRID_POOL
    # Chosen for what it teaches, a random grid would be no honest test.
    candidates = 1 if purpose == "random" or is_small else GRID_CANDIDATES
    asked = {(images[0], frozenset(images)) for images in _asked(store, "grid")} if is_small else set()
    for _ in range(_TRIES):
        chosen, sure = grid_faces(index.vectors, index.uses, rng, sharpness=index.sharpness, candidates=candidates)
        images = [index.ids[k] for k in chosen]
        if (images[0], frozenset(images)) not in asked:
            return chosen, sure
    return None


def _asked(store: Store, form: str) -> list[list[str]]:
    """Images of every question that was drawn, in canonical order."""
    rows = store.rows(
        "select question_id, image_id from question_images i join questions q on q.id = i.question_id "
        "where q.form = ? and q.purpose in ('informative', 'random') order by question_id, position",
        (form,),
    )
    sets: dict[str, list[str]] = {}
    for row in rows:
        sets.setdefault(row["question_id"], []).append(row["image_id"])
    return list(sets.values())
