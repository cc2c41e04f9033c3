"""From frames to files: track the face, decode every avatar's rig, render, write."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freeavatar.avatars import DEFAULT_AVATAR, Avatar, load_avatar
from freeavatar.errors import AvatarError, InputError, WeightsError
from freeavatar.export import write_animated_glb, write_live_link_csv, write_rig_json
from freeavatar.export.side_by_side import Puppet, actor_width, fit
from freeavatar.files import make_folder, write_png
from freeavatar.models import Bundle, Identity, open_bundle
from freeavatar.models.device import choose_device
from freeavatar.performance.settings import AnimateOptions, Progress, Report
from freeavatar.pipeline.identities import identity_of
from freeavatar.pipeline.sources import Source, open_source
from freeavatar.pipeline.take import ENDING, Take, load_take, save_take, stored_path, take_info
from freeavatar.pipeline.tracking import Track, TrackBuilder, tracked_frames
from freeavatar.render import Renderer
from freeavatar.rig import ARKIT, Performance
from freeavatar.video import VideoWriter


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
            range, face and crop.
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
    options = options or AnimateOptions()
    device = choose_device(options.device)
    cast = load_cast(avatars or (DEFAULT_AVATAR,))
    source = Path(source)
    stored = load_take(source) if source.name.endswith(ENDING) else None
    opened = stored.source() if stored else open_source(source, start=options.start, end=options.end)
    bundle = bundle or open_bundle(device=device)
    folder = make_folder(Path(out))
    paths = _picture_paths(opened, cast, folder)
    started = time.monotonic()
    take = yield from _take(opened, stored, folder / f"{opened.stem}{ENDING}", bundle, options, device)
    tracked = time.monotonic()
    take = decode(take, cast, bundle)
    performances = [take.edited(avatar.name, options) for avatar in cast]
    decoded = time.monotonic()
    renderers = [Renderer(avatar, device=device) for avatar in cast]
    played = [retarget(avatar, performance) for avatar, performance in zip(cast, performances, strict=True)]
    yield from _render(opened, renderers, played, paths, options)
    rendered = time.monotonic()
    settings = {**asdict(options), "bundle": bundle.id}
    picture = "image" if opened.kind == "image" else "video"
    files, count = {}, len(take.track.times)
    for avatar, performance, play, path in zip(cast, performances, played, paths, strict=False):
        files[avatar.name] = {picture: path, **_export(avatar, performance, play, path.with_suffix(""), settings)}
        yield Progress("rendering", count, count, count / max(rendered - decoded, 1e-6), take.track.times[-1])
    save_take(take)
    seconds = {
        "detect, align and encode": tracked - started,
        "decode rigs": decoded - tracked,
        "render and write": rendered - decoded,
        "export": time.monotonic() - rendered,
    }
    combined = paths[-1] if len(cast) > 1 else None
    track = take.track
    return Report(files, combined, len(track.times), int((~track.found).sum()), take.path, seconds)


def load_cast(avatars: Sequence[str | Path]) -> list[Avatar]:
    """Load avatars; each may be named once.

    Raises:
        AvatarError: one cannot be loaded, or two share a name.
    """
    cast = [load_avatar(name) for name in avatars]
    names = [avatar.name for avatar in cast]
    if len(set(names)) < len(names):
        raise AvatarError(f"avatars {', '.join(names)} do not all differ: name each once, and rename files that clash.")
    return cast


def _timed(stage: str, total: int | None) -> Callable[[int, float], Progress]:
    start = time.monotonic()
    return lambda done, moment: Progress(stage, done, total, done / max(time.monotonic() - start, 1e-6), moment)


def _take(
    source: Source, stored: Take | None, path: Path, bundle: Bundle, options: AnimateOptions, device: torch.device
) -> Generator[Progress, None, Take]:
    """The stored take, the one at ``path`` if it is what tracking would give, or a new one for that path."""
    if stored is None and path.is_file():
        with suppress(InputError):
            stored = load_take(path)
            stored = stored if stored.fits(source.path, options, bundle.id) else None
    if stored is not None:
        info = replace(stored.info, source=stored_path(source.path, path.parent))
        yield Progress("tracking", len(stored.track.times), len(stored.track.times), 0.0, stored.track.times[-1])
        return replace(stored, info=info, path=path)
    track = yield from _track(source, bundle, options, device)
    return Take(take_info(source, options, bundle.id, path.parent), track, {}, path)


def decode(take: Take, cast: Sequence[Avatar], bundle: Bundle) -> Take:
    """The take with a raw performance of each of these avatars.

    Raises:
        WeightsError: an avatar's has to be decoded, and the take was made with other weights.
    """
    missing = [avatar for avatar in cast if avatar.name not in take.performances]
    if missing and take.info.weights != bundle.id:
        raise WeightsError(
            f"{take.path.name} was made with other weights ({take.info.weights}, these are {bundle.id}): animate the "
            f"video again, or choose among {', '.join(take.performances)}."
        )
    added = {avatar.name: perform(avatar, take.track, bundle, Fraction(take.info.rate)) for avatar in missing}
    return replace(take, performances={**take.performances, **added})


def _track(
    source: Source, bundle: Bundle, options: AnimateOptions, device: torch.device
) -> Generator[Progress, None, Track]:
    builder = TrackBuilder(bundle.encoder, device)
    at = _timed("tracking", source.frames)
    yield at(0, 0.0)
    for done, tracked in enumerate(tracked_frames(source, options), 1):
        builder.add(tracked)
        if done % 8 == 0 or done == source.frames:
            yield at(done, tracked.time)
    return builder.finish(source.path.name)


def perform(
    avatar: Avatar, track: Track, bundle: Bundle, rate: Fraction, *, identity: Identity | None = None
) -> Performance:
    """Decode ARKit's blendshapes along a track, as this avatar wants them; settings act on them later.

    Args:
        avatar: whom to drive.
        track: what was seen.
        bundle: weights.
        rate: frames a second.
        identity: of the avatar, where it is known already; looked up otherwise.
    """
    decoder = bundle.decoder
    device = next(decoder.parameters()).device
    with torch.inference_mode():
        identity = identity or identity_of(avatar, bundle)
        weights = decoder(torch.from_numpy(track.features).to(device), identity.code[None]).cpu().numpy()
    return Performance(
        avatar=avatar.name, names=decoder.config.controls, weights=weights, times=track.times, rate=rate,
        head=track.poses, confidence=track.confidence, drive=identity.drive.cpu().numpy(),
    )  # fmt: skip


def retarget(avatar: Avatar, performance: Performance) -> Performance:
    """A performance of ARKit's blendshapes as one of the avatar's own controls."""
    weights = np.zeros((len(performance.times), len(ARKIT)), np.float32)
    for name, column in zip(performance.names, performance.weights.T, strict=True):
        weights[:, ARKIT.index(name)] = column
    if performance.drive is not None:
        avatar = replace(avatar, drive=performance.drive)
    return replace(performance, names=avatar.target_names, weights=avatar.retarget(weights), drive=None)


def _picture_paths(source: Source, cast: Sequence[Avatar], folder: Path) -> list[Path]:
    """One picture or video per avatar and, for several, one with all in a row.

    Raises:
        InputError: one would overwrite the input.
    """
    ending = ".png" if source.kind == "image" else ".mp4"
    names = [f"{source.stem}_{avatar.name}{ending}" for avatar in cast]
    paths = [folder / name for name in (*names, *([source.stem + ending] if len(cast) > 1 else []))]
    if any(path.exists() and path.samefile(source.path) for path in paths):
        raise InputError(f"the result would overwrite {source.path}: choose another folder with --out.")
    return paths


def _render(
    source: Source,
    renderers: list[Renderer],
    performances: list[Performance],
    paths: list[Path],
    options: AnimateOptions,
) -> Generator[Progress, None, None]:
    """Write the pictures to ``paths``, as :func:`_picture_paths` gives them."""
    height = options.height + options.height % 2
    puppets = [Puppet(r, p, size=height) for r, p in zip(renderers, performances, strict=True)]
    everybody = list(range(len(puppets)))
    rows = [[k] for k in everybody] + ([everybody] if len(puppets) > 1 else [])
    count = len(performances[0].times)
    at = _timed("rendering", count)
    yield at(0, 0.0)
    pictures = _compose(source, puppets, rows, height, count)
    if source.kind == "image":
        for path, picture in zip(paths, next(pictures)[1], strict=True):
            write_png(picture, path)
        return
    audio = source.path if options.has_audio and source.has_audio else None
    width = actor_width(source.size, height)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                VideoWriter(
                    path,
                    size=(height, width + height * len(row)),
                    rate=source.rate,
                    audio_from=audio,
                    audio_start=source.offset,
                    audio_tail=1.0 if source.end is None else 0.0,
                )
            )
            for path, row in zip(paths, rows, strict=True)
        ]
        for done, (moment, images) in enumerate(pictures, 1):
            for writer, image in zip(writers, images, strict=True):
                writer.write(image, moment)
            if done % 4 == 0 or done == count:
                yield at(done, moment)


def _compose(
    source: Source, puppets: list[Puppet], rows: list[list[int]], height: int, count: int
) -> Iterator[tuple[float, list[np.ndarray]]]:
    """Time and side-by-side pictures of each frame, one per row of ``rows``."""
    width = actor_width(source.size, height)
    for frame in source:
        if frame.index >= count:
            return
        actor = fit(frame.image, height, width)
        faces = [puppet.render(frame.index) for puppet in puppets]
        yield frame.time, [np.concatenate([actor, *(faces[k] for k in row)], axis=1) for row in rows]


def _export(
    avatar: Avatar, performance: Performance, played: Performance, base: Path, settings: dict[str, Any]
) -> dict[str, Path]:
    """Write the actor's curves, and what the avatar plays of them."""
    files = {kind: base.with_name(f"{base.name}.{kind}") for kind in ("csv", "json", "glb")}
    write_live_link_csv(performance, files["csv"])
    write_rig_json(played, files["json"], extra={"settings": settings})
    write_animated_glb(avatar.path, played, files["glb"], animate_head=settings["has_head_pose"])
    return files
