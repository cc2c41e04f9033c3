"""What the networks know of an avatar: its identity code, and what its controls mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from freeavatar.models.graphs import Graph

PORTRAIT_SIZE = 112
"""Side of an avatar's neutral face in pixels, and of what the neural renderer draws."""
CODE_SIZE = 64
"""Dimensions of an identity code."""


@dataclass(frozen=True, eq=False)
class Identity:
    """One avatar's identity code, and how its controls follow ARKit's blendshapes."""

    names: tuple[str, ...]
    """Of its controls, ``K``."""
    code: np.ndarray
    """``(code_size,)`` float32; zeros are nobody in particular."""
    drive: np.ndarray
    """``(K, 52)`` float32."""


Identities = Mapping[str, Identity]
"""Those of avatars by name."""


class IdentityEncoder:
    """The identity encoder of a bundle's neural renderer; one may serve every thread of a process."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def encode(self, portrait: np.ndarray) -> np.ndarray:
        """Identity code ``(code_size,)`` float32 of a neutral face, RGB ``(112, 112, 3)`` uint8."""
        return self.graph.run(portrait=portrait.transpose(2, 0, 1)[None].astype(np.float32) / 255)[0][0]


def load_identity(path: Path, controls: Sequence[str], bundle: str, avatar: str) -> Identity | None:
    """What :func:`freeavatar.networks.save_identity` kept; None if there is none for this bundle, this avatar and these
    controls."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            if metadata.get("bundle") != bundle or metadata.get("controls") != "\n".join(controls):
                return None
            if metadata.get("avatar", avatar) != avatar:  # files of before do not say
                return None
            return Identity(tuple(controls), file.get_tensor("code"), file.get_tensor("drive"))
    except (SafetensorError, OSError):
        return None
