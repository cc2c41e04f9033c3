"""Settings of an animation."""

import math
from dataclasses import dataclass, field
from typing import Literal

from freeavatar.errors import InputError
from freeavatar.faces import Box
from freeavatar.framing import FRAMINGS, Framing
from freeavatar.performance.motion import Calibration
from freeavatar.performance.profile import Profile
from freeavatar.performance.regions import Regions


@dataclass(frozen=True)
class EditSettings:
    """What becomes of curves, of a file's and of live ones, and how much of the avatar is seen."""

    smoothing: float = 0.5
    """0 (none) to 1."""
    calibration: Calibration | Profile = "auto"
    """``auto`` finds the actor's neutral, a number marks a second of the input at which the face is neutral, a
    profile holds what was found before; ``none``."""
    gain: float = 1.0
    """Strength of the expression."""
    regions: Regions = field(default_factory=Regions)
    """Strength of its parts, on top of that."""
    has_head_pose: bool = True
    """Turn the avatar's head with the actor's."""
    framing: Framing = "face"
    """How much of the avatar pictures show."""

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing <= 1:
            raise InputError("smoothing is {:g}, expected a number between 0 and 1.", self.smoothing)
        if not 0 <= self.gain <= 5:
            raise InputError("gain is {:g}, expected a number between 0 and 5.", self.gain)
        if isinstance(self.calibration, str) and self.calibration not in ("auto", "none"):
            raise InputError("calibration is {!r}, expected auto, none or a time in seconds.", self.calibration)
        if self.framing not in FRAMINGS:
            raise InputError("framing is {!r}, expected face or bust.", self.framing)

    @property
    def is_sequence(self) -> bool:
        """Whether frames may lean on one another: not with smoothing 0 and no calibration."""
        return self.smoothing > 0 or self.calibration != "none"


Video = Literal["mp4", "webm", "prores", "png"]
VIDEOS: tuple[Video, ...] = ("mp4", "webm", "prores", "png")
"""Kinds of the avatar's own video: H.264 MP4, VP9 WebM, ProRes 4444 MOV, a folder of PNGs."""


@dataclass(frozen=True)
class AnimateOptions(EditSettings):
    """How to animate."""

    face: int = 0
    """Whom to follow: 0 is the largest face, 1 the next, ...; as :func:`freeavatar.pipeline.find_people` counts."""
    box: Box | None = None
    """Where the face is at the start, if it is not found by itself: a box from brows to chin in pixels of the input."""
    start: float = 0.0
    """Second of the input at which to begin; times of results count from there."""
    end: float | None = None
    """Second of the input before which to stop; default its end."""
    has_audio: bool = True
    """Keep the sound."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    height: int = 512
    """Height of the side-by-side picture in pixels."""
    has_each: bool = False
    """Of several avatars, give a picture of each alone beside the one with all of them in a row."""
    reduce: float = 0.0
    """Leave out keys of GLB, VRM animation and USD that the others give within this, of weights and of radians; 0 keeps
    the key of every frame."""
    has_usd: bool = False
    """Write every avatar that plays as USD as well, which takes the extra ``usd``."""
    background: str | None = None
    """What is behind the avatar: ``none``, a colour such as ``#204060``, or the path of a picture; by default the
    studio. Anything but the default gives a video of the avatar alone as well; if that is transparent, the pictures
    beside the actor show the studio."""
    video: Video | None = None
    """Kind of the video of the avatar alone; by default ``webm`` if it is transparent, else ``mp4``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.face < 0:
            raise InputError("face is {}, expected 0 for the largest face, 1 for the next, and so on.", self.face)
        if not 0 <= self.start < math.inf:
            raise InputError("start is {:g}, expected a second of the input, 0 or later.", self.start)
        if self.end is not None and not self.start < self.end < math.inf:
            raise InputError("end is {:g} s, expected a second after the start, which is {:g} s.", self.end, self.start)
        if self.box is not None and not (
            min(self.box[:2]) >= 0 and min(self.box[2:]) >= 16 and max(self.box) < math.inf
        ):
            raise InputError("box is {}, expected left, top, width and height, at least 16 x 16 pixels.", self.box)
        if not 0 <= self.reduce < 1:
            raise InputError("reduce is {:g}, expected a largest error of at least 0 and below 1.", self.reduce)
        if self.video is not None and self.video not in VIDEOS:
            raise InputError("video is {!r}, expected mp4, webm, prores or png.", self.video)
        if self.is_transparent and self.video == "mp4":
            raise InputError("video is mp4, which cannot be transparent; expected webm, prores or png.")
        if self.height < 64:
            raise InputError("height is {}, expected at least 64 pixels.", self.height)

    @property
    def is_transparent(self) -> bool:
        """Whether the avatar's own video is."""
        return self.background == "none"

    @property
    def own_video(self) -> Video | None:
        """Kind of the video of the avatar alone; None if there is none."""
        if self.background is None:
            return self.video
        return self.video or ("webm" if self.is_transparent else "mp4")
