"""Live: one webcam frame in, the avatar's picture out, with nothing kept but what the next frame needs."""

from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from freeavatar.avatars import Avatar
from freeavatar.errors import FaceError, InputError
from freeavatar.faces import Face, FaceTracker, crop_face, head_pose
from freeavatar.models import Bundle
from freeavatar.performance import motion
from freeavatar.performance.editing import HEAD_LIMIT
from freeavatar.performance.regions import Regions, scale_regions
from freeavatar.pipeline.animation import perform, retarget
from freeavatar.pipeline.identities import identity_of
from freeavatar.pipeline.tracking import Track, encode_crops
from freeavatar.render import Look, Renderer
from freeavatar.rig import Performance
from freeavatar.video import Frame

CALIBRATION_TIME = 0.6
"""Seconds before a press of the button that are averaged to the neutral face."""
_RATE = Fraction(30)
_STEADY = 2.5
"""Cutoff of the points' filter at rest, in hertz; its speed is in eye distances a second."""
_CALM, _QUICK = 0.6, 8.0
"""Cutoffs of the curves' filter at smoothing 1 and near 0, in hertz."""


class OneEuro:
    """A causal low-pass whose cutoff rises with speed: calm at rest, quick in motion (Casiez et al., CHI 2012)."""

    def __init__(self, cutoff: float, *, slope: float, speed_cutoff: float = 1.0) -> None:
        """Set the filter up.

        Args:
            cutoff: at rest, hertz.
            slope: hertz more for each unit a second of the filtered speed.
            speed_cutoff: of the speed's own filter, hertz.
        """
        self.cutoff, self._slope, self._speed_cutoff = cutoff, slope, speed_cutoff
        self._value: np.ndarray | None = None
        self._speed: np.ndarray | None = None
        self._time = 0.0

    def update(self, value: np.ndarray, time: float) -> np.ndarray:
        """The filtered value at ``time`` in seconds, later than the last."""
        if self._value is None or self._speed is None:
            self._value, self._speed, self._time = value, np.zeros_like(value), time
            return value
        step = max(time - self._time, 1e-3)
        self._speed += _share(self._speed_cutoff, step) * ((value - self._value) / step - self._speed)
        share = _share(self.cutoff + self._slope * np.abs(self._speed), step)
        self._value, self._time = self._value + share * (value - self._value), time
        return self._value


def _share(cutoff: float | np.ndarray, step: float) -> np.ndarray:
    """What a new value weighs in an exponential average, in (0, 1)."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * step)))


@dataclass(frozen=True)
class LiveOptions:
    """How to animate live; may change from frame to frame."""

    smoothing: float = 0.3
    """0 (none) to 1."""
    gain: float = 1.0
    """Strength of the expression."""
    has_head_pose: bool = True
    """Turn the avatar's head with the actor's."""

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing <= 1:
            raise InputError(f"smoothing is {self.smoothing:g}, expected a number between 0 and 1.")
        if not 0 <= self.gain <= 5:
            raise InputError(f"gain is {self.gain:g}, expected a number between 0 and 5.")


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """The answer to one frame."""

    picture: np.ndarray
    """The avatar, RGB ``(S, S, 3)`` uint8; the next frame is drawn into the same array."""
    performance: Performance
    """ARKit's blendshapes and the head, one row."""
    confidence: float
    """Score of the face, in [0, 1]; 0 while none is in sight."""


