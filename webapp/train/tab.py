"""The Train tab: labels become a better bundle that a person can watch, compare, adopt and take back.

Nothing of a run is kept here: every view is read from the run's folder, so that a reload, a second tab and a restart
of the app find it as it is.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context

from annotation.results.snapshots import Choice, count_triplets, freeze_labels
from annotation.store.store import Store, default_path
from freeavatar.errors import InputError
from freeavatar.models.library import find_bundle, list_bundles
from training.engine.devices import visible_devices
from training.jobs.estimate import estimate_minutes
from training.jobs.job import LOG, JobConfig, Run, new_folder, prepare_run, start_run
from webapp.common.doors import check_password, password_set
from webapp.train.panel import Panel, explained, guard
from webapp.train.view import note

CSS = (Path(__file__).parent / "train.css").read_text()
PRESETS = [("Quick: a few minutes on a CPU", "quick"), ("Standard", "standard"), ("Long", "long")]


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
            labels, told = _label_controls()
            options, estimate = _run_controls()
            start = gr.Button("Start", variant="primary", elem_id="train-start")
        with gr.Column(scale=3, min_width=320):
            panel = Panel(store, is_in)
    hidden: Any = {"api_visibility": "private", "show_progress": "hidden"}

    def sign_in(typed: str) -> tuple[Any, ...]:
        check_password(typed)
        return True, gr.Column(visible=False), gr.Column(visible=True)

    def fill(allowed: bool) -> tuple[Any, ...]:
        return explained(lambda: _choices(store)) if allowed else tuple(gr.skip() for _ in range(4))

    def count(allowed: bool, *values: Any) -> str:
        guard(allowed)
        return explained(lambda: labels_note(store, choice_of(*values)))

    def reckon(allowed: bool, *values: Any) -> Any:
        if not allowed:
            return gr.skip()
        return explained(lambda: _time_note(_config(*values)))

    def press(allowed: bool, *values: Any) -> str:
        guard(allowed)
        choice, rest = choice_of(*values[: len(labels)]), values[len(labels) :]

        def config(train: Path, held_out: Path | None, images: Path) -> JobConfig:
            return replace(_config(*rest), train=train, held_out=held_out, images=images)

        return explained(lambda: begin(store, choice, config)).id

    entered = gr.on([enter.click, typed.submit], sign_in, typed, [is_in, door, room], **hidden)
    filled = [told, labels[1], labels[2], options[0]]
    assert Context.root_block is not None, "the tab is laid out inside gr.Blocks"
    for loaded in (Context.root_block.load, entered.success):
        loaded(fill, is_in, filled, **hidden).then(reckon, [is_in, *options], estimate, **hidden)
    gr.on([control.change for control in labels], count, [is_in, *labels], told, **hidden)
    gr.on([options[1].change, options[2].change, options[4].change], reckon, [is_in, *options], estimate, **hidden)
    started = start.click(press, [is_in, *labels, *options], panel.asked, **hidden)
    panel.watch(started)


def _choices(store: Store) -> tuple[Any, ...]:
    """How many labels there are, who gave them (twice), and the bundles to start from."""
    names = [row["id"] for row in store.rows("select distinct annotator_id as id from answers order by id")]
    bundles = [(f"{entry.title} ({entry.id})", entry.name) for entry in list_bundles()]
    used = next((entry.name for entry in list_bundles() if entry.is_adopted), "default")
    people = gr.Dropdown(choices=names), gr.Dropdown(choices=names)
    return labels_note(store, Choice()), *people, gr.Dropdown(choices=bundles, value=used)


def _label_controls() -> tuple[list[Any], Any]:
    """Agreement, by whom, not by whom, how many; and what that comes to: filled in for who may see it."""
    told = gr.HTML(note("Counting the labels ..."), elem_id="train-labels")
    with gr.Accordion("Which labels", open=False):
        agreement = gr.Slider(0, 1, 0.66, step=0.01, label="Agreement", info="Smallest share of raters behind a label.")
        by = gr.Dropdown([], multiselect=True, label="By", info="Empty: everybody who is not excluded.")
        not_by = gr.Dropdown([], multiselect=True, label="But not by")
        most = gr.Number(0, minimum=0, precision=0, label="At most", info="The newest questions; 0 takes all.")
    return [agreement, by, not_by, most], told


def _run_controls() -> tuple[list[Any], Any]:
    """Base, preset, device, title, processes, launcher, cluster options, original faces; and the time it takes."""
    devices = [(name, device) for device, name in visible_devices().items()]
    base = gr.Dropdown([("The weights that ship", "default")], label="Start from", elem_id="train-base")
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
    faces = Path(original.strip()).expanduser() if original and original.strip() else None
    if faces is not None and not (faces / "labels.csv").is_file():
        raise InputError(f"{faces} holds no labels.csv: give a folder with images.zip and labels.csv, or nothing.")
    return JobConfig(
        train=Path(), images=Path(), base=base, preset=preset, device=device, title=(title or "").strip(),
        processes=max(int(processes or 1), device.count(",") + 1), launcher=launcher, cluster=pairs, original=faces,
    )  # fmt: skip


def _time_note(config: JobConfig) -> str:
    if config.device != "cpu" or config.launcher == "slurm":
        return note("On a GPU the time left is told when the run is on its way.")
    minutes = estimate_minutes(replace(config, base=str(find_bundle(config.base))))
    told = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
    return note(f"On this CPU about {told}, as measured just now.")
