"""How a head stands in its file: up, facing, size. Seen from where its controls move the face."""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.errors import Message
from freeavatar.rig import ARKIT

_EYES = ("eyeBlink", "eyeSquint", "eyeWide", "brow")
_MOUTH = ("jawOpen", "mouth")
_CLEAR = 2.45
"""Trace of a rotation of 43.5 degrees: a head this near to a turned axis is turned on purpose."""
_UNITS = (
    (Message("centimetres"), 100.0), (Message("decimetres"), 10.0), (Message("millimetres"), 1000.0),
    (Message("inches"), 39.37),
)  # fmt: skip
_LYING = {
    "-z": Message("lies on its back"), "+z": Message("lies on its face"), "-y": Message("stands on its head"),
}  # fmt: skip
HEAD_HEIGHT = (0.1, 0.5)
"""Metres from chin to crown."""


@dataclass(frozen=True)
class Stance:
    """How a head stands."""

    turn: np.ndarray
    """Rotation of the world, ``(3, 3)``, that makes it stand upright and face +z."""
    height: float
    """From the chin to the crown, in the file's units."""
    is_mirrored: bool
    """Whether what is called left moves the right half of the face."""

    @property
    def is_upright(self) -> bool:
        """Whether it stands upright and faces +z as it is."""
        return bool(np.allclose(self.turn, np.eye(3)))

    @property
    def words(self) -> Message:
        """What it does, such as ``faces -z``."""
        up, forward = (_axis(self.turn[row]) for row in (1, 2))
        if up == "+y":
            is_ahead = forward == "+z"
            return Message("stands upright and faces +z") if is_ahead else Message("faces {}, not +z", (forward,))
        return _LYING.get(up, Message("lies on its side"))

    @property
    def size_words(self) -> Message:
        """Its height, and the unit that it suggests."""
        if HEAD_HEIGHT[0] <= self.height <= HEAD_HEIGHT[1]:
            return Message("The head is {:.2f} m high.", (self.height,))
        for unit, factor in _UNITS:
            if HEAD_HEIGHT[0] <= self.height / factor <= HEAD_HEIGHT[1]:
                return Message(
                    "The head is {:.3g} units high where glTF counts in metres: these look like {}.",
                    (self.height, unit),
                )
        return Message(
            "The head is {:.3g} units high where glTF counts in metres: expected were 0.1 to 0.5.", (self.height,)
        )


def find_stance(avatar: Avatar) -> Stance:
    """Find up, facing and size of a head.

    Up runs from the mouth to the eyes; the face lies before the middle of the head and its skin looks forward.
    An avatar whose controls do not show both eyes and mouth counts as upright.
    """
    eyes, mouth = _centre(avatar, _EYES), _centre(avatar, _MOUTH)
    if eyes is None or mouth is None or np.linalg.norm(eyes - mouth) < 1e-9:
        return Stance(np.eye(3), _height(avatar, np.eye(3), *avatar.face_box), False)
    span = float(np.linalg.norm(eyes - mouth))
    up = (eyes - mouth) / span
    middle = (eyes + mouth) / 2
    near = np.linalg.norm(avatar.positions - middle, axis=1) < 3 * span
    forward = _unit(middle - avatar.positions[near].mean(0)) + _unit(_skin_normal(avatar))
    forward = _unit(forward - up * (forward @ up))
    frame = np.stack([np.cross(up, forward), up, forward])
    turn = _snapped(frame)
    left, right = _centre(avatar, _EYES + _MOUTH, "Left"), _centre(avatar, _EYES + _MOUTH, "Right")
    is_mirrored = left is not None and right is not None and float((left - right) @ frame[0]) < -0.1 * span
    reach = np.stack([middle - 3 * span, middle + 3 * span])
    return Stance(turn, _height(avatar, turn, *reach), is_mirrored)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _axis(direction: np.ndarray) -> str:
    index = int(np.abs(direction).argmax())
    return ("+" if direction[index] > 0 else "-") + "xyz"[index]


def _reach(avatar: Avatar, prefixes: tuple[str, ...], side: str = "") -> np.ndarray:
    """How far controls that follow those blendshapes move each vertex, ``(V,)``."""
    columns = [k for k, name in enumerate(ARKIT) if name.startswith(prefixes) and name.endswith(side)]
    others = [k for k in range(len(ARKIT)) if k not in columns]
    drive = np.maximum(avatar.drive, 0)
    # A smile that squints the eyes too says nothing of where either is.
    chosen = np.flatnonzero((drive[:, columns].sum(1) > 0) & (drive[:, others].sum(1) == 0))
    moved = np.zeros(len(avatar.positions))
    for control in chosen:
        moved += np.linalg.norm(avatar.target_positions[control], axis=1)
    return moved


def _centre(avatar: Avatar, prefixes: tuple[str, ...], side: str = "") -> np.ndarray | None:
    """Middle of what those blendshapes move, ``(3,)``; None if nothing."""
    reach = _reach(avatar, prefixes, side)
    return reach @ avatar.positions / reach.sum() if reach.any() else None


def _skin_normal(avatar: Avatar) -> np.ndarray:
    return (_reach(avatar, _EYES) + _reach(avatar, _MOUTH)) @ avatar.normals


def _snapped(frame: np.ndarray) -> np.ndarray:
    """The quarter turns nearest to a rotation ``(3, 3)``; none if the rotation lies between them."""
    turns = []
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            turn = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(turn) > 0:
                turns.append(turn)
    agreement = [np.trace(turn.T @ frame) for turn in turns]
    best = int(np.argmax(agreement))
    return turns[best] if agreement[best] > _CLEAR else np.eye(3)


def _height(avatar: Avatar, turn: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """From the lowest point that the controls move to the crown, among vertices in a box."""
    inside = ((avatar.positions >= low) & (avatar.positions <= high)).all(1)
    reach = np.abs(avatar.target_positions).max((0, 2))
    moved = inside & (reach > 0.05 * reach.max())
    up = avatar.positions @ turn[1]
    return float(up[inside].max() - up[moved].min()) if moved.any() else float(np.ptp(up))