class Live:
    """One actor, one avatar; frames are given in order, and late ones may be left out."""

    def __init__(self, bundle: Bundle, avatar: Avatar, *, size: int = 384) -> None:
        """Get ready.

        Args:
            bundle: weights.
            avatar: whom to drive.
            size: side of the picture in pixels.
        """
        self._bundle, self._look = bundle, Look((size, size))
        self._device = next(bundle.decoder.parameters()).device
        self._tracker = FaceTracker()
        self._steady, self._unit, self._breaks = OneEuro(_STEADY, slope=0.6), 1.0, -1
        self._calm: OneEuro | None = None
        self._recent: deque[tuple[float, np.ndarray, np.ndarray]] = deque()
        self._rest: tuple[np.ndarray, np.ndarray] | None = None
        self._last: tuple[float, np.ndarray] | None = None
        self._now = 0.0
        self._picture = np.empty((size, size, 3), np.uint8)
        self.change_avatar(avatar)

    def change_avatar(self, avatar: Avatar) -> None:
        """Drive another avatar from the next frame on; the calibration stays."""
        self._avatar, self._renderer = avatar, Renderer(avatar, device=self._device)
        self._camera = self._renderer.default_camera()
        self._identity = identity_of(avatar, self._bundle)
        self._neutral = None if self._rest is None else self._neutral_of(self._rest[0])
        self._calm = None

    @property
    def avatar(self) -> str:
        """Name of the avatar."""
        return self._avatar.name

    def calibrate(self) -> None:
        """Take what the actor showed in the last :data:`CALIBRATION_TIME` for the neutral face and head.

        Raises:
            FaceError: no face was seen.
        """
        self._forget()
        if not self._recent:
            raise FaceError("no face is in sight: look into the camera with a relaxed face, then calibrate.")
        self._rest = (
            np.mean([feature for _, feature, _ in self._recent], axis=0),
            np.mean([pose for _, _, pose in self._recent], axis=0),
        )
        self._neutral = self._neutral_of(self._rest[0])

    def _neutral_of(self, feature: np.ndarray) -> np.ndarray:
        """Blendshapes of a resting face, below 1, so that each has room to move."""
        return np.minimum(self._decode(feature), 0.9)

    def step(self, image: np.ndarray, time: float, options: LiveOptions) -> LiveFrame:
        """Animate one frame.

        Args:
            image: RGB, ``(H, W, 3)`` uint8; 480 pixels of width are plenty.
            time: when it was taken, seconds, later than the frame before.
            options: settings.
        """
        self._now = time
        face = self._tracker.update(Frame(0, time, image))
        if face is not None:
            self._last = time, self._measure(image, face, time)
        performance = self._perform(time, face, options)
        played = retarget(self._avatar, performance)
        self._renderer.picture(
            played.weights[0], performance.head[0], look=self._look, camera=self._camera, out=self._picture
        )
        return LiveFrame(self._picture, performance, 0.0 if face is None else face.score)

    def _measure(self, image: np.ndarray, face: Face, time: float) -> np.ndarray:
        """Blendshapes without neutral, and head angles in degrees: ``(52 + 3,)``."""
        if self._tracker.breaks != self._breaks:
            self._steady, self._breaks = OneEuro(_STEADY, slope=0.6), self._tracker.breaks
            self._unit = float(np.linalg.norm(face.points[1] - face.points[0])) + 1e-6
        points = (self._steady.update(face.points / self._unit, time) * self._unit).astype(np.float32)
        feature = encode_crops(self._bundle.encoder, [crop_face(image, points)], self._device)[0][0]
        pose = np.asarray(head_pose(points), np.float32)
        self._recent.append((time, feature, pose))
        self._forget()
        weights, rest = self._decode(feature), np.zeros(3, np.float32)
        if self._rest is not None and self._neutral is not None:
            weights, rest = motion.calibrate(weights, self._neutral), self._rest[1]
        return np.concatenate([weights, np.clip(pose - rest, -HEAD_LIMIT, HEAD_LIMIT)])

    def _forget(self) -> None:
        """Leave what was seen too long ago to be the face of this moment."""
        while self._recent and self._recent[0][0] < self._now - CALIBRATION_TIME:
            self._recent.popleft()

    def _decode(self, feature: np.ndarray) -> np.ndarray:
        row = np.zeros((1, 0), np.float32)
        track = Track(np.zeros(1), feature[None], row, np.zeros((1, 3), np.float32), row, np.ones(1, np.float32))
        return perform(self._avatar, track, self._bundle, _RATE, identity=self._identity).weights[0]

    def _perform(self, time: float, face: Face | None, options: LiveOptions) -> Performance:
        """What the avatar shows now: measured, or held and then eased to neutral."""
        names = self._bundle.decoder.config.controls
        values = np.zeros(len(names) + 3, np.float32)
        if self._last is not None:
            seen = np.array([self._last[0], time])
            values = motion.fill_gaps(self._last[1][None].repeat(2, 0), seen, np.array([True, face is not None]))[1]
        if options.smoothing > 0:
            cutoff = _QUICK * (_CALM / _QUICK) ** options.smoothing
            self._calm = self._calm or OneEuro(cutoff, slope=1.5)
            self._calm.cutoff = cutoff
            scale = np.array([1.0] * len(names) + [30.0] * 3, np.float32)
            values = self._calm.update(values / scale, time) * scale
        weights = scale_regions(np.clip(values[None, :-3], 0, 1), names, Regions(), options.gain)
        head = (values[-3:] * options.has_head_pose).astype(np.float32)
        return Performance(
            avatar=self._avatar.name, names=names, weights=weights.astype(np.float32), times=np.array([time]),
            rate=_RATE, head=head[None], confidence=np.array([0.0 if face is None else face.score], np.float32),
        )  # fmt: skip
