"""Rigs: the named controls of an avatar, and a performance over time: a face's curves, an avatar's controls."""

from dataclasses import dataclass, replace
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


@dataclass(frozen=True, eq=False, kw_only=True)
class _Timeline:
    """What the face's and an avatar's side of a performance share."""

    weights: np.ndarray
    """In [0, 1], ``(T, K)`` float32."""
    times: np.ndarray
    """Presentation times, ``(T,)`` float64, seconds from the first frame, increasing."""
    rate: Fraction
    """Nominal frames a second."""
    head: np.ndarray
    """Head rotation, ``(T, 3)`` float32 degrees: yaw, pitch, roll."""
    confidence: np.ndarray
    """How sure the face track is, ``(T,)`` float32 in [0, 1]; 0 where no face was found."""

    def __post_init__(self) -> None:
        count = len(self.times)
        assert self.times.shape == (count,) and len(self.weights) == count, (self.times.shape, self.weights.shape)
        assert self.head.shape == (count, 3) and self.confidence.shape == (count,), (count, self.head.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Curves(_Timeline):
    """What a face does over time: ARKit's 52 blendshapes in the order of :data:`ARKIT`, and the head."""

    cuts: np.ndarray
    """Frames at which another shot begins, ``(T,)`` bool."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.weights.shape == (len(self.times), len(ARKIT)) and self.cuts.shape == self.times.shape

    @property
    def found(self) -> np.ndarray:
        """Frames with a face, ``(T,)`` bool."""
        return self.confidence > 0

    def part(self, frames: slice) -> "Curves":
        """Some frames of it; times stay as they are."""
        return replace(
            self, weights=self.weights[frames], times=self.times[frames], head=self.head[frames],
            confidence=self.confidence[frames], cuts=self.cuts[frames],
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Controls(_Timeline):
    """What one avatar plays of it: its own controls, and the head."""

    avatar: str
    """Name of the avatar."""
    names: tuple[str, ...]
    """Names of its controls, ``K``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.weights.shape == (len(self.times), len(self.names)), (self.weights.shape, len(self.names))
