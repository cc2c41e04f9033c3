"""After the run: video, moment and curves, model, files; a comparison; the run's link."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from freeavatar.errors import FreeAvatarError
from freeavatar.explore.export import plotly_script
from webapp.animate.clip import EXAMPLES
from webapp.animate.controls import DEFAULTS, UPLOADS, Controls, seen, settings_of, values_of
from webapp.animate.moment import curves_of, faces_at, player_of
from webapp.animate.running import summary
from webapp.animate.runs import Run, load_run
from webapp.common.avatars import choices_of, label_of
from webapp.common.boxes import note
from webapp.common.scripts import script
from webapp.common.words import language_of, say, translated, word

_HERE = Path(__file__).parent
LINK = """id => {
  const address = new URL(location);
  if (id) address.searchParams.set('run', id);
  history.replaceState(null, '', address);
}"""
"""Puts the run into the page's address."""
TO_MOMENT = """id => {
  const tab = document.querySelectorAll('#result-tabs [role=tab]')[1];
  if (id && tab?.getAttribute('aria-selected') === 'false') tab.click();
}"""
"""Brings what a slider changes into sight."""


KEYS = """() => document.addEventListener('keyup', ({ target }) => {
  const isSlider = target.matches?.('#settings input[type=range]');
  if (isSlider) target.dispatchEvent(new PointerEvent('pointerup', { bubbles: true }));
})"""
"""Tells that a slider came to rest after a key, too: Gradio listens to the pointer alone."""
_FILLED = (
    "id", "pinned", "panel", "avatar", "video", "second", "again", "model_of", "model", "zip", "profile", "files",
    "unpin",
)  # fmt: skip
"""What :func:`show` fills, in the order in which clients of the API get it."""


@dataclass(frozen=True)
class Results:
    """The components."""

    id: gr.Textbox
    """Id of the run on show; not seen, but the page's address takes it from here."""
    pinned: gr.State
    status: gr.HTML
    panel: gr.Column
    avatar: gr.Dropdown
    """Whose face the moment shows: any avatar, not the run's alone."""
    video: gr.Video
    second: gr.Slider
    stage: gr.HTML
    chart: gr.HTML
    pin: gr.Button
    unpin: gr.Button
    again: gr.Button
    model_tab: gr.Tab
    model_of: gr.Radio
    model: gr.Model3D
    zip: gr.DownloadButton
    profile: gr.DownloadButton
    files: gr.Files

    @property
    def shown(self) -> list[Any]:
        """What :func:`show` fills."""
        return [getattr(self, name) for name in _FILLED]


def build_results() -> Results:
    """Lay the right half out."""
    first = _example()
    status = gr.HTML(note(""), elem_id="status")
    with gr.Column() as panel:
        with gr.Tabs(elem_id="result-tabs"):
            with gr.Tab(word("result.video"), id="video"):
                video = gr.Video(
                    first["video"], label=word("result.video.label"), autoplay=False, loop=True, interactive=False,
                    elem_id="result",
                )  # fmt: skip
            with gr.Tab(word("result.moment"), id="moment"):
                second, stage, curves, avatar, pin, unpin = _build_moment()
            with gr.Tab(word("result.model"), id="model") as model_tab:
                model_of = gr.Radio([], label=word("result.avatar"), visible=False, elem_id="model-of")
                model = gr.Model3D(
                    first["model"], label=word("result.model.label"), height=420,
                    clear_color=(0.13, 0.14, 0.17, 1.0), interactive=False, elem_id="model",
                )  # fmt: skip
            with gr.Tab(word("result.files"), id="files"):
                with gr.Row():
                    bundle = gr.DownloadButton(word("result.zip"), visible=False, elem_id="zip")
                    profile = gr.DownloadButton(word("result.profile"), visible=False, elem_id="save-profile")
                files = gr.Files(first["files"], label=word("result.files.label"), interactive=False, elem_id="files")
        again = gr.Button(word("result.again"), variant="primary", visible=False, elem_id="again")
    return Results(
        gr.Textbox(visible=False), gr.State(None), status, panel, avatar, video, second, stage, curves, pin, unpin,
        again, model_tab, model_of, model, bundle, profile, files,
    )  # fmt: skip


def _build_moment() -> tuple[Any, ...]:
    stage = gr.HTML(
        value={}, html_template='<div class="fa-stage"></div>', js_on_load=script(_HERE / "stage.js", words="stage."),
        elem_id="stage",
    )  # fmt: skip
    second = gr.Slider(0, 1, 0, step=0.001, label=word("result.second"), elem_id="moment-second")
    curves = gr.HTML(
        value={}, html_template='<div class="fa-chart"></div>',
        js_on_load=script(_HERE / "chart.js", words="chart.", events=["pick"], PLOTLY=str(plotly_script())),
        elem_id="chart",
    )  # fmt: skip
    with gr.Row(equal_height=False, elem_id="compare"):
        avatar = gr.Dropdown([], label=word("result.avatar"), min_width=120, elem_id="shown-avatar")
        pin = gr.Button(word("result.pin"), size="sm", min_width=120, elem_id="pin")
        unpin = gr.Button(word("result.unpin"), size="sm", min_width=120, visible=False, elem_id="unpin")
    return second, stage, curves, avatar, pin, unpin


