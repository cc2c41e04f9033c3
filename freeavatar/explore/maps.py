"""Maps: the 16 dimensions of the space drawn in two or three, and how far they can be trusted."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from freeavatar.errors import InputError
from freeavatar.explore.learning import explaining_imports
from freeavatar.explore.neighbours import nearest

Method = Literal["pca", "umap", "tsne"]
METHODS: tuple[Method, ...] = ("pca", "umap", "tsne")
NAMES = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE"}
FEWEST = 12
"""Images that UMAP and t-SNE need: below it they have no neighbourhoods to keep."""
MOST_TSNE = 10_000
"""Points t-SNE is fitted to; the others are placed among their neighbours."""
TRUST_NEIGHBOURS = 10
"""Size of the neighbourhoods whose keeping is measured."""
_TRUST_SAMPLE = 2_000
_PLACED_BY = 5


@dataclass(frozen=True)
class MapConfig:
    """Which map."""

    method: Method = "pca"
    dims: int = 2
    """2 or 3."""
    neighbours: int = 15
    """Of UMAP; t-SNE's perplexity is twice that."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError("there is no map {!r}: use one of {}.", self.method, ", ".join(METHODS))
        if self.dims not in (2, 3):
            raise InputError("a map has 2 or 3 dimensions, not {!r}.", self.dims)

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{NAMES[self.method]} in {self.dims}-D"


@dataclass(frozen=True)
class FaceMap:
    """A map of some vectors."""

    config: MapConfig
    points: np.ndarray
    """``(N, dims)`` float32, centred, the farthest point at distance 1."""
    trust: float
    """:func:`trustworthiness_of`."""


def make_map(vectors: np.ndarray, config: MapConfig) -> FaceMap:
    """Fit a map: PCA at once, the others in seconds to minutes.

    Args:
        vectors: ``(N, D)``, any N.
        config: which map.

    Raises:
        InputError: too few different images for UMAP or t-SNE.
    """
    check_size(vectors, config)
    fit = {"pca": _pca, "umap": _umap, "tsne": _tsne}[config.method]
    points = _tidy(fit(vectors, config))
    return FaceMap(config, points, trustworthiness_of(vectors, points, seed=config.seed))


def check_size(vectors: np.ndarray, config: MapConfig) -> None:
    """Refuse what a map cannot be fitted to.

    Raises:
        InputError: too few different images for UMAP or t-SNE.
    """
    if config.method != "pca" and (count := len(np.unique(vectors.round(6), axis=0))) < FEWEST:
        raise InputError(
            "{} needs at least {} different faces and there are {}: use PCA, or import more images.",
            NAMES[config.method],
            FEWEST,
            count,
        )


