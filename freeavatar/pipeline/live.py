"""Live: one webcam frame in, what every avatar plays out, with nothing kept but what the next frame needs."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np

from freeavatar.avatars import Avatar, retarget
from freeavatar.errors import FaceError
from freeavatar.faces import Face, FaceTracker, crop_face, head_pose
from freeavatar.images import Frame
from freeavatar.models import Bundle
from freeavatar.performance.editing import Neutral, edit
from freeavatar.performance.filters import CausalFilter, OneEuro
from freeavatar.performance.idle import idle
from freeavatar.performance.motion import EASE, HOLD
from freeavatar.performance.regions import scale_regions
from freeavatar.performance.settings import EditSettings
from freeavatar.pipeline.acting import act, identity_of
from freeavatar.rig import ARKIT, Curves

CALIBRATION_TIME = 0.6
"""Seconds before a press of the button that are averaged to the neutral face."""
_RATE = Fraction(30)
_STEADY = 2.5
"""Cutoff of the points' filter at rest, in hertz; its speed is in eye distances a second."""
_WAKE = 0.3
"""Seconds in which idling ends when a face comes back."""
_FAR, _ASIDE, _TURNED = 0.07, 0.28, 22.0
"""A face in place has its eyes at least this part of the picture's width apart, its middle no farther than this part
of the picture from its middle, and is turned no further than these degrees."""

Placement = Literal["good", "none", "far", "aside", "turned"]
"""Whether a face can be calibrated on: none in sight, too far away, too near to the picture's edge, not facing it."""


@dataclass(frozen=True)
class LiveSettings(EditSettings):
    """What becomes of live curves; may change from frame to frame. The neutral is what :meth:`Live.calibrate` took."""

    smoothing: float = 0.3
    is_idling: bool = True
    """Blink and sway while no face is in sight, once the last expression has eased to neutral."""


class Played(NamedTuple):
    """What one avatar plays at a moment."""

    curves: np.ndarray
    """ARKit's blendshapes, ``(52,)`` float32 in [0, 1]."""
    head: np.ndarray
    """Yaw, pitch, roll, ``(3,)`` float32 degrees."""
    controls: np.ndarray
    """Weights of the avatar's own controls, ``(K,)`` float32 in [0, 1]."""


class LiveMoment(NamedTuple):
    """What came of one frame."""

    time: float
    """When it was taken, seconds."""
    confidence: float
    """How sure the face track is, in [0, 1]; 0 where no face was found."""
    placement: Placement
    """Whether the face is where it should be for a calibration."""
    played: dict[str, Played]
    """By the avatar's name."""


class _Seen(NamedTuple):
    """A face as measured, whoever is going to play it."""

    feature: np.ndarray
    """Of the encoder, ``(D,)`` float32."""
    head: np.ndarray
    """``(3,)`` float32 degrees."""
    confidence: float
    is_cut: bool


class _Role:
    """One avatar that follows the face."""

    def __init__(self, avatar: Avatar, bundle: Bundle) -> None:
        self.avatar, self._bundle = avatar, bundle
        self._identity, self._smooth = identity_of(avatar, bundle), CausalFilter()
        self._last: Curves | None = None
        self._neutral = Neutral(np.zeros(len(ARKIT), np.float32), np.zeros(3, np.float32))

    def calibrate(self, feature: np.ndarray, head: np.ndarray) -> None:
        """Take what this avatar's curves show of a face for neutral."""
        self._neutral = Neutral(self._decode(feature), head)

    def play(self, seen: _Seen | None, time: float, settings: LiveSettings, rest: float) -> Played:
        """The next moment.

        Args:
            seen: the face, or None.
            time: seconds.
            settings: what becomes of the curves.
            rest: how much of the idle pose to add, in [0, 1].
        """
        if seen is None:
            now = _row(time, np.zeros(len(ARKIT)), np.zeros(3), 0.0)
        else:
            weights = self._decode(seen.feature)
            now = self._last = _row(time, weights, seen.head, seen.confidence, is_cut=seen.is_cut)
        curves = edit(_joined(self._last or now, now), settings, self._neutral, smooth=self._smooth)
        if rest > 0:
            weights, head = idle(time)
            weights = scale_regions(weights[None], settings.regions, 1.0)[0]
            curves.weights[-1] = np.clip(curves.weights[-1] + rest * weights, 0, 1)
            curves.head[-1] += rest * settings.has_head_pose * settings.regions.head * head
        controls = retarget(self.avatar, curves, self._identity.drive)
        return Played(curves.weights[-1], curves.head[-1], controls.weights[-1])

    def _decode(self, feature: np.ndarray) -> np.ndarray:
        return act(feature[None], self._identity, self._bundle)[0]


