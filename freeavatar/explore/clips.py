"""The path a video draws through the space, and the paths of the avatars that play it."""

import json
import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freeavatar.avatars import retarget
from freeavatar.errors import FaceError, InputError
from freeavatar.explore.lens import Lens, renderer_of
from freeavatar.explore.sheets import MOMENTS, SheetWriter, read_cell, sheet_path
from freeavatar.faces import track_faces
from freeavatar.files import make_folder, replacing
from freeavatar.images import Frame
from freeavatar.models import EMBEDDING_SIZE
from freeavatar.performance.editing import edit, neutral_of
from freeavatar.performance.settings import AnimateOptions
from freeavatar.pipeline.acting import act, identity_of
from freeavatar.pipeline.progress import Progress
from freeavatar.pipeline.sources import Source, open_source
from freeavatar.pipeline.tracking import Track, TrackBuilder, tracked_frames
from freeavatar.render import Look
from freeavatar.rig import Controls
from freeavatar.video import VideoReader

ACTOR = "actor"
"""Name of the actor's own path."""
MOST_MOMENTS = 600
"""Moments of a clip that are drawn, evenly spread; all of its frames are tracked."""
MOST_SECONDS = 600
"""Longest clip."""
_PICTURE = 384
"""Side of an avatar's picture in pixels: its face is then about as large as a crop."""


@dataclass(frozen=True)
class ClipPath:
    """What a clip, and the avatars that play it, look like to the encoder."""

    name: str
    times: np.ndarray
    """``(T,)`` seconds, of the moments drawn."""
    embeddings: dict[str, np.ndarray]
    """Of :data:`ACTOR` and of each avatar: unit length, ``(T, 16)`` float32; zeros where no face was found."""
    confidence: dict[str, np.ndarray]
    """Of the same, ``(T,)`` in [0, 1]; 0 where no face was found."""
    features: np.ndarray
    """The actor's, ``(T, D)`` float32."""
    weights: str = ""
    """Id of the bundle it was seen through."""

    @property
    def avatars(self) -> list[str]:
        """Names of the avatars."""
        return [name for name in self.embeddings if name != ACTOR]

    def distance(self, avatar: str) -> np.ndarray:
        """How far the avatar's expression lies from the actor's, ``(T,)``; nan where one of them is not seen."""
        apart = np.linalg.norm(self.embeddings[avatar] - self.embeddings[ACTOR], axis=1)
        seen = (self.confidence[avatar] > 0) & (self.confidence[ACTOR] > 0)
        return np.where(seen, apart, np.nan)

    def shift(self, avatar: str) -> float:
        """Distance between the mean places of avatar and actor: what is constant, and no fault of a moment."""
        seen = np.isfinite(self.distance(avatar))
        if not seen.any():
            return float("nan")
        means = [self.embeddings[name][seen].mean(0) for name in (avatar, ACTOR)]
        return float(np.linalg.norm(means[0] - means[1]))

    def worst(self, avatar: str, count: int = 5, *, apart: float = 0.4) -> list[int]:
        """Moments at which the distance peaks, worst first, at least ``apart`` seconds from one another."""
        chosen: list[int] = []
        for moment in np.argsort(-np.nan_to_num(self.distance(avatar), nan=-1), kind="stable"):
            if len(chosen) == count or not np.isfinite(self.distance(avatar)[moment]):
                break
            if all(abs(self.times[moment] - self.times[other]) >= apart for other in chosen):
                chosen.append(int(moment))
        return chosen


