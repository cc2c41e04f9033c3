"""Rigs: the named controls of an avatar, and one avatar's performance over time."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

ARKIT = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft",
    "eyeSquintLeft", "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight",
    "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight", "eyeWideRight", "jawForward",
    "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight",
    "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft",
    "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft",
    "noseSneerRight", "tongueOut",
)  # fmt: skip
"""The 52 ARKit blendshapes, in the column order of Live Link Face."""


def mirrored(names: tuple[str, ...]) -> list[int]:
    """Index of each control's mirror image: ``weights[..., mirrored(names)]`` swaps the sides.

    Raises:
        ValueError: a control ends in Left or Right and its twin is not in ``names``.
    """
    swap = {"Left": "Right", "Right": "Left"}
    return [names.index(next((n[: -len(a)] + b for a, b in swap.items() if n.endswith(a)), n)) for n in names]


@dataclass(frozen=True)
class Performance:
    """One avatar's animation, as every exporter and the renderer take it."""

    avatar: str
    """Name of the avatar."""
    names: tuple[str, ...]
    """Names of its controls."""
    weights: np.ndarray
    """Rig weights, ``(T, K)`` float32 in [0, 1]."""
    times: np.ndarray
    """Presentation times, ``(T,)`` float64, seconds from the first frame, increasing."""
    rate: Fraction
    """Nominal frames a second."""
    head: np.ndarray
    """Head rotation, ``(T, 3)`` float32 degrees: yaw, pitch, roll."""
    confidence: np.ndarray
    """How sure the face track is, ``(T,)`` float32 in [0, 1]; 0 where no face was found."""
    drive: np.ndarray | None = None
    """How the avatar's own controls follow ARKit's blendshapes where that was learned, ``(K', 52)`` float32; None:
    as its file declares."""

    def __post_init__(self) -> None:
        t, k = self.weights.shape
        assert k == len(self.names) and self.times.shape == (t,), (t, k, len(self.names))
        assert self.head.shape == (t, 3) and self.confidence.shape == (t,)
