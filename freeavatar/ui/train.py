"""The Train tab: labels become a better bundle that a person can watch, compare, adopt and take back.

Nothing of a run is kept here: every view is read from the run's folder, so that a reload, a second tab and a restart
of the app find it as it is.
"""

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gradio as gr

from annotation.comparing import COLUMNS, import_comparisons
from annotation.snapshots import Choice, count_triplets, freeze_labels
from annotation.store import Store, default_path
from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.models.library import adopt_bundle, list_bundles, previous_bundle, roll_back
from freeavatar.ui.admin import check_password, password_set
from freeavatar.ui.train_view import bundles_page, note, report_page, run_name, run_page
from training.devices import visible_devices
from training.estimate import estimate_minutes
from training.jobs import LOG, JobConfig, Run, list_runs, new_folder, prepare_run, start_run, stop_run

CSS = (Path(__file__).parent / "train.css").read_text()
PRESETS = [("Quick: a few minutes on a CPU", "quick"), ("Standard", "standard"), ("Long", "long")]
_TO_LABEL = (
    "() => [...document.querySelectorAll('button[role=tab]')].find(b => b.textContent.trim() == 'Label')?.click()"
)
_EVERY = 2.0
"""Seconds between two looks at the run."""


def _guarded(allowed: bool) -> None:
    if not allowed:
        raise gr.Error("Give the password first.", title="Not signed in")


def _explained(act: Callable[[], Any]) -> Any:
    """What ``act`` returns; an error a user can act on becomes the page's."""
    try:
        return act()
    except FreeAvatarError as error:
        raise gr.Error(str(error), title="This did not work", duration=None) from error


def choice_of(agreement: float, by: Sequence[str], not_by: Sequence[str], most: float | None) -> Choice:
    """The labels that the page's controls choose."""
    return Choice(tuple(by), tuple(not_by), float(agreement), int(most or 0))


def labels_note(store: Store, choice: Choice) -> str:
    """How many labels there are."""
    learned, held = count_triplets(store, choice)
    if not learned:
        return note("No labels to learn from yet: answer questions in the Label tab first.")
    kept = (
        f"{held} answers to random questions are held out to measure with"
        if held
        else ("nobody answered a random question yet, so nothing can be held out to measure with")
    )
    return note(f"{learned} questions to learn from; {kept}.")


def begin(store: Store, choice: Choice, config: Callable[[Path, Path | None, Path], JobConfig]) -> Run:
    """Freeze the labels and start a run on them.

    Raises:
        InputError, WeightsError: it cannot start; nothing is left behind.
    """
    folder = new_folder()
    try:
        labels = freeze_labels(store, folder / "labels", choice)
        job = config(labels.train, labels.held_out, labels.images)
        told = {"choice": asdict(choice), "triplets": labels.triplets, "held_out": labels.held_out_triplets}
        prepare_run(folder, replace(job, labels=told))
        return start_run(folder)
    except BaseException:
        if not (folder / LOG).exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise


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


def build(path: Path | None = None) -> None:
    """Lay the tab out inside the current ``gr.Blocks``.

    Args:
        path: the database of the labels; default the app's own.
    """
    store = Store(path or default_path())
    is_in = gr.State(not password_set())
    with gr.Column(visible=password_set()) as door:
        typed = gr.Textbox(label="Password", type="password", elem_id="train-password")
        enter = gr.Button("Sign in", variant="primary", elem_id="train-enter")
    with gr.Column(visible=not password_set()) as room, gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            labels, told = _label_controls(store)
            options, estimate = _run_controls()
            start = gr.Button("Start", variant="primary", elem_id="train-start")
        with gr.Column(scale=3, min_width=320):
            panel = _Panel(store, is_in)
    hidden: Any = {"api_visibility": "private", "show_progress": "hidden"}

    def sign_in(typed: str) -> tuple[Any, ...]:
        check_password(typed)
        return True, gr.Column(visible=False), gr.Column(visible=True)

    def count(allowed: bool, *values: Any) -> str:
        _guarded(allowed)
        return _explained(lambda: labels_note(store, choice_of(*values)))

    def reckon(allowed: bool, *values: Any) -> str:
        _guarded(allowed)
        return _explained(lambda: _time_note(_config(*values)))

    def press(allowed: bool, *values: Any) -> str:
        _guarded(allowed)
        choice, rest = choice_of(*values[: len(labels)]), values[len(labels) :]

        def config(train: Path, held_out: Path | None, images: Path) -> JobConfig:
            return replace(_config(*rest), train=train, held_out=held_out, images=images)

        return _explained(lambda: begin(store, choice, config)).id

    gr.on([enter.click, typed.submit], sign_in, typed, [is_in, door, room], **hidden)
    gr.on([control.change for control in labels], count, [is_in, *labels], told, **hidden)
    gr.on([options[1].change, options[2].change, options[4].change], reckon, [is_in, *options], estimate, **hidden)
    started = start.click(press, [is_in, *labels, *options], panel.asked, **hidden)
    panel.watch(started)


def _label_controls(store: Store) -> tuple[list[Any], Any]:
    """Agreement, by whom, not by whom, how many; and what that comes to."""
    names = [row["id"] for row in store.rows("select distinct annotator_id as id from answers order by id")]
    told = gr.HTML(labels_note(store, Choice()), elem_id="train-labels")
    with gr.Accordion("Which labels", open=False):
        agreement = gr.Slider(0, 1, 0.66, step=0.01, label="Agreement", info="Smallest share of raters behind a label.")
        by = gr.Dropdown(names, multiselect=True, label="By", info="Empty: everybody who is not excluded.")
        not_by = gr.Dropdown(names, multiselect=True, label="But not by")
        most = gr.Number(0, minimum=0, precision=0, label="At most", info="The newest questions; 0 takes all.")
    return [agreement, by, not_by, most], told


