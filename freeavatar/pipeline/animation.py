"""From frames to files: track the face, decode every avatar's curves, edit them, draw, write."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freeavatar.avatars import DEFAULT_AVATAR, Avatar, load_avatar
from freeavatar.errors import AvatarError, InputError
from freeavatar.export import SINKS, Moment, Output, Sound
from freeavatar.export.side_by_side import Puppet, actor_width, fitted, letterbox
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
    opened = stored.source() if stored else open_source(Path(source), start=options.start, end=options.end)
    bundle, folder = bundle or open_bundle(device=device), make_folder(Path(out))
    files, combined = _planned(opened, cast, folder, has_each=options.has_each)
    take = stored or _kept(folder / f"{opened.stem}{ENDING}", opened, options, bundle)
    if take is None:
        track = yield from follow(opened, bundle.encoder, options)
        take = Take(take_info(opened, options, bundle.id, folder), track, {}, folder / f"{opened.stem}{ENDING}")
    else:
        yield Progress("tracking", len(take.track.times), len(take.track.times), 0.0, take.track.times[-1])
    tracked = time.monotonic()
    take = take.moved(folder, opened).decode(cast, bundle)
    parts = [_play(take, avatar, options, files[avatar.name]) for avatar in cast]
    decoded = time.monotonic()
    puppets = [
        Puppet(Renderer(p.avatar, device=device), p.controls, size=_height(options), framing=options.framing)
        for p in parts
    ]
    yield from _write(opened, parts, puppets, combined, options, {**asdict(options), "bundle": take.info.weights})
    save_take(take)
    seconds = {
        "detect, align and encode": tracked - started, "decode rigs": decoded - tracked,
        "render and write": time.monotonic() - decoded,
    }  # fmt: skip
    named = {name: {_KINDS.get(kind, kind): path for kind, path in paths.items()} for name, paths in files.items()}
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


@dataclass(frozen=True)
class _Part:
    """One avatar's part."""

    avatar: Avatar
    curves: Curves
    controls: Controls
    paths: dict[str, Path]
    """Files to write, by ending."""


def _planned(
    source: Source, cast: Sequence[Avatar], folder: Path, *, has_each: bool
) -> tuple[dict[str, dict[str, Path]], Path | None]:
    """The files of every avatar by ending, and for several avatars the picture with all of them in a row.

    Raises:
        InputError: one would overwrite the input.
    """
    picture = "png" if source.kind == "image" else "mp4"
    kinds = (picture, *CURVES) if has_each or len(cast) == 1 else CURVES
    files = {avatar.name: {kind: folder / f"{source.stem}_{avatar.name}.{kind}" for kind in kinds} for avatar in cast}
    combined = folder / f"{source.stem}.{picture}" if len(cast) > 1 else None
    planned = [path for paths in files.values() for path in paths.values()] + ([combined] if combined else [])
    if any(path.exists() and path.samefile(source.path) for path in planned):
        raise InputError("the result would overwrite {}: choose another folder with --out.", source.path)
    return files, combined


def _kept(path: Path, source: Source, options: AnimateOptions, bundle: Bundle) -> Take | None:
    """The take of an earlier run if it is what tracking would give."""
    if path.is_file():
        with suppress(InputError):
            take = load_take(path)
            return take if take.matches(source.path, options, bundle.id) else None
    return None


def _play(take: Take, avatar: Avatar, options: AnimateOptions, paths: dict[str, Path]) -> _Part:
    curves = take.edited(avatar, options)
    return _Part(avatar, curves, take.controls(avatar, curves), paths)


def _height(options: AnimateOptions) -> int:
    return options.height + options.height % 2


def _write(
    source: Source, parts: list[_Part], puppets: list[Puppet], combined: Path | None, options: AnimateOptions,
    settings: dict[str, Any],
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
            outputs = {k: Output(part.avatar, path, source.rate, size, sound, settings) for k, path in paths.items()}
            opened.append((row, part, [stack.enter_context(SINKS[k](output)) for k, output in outputs.items()]))
        panels = _panels(source, height, width, count)
        for index, time, actor, faces in stack.enter_context(closing(_drawn(panels, puppets))):
            for row, part, sinks in opened:
                picture = np.concatenate([actor, *(faces[k] for k in row)], axis=1)
                moment = Moment.of(part.curves, part.controls, index, picture)
                for sink in sinks:
                    sink.write(moment)
            if (index + 1) % 4 == 0 or index + 1 == count:
                yield at(index + 1, time)


def _panels(source: Source, height: int, width: int, count: int) -> Iterator[tuple[int, float, np.ndarray]]:
    """Index, time and the actor's panel of the first ``count`` frames."""
    for frame in source.within(max(fitted(source.size, height, width))):
        if frame.index >= count:
            break
        yield frame.index, frame.time, letterbox(frame.image, height, width)


def _drawn(
    panels: Iterator[tuple[int, float, np.ndarray]], puppets: list[Puppet]
) -> Generator[tuple[int, float, np.ndarray, list[np.ndarray]], None, None]:
    """The same with a picture of every avatar; frames are drawn side by side, panels are made meanwhile."""

    def draw(panel: tuple[int, float, np.ndarray]) -> tuple[int, float, np.ndarray, list[np.ndarray]]:
        return *panel, [puppet.render(panel[0]) for puppet in puppets]

    return in_parallel(ahead(panels), draw, workers=min(puppet.workers for puppet in puppets))
