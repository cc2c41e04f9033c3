"""One moment before the run: what the tracker sees of it, and how the avatar looks there."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from freeavatar.avatars import DEFAULT_AVATAR, retarget
from freeavatar.errors import FaceError
from freeavatar.faces import track_face_at
from freeavatar.models import Bundle
from freeavatar.performance.editing import edit, neutral_of
from freeavatar.performance.profile import Profile
from freeavatar.performance.settings import AnimateOptions
from freeavatar.pipeline.acting import act, identity_of
from freeavatar.pipeline.player import shared_bundle, shared_renderer
from freeavatar.pipeline.sources import open_source
from freeavatar.pipeline.tracking import TrackBuilder


@dataclass(frozen=True, eq=False)
class Preview:
    """One moment of the actor and the avatar."""

    second: float
    """Of the input."""
    frame: np.ndarray
    """The actor, RGB ``(H, W, 3)`` uint8."""
    points: np.ndarray
    """Five points of the face in it, ``(5, 2)`` float32."""
    crop: np.ndarray
    """What is read, RGB ``(144, 144, 3)`` uint8."""
    picture: np.ndarray
    """The avatar, RGB ``(size, size, 3)`` uint8."""
    confidence: float
    """How sure the detector is, in [0, 1]."""


def preview(
    path: str | Path,
    second: float | None = None,
    avatar: str | Path = DEFAULT_AVATAR,
    *,
    options: AnimateOptions | None = None,
    bundle: Bundle | None = None,
    size: int = 512,
    background: np.ndarray | None = None,
) -> Preview:
    """Pose an avatar as the actor at one moment.

    A neutral is taken off only if the settings bring a profile: one frame has none to show.

    Args:
        path: a video, an image or a folder of images.
        second: of the input; default the start of the range.
        avatar: name of an avatar or path of a GLB file.
        options: settings.
        bundle: weights; default the adopted ones.
        size: side of the avatar's picture, in pixels.
        background: what is behind the avatar, ``(size, size, 3)`` uint8; default the studio.

    Raises:
        InputError, VideoError, AvatarError: the input or the avatar cannot be read.
        FaceError: no face is in sight at that moment.
    """
    options = options or AnimateOptions()
    source = open_source(Path(path), start=options.start, end=options.end)
    frame = source.frame_at(options.start if second is None else second)
    bundle = bundle or shared_bundle(options.device)
    since = replace(frame, time=frame.time - float(source.offset))
    tracked = track_face_at(source, since, face=options.face, box=options.box)
    if tracked.crop is None or tracked.points is None:
        raise FaceError("no face is in sight at second {:.1f}: choose another moment, or draw a crop.", frame.time)
    builder = TrackBuilder(bundle.encoder)
    builder.add(tracked)
    renderer = shared_renderer(avatar, device=options.device)
    track, identity = builder.finish(source.path.name), identity_of(renderer.avatar, bundle)
    raw = track.curves(act(track.features, identity, bundle), source.rate)
    has_profile = isinstance(options.calibration, Profile)
    if isinstance(options.calibration, Profile):
        options.calibration.check_weights(bundle.id)
    still = replace(options, smoothing=0, calibration=options.calibration if has_profile else "none")
    curves = edit(raw, still, neutral_of(raw, still))
    controls = retarget(renderer.avatar, curves, identity.drive)
    picture = renderer.draw(controls, 0, size=size, framing=options.framing, background=background)
    return Preview(frame.time, frame.image, tracked.points, tracked.crop, picture, tracked.confidence)
