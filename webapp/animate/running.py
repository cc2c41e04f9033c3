"""The run itself: a place in the line, progress, cancelling, and what is stored of it."""

import shutil
import time
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from freeavatar.animations import prune_animations
from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.files import replacing
from freeavatar.pipeline import Player, Progress, Report, animate_steps, load_take, save_profile
from freeavatar.video import VideoReader
from webapp.animate import clip as clips
from webapp.animate.controls import UPLOADS, Clip, options_of, settings_of
from webapp.animate.line import Line, Place
from webapp.animate.runs import Run, discard, load_run, new_run
from webapp.common.boxes import note
from webapp.common.words import language_of, say, translated

LINE = Line()
"""One animation at a time."""
_REFRESH = 0.2
_BUSY = "fa-busy"
Step = tuple[str, Run | None]
"""What the page shows while it waits, and the result in the end."""


def is_busy(status: str | None) -> bool:
    """Whether a status is one of a run that waits or works."""
    return _BUSY in (status or "")


def bar(progress: Progress, language: str) -> str:
    """A status with a bar."""
    total = progress.total or 0
    share = min(progress.done / total, 1) if total else 0
    count = say(language, "run.count", done=progress.done, total=total or "?")
    speed = say(language, "run.speed", rate=f"{progress.rate:.0f}") if progress.done else ""
    left = progress.seconds_left if progress.done else None
    remaining = say(language, "run.left", seconds=f"{left:.0f}") if left is not None else ""
    return (
        f'<div class="fa-status {_BUSY}" role="status"><b>{say(language, f"run.{progress.stage}")}</b> · {count}{speed}'
        f'{remaining}<div class="fa-track"><div class="fa-fill" style="width:{100 * share:.1f}%"></div></div></div>'
    )


def run(
    request: gr.Request | None, video: str | None, start: float, end: float | None, face: int, box: Any,
    avatars: list[str], *values: Any,
) -> Iterator[Step]:  # fmt: skip
    """Animate avatars from a video: yields what to show; closing the generator cancels and deletes the files.

    Raises:
        gr.Error: the input cannot be animated; the message says what to do.
    """
    language = language_of(request)
    if not video:
        raise gr.Error(say(language, "run.no_video"), title=say(language, "run.no_video.title"))
    if not avatars:
        raise gr.Error(say(language, "run.no_avatar"), title=say(language, "run.no_avatar.title"))
    clip = clips.clip_of(start, end, face, box)
    yield from _in_turn(language, lambda: _animate(Path(video), avatars, clip, settings_of(values), language))


def write_again(request: gr.Request | None, id: str | None, *values: Any) -> Iterator[Step]:
    """Write a run's files again with other settings, from its take.

    Raises:
        gr.Error: there is no such run, or the settings do not fit it.
    """
    language = language_of(request)
    yield from _in_turn(language, lambda: _rewrite(id, settings_of(values), language))


def _in_turn(language: str, work: Callable[[], Generator[str, None, Run]]) -> Iterator[Step]:
    with LINE.place() as place:
        for before in place.wait():
            yield note(say(language, "run.waiting", number=before), kind=_BUSY), None
        try:
            result = yield from _touching(place, work())
        except FreeAvatarError as error:
            text = translated(error, language)
            yield note(text), None
            raise gr.Error(text, title=say(language, "run.failed"), duration=None) from error
    yield summary(result, language), result


def _touching(place: Place, steps: Generator[str, None, Run]) -> Generator[Step, None, Run]:
    try:
        while True:
            status = next(steps)
            place.touch()
            yield status, None
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def _animate(
    video: Path, avatars: list[str], clip: Clip, settings: dict[str, Any], language: str
) -> Generator[str, None, Run]:
    options = options_of(settings, clip)
    info = VideoReader(video).info
    if info.duration is not None:
        _check_length((clip.end or info.duration) - clip.start)
    if clip.end is not None and clip.end >= (info.duration or clips.MAX_SECONDS) - 0.01:
        options = replace(options, end=None)
    prune_animations()
    folder, copy = new_run(video)
    try:
        settings = _keep_uploads(settings, folder)
        report = yield from _watch(animate_steps(copy, avatars, out=folder, options=options), language)
        result = _stored(report, folder, settings)
        yield summary(result, language)  # the last moment to cancel
        result.save()
        return result
    finally:
        discard(folder)