def pca_axes(vectors: np.ndarray, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean ``(D,)`` and axes ``(D, dims)``; each axis points where its largest entry is positive."""
    if len(vectors) < 2:
        return vectors.sum(0), np.eye(vectors.shape[1], dims)
    with explaining_imports():
        from sklearn.decomposition import PCA  # takes a second to import

    with np.errstate(invalid="ignore"):  # identical faces have no variance to be explained
        found = PCA(min(dims, *vectors.shape)).fit(np.asarray(vectors, np.float64))
    axes = np.eye(vectors.shape[1], dims)
    axes[:, : found.n_components_] = found.components_.T
    return found.mean_, axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(dims)])


def _pca(vectors: np.ndarray, config: MapConfig) -> np.ndarray:
    mean, axes = pca_axes(vectors, config.dims)
    return (vectors - mean) @ axes


def _umap(vectors: np.ndarray, config: MapConfig) -> np.ndarray:
    with explaining_imports():
        from umap import UMAP  # compiles for seconds when imported

    fitter = UMAP(
        n_components=config.dims, n_neighbors=min(config.neighbours, len(vectors) - 1), random_state=config.seed,
        n_jobs=1, init="pca",
    )  # fmt: skip
    return fitter.fit_transform(vectors)


def _tsne(vectors: np.ndarray, config: MapConfig) -> np.ndarray:
    with explaining_imports():
        from sklearn.manifold import TSNE

    rng = np.random.default_rng(config.seed)
    chosen = np.sort(rng.permutation(len(vectors))[:MOST_TSNE])
    perplexity = min(2.0 * config.neighbours, (len(chosen) - 1) / 3)
    fitter = TSNE(config.dims, perplexity=perplexity, random_state=config.seed, init="pca")
    points = fitter.fit_transform(vectors[chosen])
    return points if len(chosen) == len(vectors) else among_neighbours(vectors, vectors[chosen], points)


def _tidy(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, np.float64)
    points = points - points.mean(0) if len(points) else points
    reach = np.linalg.norm(points, axis=1).max(initial=0.0)
    # Identical faces differ by rounding alone: blown up that would look like structure.
    return (points / reach if reach > 1e-5 else np.zeros_like(points)).astype(np.float32)


def place(vectors: np.ndarray, known: np.ndarray, drawn: FaceMap) -> np.ndarray:
    """Where new faces lie on a map.

    PCA is a projection, so they are projected; UMAP and t-SNE have no formula for points they were not fitted
    to, so they are placed between their nearest neighbours.

    Args:
        vectors: new, ``(M, D)``.
        known: what the map was made of, ``(N, D)``.
        drawn: the map.

    Returns:
        ``(M, dims)`` float32.
    """
    if len(known) == 0:
        return np.zeros((len(vectors), drawn.config.dims), np.float32)
    if drawn.config.method != "pca":
        return among_neighbours(vectors, known, drawn.points)
    mean, axes = pca_axes(known, drawn.config.dims)
    raw = (known - mean) @ axes
    reach = np.linalg.norm(raw, axis=1).max()
    return ((vectors - mean) @ axes / (reach if reach > 1e-5 else 1.0)).astype(np.float32)


def among_neighbours(vectors: np.ndarray, known: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Means of the nearest neighbours' places, ``(M, dims)``; nearer ones weigh more."""
    order, distances = nearest(vectors, known, _PLACED_BY)
    weights = 1 / np.maximum(distances, 1e-4) ** 2
    weights /= weights.sum(1, keepdims=True)
    return (points[order] * weights[..., None]).sum(1).astype(np.float32)


def trustworthiness_of(vectors: np.ndarray, points: np.ndarray, *, seed: int = 0) -> float:
    """How far neighbours on the map are neighbours in the space: scikit-learn's trustworthiness.

    Args:
        vectors: ``(N, D)``.
        points: their places on the map, ``(N, dims)``.
        seed: of the sample that stands for more than 2,000 points.

    Returns:
        1 if all are, about 0.5 for a map of noise; nan for too few, or identical, points.
    """
    with explaining_imports():
        from sklearn.manifold import trustworthiness

    if len(vectors) > _TRUST_SAMPLE:
        chosen = np.random.default_rng(seed).permutation(len(vectors))[:_TRUST_SAMPLE]
        vectors, points = vectors[chosen], points[chosen]
    count = min(TRUST_NEIGHBOURS, (len(vectors) - 1) // 2)
    if count < 2 or np.ptp(vectors, axis=0).max(initial=0) < 1e-6:
        return float("nan")
    return float(trustworthiness(vectors, points, n_neighbors=count))


def aligned(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """A map turned, mirrored and scaled to lie on another of the same points as well as it can.

    Args:
        points: ``(N, dims)``.
        onto: ``(N, dims)``.

    Returns:
        ``(N, dims)`` float32: orthogonal Procrustes (Schoenemann 1966).
    """
    if len(points) == 0:
        return points
    mean, target = points.mean(0), onto.mean(0)
    left, sizes, right = np.linalg.svd((points - mean).T @ (onto - target))
    scale = sizes.sum() / max(float(((points - mean) ** 2).sum()), 1e-12)
    return ((points - mean) @ (left @ right) * scale + target).astype(np.float32)
