"""What an avatar's targets do, against the figures of heads made for ARKit (``reference/``)."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.errors import Message

_FOLDER = Path(__file__).with_name("reference")
MOST_MOVED = 40
"""Vertices whose mean displacement is the size and direction of a target."""
MOVED = 0.02
"""What counts as moved, in distances between the eyes."""


@dataclass(frozen=True)
class Head:
    """What a target does on one head; lengths in distances between the eyes."""

    size: float
    """Mean length of the displacements of the 40 vertices of the skin that move most."""
    direction: np.ndarray
    """Their mean displacement, ``(3,)``: x to the actor's left, y up, z forward."""
    share: float
    """Share of the face that moves by more than 0.02, in [0, 1]."""


def _rows(name: str) -> list[dict[str, str]]:
    with (_FOLDER / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _vector(row: Mapping[str, str], prefix: str = "d") -> list[float]:
    return [float(row[f"{prefix}{axis}"]) for axis in "xyz"]


@cache
def reference_landmarks() -> dict[str, np.ndarray]:
    """Points of a neutral face by name, ``(3,)`` each: the 68 of Multi-PIE, then 21 others."""
    return {row["landmark"]: np.array(_vector(row, "")) for row in _rows("landmarks")}


@cache
def reference_displacements() -> dict[str, np.ndarray]:
    """By target, what it moves each of :func:`reference_landmarks` by, ``(89, 3)``."""
    order = {name: k for k, name in enumerate(reference_landmarks())}
    found: dict[str, np.ndarray] = {}
    for row in _rows("displacements"):
        found.setdefault(row["target"], np.zeros((len(order), 3)))[order[row["landmark"]]] = _vector(row)
    return found


@cache
def reference_heads() -> dict[str, tuple[Head, Head]]:
    """By target, what it does on the two reference heads; ``tongueOut`` is in neither."""
    return {row["target"]: (_head(row, "scan"), _head(row, "app")) for row in _rows("summary") if row["scan_magnitude"]}


def _head(row: Mapping[str, str], name: str) -> Head:
    return Head(float(row[f"{name}_magnitude"]), np.array(_vector(row, f"{name}_d")), float(row[f"{name}_share_moved"]))


_FACE = ((-1.35, 1.35), (-1.95, 1.6), (-0.95, 9.0))
"""Where the skin counts as face, along x, y and z from between the eyes, in distances between them."""
_WEAKER, _STRONGER, _ASTRAY = 0.75, 1.3, 30.0
"""Of the weaker and of the stronger reference head, and degrees off both."""


@dataclass(frozen=True)
class Meaning:
    """What a target of an avatar does, beside the reference."""

    name: str
    does: Head
    references: tuple[Head, Head]

    @property
    def strength(self) -> float:
        """Its size as a multiple of the nearest that a reference head has; 1 between those."""
        low, high = sorted(head.size for head in self.references)
        return self.does.size / float(np.clip(self.does.size, low, high))

    @property
    def angle(self) -> float:
        """Degrees between its direction and the nearer of the references'."""
        return min(_angle(self.does.direction, head.direction) for head in self.references)

    @property
    def has_usual_strength(self) -> bool:
        """Whether its size is within 0.75 of the weaker head and 1.3 of the stronger."""
        return _WEAKER <= self.strength <= _STRONGER

    @property
    def has_usual_direction(self) -> bool:
        """Whether it moves within 30 degrees of a reference head."""
        return self.angle <= _ASTRAY

    @property
    def has_usual_share(self) -> bool:
        """Whether it moves at least 0.7 of the smaller share of the face."""
        return self.does.share >= 0.7 * min(head.share for head in self.references)


_AXES = (
    (Message("to its left"), Message("to its right")), (Message("up"), Message("down")),
    (Message("forward"), Message("back")),
)  # fmt: skip
MOST_WORDS = 6
"""Targets that are described one by one."""


def words_about(avatar: Avatar) -> list[Message]:
    """What differs from heads made for ARKit, a sentence a target, the worst first; empty if none is measured."""
    meanings = measure(avatar)
    unlike = [m for m in meanings if not (m.has_usual_strength and m.has_usual_direction)]
    unlike.sort(key=lambda m: -abs(np.log(max(m.strength, 1e-3))) - m.angle / 90)
    found = []
    if meanings:
        found.append(Message(
            "{} of {} measured targets move the face as heads made for ARKit do.",
            (len(meanings) - len(unlike), len(meanings)),
        ))  # fmt: skip
    found += [_sentence(meaning) for meaning in unlike[:MOST_WORDS]]
    if len(unlike) > MOST_WORDS:
        found.append(Message("{} more targets differ less than these.", (len(unlike) - MOST_WORDS,)))
    return found


def _sentence(meaning: Meaning) -> Message:
    if not meaning.has_usual_direction and meaning.strength >= 0.25:
        usual = min(meaning.references, key=lambda head: _angle(meaning.does.direction, head.direction))
        ways = (_way(meaning.does.direction), _way(usual.direction))
        if ways[0] != ways[1]:
            return Message("{} moves the skin {}, where ARKit's moves it {}.", (meaning.name, *ways))
        return Message("{} moves the skin {:.0f} degrees off ARKit's way.", (meaning.name, meaning.angle))
    return Message("{}: {:.1f} of the usual strength.", (meaning.name, meaning.strength))


def _way(direction: np.ndarray) -> Message:
    axis = int(np.abs(direction).argmax())
    return _AXES[axis][0 if direction[axis] > 0 else 1]


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    cosine = first @ second / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def measure(avatar: Avatar) -> list[Meaning]:
    """What those of ARKit's targets do that the avatar has by name, ``tongueOut`` excepted.

    Empty where its blinks do not show where the eyes are.
    """
    frame = _Frame.of(avatar)
    if frame is None:
        return []
    shapes = {name: avatar.target_positions[k] for k, name in enumerate(avatar.target_names)}
    return [
        Meaning(name, frame.describe(shapes[name]), references)
        for name, references in reference_heads().items()
        if name in shapes
    ]


@dataclass(frozen=True)
class _Frame:
    """The skin of a face."""

    unit: float
    """Distance between the eyes, in the file's units."""
    skin: np.ndarray
    """Vertices of the skin, ``(S,)`` int."""
    area: np.ndarray
    """Share of the face that lies about each of them, ``(S,)``; 0 outside the face."""

    @classmethod
    def of(cls, avatar: Avatar) -> "_Frame | None":
        eyes = _eyes(avatar)
        if eyes is None:
            return None
        unit = float(np.linalg.norm(eyes[0] - eyes[1]))
        surfaces = np.array([material.surface for material in avatar.materials])[avatar.material]
        is_skin = surfaces == "skin" if (surfaces == "skin").any() else ~np.isin(surfaces, ("eye", "hair", "mouth"))
        place = (avatar.positions - eyes.mean(0)) / unit
        is_face = is_skin & np.all([(place[:, k] > a) & (place[:, k] < b) for k, (a, b) in enumerate(_FACE)], axis=0)
        corners = avatar.positions[avatar.triangles]
        areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        around = sum(np.bincount(avatar.triangles[:, k], areas, len(is_skin)) for k in range(3)) * is_face
        skin = np.flatnonzero(is_skin)
        return cls(unit, skin, around[skin] / max(float(around.sum()), 1e-12))

    def describe(self, shape: np.ndarray) -> Head:
        """What displacements ``(V, 3)`` of all vertices do."""
        moved = shape[self.skin].astype(np.float64) / self.unit
        length = np.linalg.norm(moved, axis=1)
        most = np.argsort(-length)[:MOST_MOVED]
        return Head(float(length[most].mean()), moved[most].mean(0), float(self.area[length > MOVED].sum()))


def _eyes(avatar: Avatar) -> np.ndarray | None:
    """The eyes at image left and right, ``(2, 3)``: declared, or the middles of what blinks move."""
    if avatar.landmarks is not None:
        return avatar.landmarks[:2].astype(np.float64)
    found = []
    for name in ("eyeBlinkRight", "eyeBlinkLeft"):
        if name not in avatar.target_names:
            return None
        weight = (avatar.target_positions[avatar.target_names.index(name)].astype(np.float64) ** 2).sum(1)
        if not weight.any():
            return None
        found.append(weight @ avatar.positions / weight.sum())
    return np.array(found)