def _run_controls() -> tuple[list[Any], Any]:
    """Base, preset, device, title, processes, launcher, cluster options, original faces; and the time it takes."""
    devices = [(name, device) for device, name in visible_devices().items()]
    bundles = [(f"{entry.title} ({entry.id})", entry.name) for entry in list_bundles()]
    used = next((entry.name for entry in list_bundles() if entry.is_adopted), "default")
    base = gr.Dropdown(bundles, value=used, label="Start from", elem_id="train-base")
    preset = gr.Radio(PRESETS, value="quick", label="How thorough", elem_id="train-preset")
    device = gr.Dropdown(devices, value=devices[0][1], label="Device", elem_id="train-device")
    title = gr.Textbox(label="Name of the new bundle", placeholder="Eyes first", max_lines=1, elem_id="train-title")
    with gr.Accordion("More: several processes, a cluster, original faces", open=False):
        processes = gr.Number(1, minimum=1, precision=0, label="Processes", info="Shared out by torchrun.")
        launcher = gr.Radio(
            [("this machine", "process"), ("SLURM", "slurm"), ("submitit's local cluster", "local")],
            value="process", label="Where",
        )  # fmt: skip
        cluster = gr.Textbox(label="For the cluster", placeholder="slurm_partition=gpu timeout_min=600", max_lines=1)
        original = gr.Textbox(
            label="Original faces", max_lines=1, info="Folder with images.zip and labels.csv, to rehearse with as well."
        )  # fmt: skip
    estimate = gr.HTML(note("Choose how thorough, and the time is reckoned here."), elem_id="train-time")
    return [base, preset, device, title, processes, launcher, cluster, original], estimate


def _config(
    base: str, preset: Any, device: str, title: str | None, processes: float | None, launcher: Any,
    cluster: str | None, original: str | None,
) -> JobConfig:  # fmt: skip
    """A job without its labels."""
    pairs = dict(item.partition("=")[::2] for item in (cluster or "").split())
    if not all(pairs.values()):
        raise InputError(f"{cluster!r} is no list of settings: write name=value, with spaces between.")
    faces = Path(original).expanduser() if original and original.strip() else None
    if faces is not None and not (faces / "labels.csv").is_file():
        raise InputError(f"{faces} holds no labels.csv: give a folder with images.zip and labels.csv, or nothing.")
    return JobConfig(
        train=Path(), images=Path(), base=base, preset=preset, device=device, title=(title or "").strip(),
        processes=max(int(processes or 1), device.count(",") + 1), launcher=launcher, cluster=pairs, original=faces,
    )  # fmt: skip


def _time_note(config: JobConfig) -> str:
    if config.device != "cpu" or config.launcher == "slurm":
        return note("On a GPU the time left is told when the run is on its way.")
    from freeavatar.models.library import find_bundle

    minutes = estimate_minutes(replace(config, base=str(find_bundle(config.base))))
    told = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
    return note(f"On this CPU about {told}, as measured just now.")


class _Panel:
    """The half of the page that follows a run."""

    def __init__(self, store: Store, is_in: gr.State) -> None:
        self._store, self._is_in = store, is_in
        self.asked, self._shown = gr.State(""), gr.State(())
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
        started.success(lambda name: (name, ()), self.asked, [self._which, self._shown], **hidden)
        for button, act in ((self._stop, self._halt), (self._resume, self._go_on), (self._adopt, self._use)):
            button.click(act, [self._is_in, self._which], None, **hidden)
        self._back.click(self._undo, self._is_in, None, **hidden)
        asked = self._study.click(self._ask_people, [self._is_in, self._which], None, **hidden)
        asked.success(None, None, None, js=_TO_LABEL)

    def _refresh(self, allowed: bool, name: str | None, shown: Sequence[Any]) -> tuple[Any, ...]:
        """Everything that changed; what did not is left alone, or a film would start anew every two seconds."""
        if not allowed:
            return tuple(gr.skip() for _ in self._outputs)
        runs = list_runs()
        run = _chosen(runs, name)
        listed = [(run_name(other), other.id) for other in runs]
        with suppress(FreeAvatarError):
            state = [run.id, run.state] if run else []
            now = (listed, state, [entry.name for entry in list_bundles()], _adopted())
            is_same = json.dumps(now) == json.dumps(list(shown) or None)
            if is_same:
                return (gr.skip(), gr.skip(), run_page(run), *(gr.skip() for _ in self._outputs[3:]))
            return (list(now), gr.Dropdown(listed, value=run.id if run else None), run_page(run), *self._news(run))
        return tuple(gr.skip() for _ in self._outputs)

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
        _explained(lambda: start_run(run.folder))

    def _use(self, allowed: bool, name: str | None) -> None:
        run = self._of(allowed, name)
        entry = _explained(lambda: adopt_bundle(run.status.get("bundle", "")))
        gr.Info(f"{entry.title} is in use.")

    def _undo(self, allowed: bool) -> None:
        _guarded(allowed)
        entry = _explained(roll_back)
        gr.Info(f"{entry.title} is in use again.")

    def _ask_people(self, allowed: bool, name: str | None) -> None:
        run = self._of(allowed, name)
        gr.Info(_explained(lambda: add_study(self._store, run)))

    def _of(self, allowed: bool, name: str | None) -> Run:
        _guarded(allowed)
        run = _chosen(list_runs(), name)
        if run is None:
            raise gr.Error("There is no run yet: start one first.")
        return run


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
    copy = Path(tempfile.gettempdir()) / "freeavatar-films" / f"{run.id}.mp4"
    copy.parent.mkdir(exist_ok=True)
    if not copy.exists():
        shutil.copyfile(source, copy)
    return str(copy)
