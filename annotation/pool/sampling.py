"""Which images to ask about: pure numpy over an embedding.

The odd one out of three is modelled as a softmax over the similarity of the pair that remains
(Vemulapalli and Agarwala 2019 ask this question; the choice rule is Luce's).
"""

import numpy as np

from annotation.store.settings import GRID

CANDIDATES = 24
"""Triplets looked at for each question: the least sure of many are those nobody can tell."""
GRID_CANDIDATES = 48
"""Grids looked at for each question."""
_LARGEST_CHOICE = 384
"""Images a grid is drawn from, in a large pool."""


def odd_one_out(vectors: np.ndarray, *, sharpness: float) -> np.ndarray:
    """How likely each of three images is the odd one out.

    Args:
        vectors: ``(..., 3, D)``.
        sharpness: how fast the probability follows squared distances; 0 is chance.

    Returns:
        ``(..., 3)``, sums to 1.
    """
    apart = pair_distances(vectors) ** 2
    logits = -sharpness * apart
    logits -= logits.max(-1, keepdims=True)
    weights = np.exp(logits)
    return weights / weights.sum(-1, keepdims=True)


def pair_distances(vectors: np.ndarray) -> np.ndarray:
    """Distances between the two images that remain without each, ``(..., 3)`` from ``(..., 3, D)``."""
    return np.linalg.norm(np.roll(vectors, -1, axis=-2) - np.roll(vectors, -2, axis=-2), axis=-1)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy over the last axis, in units of its largest possible value."""
    safe = np.clip(probabilities, 1e-12, 1)
    return -(safe * np.log(safe)).sum(-1) / np.log(probabilities.shape[-1])


def informative_triplet(
    vectors: np.ndarray, uses: np.ndarray, rng: np.random.Generator, *, sharpness: float,
    triples: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """Three images whose answer is unsure, that differ, and that were seldom asked about.

    Args:
        vectors: embedding, ``(N, D)``, N at least 3.
        uses: how often each image was in a question, ``(N,)``.
        rng: source of chance.
        sharpness: as in :func:`odd_one_out`.
        triples: to choose among, ``(T, 3)`` indices; default random ones.

    Returns:
        Indices ``(3,)``, and the probability of the likeliest answer.
    """
    triples = random_triplets(len(vectors), rng, CANDIDATES) if triples is None else triples
    probabilities = odd_one_out(vectors[triples], sharpness=sharpness)
    score = entropy(probabilities) * diversity(vectors[triples]) * freshness(uses[triples])
    best = int(score.argmax())
    return triples[best], float(probabilities[best].max())


def diversity(vectors: np.ndarray) -> np.ndarray:
    """Mean distance within each set, ``(...)`` from ``(..., 3, D)``: three times the same face teaches nothing."""
    return pair_distances(vectors).mean(-1)


def freshness(uses: np.ndarray) -> np.ndarray:
    """1 for images never asked about, less the more often they were; ``(...)`` from ``(..., K)``."""
    return 1 / np.sqrt(1 + uses.mean(-1))


def random_triplets(count: int, rng: np.random.Generator, size: int) -> np.ndarray:
    """``(size, 3)`` indices below ``count`` (at least 3), each row without repeats, all rows equally likely."""
    first = rng.integers(0, count, size)
    second = rng.integers(0, count - 1, size)
    third = rng.integers(0, count - 2, size)
    second += second >= first
    low, high = np.minimum(first, second), np.maximum(first, second)
    third += third >= low
    third += third >= high
    return np.stack([first, second, third], axis=1)


def grid_faces(
    vectors: np.ndarray, uses: np.ndarray, rng: np.random.Generator, *, sharpness: float,
    candidates: int = GRID_CANDIDATES,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """A target and twelve faces that were seldom asked about.

    Args:
        vectors: embedding, ``(N, D)``, N at least 13.
        uses: how often each image was in a question, ``(N,)``.
        rng: source of chance.
        sharpness: as in :func:`odd_one_out`.
        candidates: grids looked at; of one, all faces are equally likely.

    Returns:
        Indices ``(13,)``, the target first, and how likely the model orders a pair right, on average.
    """
    some = rng.choice(len(vectors), min(len(vectors), _LARGEST_CHOICE), replace=False)
    sets = some[rng.random((candidates, len(some))).argsort(axis=1)[:, : GRID + 1]]
    chosen = sets[freshness(uses[sets]).argmax()]
    distances = np.linalg.norm(vectors[chosen[1:]] - vectors[chosen[0]], axis=1)
    apart = np.abs(np.subtract.outer(distances**2, distances**2))[np.triu_indices(GRID, 1)]
    return chosen, float((1 / (1 + np.exp(-sharpness * apart))).mean())


def same_class_distance(vectors: np.ndarray, rng: np.random.Generator) -> float:
    """Distance below which two faces count as one class of expression.

    FEC draws from 30 classes; two random faces share one with probability 1/30.
    """
    pairs = rng.integers(0, len(vectors), (4000, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return float(np.quantile(np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1), 1 / 30))


def count_classes(vectors: np.ndarray, radius: float) -> np.ndarray:
    """Number of classes, 1 to 3, among three images ``(..., 3, D)``: groups linked by less than ``radius``."""
    linked = (pair_distances(vectors) < radius).sum(-1)
    return np.maximum(3 - linked, 1)
