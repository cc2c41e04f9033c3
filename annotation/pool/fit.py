"""Learning from answers between two trainings: the embedding, bent to agree with them.

Images move by a linear map that all share, which carries what was learned to images nobody was asked
about, and by a small displacement of their own. A stochastic embedding of triplets (van der Maaten and
Weinberger 2012) with the encoder's embedding as its prior.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FitConfig:
    """How far answers may move the embedding."""

    steps: int = 100
    rate: float = 0.03
    """Adam's step."""
    map_decay: float = 10.0
    """Pull of the shared map towards none, in answers."""
    own_decay: float = 5.0
    """Pull of each image's own displacement towards zero, in answers."""
    noise: float = 0.1
    """Share of answers taken to be chance: one the fit cannot explain loses its pull as a whole."""
    independent: float = 12.0
    """A grid's constraints hang together: as evidence for or against chance they count as this many."""


@dataclass(frozen=True)
class Fit:
    """A fitted embedding."""

    vectors: np.ndarray
    """``(N, D)`` float32."""
    sharpness: float
    """How fast choices follow squared distances in ``vectors``."""


def fit_embedding(
    vectors: np.ndarray, constraints: np.ndarray, answers: np.ndarray, config: FitConfig | None = None
) -> Fit:
    """Bend an embedding until anchors lie nearer their positives than their negatives.

    Args:
        vectors: ``(N, D)`` float32, the encoder's.
        constraints: ``(C, 3)`` anchor, positive, negative as indices.
        answers: which answer each constraint comes from, ``(C,)`` int: one answer is chance or not as a whole.
        config: how far to go.

    Returns:
        The fitted embedding; the encoder's where ``constraints`` is empty.
    """
    config = config or FitConfig()
    sharpness = 4.0 / max(float(np.var(vectors, axis=0).sum()), 1e-6)
    if not len(constraints):
        return Fit(vectors, sharpness)
    base = (vectors * np.sqrt(sharpness)).astype(np.float32)
    touched, local = np.unique(constraints, return_inverse=True)
    local = local.reshape(constraints.shape)
    _, answer = np.unique(answers, return_inverse=True)
    matrix = np.eye(base.shape[1], dtype=np.float32)
    own = np.zeros((len(touched), base.shape[1]), np.float32)
    moved = Adam([matrix, own], config.rate)
    for _ in range(config.steps):
        gradient_map, gradient_own = _gradients(base[touched], matrix, own, local, answer, config)
        gradient_map += config.map_decay * (matrix - np.eye(len(matrix), dtype=np.float32))
        gradient_own += config.own_decay * own
        moved.step([gradient_map, gradient_own])
    fitted = base @ matrix
    fitted[touched] += own
    return Fit(fitted, 1.0)


class Adam:
    """Adam (Kingma and Ba 2015), in place."""

    def __init__(self, arrays: list[np.ndarray], rate: float, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        self._arrays, self._rate, self._betas, self._steps = arrays, rate, betas, 0
        self._means, self._squares = ([np.zeros_like(array) for array in arrays] for _ in range(2))

    def step(self, gradients: list[np.ndarray]) -> None:
        """Move every array against its gradient."""
        self._steps += 1
        first, second = self._betas
        for array, gradient, mean, square in zip(self._arrays, gradients, self._means, self._squares, strict=True):
            mean += (1 - first) * (gradient - mean)
            square += (1 - second) * (gradient**2 - square)
            spread = np.sqrt(square / (1 - second**self._steps)) + 1e-8
            array -= self._rate / (1 - first**self._steps) * mean / spread


def _gradients(
    base: np.ndarray,
    matrix: np.ndarray,
    own: np.ndarray,
    constraints: np.ndarray,
    answer: np.ndarray,
    config: FitConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """Of minus the log likelihood, logistic in squared distances, by map and displacements.

    Each answer is weighted by how likely it is that it was not chance, as in expectation maximisation.
    """
    points = base @ matrix + own
    anchor, positive, negative = (points[constraints[:, k]] for k in range(3))
    near, far = anchor - positive, anchor - negative
    right = 1 / (1 + np.exp(-np.clip((far**2).sum(1) - (near**2).sum(1), -30, 30)))
    evidence = np.bincount(answer, np.log(2 * right)) * np.minimum(1, config.independent / np.bincount(answer))
    odds = config.noise / (1 - config.noise) * np.exp(-np.clip(evidence, -30, 30))
    pull = (2 * (1 - right) / (1 + odds)[answer])[:, None].astype(np.float32)
    moved = np.zeros_like(points)
    for column, change in ((0, pull * (near - far)), (1, -pull * near), (2, pull * far)):
        for axis in range(points.shape[1]):
            moved[:, axis] += np.bincount(constraints[:, column], change[:, axis], len(points))
    return base.T @ moved, moved