def trace_steps(
    video: Path,
    avatars: Sequence[str],
    lens: Lens,
    folder: Path,
    *,
    name: str = "",
    weights: str = "",
    options: AnimateOptions | None = None,
) -> Generator[Progress, None, ClipPath]:
    """Follow a clip, let avatars play it as Animate would, and look at them with the same encoder.

    Args:
        video: the clip.
        avatars: names of avatars; none draws the actor's path alone.
        lens: the bundle.
        folder: takes the path and sheets of its faces; :func:`load_path` reads it.
        name: what to call the clip; default its file's name.
        weights: id of the bundle, kept with the path.
        options: of the animation.

    Yields:
        Progress. Closing the generator stops the work.

    Raises:
        VideoError, InputError: it is no video, or too long.
        FaceError: no frame shows a face.
        WeightsError: avatars are asked for and the bundle has no decoder.
    """
    options = options or AnimateOptions()
    source = _checked(video)
    if avatars:
        lens.bundle  # noqa: B018  # says what is missing before minutes of tracking
    stride = max(1, -(-_frames_of(source) // MOST_MOMENTS))
    make_folder(folder)
    track = yield from _follow(source, lens, SheetWriter(folder, ACTOR), stride, options)
    chosen = slice(None, None, stride)
    embeddings = {ACTOR: track.embeddings[chosen]}
    confidence = {ACTOR: track.confidence[chosen]}
    for avatar in avatars:
        controls = _played(avatar, track, source, lens, options)
        watched = yield from _watch(controls, lens, SheetWriter(folder, avatar), chosen)
        embeddings[avatar], confidence[avatar] = watched
    path = ClipPath(name or video.name, track.times[chosen], embeddings, confidence, track.features[chosen], weights)
    _save(path, folder)
    return path


def _checked(video: Path) -> Source:
    source = open_source(video)
    if source.kind != "video":
        raise InputError("{} is no video: give a clip; to find one face, search by image.", video.name)
    if (VideoReader(video).info.duration or 0) > MOST_SECONDS:
        raise InputError("{} is longer than {} minutes: cut it.", video.name, MOST_SECONDS // 60)
    return source


def _frames_of(source: Source) -> int:
    if source.frames:
        return source.frames
    return sum(1 for _ in source)  # a browser's recording does not say


def _follow(
    source: Source, lens: Lens, sheets: SheetWriter, stride: int, options: AnimateOptions
) -> Generator[Progress, None, Track]:
    builder = TrackBuilder(lens.encoder)
    for done, tracked in enumerate(tracked_frames(source, options)):
        builder.add(tracked)
        if done % stride == 0:
            sheets.add(tracked.crop)
        if done % 4 == 0:
            yield Progress("tracking", done + 1, source.frames, 0.0, tracked.time)
    sheets.flush()
    return builder.finish(source.path.name)


def _played(avatar: str, track: Track, source: Source, lens: Lens, options: AnimateOptions) -> Controls:
    """What an avatar plays of a clip, as Animate would have it."""
    performer = renderer_of(avatar).avatar
    identity = identity_of(performer, lens.bundle)
    raw = track.curves(act(track.features, identity, lens.bundle), source.rate)
    return retarget(performer, edit(raw, options, neutral_of(raw, options)), identity.drive)


def _watch(
    controls: Controls, lens: Lens, sheets: SheetWriter, chosen: slice
) -> Generator[Progress, None, tuple[np.ndarray, np.ndarray]]:
    """Embeddings and confidence of an avatar's pictures; zeros where they show no face."""
    builder = TrackBuilder(lens.encoder)
    times = controls.times[chosen]
    for done, tracked in enumerate(track_faces(_pictures(controls, chosen))):
        builder.add(tracked)
        sheets.add(tracked.crop)
        if done % 4 == 0:
            yield Progress(controls.avatar, done + 1, len(times), 0.0, tracked.time)
    sheets.flush()
    try:
        seen = builder.finish(controls.avatar)
    except FaceError:  # a creature's face need not look like one to the detector
        return np.zeros((len(times), EMBEDDING_SIZE), np.float32), np.zeros(len(times), np.float32)
    return seen.embeddings, seen.confidence


def _pictures(controls: Controls, chosen: slice) -> Iterator[Frame]:
    renderer, look = renderer_of(controls.avatar), Look((_PICTURE, _PICTURE))
    camera = renderer.camera("bust")  # the tracker's loose crop reaches beyond the face
    rows = zip(controls.weights[chosen], controls.head[chosen], controls.times[chosen], strict=True)
    for index, (weights, head, moment) in enumerate(rows):
        yield Frame(index, float(moment), renderer.picture(weights, head, look=look, camera=camera))


def _save(path: ClipPath, folder: Path) -> None:
    arrays: dict[str, Any] = {"times": path.times, "features": path.features}
    for name in path.embeddings:
        arrays |= {f"embeddings/{name}": path.embeddings[name], f"confidence/{name}": path.confidence[name]}
    with replacing(folder / "path.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    with replacing(folder / "path.json") as temporary:
        temporary.write_text(json.dumps({"name": path.name, "weights": path.weights, "tracks": list(path.embeddings)}))


def load_path(folder: Path) -> ClipPath:
    """Read what :func:`trace_steps` wrote.

    Raises:
        InputError: there is none.
    """
    try:
        about = json.loads((folder / "path.json").read_text())
        with np.load(folder / "path.npz") as kept:
            return ClipPath(
                about["name"], kept["times"],
                {name: kept[f"embeddings/{name}"] for name in about["tracks"]},
                {name: kept[f"confidence/{name}"] for name in about["tracks"]},
                kept["features"], about["weights"],
            )  # fmt: skip
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError("this clip is no longer there: draw its path again.") from error


def face_at(folder: Path, track: str, moment: int) -> np.ndarray:
    """The face of actor or avatar at a moment, ``(144, 144, 3)`` uint8; grey where none was found."""
    number, cell = divmod(moment, MOMENTS.capacity)
    return read_cell(sheet_path(folder, track, number), cell, MOMENTS)
