"""Live: one webcam frame in, the avatar's picture out, with nothing kept but what the next frame needs."""

from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from freeavatar.avatars import Avatar, retarget
from freeavatar.errors import FaceError
from freeavatar.export import Moment
from freeavatar.faces import Face, FaceTracker, crop_face, head_pose
from freeavatar.images import Frame
from freeavatar.models import Bundle
from freeavatar.performance.editing import Neutral, edit
from freeavatar.performance.filters import CausalFilter, OneEuro
from freeavatar.performance.settings import EditSettings
from freeavatar.pipeline.acting import act, identity_of
from freeavatar.render import Look, Renderer
from freeavatar.rig import ARKIT, Curves

CALIBRATION_TIME = 0.6
"""Seconds before a press of the button that are averaged to the neutral face."""
_RATE = Fraction(30)
_STEADY = 2.5
"""Cutoff of the points' filter at rest, in hertz; its speed is in eye distances a second."""


@dataclass(frozen=True)
class LiveSettings(EditSettings):
    """What becomes of live curves; may change from frame to frame. The neutral is what :meth:`Live.calibrate` took."""

    smoothing: float = 0.3


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
        self._tracker = FaceTracker()
        self._steady, self._unit, self._breaks = OneEuro(_STEADY, slope=0.6), 1.0, -1
        self._smooth = CausalFilter()
        self._recent: deque[tuple[float, np.ndarray, np.ndarray]] = deque()
        self._rest: tuple[np.ndarray, np.ndarray] | None = None
        self._last: Curves | None = None
        self._now, self._is_in_sight = 0.0, False
        self._picture = np.empty((size, size, 3), np.uint8)
        self.change_avatar(avatar)

    def change_avatar(self, avatar: Avatar) -> None:
        """Drive another avatar from the next frame on; the calibration stays."""
        self._avatar, self._renderer = avatar, Renderer(avatar, device=self._bundle.device)
        self._identity = identity_of(avatar, self._bundle)
        self._neutral = self._neutral_now()
        self._smooth = CausalFilter()

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
        self._neutral = self._neutral_now()

    def _neutral_now(self) -> Neutral:
        """What this avatar's curves show of the actor at rest, below 1, so that each has room to move."""
        if self._rest is None:
            return Neutral(np.zeros(len(ARKIT), np.float32), np.zeros(3, np.float32))
        return Neutral(self._decode(self._rest[0]), self._rest[1])

    def step(self, image: np.ndarray, time: float, settings: LiveSettings) -> Moment:
        """Animate one frame.

        Args:
            image: RGB, ``(H, W, 3)`` uint8; 480 pixels of width are plenty.
            time: when it was taken, seconds, later than the frame before.
            settings: what becomes of the curves.

        Returns:
            What the avatar shows now, as any sink takes it: measured, or held and then eased to neutral. The next
            moment's picture is drawn into the same array.
        """
        self._now = time
        face = self._tracker.update(Frame(0, time, image))
        if face is not None:
            now = self._last = self._measure(image, face, time)
        else:
            now = _row(time, np.zeros(len(ARKIT)), np.zeros(3), 0.0)
        self._is_in_sight = face is not None
        curves = edit(_joined(self._last or now, now), settings, self._neutral, smooth=self._smooth)
        controls = retarget(self._avatar, curves, self._identity.drive)
        self._renderer.picture(
            controls.weights[-1], curves.head[-1], look=self._look, camera=self._renderer.camera(settings.framing),
            out=self._picture,
        )  # fmt: skip
        return Moment.of(curves, controls, -1, self._picture)

    def _measure(self, image: np.ndarray, face: Face, time: float) -> Curves:
        """The face of a frame as decoded."""
        is_cut = self._tracker.breaks != self._breaks
        if is_cut:
            self._steady, self._breaks = OneEuro(_STEADY, slope=0.6), self._tracker.breaks
            self._unit = float(np.linalg.norm(face.points[1] - face.points[0])) + 1e-6
        points = (self._steady.update(face.points / self._unit, time) * self._unit).astype(np.float32)
        feature = self._bundle.encoder.encode([crop_face(image, points)])[0][0]
        pose = np.asarray(head_pose(points), np.float32)
        self._recent.append((time, feature, pose))
        self._forget()
        return _row(time, self._decode(feature), pose, face.score, is_cut=is_cut and self._is_in_sight)

    def _forget(self) -> None:
        """Leave what was seen too long ago to be the face of this moment."""
        while self._recent and self._recent[0][0] < self._now - CALIBRATION_TIME:
            self._recent.popleft()

    def _decode(self, feature: np.ndarray) -> np.ndarray:
        return act(feature[None], self._identity, self._bundle)[0]


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
