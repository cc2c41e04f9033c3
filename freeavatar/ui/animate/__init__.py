"""The Animate tab: a video in; actor and avatars side by side, rig curves and animated models out."""

import html
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import gradio as gr

from freeavatar.avatars import DEFAULT_AVATAR, available_avatars, portrait_of
from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.paths import home
from freeavatar.pipeline import AnimateOptions, Progress, Report, animate_steps
from freeavatar.ui.animate import live
from freeavatar.ui.words import word
from freeavatar.video import VideoReader

CSS = (Path(__file__).parent / "animate.css").read_text()

MAX_SECONDS = 600
"""Longest clip the web app takes; the command line has no limit."""
EXAMPLES = Path(__file__).parents[3] / "examples"
"""A driving clip of a rendered actor, and what became of it."""
_REFRESH = 0.2


@dataclass(frozen=True)
class View:
    """What the right half of the page shows."""

    status: str
    video: Path | None = None
    model: Path | None = None
    files: tuple[Path, ...] = ()

    def updates(self) -> tuple[Any, ...]:
        """Values of status, video, model and files."""
        return (
            self.status,
            str(self.video) if self.video else None,
            str(self.model) if self.model else None,
            [str(path) for path in self.files] or None,
        )


def _bar(progress: Progress) -> str:
    total = progress.total or 0
    share = min(progress.done / total, 1) if total else 0
    words = {"tracking": "Reading the face", "rendering": "Rendering"}[progress.stage]
    count = f"{progress.done} of {total} frames" if total else f"{progress.done} frames"
    speed = f" · {progress.rate:.0f} frames/s" if progress.done else ""
    left = progress.seconds_left
    remaining = f" · {left:.0f} s left in this step" if left is not None and progress.done else ""
    step = {"tracking": "Step 1 of 2", "rendering": "Step 2 of 2"}[progress.stage]
    return (
        f'<div class="fa-status" role="status"><b>{step}: {words}</b> · {count}{speed}{remaining}'
        f'<div class="fa-track"><div class="fa-fill" style="width:{100 * share:.1f}%"></div></div></div>'
    )


def _note(text: str) -> str:
    return f'<div class="fa-status" role="status">{html.escape(text)}</div>'


def _finished(report: Report) -> View:
    first = next(iter(report.files.values()))
    return View(_note(report.summary()), report.combined or first.get("video"), first["glb"], tuple(report.paths))


def example_view() -> View:
    """The result that ships, shown before anything was run."""
    results = sorted((EXAMPLES / "result").glob("*"))
    by_ending = {path.suffix: path for path in results}
    if not {".mp4", ".glb"} <= set(by_ending):
        return View(_note("Choose a video and press Animate."))
    note = "An example: a rendered actor drives the avatar. Choose your own video and press Animate."
    return View(_note(note), by_ending[".mp4"], by_ending[".glb"], tuple(results))


def run(
    video: str | None, avatars: list[str], smoothing: float, calibration: str, neutral_second: float | None,
    gain: float, has_head_pose: bool, face: float | None,
) -> Iterator[tuple[Any, ...]]:  # fmt: skip
    """Animate ``avatars`` from ``video``: yields the page's updates; closing the generator cancels.

    Raises:
        gr.Error: the input cannot be animated; the message says what to do.
    """
    if not video:
        raise gr.Error("There is no video yet: upload one or pick the example below the box.", title="No video")
    if not avatars:
        raise gr.Error("No avatar is chosen: tick at least one.", title="No avatar")
    kind = neutral_second or 0.0 if calibration == "at a second" else cast(Any, calibration)
    folder = home() / "animations" / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid4().hex[:6]}"
    try:
        options = AnimateOptions(
            smoothing=smoothing, calibration=kind, gain=gain, has_head_pose=has_head_pose, face=int(face or 1) - 1
        )
        _check_length(VideoReader(video).info.duration)
        report = yield from _watch(animate_steps(Path(video), avatars, out=folder, options=options))
    except FreeAvatarError as error:
        raise gr.Error(str(error), title="This did not work", duration=None) from error
    finally:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    yield _finished(report).updates()


def _check_length(seconds: float | None) -> None:
    if seconds is not None and seconds > MAX_SECONDS:
        raise InputError(f"the video is longer than {MAX_SECONDS / 60:g} minutes: cut it, or use the command line.")


