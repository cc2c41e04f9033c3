"""Figures of an embedding, each with its 95 % bootstrap interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
_AT_ONCE = 50
"""Resamples held in memory together."""


@dataclass(frozen=True)
class Figure:
    """A share of hits."""

    value: float
    """In [0, 1]."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    count: int
    """How many trials."""
    chance: float
    """What blind guessing gives."""

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] of {self.count} (chance {self.chance:.3f})"


def bootstrap(hits: np.ndarray, images: np.ndarray, *, chance: float, seed: int = 0) -> Figure:
    """Mean of hits, with an interval that knows that trials share images, and are no separate evidence then.

    Images are drawn with replacement, and a trial weighs the product of its images' counts: the pigeonhole bootstrap
    (Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1).

    Args:
        hits: ``(T,)`` bool or in [0, 1].
        images: which images, or other things that vary, each trial shows, ``(T, K)`` or ``(T,)``; of a trial all
            different.
        chance: what blind guessing gives.
        seed: of the resampling.
    """
    names, index = np.unique(images.reshape(len(hits), -1), return_inverse=True)
    index = index.reshape(len(hits), -1)
    rng, means = np.random.default_rng(seed), []
    for _ in range(0, RESAMPLES, _AT_ONCE):
        counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_AT_ONCE)
        weights = np.prod([counts[:, column] for column in index.T], axis=0, dtype=np.float64)
        total = weights.sum(1)
        means.append((weights @ hits.astype(np.float64))[total > 0] / total[total > 0])
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Figure(float(np.mean(hits)), float(low), float(high), len(hits), float(chance))


def triplet_hits(anchor: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Whether d(a, p) < d(a, n) and d(a, p) < d(p, n), ``(T,)``, for embeddings ``(T, D)`` each."""
    near = np.linalg.norm(anchor - positive, axis=1)
    return (near < np.linalg.norm(anchor - negative, axis=1)) & (near < np.linalg.norm(positive - negative, axis=1))


def draw_label_triplets(labels: Sequence[str], *, count: int = 20_000, seed: int = 0) -> np.ndarray:
    """Triplets ``(count, 3)`` whose first two share a label; both labels are drawn uniformly.

    The draws are those of the score that runs are compared by, so they stay as they are.
    """
    label = np.array(labels)
    index = [np.flatnonzero(label == name) for name in sorted(set(labels))]
    rng = np.random.RandomState(seed)
    triplets = np.empty((count, 3), np.int64)
    for k in range(count):
        same, other = rng.choice(len(index), 2, replace=False)
        triplets[k, :2] = rng.choice(index[same], 2, replace=False)
        triplets[k, 2] = rng.choice(index[other])
    return triplets


def nearest(queries: np.ndarray, gallery: np.ndarray, count: int, *, excluded: np.ndarray | None = None) -> np.ndarray:
    """Rows of the gallery nearest to each query, ``(Q, count)``, nearest first.

    Args:
        queries: ``(Q, D)``.
        gallery: ``(N, D)``.
        count: how many.
        excluded: ``(Q, N)`` bool, rows that do not count.
    """
    distance = np.square(queries).sum(1)[:, None] + np.square(gallery).sum(1) - 2 * queries @ gallery.T
    if excluded is not None:
        distance[excluded] = np.inf
    found = np.argpartition(distance, count - 1, axis=1)[:, :count]
    return np.take_along_axis(found, np.take_along_axis(distance, found, 1).argsort(1), 1)


def identity_leakage(embedding: np.ndarray, persons: Sequence[str], *, count: int = 5) -> Figure:
    """Share of images with an image of the same person among their nearest; lower is better.

    Args:
        embedding: ``(N, D)``.
        persons: person of each image; empty where unknown. Those of one image are looked through, not asked for.
        count: how many neighbours.
    """
    names, person, size = np.unique(np.array(persons), return_inverse=True, return_counts=True)
    asked = np.flatnonzero((size[person] > 1) & (names[person] != ""))
    own = asked[:, None] == np.arange(len(embedding))
    found = nearest(embedding[asked], embedding, count, excluded=own)
    hits = (person[found] == person[asked, None]).any(1)
    others = len(embedding) - 1
    twins = size[person[asked]] - 1
    misses = np.prod([(others - twins - k) / (others - k) for k in range(count)], axis=0)
    return bootstrap(hits, person[asked], chance=float(1 - misses.mean()))


def side_hits(
    embedding: np.ndarray, numbers: np.ndarray, avatars: np.ndarray, *, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Whether a one-sided gesture lies nearest to the same side, among same, other and both sides of another avatar.

    Args:
        embedding: ``(N, D)``; rows come in threes, the left, right and both sides of one take on one avatar.
        numbers: gesture x 3 + side of each row, ``(N,)``.
        avatars: of each row, ``(N,)``.
        draws: takes each gesture is compared with.
        rng: source of randomness.

    Returns:
        Hits ``(T,)`` bool, and the row asked for in each.
    """
    hits, asked = [], []
    for row in np.flatnonzero(numbers % 3 < 2):
        gesture, side = divmod(int(numbers[row]), 3)
        starts = np.flatnonzero((numbers == 3 * gesture) & (avatars != avatars[row]))
        for start in rng.choice(starts, min(draws, len(starts)), replace=False):
            distance = np.linalg.norm(embedding[start : start + 3] - embedding[row], axis=1)
            hits.append(distance.argmin() == side)
            asked.append(row)
    return np.array(hits), np.array(asked)


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson r of each column, 0 where one is constant."""
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.maximum(np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0), 1e-9)
