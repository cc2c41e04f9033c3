"""The half of the Train tab that follows a run: everything it shows is read from the run's folder."""

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from annotation.asking.comparing import COLUMNS, import_comparisons
from annotation.store.store import Store
from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.models.library import adopt_bundle, list_bundles, previous_bundle, roll_back
from training.jobs.job import Run, list_runs, start_run, stop_run
from webapp.train.view import bundles_page, note, report_page, run_name, run_page

_TO_LABEL = """() => [...document.querySelectorAll("button[role=tab]")]
    .find(tab => tab.textContent.trim() == "Label")?.click()"""
_EVERY = 2.0
"""Seconds between two looks at the run."""


def guard(allowed: bool) -> None:
    """Refuse who gave no password.

    Raises:
        gr.Error: nobody signed in.
    """
    if not allowed:
        raise gr.Error("Give the password first.", title="Not signed in")


def explained(act: Callable[[], Any]) -> Any:
    """What ``act`` returns; an error a user can act on becomes the page's."""
    try:
        return act()
    except FreeAvatarError as error:
        raise gr.Error(str(error), title="This did not work", duration=None) from error


def report_of(run: Run | None) -> dict[str, Any]:
    """Figures before and after; empty until there are some."""
    if run is None or not (run.folder / "report.json").is_file():
        return {}
    return json.loads((run.folder / "report.json").read_text())


def add_study(store: Store, run: Run) -> str:
    """Put the question which of the two bundles follows the actor better to annotators, once; what was done."""
    folder, report = run.folder / "compare", report_of(run)
    if not report.get("clip"):
        raise InputError("this run animated no clip, so there is nothing to compare by eye.")
    mark = folder / "study.csv"
    if mark.exists():
        return "The question is in the Label tab already."
    clips = report["clip"]
    row = (clips["actor"], f"bundle {report['before']}", clips["before"], f"bundle {report['after']}", clips["after"])
    with mark.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, row])
    try:
        import_comparisons(store, mark)
    except FreeAvatarError:
        mark.unlink()
        raise
    return "Annotators are asked now which of the two follows the actor better."


