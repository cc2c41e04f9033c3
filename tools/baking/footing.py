"""Where on the skin something stands: it moves as that place does."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Footing:
    """Places on the skin, each a mean of vertices."""

    corners: np.ndarray
    """Skin vertices, ``(N, C)`` int."""
    weights: np.ndarray
    """Share of each, ``(N, C)``; they add up to 1."""

    def of(self, values: np.ndarray) -> np.ndarray:
        """Values of the skin's vertices ``(..., V, D)`` at the places, ``(..., N, D)``."""
        return np.einsum("...ncd,nc->...nd", values[..., self.corners, :], self.weights)

    def mixed(self, other: "Footing", share: float) -> "Footing":
        """Places between these and ``share`` of the way to others."""
        return Footing(
            np.concatenate([self.corners, other.corners], axis=1),
            np.concatenate([(1 - share) * self.weights, share * other.weights], axis=1),
        )

    def __getitem__(self, chosen: np.ndarray) -> "Footing":
        return Footing(self.corners[chosen], self.weights[chosen])


def at_vertices(vertices: np.ndarray) -> Footing:
    """Places that are vertices ``(N,)`` themselves."""
    return Footing(vertices[:, None], np.ones((len(vertices), 1)))
