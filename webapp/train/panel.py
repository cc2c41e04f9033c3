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
from webapp.common.boxes import note
from webapp.common.doors import check_signed_in
from webapp.common.words import language_of, say, translated, word
from webapp.train.view import bundles_page, report_page, run_name, run_page, title_of

_TO_LABEL = "() => document.getElementById('tab-label-button')?.click()"
_EVERY = 2.0
"""Seconds between two looks at the run."""


def explained(act: Callable[[], Any], language: str) -> Any:
    """What ``act`` returns; an error a user can act on becomes the page's."""
    try:
        return act()
    except FreeAvatarError as error:
        raise gr.Error(translated(error, language), title=say(language, "train.failed"), duration=None) from error


def report_of(run: Run | None) -> dict[str, Any]:
    """Figures before and after; empty until there are some."""
    if run is None or not (run.folder / "report.json").is_file():
        return {}
    return json.loads((run.folder / "report.json").read_text())


def add_study(store: Store, run: Run) -> bool:
    """Put the question which of the two bundles follows the actor better to annotators; whether it is a new one."""
    folder, report = run.folder / "compare", report_of(run)
    if not report.get("clip"):
        raise InputError("this run animated no clip, so there is nothing to compare by eye.")
    mark = folder / "study.csv"
    if mark.exists():
        return False
    clips = report["clip"]
    row = (clips["actor"], f"bundle {report['before']}", clips["before"], f"bundle {report['after']}", clips["after"])
    with mark.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, row])
    try:
        import_comparisons(store, mark)
    except FreeAvatarError:
        mark.unlink()
        raise
    return True