def _rewrite(id: str | None, settings: dict[str, Any], language: str) -> Generator[str, None, Run]:
    stored = load_run(id)
    take = load_take(stored.folder / stored.take)
    clip = Clip(take.info.start, take.info.end, take.info.face, take.info.box)
    steps = animate_steps(take.path, stored.avatars, out=stored.folder, options=options_of(settings, clip))
    report = yield from _watch(steps, language)
    settings = _keep_uploads(settings, stored.folder)
    result = _stored(report, stored.folder, settings)
    result.save()
    for path in set(stored.downloads) - set(result.downloads):
        path.unlink(missing_ok=True)
    return result


def _watch(steps: Generator[Progress, None, Report], language: str) -> Generator[str, None, Report]:
    """Turn progress into statuses, a few a second, and watch the limit on length."""
    shown = 0.0
    try:
        while True:
            progress = next(steps)
            _check_length(progress.time)
            if progress.done == 0 or time.monotonic() - shown > _REFRESH:
                shown = time.monotonic()
                yield bar(progress, language)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def _check_length(seconds: float) -> None:
    if seconds > clips.MAX_SECONDS + 0.1:
        raise InputError(
            "the part is longer than {:g} minutes: choose less of it, or use the command line.", clips.MAX_SECONDS / 60
        )


def _keep_uploads(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Settings whose files lie in the run's folder, where they last as long as the run."""
    kept: dict[str, str | None] = {}
    for name, choice in UPLOADS.items():
        if settings[choice] != name:
            kept[name] = None
            continue
        path = folder / f"{name}{Path(settings[name]).suffix}"
        if Path(settings[name]) != path:
            shutil.copyfile(settings[name], path)
        kept[name] = str(path)
    return {**settings, **kept}


def _stored(report: Report, folder: Path, settings: dict[str, Any]) -> Run:
    """Describe a finished run; its actor's profile and a zip of everything are written beside the files."""
    assert report.take is not None
    take = load_take(report.take)
    named = {name: {kind: _packed(path).name for kind, path in files.items()} for name, files in report.files.items()}
    result = Run(
        id=folder.name, avatars=tuple(report.files), settings=settings, take=report.take.name, files=named,
        combined=report.combined.name if report.combined else None, frames=report.frames,
        frames_without_face=report.frames_without_face, seconds=sum(report.seconds.values()),
    )  # fmt: skip
    options = options_of(settings)
    result.profile.unlink(missing_ok=True)
    with suppress(InputError):  # too short a clip shows no neutral: it has no profile
        save_profile(Player(take).profile(take.source_path.stem, options), result.profile)
    with replacing(result.zip) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for path in result.downloads:
            archive.write(path, path.name)
    return result


def _packed(path: Path) -> Path:
    """A folder of frames as a zip, which browsers can download; a file as it is."""
    if path.is_file():
        return path
    packed = path.with_name(f"{path.name}.png.zip")
    with replacing(packed) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for frame in sorted(path.iterdir()):
            archive.write(frame, f"{path.name}/{frame.name}")
    shutil.rmtree(path)
    return packed


def summary(result: Run, language: str) -> str:
    """What became of a run, and until when it is kept."""
    text = say(language, "run.done", frames=result.frames, seconds=f"{result.seconds:.1f}")
    if result.frames_without_face:
        text += " " + say(language, "run.without_face", frames=result.frames_without_face)
    kept = say(language, "run.kept", date=time.strftime("%Y-%m-%d", time.localtime(result.kept_until)))
    return note(f"{text} {kept}")