class Live:
    """One actor, any number of avatars; frames are given in order, and late ones may be left out."""

    def __init__(self, bundle: Bundle, cast: Sequence[Avatar]) -> None:
        """Get ready.

        Args:
            bundle: weights.
            cast: whom to drive.
        """
        self._bundle, self._tracker = bundle, FaceTracker()
        self._steady, self._unit, self._breaks = OneEuro(_STEADY, slope=0.6), 1.0, -1
        self._recent: deque[tuple[float, np.ndarray, np.ndarray]] = deque()
        self._neutral: tuple[np.ndarray, np.ndarray] | None = None
        self._roles: dict[str, _Role] = {}
        self._now, self._last_seen, self._rest, self._is_in_sight = 0.0, -np.inf, 0.0, False
        self.change_cast(cast)

    def change_cast(self, cast: Sequence[Avatar]) -> None:
        """Drive these avatars from the next frame on; the calibration stays, and so do those that played before."""
        before, self._roles = self._roles, {}
        for avatar in cast:
            role = before.get(avatar.name)
            if role is None or role.avatar.content != avatar.content:
                role = _Role(avatar, self._bundle)
                if self._neutral is not None:
                    role.calibrate(*self._neutral)
            self._roles[avatar.name] = role

    @property
    def cast(self) -> list[str]:
        """Names of the avatars."""
        return list(self._roles)

    def calibrate(self) -> None:
        """Take what the actor showed in the last :data:`CALIBRATION_TIME` for the neutral face and head.

        Raises:
            FaceError: no face was seen.
        """
        self._forget()
        if not self._recent:
            raise FaceError("no face is in sight: look into the camera with a relaxed face, then calibrate.")
        features, heads = zip(*((feature, head) for _, feature, head in self._recent), strict=True)
        self._neutral = np.mean(features, axis=0), np.mean(heads, axis=0)
        for role in self._roles.values():
            role.calibrate(*self._neutral)

    def step(self, image: np.ndarray, time: float, settings: LiveSettings) -> LiveMoment:
        """Follow one frame.

        Args:
            image: RGB, ``(H, W, 3)`` uint8; 480 pixels of width are plenty.
            time: when it was taken, seconds, later than the frame before.
            settings: what becomes of the curves.

        Returns:
            What the avatars play now: measured, or held, then eased to neutral and, if the settings want it, idle.
        """
        before, self._now = self._now, time
        face = self._tracker.update(Frame(0, time, image))
        seen = None if face is None else self._measure(image, face, time)
        self._is_in_sight = face is not None
        rest = self._rest_now(max(time - before, 0.0), settings)
        played = {name: role.play(seen, time, settings, rest) for name, role in self._roles.items()}
        return LiveMoment(time, seen.confidence if seen else 0.0, _placement(face, seen, image.shape), played)

    def _measure(self, image: np.ndarray, face: Face, time: float) -> _Seen:
        """The face of a frame as encoded."""
        is_cut = self._tracker.breaks != self._breaks
        if is_cut:
            self._steady, self._breaks = OneEuro(_STEADY, slope=0.6), self._tracker.breaks
            self._unit = float(np.linalg.norm(face.points[1] - face.points[0])) + 1e-6
        points = (self._steady.update(face.points / self._unit, time) * self._unit).astype(np.float32)
        feature = self._bundle.encoder.encode([crop_face(image, points)])[0][0]
        head = np.asarray(head_pose(points), np.float32)
        self._recent.append((time, feature, head))
        self._forget()
        self._last_seen = time
        return _Seen(feature, head, face.score, is_cut and self._is_in_sight)

    def _rest_now(self, passed: float, settings: LiveSettings) -> float:
        """How much of the idle pose there is: it comes once a lost face has been held and eased, and goes quickly."""
        is_lost = self._now - self._last_seen > HOLD + EASE
        step = passed / (EASE if is_lost and settings.is_idling else -_WAKE)
        self._rest = float(np.clip(self._rest + step, 0, 1))
        return self._rest

    def _forget(self) -> None:
        """Leave what was seen too long ago to be the face of this moment."""
        while self._recent and self._recent[0][0] < self._now - CALIBRATION_TIME:
            self._recent.popleft()


def _placement(face: Face | None, seen: _Seen | None, shape: tuple[int, ...]) -> Placement:
    if face is None or seen is None:
        return "none"
    size = np.array([shape[1], shape[0]], np.float32)
    if np.linalg.norm(face.points[1] - face.points[0]) < _FAR * size[0]:
        return "far"
    if (np.abs(face.points.mean(0) / size - 0.5) > _ASIDE).any():
        return "aside"
    return "turned" if (np.abs(seen.head[:2]) > _TURNED).any() else "good"


def _row(time: float, weights: np.ndarray, head: np.ndarray, confidence: float, *, is_cut: bool = False) -> Curves:
    """One frame as decoded."""
    return Curves(
        weights=weights[None].astype(np.float32), times=np.array([time]), rate=_RATE,
        head=head[None].astype(np.float32), confidence=np.array([confidence], np.float32), cuts=np.array([is_cut]),
    )  # fmt: skip


def _joined(last: Curves, now: Curves) -> Curves:
    """The frame on which the face was last seen, and the present one."""
    columns = {
        name: np.concatenate([getattr(last, name), getattr(now, name)])
        for name in ("weights", "times", "head", "confidence", "cuts")
    }
    return Curves(**columns, rate=now.rate)