class Panel:
    """The half of the page that follows a run."""

    def __init__(self, store: Store, is_in: gr.State) -> None:
        self._store, self._is_in = store, is_in
        self.asked, self._shown = gr.State(""), gr.State([])
        self._which = gr.Dropdown([], label=word("train.run"), elem_id="train-run", interactive=True)
        self._page = gr.HTML("", elem_id="train-view")
        with gr.Row():
            self._stop = gr.Button(word("train.stop"), visible=False, variant="stop", elem_id="train-stop")
            self._resume = gr.Button(word("train.resume"), visible=False, elem_id="train-resume")
        self._report = gr.HTML("", elem_id="train-report")
        self._film = gr.Video(
            visible=False, label=word("train.film"), loop=True, interactive=False, elem_id="train-film"
        )
        with gr.Row():
            self._adopt = gr.Button(word("train.adopt"), variant="primary", visible=False, elem_id="train-adopt")
            self._study = gr.Button(word("train.study"), visible=False, elem_id="train-study")
            self._back = gr.Button(word("train.back"), visible=False, elem_id="train-back")
        self._bundles = gr.HTML("", elem_id="train-bundles")

    def watch(self, started: Any) -> None:
        """Follow the run that is chosen, or the newest."""
        hidden: Any = {"api_visibility": "private", "show_progress": "hidden"}
        inputs = [self._is_in, self._which, self._shown]
        outputs = [
            self._shown, self._which, self._page, self._stop, self._resume, self._report, self._film,
            self._adopt, self._study, self._back, self._bundles,
        ]  # fmt: skip
        gr.Timer(_EVERY).tick(self._refresh, inputs, outputs, queue=False, **hidden)
        self._which.input(self._refresh, inputs, outputs, **hidden)
        started.success(self._show, self.asked, [self._which, self._shown], **hidden)
        for button, act in ((self._stop, self._halt), (self._resume, self._go_on), (self._adopt, self._use)):
            button.click(act, [self._is_in, self._which], None, **hidden)
        self._back.click(self._undo, self._is_in, None, **hidden)
        asked = self._study.click(self._ask_people, [self._is_in, self._which], None, **hidden)
        asked.success(None, None, None, js=_TO_LABEL)

    def _refresh(self, request: gr.Request, is_in: bool, name: str | None, shown: Sequence[Any]) -> dict[Any, Any]:
        """Everything that changed; what did not is left alone, or a film would start anew every two seconds."""
        if not is_in:
            return {self._shown: gr.skip()}
        language = language_of(request)
        try:
            runs, library = list_runs(), [[entry.name, entry.is_adopted] for entry in list_bundles()]
            run = _chosen(runs, name)
            page = run_page(run, language)
            key = [_listed(runs, language), [run.id, run.state] if run else [], library]
            digest = hashlib.sha256(page.encode()).hexdigest()
            before = list(shown) or [None, None]
            news: dict[Any, Any] = {self._shown: [key, digest]}
            if digest != before[1]:
                news[self._page] = page
            if json.dumps(key) != json.dumps(before[0]):
                news |= self._news(runs, run, language)
            return news
        except FreeAvatarError as error:
            return {self._page: note(translated(error, language))}

    def _news(self, runs: list[Run], run: Run | None, language: str) -> dict[Any, Any]:
        """The list, buttons, figures, film and library."""
        report = report_of(run)
        state, bundle = (run.state, run.status.get("bundle")) if run else ("", None)
        film = _film_of(run, report)
        return {
            self._which: gr.Dropdown(_listed(runs, language), value=run.id if run else None),
            self._stop: gr.Button(visible=bool(run and run.is_going)),
            self._resume: gr.Button(visible=state in ("stopped", "failed")),
            self._report: report_page(report, language),
            self._film: gr.Video(film, visible=film is not None),
            self._adopt: gr.Button(visible=bundle is not None and bundle != _adopted()),
            self._study: gr.Button(visible=film is not None),
            self._back: gr.Button(_back_words(language), visible=previous_bundle() is not None),
            self._bundles: bundles_page(language),
        }

    def _show(self, request: gr.Request, name: str) -> tuple[Any, list[Any]]:
        return gr.Dropdown(_listed(list_runs(), language_of(request)), value=name), []

    def _halt(self, request: gr.Request, is_in: bool, name: str | None) -> None:
        language = language_of(request)
        stop_run(_find(is_in, name, language).folder)
        gr.Info(say(language, "train.stopping"))

    def _go_on(self, request: gr.Request, is_in: bool, name: str | None) -> None:
        language = language_of(request)
        run = _find(is_in, name, language)
        explained(lambda: start_run(run.folder), language)

    def _use(self, request: gr.Request, is_in: bool, name: str | None) -> None:
        language = language_of(request)
        run = _find(is_in, name, language)
        entry = explained(lambda: adopt_bundle(run.status.get("bundle", "")), language)
        gr.Info(say(language, "train.adopted", title=title_of(entry, language)))

    def _undo(self, request: gr.Request, is_in: bool) -> None:
        language = language_of(request)
        check_signed_in(is_in, language)
        gr.Info(say(language, "train.adopted.again", title=title_of(explained(roll_back, language), language)))

    def _ask_people(self, request: gr.Request, is_in: bool, name: str | None) -> None:
        language = language_of(request)
        run = _find(is_in, name, language)
        is_new = explained(lambda: add_study(self._store, run), language)
        gr.Info(say(language, "train.study.asked") if is_new else say(language, "train.study.known"))


def _find(is_in: bool, name: str | None, language: str) -> Run:
    """The run that is chosen, or the newest.

    Raises:
        gr.Error: nobody signed in, or there is no run.
    """
    check_signed_in(is_in, language)
    run = _chosen(list_runs(), name)
    if run is None:
        raise gr.Error(say(language, "train.no_run"))
    return run


def _listed(runs: list[Run], language: str) -> list[tuple[str, str]]:
    return [(run_name(run, language), run.id) for run in runs]


def _chosen(runs: list[Run], name: str | None) -> Run | None:
    return next((run for run in runs if run.id == name), runs[0] if runs else None)


def _adopted() -> str:
    return next((entry.name for entry in list_bundles() if entry.is_adopted), "")


def _back_words(language: str) -> str:
    name = previous_bundle()
    title = next((title_of(entry, language) for entry in list_bundles() if entry.name == name), name)
    return say(language, "train.back.to", title=title)


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
