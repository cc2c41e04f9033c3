"""Profiles: an actor's neutral face, kept in a small file and used again."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freeavatar.errors import InputError
from freeavatar.files import replacing
from freeavatar.rig import ARKIT

FORMAT = "freeavatar-profile"
VERSION = 1
_LARGEST = 100_000
"""Bytes of the largest file that is read as a profile."""


@dataclass(frozen=True)
class Profile:
    """The neutral of one actor, as these weights see it."""

    name: str
    """Of the actor."""
    date: str
    """When it was made: ``2026-03-01``."""
    weights: str
    """Id of the weights it was made with."""
    names: tuple[str, ...]
    """ARKit's blendshapes, ``K``."""
    neutral: tuple[float, ...]
    """Rig weights of the neutral face, ``K`` in [0, 1)."""
    head: tuple[float, float, float]
    """Yaw, pitch and roll of the head at rest, degrees."""

    def weights_of_neutral(self) -> np.ndarray:
        """ARKit's blendshapes of the neutral face, ``(52,)`` float32; 0 for those it does not know."""
        known = dict(zip(self.names, self.neutral, strict=True))
        return np.array([known.get(name, 0.0) for name in ARKIT], np.float32)

    def check_weights(self, weights: str) -> None:
        """Refuse other weights than those it was made with.

        Raises:
            InputError: ``weights`` is another id.
        """
        if self.weights != weights:
            raise InputError(
                "the profile of {} was made with other weights ({}, these are {}): save it again from a new run of "
                "that actor.",
                self.name,
                self.weights,
                weights,
            )


def make_profile(name: str, weights: str, neutral: np.ndarray, head: np.ndarray) -> Profile:
    """A profile of today.

    Args:
        name: of the actor.
        weights: id of the weights.
        neutral: ARKit's blendshapes, ``(52,)``.
        head: yaw, pitch, roll at rest, ``(3,)`` degrees.
    """
    yaw, pitch, roll = (round(float(v), 3) for v in head)
    values = tuple(round(float(v), 5) for v in neutral)
    return Profile(name, time.strftime("%Y-%m-%d"), weights, ARKIT, values, (yaw, pitch, roll))


def save_profile(profile: Profile, path: str | Path) -> Path:
    """Write a profile as JSON and return its path.

    Raises:
        InputError: the file cannot be written.
    """
    data = {
        "format": FORMAT, "version": VERSION, "name": profile.name, "date": profile.date, "weights": profile.weights,
        "head": profile.head, "neutral": dict(zip(profile.names, profile.neutral, strict=True)),
    }  # fmt: skip
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return Path(path)


def load_profile(path: str | Path) -> Profile:
    """Read a file of :func:`save_profile`.

    Raises:
        InputError: it cannot be read, or is no profile.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8") if path.stat().st_size <= _LARGEST else ""
        data = json.loads(text)
    except OSError as error:
        raise InputError("cannot read {} ({}): give a profile that exists.", path, error.strerror) from error
    except ValueError as error:
        raise InputError("{} is not a profile: choose a .json saved as an actor's profile.", path.name) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError("{} is not a profile: choose a .json saved as an actor's profile.", path.name)
    if data.get("version") != VERSION:
        raise InputError(
            "{} is a profile of version {}, expected {}: save it again.", path.name, data.get("version"), VERSION
        )
    try:
        return _parsed(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError("{} is damaged ({}): save the profile again.", path.name, error) from error


def _parsed(data: dict[str, Any]) -> Profile:
    neutral = {str(name): float(value) for name, value in data["neutral"].items()}
    if strange := sorted(set(neutral) - set(ARKIT)):
        raise ValueError(f"{strange[0]} is none of ARKit's blendshapes")
    if wrong := [name for name, value in neutral.items() if not 0 <= value < 1]:
        raise ValueError(f"{wrong[0]} is {neutral[wrong[0]]:g}, expected 0 to 1")
    yaw, pitch, roll = (float(value) for value in data["head"])
    if not np.isfinite([yaw, pitch, roll]).all() or max(map(abs, (yaw, pitch, roll))) > 180:
        raise ValueError("the head's angles are not between -180 and 180 degrees")
    return Profile(
        str(data["name"])[:80], str(data["date"])[:20], str(data["weights"]), tuple(neutral),
        tuple(neutral.values()), (yaw, pitch, roll),
    )  # fmt: skip
