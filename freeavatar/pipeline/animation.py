"""From frames to files: track the face, decode every avatar's curves, edit them, draw, write."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from freeavatar.avatars import DEFAULT_AVATAR, Avatar, load_avatar
from freeavatar.errors import AvatarError, InputError
from freeavatar.export import SINKS, Moment, Output, Sound
from freeavatar.export.background import put_over, read_background
from freeavatar.export.side_by_side import Puppet, actor_width, fitted, letterbox
from freeavatar.export.usd import check_usd
from freeavatar.files import make_folder
from freeavatar.models import Bundle, choose_device, open_bundle
from freeavatar.performance.settings import AnimateOptions
from freeavatar.pipeline.progress import Progress, Report, timed
from freeavatar.pipeline.sources import Source, open_source
from freeavatar.pipeline.stages import ahead, in_parallel
from freeavatar.pipeline.take import ENDING, Take, load_take, save_take, take_info
from freeavatar.pipeline.tracking import follow
from freeavatar.render import Renderer
from freeavatar.rig import Controls, Curves

CURVES = ("csv", "json", "glb", "vrma")
"""Endings of what is written of every avatar beside its picture."""
_KINDS = {"mp4": "video", "png": "image"}
"""What a report calls a file, where that is not its ending."""
_OWN = {"mp4": ("mp4", ".mp4"), "webm": ("webm", ".webm"), "prores": ("mov", ".mov"), "png": ("frames", "")}
"""Sink and ending of each kind of the avatar's own video."""