class Panel:
    """The half of the page that follows a run."""

    def __init__(self, store: Store, is_in: gr.State) -> None:
        self._store, self._is_in = store, is_in
        self.asked, self._shown = gr.State(""), gr.State([])
        self._which = gr.Dropdown([], label="Run", elem_id="train-run", interactive=True)
        self._page = gr.HTML(run_page(None), elem_id="train-view")
        with gr.Row():
            self._stop = gr.Button("Stop and save", visible=False, variant="stop", elem_id="train-stop")
            self._resume = gr.Button("Resume", visible=False, elem_id="train-resume")
        self._report = gr.HTML("", elem_id="train-report")
        self._film = gr.Video(
            visible=False, label="Actor, before, after", loop=True, interactive=False, elem_id="train-film"
        )
        with gr.Row():
            self._adopt = gr.Button("Adopt", variant="primary", visible=False, elem_id="train-adopt")
            self._study = gr.Button("Ask people which is better", visible=False, elem_id="train-study")
            self._back = gr.Button("Roll back", visible=False, elem_id="train-back")
        self._bundles = gr.HTML("", elem_id="train-bundles")

    @property
    def _outputs(self) -> list[Any]:
        return [
            self._shown, self._which, self._page, self._stop, self._resume, self._report, self._film,
            self._adopt, self._study, self._back, self._bundles,
        ]  # fmt: skip

    def watch(self, started: Any) -> None:
        """Follow the run that is chosen, or the newest."""
        hidden: Any = {"api_visibility": "private", "show_progress": "hidden"}
        inputs = [self._is_in, self._which, self._shown]
        timer = gr.Timer(_EVERY)
        timer.tick(self._refresh, inputs, self._outputs, queue=False, **hidden)
        self._which.input(self._refresh, inputs, self._outputs, **hidden)
        started.success(
            lambda name: (gr.Dropdown(_listed(list_runs()), value=name), []),
            self.asked,
            [self._which, self._shown],
            **hidden,
        )
        for button, act in ((self._stop, self._halt), (self._resume, self._go_on), (self._adopt, self._use)):
            button.click(act, [self._is_in, self._which], None, **hidden)
        self._back.click(self._undo, self._is_in, None, **hidden)
        asked = self._study.click(self._ask_people, [self._is_in, self._which], None, **hidden)
        asked.success(None, None, None, js=_TO_LABEL)

    def _refresh(self, allowed: bool, name: str | None, shown: Sequence[Any]) -> tuple[Any, ...]:
        """Everything that changed; what did not is left alone, or a film would start anew every two seconds."""
        if not allowed:
            return tuple(gr.skip() for _ in self._outputs)
        try:
            runs, library = list_runs(), [[entry.name, entry.is_adopted] for entry in list_bundles()]
            run = _chosen(runs, name)
            page = run_page(run)
            key = [_listed(runs), [run.id, run.state] if run else [], library]
            digest = hashlib.sha256(page.encode()).hexdigest()
            before = list(shown) or [None, None]
            view = gr.skip() if digest == before[1] else page
            if json.dumps(key) == json.dumps(before[0]):
                return ([key, digest], gr.skip(), view, *(gr.skip() for _ in self._outputs[3:]))
            which = gr.Dropdown(_listed(runs), value=run.id if run else None)
            return ([key, digest], which, view, *self._news(run))
        except FreeAvatarError as error:
            return (gr.skip(), gr.skip(), note(str(error)), *(gr.skip() for _ in self._outputs[3:]))

    def _news(self, run: Run | None) -> tuple[Any, ...]:
        """Buttons, figures, film and library."""
        report = report_of(run)
        state, bundle = (run.state, run.status.get("bundle")) if run else ("", None)
        film = _film_of(run, report)
        return (
            gr.Button(visible=bool(run and run.is_going)), gr.Button(visible=state in ("stopped", "failed")),
            report_page(report), gr.Video(film, visible=film is not None),
            gr.Button(visible=bundle is not None and bundle != _adopted()), gr.Button(visible=film is not None),
            gr.Button(_back_words(), visible=previous_bundle() is not None), bundles_page(),
        )  # fmt: skip

    def _halt(self, allowed: bool, name: str | None) -> None:
        run = self._of(allowed, name)
        stop_run(run.folder)
        gr.Info("The run saves and ends in a few seconds.")

    def _go_on(self, allowed: bool, name: str | None) -> None:
        run = self._of(allowed, name)
        explained(lambda: start_run(run.folder))

    def _use(self, allowed: bool, name: str | None) -> None:
        run = self._of(allowed, name)
        entry = explained(lambda: adopt_bundle(run.status.get("bundle", "")))
        gr.Info(f"{entry.title} is in use.")

    def _undo(self, allowed: bool) -> None:
        guard(allowed)
        entry = explained(roll_back)
        gr.Info(f"{entry.title} is in use again.")

    def _ask_people(self, allowed: bool, name: str | None) -> None:
        run = self._of(allowed, name)
        gr.Info(explained(lambda: add_study(self._store, run)))

    def _of(self, allowed: bool, name: str | None) -> Run:
        guard(allowed)
        run = _chosen(list_runs(), name)
        if run is None:
            raise gr.Error("There is no run yet: start one first.")
        return run


def _listed(runs: list[Run]) -> list[tuple[str, str]]:
    return [(run_name(run), run.id) for run in runs]


def _chosen(runs: list[Run], name: str | None) -> Run | None:
    return next((run for run in runs if run.id == name), runs[0] if runs else None)


def _adopted() -> str:
    return next((entry.name for entry in list_bundles() if entry.is_adopted), "")


def _back_words() -> str:
    name = previous_bundle()
    title = next((entry.title for entry in list_bundles() if entry.name == name), name)
    return f"Roll back to {title}"


def _film_of(run: Run | None, report: dict[str, Any]) -> str | None:
    """A copy of the film that may be served: the runs' folder as a whole may not, for it holds people's pictures."""
    if run is None or not report.get("clip"):
        return None
    source = run.folder / "compare" / report["clip"]["both"]
    if not source.is_file():
        return None
    copy = Path(tempfile.gettempdir()) / "freeavatar-films" / f"{run.id}-{source.stat().st_mtime_ns}.mp4"
    copy.parent.mkdir(exist_ok=True)
    if not copy.exists():
        shutil.copyfile(source, copy)
    return str(copy)
