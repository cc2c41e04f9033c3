"""The pool in memory: what the sampler looks at."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from annotation.pool.fit import fit_embedding
from annotation.pool.sampling import same_class_distance
from annotation.store.settings import read_settings
from annotation.store.store import Store
from annotation.store.votes import constraints_of, read_tallies
from freeavatar.errors import FreeAvatarError
from freeavatar.models import EMBEDDING_SIZE

SMALLEST_POOL = 3
_FEW_ANSWERS = 60
"""Fewer answers leave the embedding alone."""
_MOST_CONSTRAINTS = 6_000
"""Fitted at most, the newest: more would keep a busy server from answering for seconds."""
_REST = 5.0
"""Seconds between two rebuilds."""


@dataclass(frozen=True)
class PoolIndex:
    """Images that questions are drawn from."""

    ids: list[str]
    vectors: np.ndarray
    """Embedding fitted to the answers, ``(N, D)`` float32."""
    uses: np.ndarray
    """How often each image was asked about, ``(N,)``; counts on while the index is in use."""
    sharpness: float
    model: str
    """The weights, and how many answers the embedding was fitted to."""
    radius: float
    """Closer images count as one class of expression."""
    answers: int = 0
    """Answers known when it was made."""
    version: tuple = ()
    """State of the pool when it was made."""
    places: dict[str, int] = field(default_factory=dict)


def pool_ids(store: Store) -> list[str]:
    """Images that may be asked about: imported ones, or the built-in renders while there are no others."""
    rows = store.rows("select id, kind, source from images where crop is not null order by id")
    builtin = [row["id"] for row in rows if row["source"].startswith("builtin:")]
    own = [row["id"] for row in rows if not row["source"].startswith("builtin:")]
    wish = read_settings(store).is_builtin_asked
    is_builtin_asked = len(own) < SMALLEST_POOL if wish is None else wish
    return own + builtin if is_builtin_asked else own


def build_index(store: Store, weights: str, *, seed: int = 0, is_fitted: bool = True) -> PoolIndex:
    """Read the pool under some weights and fit it to the answers there are."""
    version = pool_version(store)
    allowed = set(pool_ids(store))
    rows = store.rows("select image_id, vector from embeddings where weights = ? order by image_id", (weights,))
    rows = [row for row in rows if row["image_id"] in allowed]
    ids = [row["image_id"] for row in rows]
    places = {image: k for k, image in enumerate(ids)}
    vectors = [np.frombuffer(row["vector"], np.float32) for row in rows]
    raw = np.stack(vectors) if rows else np.zeros((0, EMBEDDING_SIZE), np.float32)
    uses = np.zeros(len(ids))
    for row in store.rows("select image_id, count(*) as n from question_images group by image_id"):
        if row["image_id"] in places:
            uses[places[row["image_id"]]] = row["n"]
    answers = count_answers(store)
    has_learned = is_fitted and answers >= _FEW_ANSWERS
    constraints = _constraints(store, places) if has_learned else np.zeros((0, 4), int)
    if len(raw) < SMALLEST_POOL:
        return PoolIndex(ids, raw, uses, 1.0, weights, 0.0, answers, version, places)
    fit = fit_embedding(raw, constraints[:, :3], constraints[:, 3])
    model = f"{weights}+{answers}" if len(constraints) else weights
    radius = same_class_distance(fit.vectors, np.random.default_rng(seed))
    return PoolIndex(ids, fit.vectors, uses, fit.sharpness, model, radius, answers, version, places)


def _constraints(store: Store, places: dict[str, int]) -> np.ndarray:
    """Learned from, ``(C, 4)``: anchor, positive, negative, question. Random ones stay out: they are the test set."""
    found = [
        [*(places[image] for image in triplet), number]
        for number, tally in enumerate(read_tallies(store))
        if tally.purpose != "random"
        for triplet in constraints_of(tally)
        if all(image in places for image in triplet)
    ]
    return np.array(found[-_MOST_CONSTRAINTS:], int).reshape(-1, 4)


def count_answers(store: Store) -> int:
    """Roughly how many answers there are; at once, however many."""
    return store.value("select max(rowid) from answers") or 0


def pool_version(store: Store) -> tuple:
    """Changes when images are embedded or forgotten, or others are to be asked about."""
    last = store.value("select max(rowid) from embeddings")
    return last, store.get("forgotten", 0), read_settings(store).is_builtin_asked


def _without_forgotten(index: PoolIndex, store: Store, forgotten: int) -> PoolIndex:
    """The index without images that are gone: those must not wait for a rebuild."""
    there = {row["id"] for row in store.rows("select id from images")}
    kept = [k for k, image in enumerate(index.ids) if image in there]
    ids = [index.ids[k] for k in kept]
    return replace(
        index, ids=ids, vectors=index.vectors[kept], uses=index.uses[kept], places={i: k for k, i in enumerate(ids)},
        version=(index.version[0], forgotten, *index.version[2:]),
    )  # fmt: skip


class LiveIndex:
    """A :class:`PoolIndex` that is rebuilt in the background as images and answers come in, and weights change."""

    def __init__(
        self, store: Store, weights: str, *, adopted: Callable[[], str] | None = None,
        embed: Callable[[], object] | None = None,
    ) -> None:  # fmt: skip
        """Read the pool.

        Args:
            store: the labels.
            weights: id of the embeddings to begin with.
            adopted: id of the weights to use now, asked often; default those it began with.
            embed: embeds the pool under them, when they have changed.
        """
        self._store, self._weights = store, weights
        self._adopted, self._embed = adopted or (lambda: weights), embed
        self._lock = threading.Lock()
        self._current = build_index(store, weights)
        self._made = time.monotonic()

    def current(self) -> PoolIndex:
        """The newest index there is; starts making a newer one if the store has moved on."""
        index, version = self._current, pool_version(self._store)
        if version[1] != index.version[1]:
            index = self._current = _without_forgotten(index, self._store, version[1])
        has_changed = version != index.version or self._wanted() != self._weights
        has_learned = count_answers(self._store) >= max(2 * _FEW_ANSWERS, 1.5 * index.answers)
        if has_changed and len(index.ids) < SMALLEST_POOL:
            self._rebuild()
        elif (has_changed or has_learned) and self._may_rebuild():
            threading.Thread(target=self._rebuild_and_release, daemon=True).start()
        return self._current

    def is_fresh(self) -> bool:
        """Whether the index has everything the pool has, embedded."""
        index = self._current
        return pool_version(self._store) == index.version and len(pool_ids(self._store)) == len(index.ids)

    def _may_rebuild(self) -> bool:
        return time.monotonic() - self._made > _REST and self._lock.acquire(blocking=False)

    def _wanted(self) -> str:
        """Id of the weights in use; the old ones do while the adopted ones cannot be read."""
        try:
            return self._adopted()
        except FreeAvatarError:
            return self._weights

    def _rebuild(self) -> None:
        if self._wanted() != self._weights and self._embed is not None:
            self._embed()
            self._weights = self._wanted()
        self._current = build_index(self._store, self._weights)
        self._made = time.monotonic()

    def _rebuild_and_release(self) -> None:
        try:
            self._rebuild()
        finally:
            self._store.close()
            self._lock.release()
