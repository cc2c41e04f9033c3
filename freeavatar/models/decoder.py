"""The rig decoder: expression feature and identity code to ARKit's blendshapes as that avatar wants them."""

from dataclasses import dataclass

import numpy as np

from freeavatar.models.graphs import Graph
from freeavatar.models.identity import CODE_SIZE
from freeavatar.rig import ARKIT


@dataclass(frozen=True)
class DecoderConfig:
    """Which decoder."""

    feature_size: int = 384
    """Dimensions of the encoder's feature."""
    controls: tuple[str, ...] = ARKIT
    """Names of the blendshapes."""
    code_size: int = CODE_SIZE
    """Dimensions of an identity code."""
    hidden_size: int = 384

    def __post_init__(self) -> None:
        if not self.controls:
            raise ValueError("controls is empty, expected the names of the rig's controls")


class RigDecoder:
    """The rig decoder of a bundle; one may serve every thread of a process."""

    def __init__(self, config: DecoderConfig, graph: Graph) -> None:
        self.config, self.graph = config, graph

    def decode(self, features: np.ndarray, code: np.ndarray) -> np.ndarray:
        """Decode rig weights.

        Args:
            features: pooled features, ``(B, feature_size)`` float32.
            code: identity code of who plays them, ``(code_size,)`` float32; zeros are nobody in particular.

        Returns:
            Rig weights, ``(B, 52)`` float32 in [0, 1], in the order of ``config.controls``.
        """
        return self.graph.run(feature=features, code=code[None])[0]
