"""The Animate tab: a video in; actor and avatars side by side, rig curves and animated models out."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import gradio as gr

from freeavatar.animations import prune_animations
from webapp.animate.clip import EXAMPLES, build_clip, connect_clip, warm_up
from webapp.animate.controls import build_controls
from webapp.animate.moment import curves_of, faces_at
from webapp.animate.results import (
    KEYS,
    LINK,
    Results,
    build_results,
    connect_results,
    restore,
    show,
)
from webapp.animate.running import Step, is_busy, run, write_again
from webapp.common.avatars import Cast, build_cast
from webapp.common.boxes import note
from webapp.common.words import language_of, say, word
from webapp.live import tab as live

__all__ = ["CSS", "EXAMPLES", "build", "warm_up"]

CSS = (Path(__file__).parent / "animate.css").read_text() + live.CSS


def build(demo: gr.Blocks) -> None:
    """Lay the tab out inside ``demo``, the current ``gr.Blocks``."""
    prune_animations()
    with gr.Tab(word("animate.video")):
        whom = _build_video(demo)
    with gr.Tab(word("animate.live")):
        live.build(whom.own)


def _build_video(demo: gr.Blocks) -> Cast:
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            clip = build_clip()
            whom = build_cast()
            with gr.Row():
                start = gr.Button(word("run.start"), variant="primary", size="lg", scale=3, elem_id="animate")
                cancel = gr.Button(word("run.cancel"), size="lg", scale=1, min_width=90, elem_id="cancel")
            controls = build_controls()
        with gr.Column(scale=3, min_width=320):
            results = build_results()
    values = controls.components
    connect_clip(clip, whom.chosen, controls)
    connect_results(results, controls)
    shows = [results.status, *results.shown]
    running: list[Any] = [
        start.click(
            _steps(run), [*clip.values, whom.chosen, *values], shows, concurrency_id="runs", concurrency_limit=None,
            show_progress="hidden", api_name="animate",
        ),
        results.again.click(
            _steps(write_again), [results.id, *values], shows, concurrency_id="runs", concurrency_limit=None,
            show_progress="hidden", api_visibility="private",
        ),
    ]  # fmt: skip
    hidden: Any = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    cancel.click(None, cancels=running, **hidden).then(_stopped, results.status, results.status, **hidden)
    demo.load(None, None, None, js=KEYS)
    loaded = demo.load(restore, None, [*shows, *values, whom.chosen], **hidden)
    for event in (*running, loaded):
        _reveal(event, results, values)
    return whom


def _steps(work: Callable[..., Iterator[Step]]) -> Callable[..., Iterator[list[Any]]]:
    """A run's steps as updates of the status and of what the results show."""

    def steps(request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        with closing(cast(Any, work(request, *values))) as working:
            for status, result in working:
                yield [status, *show(result)]

    return steps


def _stopped(request: gr.Request, status: str | None) -> Any:
    """What became of a run that was cancelled; a finished one stays on show."""
    return note(say(language_of(request), "run.stopped")) if is_busy(status) else gr.skip()


def _reveal(event: Any, results: Results, values: list[Any]) -> None:
    """After a result came: its link, its first moment and its curves."""
    hidden: Any = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    event.success(None, results.id, None, js=LINK, **hidden)
    facing = [results.id, results.second, results.avatar, results.pinned, *values]
    event.success(faces_at, facing, results.stage, **hidden)
    event.success(curves_of, [results.id, results.avatar, *values], results.chart, **hidden)