def _watch(steps: Generator[Progress, None, Report]) -> Generator[tuple[Any, ...], None, Report]:
    """Turn progress into page updates, a few a second, and watch the limit on length."""
    shown = 0.0
    try:
        while True:
            progress = next(steps)
            _check_length(progress.time)
            if progress.done == 0 or time.monotonic() - shown > _REFRESH:
                shown = time.monotonic()
                yield (_bar(progress), gr.skip(), gr.skip(), gr.skip())
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def build() -> None:
    """Lay the tab out inside the current ``gr.Blocks``."""
    with gr.Tab(word("animate.video")):
        _build_video()
    with gr.Tab(word("animate.live"), elem_id="live-tab"):
        live.build()


def _build_video() -> None:
    first = example_view()
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            video = gr.Video(label="Actor", sources=["upload", "webcam"], height=340, elem_id="actor")
            clip = EXAMPLES / "actor.mp4"
            if clip.exists():
                gr.Examples([[str(clip)]], inputs=[video], label="Example clip", cache_examples=False)
            portraits = _gallery()
            avatars = gr.CheckboxGroup(
                available_avatars(), value=[DEFAULT_AVATAR], label="Avatars", elem_id="avatars",
                info="Click a portrait or a name. All of them play the same expression.",
            )  # fmt: skip
            with gr.Row():
                start = gr.Button("Animate", variant="primary", elem_id="animate")
                cancel = gr.Button("Cancel", elem_id="cancel")
            with gr.Accordion("Settings", open=False):
                controls = _controls()
        with gr.Column(scale=3, min_width=320):
            status = gr.HTML(View(first.status).status, elem_id="status")
            shown = gr.Video(
                first.updates()[1], label="Actor and avatar", autoplay=False, loop=True,
                interactive=False, elem_id="result",
            )  # fmt: skip
            model = gr.Model3D(
                first.updates()[2], label="Animated model (drag to turn)", height=420,
                clear_color=(0.13, 0.14, 0.17, 1.0), interactive=False, elem_id="model",
            )  # fmt: skip
            files = gr.Files(
                first.updates()[3], label="Download: video, Live Link Face CSV, JSON, animated GLB",
                interactive=False, elem_id="files",
            )  # fmt: skip
    portraits.select(_toggle, avatars, [avatars, portraits], queue=False, api_visibility="private")
    running = start.click(lambda: _note("Waiting for a free place ..."), None, status, queue=False).then(
        run, [video, avatars, *controls], [status, shown, model, files],
        concurrency_id="heavy", concurrency_limit=1, show_progress="hidden", api_name="animate",
    )  # fmt: skip
    cancel.click(None, cancels=[running], queue=False, api_visibility="private").then(
        lambda: _note("Stopped. Nothing half-written was kept."), None, status, queue=False, api_visibility="private"
    )


def _gallery() -> gr.Gallery:
    """Portraits of all avatars that have one."""
    found = [(str(path), name) for name in available_avatars() if (path := portrait_of(name))]
    return gr.Gallery(
        found, label="Portraits: click to choose", show_label=False, columns=5, height="auto", object_fit="cover",
        allow_preview=False, interactive=False, buttons=[], elem_id="portraits",
    )  # fmt: skip


def _toggle(chosen: list[str], event: gr.SelectData) -> tuple[list[str], Any]:
    """Choose the avatar whose portrait was clicked, or leave it out if it was chosen."""
    name = event.value["caption"]
    others = [avatar for avatar in chosen if avatar != name]
    return (others if name in chosen else [*chosen, name]), gr.Gallery(selected_index=None)


def _controls() -> list[Any]:
    smoothing = gr.Slider(0, 1, 0.5, step=0.05, label="Smoothing", info="0 keeps every tremor, 1 is very calm.")
    calibration = gr.Radio(
        ["auto", "none", "at a second"], value="auto", label="The actor's neutral face",
        info="Found in the clip, left alone, or marked by you.",
    )  # fmt: skip
    second = gr.Number(0.0, label="Second at which the face is neutral", minimum=0, visible=False)
    calibration.change(lambda kind: gr.Number(visible=kind == "at a second"), calibration, second, queue=False)
    gain = gr.Slider(0, 2, 1.0, step=0.05, label="Strength of the expression")
    head = gr.Checkbox(True, label="Head follows the actor's")
    face = gr.Number(1, label="Which person", minimum=1, precision=0, info="1 is the largest face.")
    return [smoothing, calibration, second, gain, head, face]
