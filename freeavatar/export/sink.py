"""What every output is to the loop that animates: a sink that takes one moment after the other."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import numpy as np

from freeavatar.avatars import Avatar
from freeavatar.rig import Controls, Curves


class Moment(NamedTuple):
    """One frame on its way out."""

    time: float
    """Seconds from the first frame."""
    curves: np.ndarray
    """ARKit's blendshapes, ``(52,)`` float32 in [0, 1]."""
    head: np.ndarray
    """Yaw, pitch, roll, ``(3,)`` float32 degrees."""
    confidence: float
    """How sure the face track is, in [0, 1]; 0 where no face was found."""
    controls: np.ndarray
    """Weights of the avatar's own controls, ``(K,)`` float32 in [0, 1]."""
    picture: np.ndarray
    """What is to be seen, RGB ``(H, W, 3)`` uint8, or ``(H, W, 4)`` with straight alpha; good until the next
    moment."""

    @classmethod
    def of(cls, curves: Curves, controls: Controls, index: int, picture: np.ndarray) -> "Moment":
        """One frame of a whole performance, with its picture."""
        return cls(
            float(curves.times[index]), curves.weights[index], curves.head[index], float(curves.confidence[index]),
            controls.weights[index], picture,
        )  # fmt: skip


class Sink(Protocol):
    """Takes moments in order. Leaving its block without an error finishes what was written; with one, discards it."""

    def __enter__(self) -> "Sink": ...

    def write(self, moment: Moment) -> None:
        """Take the next moment."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class Sound:
    """Where the sound comes from."""

    path: Path
    start: Fraction = Fraction(0)
    """Second of that file which becomes time 0."""
    tail: float = 1.0
    """Seconds it may outlast the last moment."""


@dataclass(frozen=True)
class Output:
    """What a sink is opened for."""

    avatar: Avatar
    """Who plays."""
    path: Path
    """The file, which is replaced at once when it is complete."""
    rate: Fraction
    """Nominal moments a second."""
    size: tuple[int, int]
    """``(H, W)`` of the pictures."""
    has_alpha: bool = False
    """Whether the pictures have alpha."""
    sound: Sound | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """What the animation was made with, as plain values."""


class Recording:
    """A sink that keeps what it is given, and saves it at the end: for files that cannot be written row by row."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._kept: list[Moment] = []

    def __enter__(self) -> "Recording":
        return self

    def write(self, moment: Moment) -> None:
        """Keep a moment, without its picture."""
        self._kept.append(moment._replace(picture=np.empty(0)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.save()

    def save(self) -> None:
        """Write :attr:`curves` or :attr:`controls` to the output's path.

        Raises:
            InputError: it cannot be written.
        """
        raise NotImplementedError

    @property
    def curves(self) -> Curves:
        """What the face did."""
        weights = self._column("curves", len(self._kept), 52)
        return Curves(**self._timeline(), weights=weights, cuts=np.zeros(len(self._kept), bool))

    @property
    def controls(self) -> Controls:
        """What the avatar played."""
        avatar = self.output.avatar
        weights = self._column("controls", len(self._kept), len(avatar.target_names))
        return Controls(**self._timeline(), weights=weights, avatar=avatar.name, names=avatar.target_names)

    def _timeline(self) -> dict[str, Any]:
        count = len(self._kept)
        return {
            "times": np.array([moment.time for moment in self._kept]), "rate": self.output.rate,
            "head": self._column("head", count, 3), "confidence": self._column("confidence", count),
        }  # fmt: skip

    def _column(self, name: str, *shape: int) -> np.ndarray:
        return np.array([getattr(moment, name) for moment in self._kept], np.float32).reshape(shape)
