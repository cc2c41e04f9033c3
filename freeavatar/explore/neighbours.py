"""Who lies near whom, what changed between two bundles, and where annotators disagree with one."""

import numpy as np

from freeavatar.explore.learning import explaining_imports


def distances_to(vector: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Distances of one vector ``(D,)`` to many ``(N, D)``."""
    return np.linalg.norm(vectors - vector, axis=1)


def nearest(vectors: np.ndarray, known: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of ``known``, nearest first.

    Args:
        vectors: ``(M, D)``.
        known: ``(N, D)``, N at least 1.
        count: how many; all where there are fewer.

    Returns:
        Indices and distances, ``(M, K)`` each.
    """
    with explaining_imports():
        from sklearn.neighbors import NearestNeighbors  # takes a second to import

    count = min(count, len(known))
    if not len(vectors):
        return np.zeros((0, count), np.int64), np.zeros((0, count))
    distances, order = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(known).kneighbors(vectors)
    return order, distances


def farthest(vector: np.ndarray, known: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and distances, ``(K,)`` each, of the farthest of ``known`` ``(N, D)``, farthest first."""
    distances = distances_to(vector, known)
    order = np.argsort(-distances, kind="stable")[:count]
    return order, distances[order]


def own_neighbours(vectors: np.ndarray, count: int) -> np.ndarray:
    """The nearest others of each vector, ``(N, K)`` indices, itself left out."""
    order, _ = nearest(vectors, vectors, count + 1)
    is_other = order != np.arange(len(vectors))[:, None]
    is_other[is_other.all(1), -1] = False  # a twin took its own place
    return order[is_other].reshape(len(vectors), -1)


def neighbour_change(first: np.ndarray, second: np.ndarray, count: int = 10) -> np.ndarray:
    """Share of each image's nearest neighbours that another bundle does not have among its own.

    Args:
        first: embeddings of the images under one bundle, ``(N, D)``.
        second: under the other, ``(N, E)``, in the same order.
        count: size of a neighbourhood.

    Returns:
        ``(N,)`` float32 in [0, 1].
    """
    if len(first) < 2:
        return np.zeros(len(first), np.float32)
    one, other = own_neighbours(first, count), own_neighbours(second, count)
    kept = [np.isin(a, b, assume_unique=True).mean() for a, b in zip(one, other, strict=True)]
    return 1 - np.array(kept, np.float32)


def wrong_triplets(vectors: np.ndarray, triplets: np.ndarray, is_mutual: np.ndarray) -> np.ndarray:
    """Whether a bundle contradicts annotators.

    Args:
        vectors: embeddings, ``(N, D)``.
        triplets: ``(T, 3)`` indices: anchor, the face people call like it, and one they do not.
        is_mutual: ``(T,)`` bool: the third is the odd one out, so it must be far from both others.

    Returns:
        ``(T,)`` bool.
    """
    anchor, positive, negative = (vectors[triplets[:, k]] for k in range(3))
    together = np.linalg.norm(anchor - positive, axis=1)
    apart = np.linalg.norm(anchor - negative, axis=1)
    other = np.where(is_mutual, np.linalg.norm(positive - negative, axis=1), np.inf)
    return together >= np.minimum(apart, other)
