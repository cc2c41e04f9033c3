"""Regions of the face: on, off or scaled, within what eyes, lids and lips can do."""

from dataclasses import dataclass, fields

import numpy as np

from freeavatar.errors import InputError
from freeavatar.rig import ARKIT

MOST = 3.0
"""Largest scale of a region."""
CONVERGENCE, DIVERGENCE, SKEW = 0.25, 0.06, 0.10
"""How far one eye may turn in or out more than the other, and up or down, in look weights (1 is about 35
degrees): eyes that look at a hand's breadth converge by 0.25."""

SQUINT = 0.3
"""How far a squint closes the lids, as a share of what a blink does (0.26 to 0.28 on the avatars that ship)."""


@dataclass(frozen=True)
class Regions:
    """Scale of each region: 0 is off, 1 as the actor plays it."""

    brows: float = 1.0
    eyes: float = 1.0
    """Lids: blinks, squints, wide eyes."""
    gaze: float = 1.0
    mouth: float = 1.0
    jaw: float = 1.0
    cheeks: float = 1.0
    """And the sides of the nose."""
    tongue: float = 1.0
    head: float = 1.0
    """How far the head turns."""

    def __post_init__(self) -> None:
        for field in fields(self):
            scale = getattr(self, field.name)
            if not 0 <= scale <= MOST:
                raise InputError(
                    "region {} is {:g}, expected a scale between 0 (off) and {:g} (1 as played).",
                    field.name,
                    scale,
                    MOST,
                )


REGIONS = tuple(field.name for field in fields(Regions))
"""Their names."""
_PREFIXES = {
    "brow": "brows", "eyeLook": "gaze", "eye": "eyes", "mouth": "mouth", "jaw": "jaw", "cheek": "cheeks",
    "nose": "cheeks", "tongue": "tongue",
}  # fmt: skip


def region_of(name: str) -> str:
    """The region that one of ARKit's blendshapes belongs to."""
    return next(region for prefix, region in _PREFIXES.items() if name.startswith(prefix))


REGION_OF = {name: region_of(name) for name in ARKIT}
"""Region of each of ARKit's blendshapes."""


def scale_regions(weights: np.ndarray, regions: Regions, gain: float) -> np.ndarray:
    """Scale rig weights by region, and keep the face possible.

    Args:
        weights: ARKit's, ``(T, 52)`` in [0, 1].
        regions: scales.
        gain: scale of all of them.

    Returns:
        ``(T, 52)`` in [0, 1], within :func:`keep_possible`.
    """
    scales = np.array([getattr(regions, REGION_OF[name]) * gain for name in ARKIT], weights.dtype)
    return keep_possible(np.clip(weights * scales, 0, 1))


def keep_possible(weights: np.ndarray) -> np.ndarray:
    """Weights that no face contradicts: eyes look one way, lids stay apart, lips close no further than the jaw opens.

    What is possible already is not changed.

    Args:
        weights: ARKit's, ``(T, 52)`` in [0, 1].
    """
    columns = _Columns(weights.copy())
    _turn_together(columns, ("eyeLookOutLeft", "eyeLookInLeft"), ("eyeLookInRight", "eyeLookOutRight"),
                   -DIVERGENCE, CONVERGENCE)  # fmt: skip
    _turn_together(columns, ("eyeLookUpLeft", "eyeLookDownLeft"), ("eyeLookUpRight", "eyeLookDownRight"), -SKEW, SKEW)
    for side in ("Left", "Right"):
        closed = columns[f"eyeBlink{side}"]
        columns.lower(f"eyeWide{side}", 1 - closed)
        columns.lower(f"eyeSquint{side}", (1 - closed) / SQUINT)
    columns.lower("mouthClose", columns["jawOpen"])
    return columns.weights


class _Columns:
    """Columns of rig weights by name."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights

    def __getitem__(self, name: str) -> np.ndarray:
        return self.weights[:, ARKIT.index(name)]

    def lower(self, name: str, most: np.ndarray) -> None:
        """Bring a column down to ``most``."""
        np.minimum(self[name], most, out=self[name])

    def shift(self, positive: str, negative: str, amount: np.ndarray) -> None:
        """Raise ``positive - negative`` by ``amount`` (T,): less of the one against it, then more of the other."""
        for more, less, step in (
            (positive, negative, np.maximum(amount, 0)),
            (negative, positive, -np.minimum(amount, 0)),
        ):
            taken = np.minimum(self[less], step)
            self[less][:] -= taken
            self[more][:] = np.clip(self[more] + step - taken, 0, 1)


def _turn_together(columns: _Columns, left: tuple[str, str], right: tuple[str, str], least: float, most: float) -> None:
    """Keep what the right eye turns more than the left one between two bounds, changing both alike.

    Args:
        columns: changed in place.
        left: the left eye's columns for one direction and its opposite.
        right: the right eye's for the same.
        least: lower bound, in look weights.
        most: upper bound.
    """
    apart = (columns[right[0]] - columns[right[1]]) - (columns[left[0]] - columns[left[1]])
    excess = (apart - np.clip(apart, least, most)) / 2
    columns.shift(*left, excess)
    columns.shift(*right, -excess)
