"""Clusters of expressions: a way to name regions of the map, with a figure for how real they are."""

from dataclasses import dataclass

import numpy as np

from freeavatar.explore.learning import explaining_imports

_FEWEST = 6
_SAMPLE = 2_000


@dataclass(frozen=True)
class Clusters:
    """Every image's cluster."""

    labels: np.ndarray
    """``(N,)`` int, 0 the largest cluster."""
    silhouette: float
    """In [-1, 1] (Rousseeuw 1987): near 0 the borders are arbitrary; nan for a single cluster."""

    @property
    def count(self) -> int:
        """How many clusters."""
        return int(self.labels.max(initial=-1)) + 1


def find_clusters(vectors: np.ndarray, *, most: int = 12, seed: int = 0) -> Clusters:
    """Group embeddings ``(N, D)`` by k-means, with as many clusters as ``sqrt(N / 2)``, at most ``most``.

    Fewer than six different faces are one cluster.
    """
    with explaining_imports():
        from sklearn.cluster import MiniBatchKMeans
        from sklearn.metrics import silhouette_score

    different = len(np.unique(vectors.round(6), axis=0))
    if different < _FEWEST:
        return Clusters(np.zeros(len(vectors), int), float("nan"))
    count = int(np.clip(np.sqrt(different / 2), 2, most))
    found = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=4096).fit_predict(vectors)
    _, found, sizes = np.unique(found, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), int)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    if len(sizes) < 2:
        return Clusters(rank[found], float("nan"))
    score = silhouette_score(vectors, found, sample_size=min(len(vectors), _SAMPLE), random_state=seed)
    return Clusters(rank[found], float(score))