def _example() -> dict[str, Any]:
    """The result that ships, shown before anything was run."""
    paths = sorted((EXAMPLES / "result").glob("*"))
    by_ending = {path.suffix: str(path) for path in paths}
    files = [str(path) for path in paths] or None
    return {"video": by_ending.get(".mp4"), "model": by_ending.get(".glb"), "files": files}


def show(run: Run | None) -> list[Any]:
    """Values of :attr:`Results.shown`; without a run they stay as they are."""
    filled = _filled(run) if run else dict.fromkeys(_FILLED, gr.skip())
    return [filled[name] for name in _FILLED]


def _filled(run: Run) -> dict[str, Any]:
    last = float(player_of(run).take.track.times[-1])
    choices = [(label_of(name), name) for name in run.avatars]
    profile = str(run.profile) if run.profile.exists() else None
    return {
        "id": run.id,
        "pinned": None,
        "panel": gr.Column(visible=True),
        "avatar": gr.Dropdown(choices=choices_of(list(run.avatars)), value=run.avatars[0]),
        "video": str(run.video),
        "second": gr.Slider(maximum=max(math.ceil(1000 * last) / 1000, 0.01), value=0),
        "again": gr.Button(visible=False),
        "model_of": gr.Radio(choices=choices, value=run.avatars[0], visible=len(choices) > 1),
        "model": str(run.folder / run.files[run.avatars[0]]["glb"]),
        "zip": gr.DownloadButton(value=str(run.zip), visible=True),
        "profile": gr.DownloadButton(value=profile, visible=profile is not None),
        "files": [str(path) for path in run.downloads],
        "unpin": gr.Button(visible=False),
    }


def connect_results(results: Results, controls: Controls) -> None:
    """Let sliders, chart and comparison act on the stored track."""
    hidden: Any = {"api_visibility": "private", "show_progress": "hidden"}
    values = controls.components
    facing = [results.id, results.second, results.avatar, results.pinned, *values]
    quick: Any = {"queue": False, "trigger_mode": "always_last", **hidden}
    gr.on(controls.sliding, None, results.id, None, js=TO_MOMENT)
    gr.on([*controls.sliding, results.second.change], faces_at, facing, results.stage, **quick)
    settled = [results.stage, results.chart, results.again]
    gr.on([*controls.settling, results.avatar.change], settle, facing, settled, **quick)
    results.chart.pick(_picked, None, results.second, queue=False, **hidden)
    chosen = [results.id, results.model_of]
    results.model_of.change(_model_of, chosen, results.model, queue=False, **hidden)
    # A model that is set while its tab is hidden is never drawn.
    emptied = results.model_tab.select(lambda: None, None, results.model, queue=False, **hidden)
    emptied.then(_model_of, chosen, results.model, queue=False, **hidden)
    pinned = results.pin.click(
        _pin, [results.avatar, results.id, *values], [results.pinned, results.unpin], queue=False, **hidden
    )
    unpinned = results.unpin.click(
        lambda: (None, gr.Button(visible=False)), None, [results.pinned, results.unpin], queue=False, **hidden
    )
    for event in (pinned, unpinned):
        event.then(faces_at, facing, results.stage, **quick)


def settle(
    request: gr.Request | None, id: str | None, second: float, avatar: str, pinned: Any, *values: Any
) -> tuple[Any, ...]:
    """After a setting came to rest: the moment, the curves, and whether the files are behind."""
    if not id:
        return gr.skip(), gr.skip(), gr.skip()
    faces = faces_at(request, id, second, avatar, pinned, *values)
    return faces, curves_of(request, id, avatar, *values), gr.Button(visible=_is_behind(id, values))


def _is_behind(id: str, values: Sequence[Any]) -> bool:
    try:
        stored = load_run(id).settings
    except FreeAvatarError:
        return False
    return _read(settings_of(values)) != _read(stored)


def _read(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with what their files hold in the place of paths."""
    held: dict[str, bytes | None] = {"profile": None, "picture": None}
    for name, choice in UPLOADS.items():
        path = settings[name] if settings.get(choice) == name else None
        if path and Path(path).is_file():
            held[name] = Path(path).read_bytes()
    return {**DEFAULTS, **settings, **held}


def restore(request: gr.Request) -> list[Any]:
    """What a link brings back: status, :attr:`Results.shown`, controls and cast; the example without one."""
    language = language_of(request)
    id = request.query_params.get("run")
    nothing = [*show(None), *(gr.skip() for _ in values_of({})), gr.skip()]
    if not id:
        return [note(say(language, "run.example")), *nothing]
    try:
        run = load_run(id)
        cast = gr.CheckboxGroup(choices=choices_of(list(run.avatars)), value=list(run.avatars))
        return [summary(run, language), *show(run), *values_of(run.settings), cast]
    except FreeAvatarError as error:
        return [note(translated(error, language)), *nothing]


def _picked(event: gr.EventData) -> float:
    return math.ceil(1000 * float(event.time)) / 1000  # not before the frame


def _model_of(id: str | None, avatar: str) -> Any:
    if not id or not avatar:
        return _example()["model"]
    run = load_run(id)
    return str(run.folder / run.files[avatar]["glb"])


def _pin(avatar: str, id: str | None, *values: Any) -> tuple[Any, Any]:
    if not id:
        return None, gr.Button(visible=False)
    return {"avatar": avatar or load_run(id).avatars[0], "settings": seen(settings_of(values))}, gr.Button(visible=True)