def animate(
    source: str | Path,
    avatars: Sequence[str | Path] = (),
    *,
    out: str | Path = ".",
    options: AnimateOptions | None = None,
    bundle: Bundle | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Animate avatars from a video, an image or a folder of images.

    Args:
        source: path of the input, or of the take of an earlier run, which spares tracking; that brings its own
            range, face and box.
        avatars: names of avatars or paths of GLB files; default the default ARKit head.
        out: folder the files go to; made if it does not exist.
        options: settings.
        bundle: weights; default the adopted ones.
        on_progress: called after every few frames; what it raises stops the job.

    Returns:
        What was written.

    Raises:
        InputError, VideoError, FaceError, AvatarError, WeightsError: see their messages.
    """
    steps = animate_steps(source, avatars, out=out, options=options, bundle=bundle)
    try:
        while True:
            progress = next(steps)
            if on_progress is not None:
                on_progress(progress)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def animate_steps(
    source: str | Path,
    avatars: Sequence[str | Path] = (),
    *,
    out: str | Path = ".",
    options: AnimateOptions | None = None,
    bundle: Bundle | None = None,
) -> Generator[Progress, None, Report]:
    """:func:`animate` as a generator: yields its progress, returns the report; closing it cancels the job."""
    options, started = options or AnimateOptions(), time.monotonic()
    device, cast = choose_device(options.device), load_cast(avatars or (DEFAULT_AVATAR,))
    stored = load_take(source) if Path(source).name.endswith(ENDING) else None
    background = read_background(options.background, _height(options))
    if options.has_usd:
        check_usd()
    opened = stored.source() if stored else open_source(Path(source), start=options.start, end=options.end)
    bundle, folder = bundle or open_bundle(device=device), make_folder(Path(out))
    files, own, combined = _planned(opened, cast, folder, options)
    take = stored or _kept(folder / f"{opened.stem}{ENDING}", opened, options, bundle)
    if take is None:
        track = yield from follow(opened, bundle.encoder, options)
        take = Take(take_info(opened, options, bundle.id, folder), track, {}, folder / f"{opened.stem}{ENDING}")
    else:
        yield Progress("tracking", len(take.track.times), len(take.track.times), 0.0, take.track.times[-1])
    tracked = time.monotonic()
    take = take.moved(folder, opened).decode(cast, bundle)
    parts = [_play(take, avatar, options, files[avatar.name], own.get(avatar.name)) for avatar in cast]
    decoded = time.monotonic()
    puppets = [
        Puppet(
            Renderer(p.avatar, device=device), p.controls, size=_height(options), framing=options.framing,
            has_alpha=options.background is not None,
        )
        for p in parts
    ]  # fmt: skip
    stage = _Stage(background, options.is_transparent)
    behind = options.background and Path(options.background).name
    settings = {**asdict(options), "background": behind, "bundle": take.info.weights}
    yield from _write(opened, parts, puppets, combined, options, settings, stage)
    save_take(take)
    seconds = {
        "detect, align and encode": tracked - started, "decode rigs": decoded - tracked,
        "render and write": time.monotonic() - decoded,
    }  # fmt: skip
    named = {
        name: {_KINDS.get(kind, kind): path for kind, path in paths.items()}
        | ({"avatar": own[name].path} if own else {})
        for name, paths in files.items()
    }
    track = take.track
    return Report(named, combined, len(track.times), int((~track.found).sum()), take.path, seconds)


def load_cast(avatars: Sequence[str | Path]) -> list[Avatar]:
    """Load avatars; each may be named once.

    Raises:
        AvatarError: one cannot be loaded, or two share a name.
    """
    cast = [load_avatar(name) for name in avatars]
    names = [avatar.name for avatar in cast]
    if len(set(names)) < len(names):
        raise AvatarError(
            "avatars {} do not all differ: name each once, and rename files that clash.", ", ".join(names)
        )
    return cast


class _Own(NamedTuple):
    """The video, or the image, of an avatar alone."""

    kind: str
    """Of the sink."""
    path: Path


@dataclass(frozen=True)
class _Part:
    """One avatar's part."""

    avatar: Avatar
    curves: Curves
    controls: Controls
    paths: dict[str, Path]
    """Files to write, by ending."""
    own: _Own | None


class _Stage(NamedTuple):
    """What is behind the avatars."""

    background: np.ndarray
    """``(H, H, 3)`` uint8."""
    is_transparent: bool
    """Whether it is left out of their own videos."""

    def pictures(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """An avatar's picture beside the actor, and alone."""
        if picture.shape[2] == 3:
            return picture, picture
        beside = put_over(picture, self.background)
        return beside, picture if self.is_transparent else beside


def _planned(
    source: Source, cast: Sequence[Avatar], folder: Path, options: AnimateOptions
) -> tuple[dict[str, dict[str, Path]], dict[str, _Own], Path | None]:
    """The files of every avatar by ending, its own video if there is one, and the picture of several in a row.

    Raises:
        InputError: one would overwrite the input.
    """
    picture = "png" if source.kind == "image" else "mp4"
    curves = (*CURVES, "usd") if options.has_usd else CURVES
    kinds = (picture, *curves) if options.has_each or len(cast) == 1 else curves
    files = {avatar.name: {kind: folder / f"{source.stem}_{avatar.name}.{kind}" for kind in kinds} for avatar in cast}
    own = {}
    if options.own_video is not None:
        kind, ending = ("png", ".png") if source.kind == "image" else _OWN[options.own_video]
        own = {a.name: _Own(kind, folder / f"{source.stem}_{a.name}.avatar{ending}") for a in cast}
    combined = folder / f"{source.stem}.{picture}" if len(cast) > 1 else None
    planned = [path for paths in files.values() for path in paths.values()] + ([combined] if combined else [])
    planned += [item.path for item in own.values()]
    if any(path.exists() and path.samefile(source.path) for path in planned):
        raise InputError("the result would overwrite {}: choose another folder with --out.", source.path)
    return files, own, combined


def _kept(path: Path, source: Source, options: AnimateOptions, bundle: Bundle) -> Take | None:
    """The take of an earlier run if it is what tracking would give."""
    if path.is_file():
        with suppress(InputError):
            take = load_take(path)
            return take if take.matches(source.path, options, bundle.id) else None
    return None


def _play(take: Take, avatar: Avatar, options: AnimateOptions, paths: dict[str, Path], own: _Own | None) -> _Part:
    curves = take.edited(avatar, options)
    return _Part(avatar, curves, take.controls(avatar, curves), paths, own)


def _height(options: AnimateOptions) -> int:
    return options.height + options.height % 2


def _write(
    source: Source, parts: list[_Part], puppets: list[Puppet], combined: Path | None, options: AnimateOptions,
    settings: dict[str, Any], stage: _Stage,
) -> Generator[Progress, None, None]:  # fmt: skip
    """Draw every frame and hand it to the sinks; what they wrote appears once all of them are done."""
    height, count = _height(options), len(parts[0].curves.times)
    width = actor_width(source.size, height)
    has_sound = options.has_audio and source.has_audio
    sound = Sound(source.path, source.offset, 1.0 if source.end is None else 0.0) if has_sound else None
    rows = [([k], part, part.paths) for k, part in enumerate(parts)]
    if combined is not None:
        rows.append((list(range(len(parts))), parts[0], {combined.suffix[1:]: combined}))
    at = timed("rendering", count)
    yield at(0, 0.0)
    with ExitStack() as stack:
        opened = []
        for row, part, paths in rows:
            size = (height, width + height * len(row))
            outputs = {
                k: Output(part.avatar, path, source.rate, size, False, sound, settings) for k, path in paths.items()
            }
            opened.append((row, part, [stack.enter_context(SINKS[k](output)) for k, output in outputs.items()]))
        own = []
        for k, part in enumerate(parts):
            if part.own is not None:
                size, has_alpha = (height, height), stage.is_transparent
                output = Output(part.avatar, part.own.path, source.rate, size, has_alpha, sound, settings)
                own.append((k, part, stack.enter_context(SINKS[part.own.kind](output))))
        panels = _panels(source, height, width, count)
        for index, time, actor, faces in stack.enter_context(closing(_drawn(panels, puppets, stage))):
            for row, part, sinks in opened:
                picture = np.concatenate([actor, *(faces[k][0] for k in row)], axis=1)
                moment = Moment.of(part.curves, part.controls, index, picture)
                for sink in sinks:
                    sink.write(moment)
            for k, part, sink in own:
                sink.write(Moment.of(part.curves, part.controls, index, faces[k][1]))
            if (index + 1) % 4 == 0 or index + 1 == count:
                yield at(index + 1, time)


def _panels(source: Source, height: int, width: int, count: int) -> Iterator[tuple[int, float, np.ndarray]]:
    """Index, time and the actor's panel of the first ``count`` frames."""
    for frame in source.within(max(fitted(source.size, height, width))):
        if frame.index >= count:
            break
        yield frame.index, frame.time, letterbox(frame.image, height, width)


def _drawn(
    panels: Iterator[tuple[int, float, np.ndarray]], puppets: list[Puppet], stage: _Stage
) -> Generator[tuple[int, float, np.ndarray, list[tuple[np.ndarray, np.ndarray]]], None, None]:
    """The same with every avatar's pictures, as :meth:`_Stage.pictures` has them; frames are drawn side by side, panels
    are made meanwhile."""

    def draw(
        panel: tuple[int, float, np.ndarray],
    ) -> tuple[int, float, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        return *panel, [stage.pictures(puppet.render(panel[0])) for puppet in puppets]

    return in_parallel(ahead(panels), draw, workers=min(puppet.workers for puppet in puppets))
