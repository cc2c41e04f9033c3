"""The Train tab: labels become a better bundle that a person can watch, compare, adopt and take back.

Nothing of a run is kept here: every view is read from the run's folder, so that a reload, a second tab and a restart
of the app find it as it is.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context

from annotation.results.snapshots import Choice, count_labels, freeze_labels
from annotation.store.store import Store, default_path
from freeavatar.errors import InputError
from freeavatar.models.library import find_bundle, list_bundles
from training.engine.devices import need_torch, visible_devices
from training.jobs.job import LOG, JobConfig, Run, new_folder, prepare_run, start_run
from webapp.common.boxes import note
from webapp.common.doors import check_password, check_signed_in, password_set
from webapp.common.words import language_of, say, word
from webapp.train.panel import Panel, explained
from webapp.train.view import title_of

CSS = (Path(__file__).parent / "train.css").read_text()
PRESETS = ("quick", "standard", "long")
_LAUNCHERS = ("process", "slurm", "local")


def choice_of(agreement: float, by: Sequence[str], not_by: Sequence[str], most: float | None) -> Choice:
    """The labels that the page's controls choose."""
    return Choice(tuple(by), tuple(not_by), float(agreement), int(most or 0))


def labels_note(store: Store, choice: Choice, language: str) -> str:
    """How many labels there are."""
    counts = count_labels(store, choice)
    if not counts.learned:
        return note(say(language, "train.labels.none"))
    held = say(language, "train.labels.held", count=counts.held_out)
    kept = held if counts.held_out else say(language, "train.labels.not_held")
    return note(say(language, "train.labels", count=counts.learned, single=counts.single, kept=kept))


def begin(store: Store, choice: Choice, config: Callable[[Path, Path | None, Path], JobConfig]) -> Run:
    """Freeze the labels and start a run on them.

    Raises:
        InputError, WeightsError: it cannot start; nothing is left behind.
    """
    folder = new_folder()
    try:
        labels = freeze_labels(store, folder / "labels", choice)
        job = config(labels.train, labels.held_out, labels.images)
        counts = {"choice": asdict(choice), "triplets": labels.triplets, "held_out": labels.held_out_triplets}
        prepare_run(folder, replace(job, labels=counts))
        return start_run(folder)
    except BaseException:
        if not (folder / LOG).exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise


@dataclass(frozen=True)
class _Labels:
    """Controls of which labels to learn from, in the order of :func:`choice_of`."""

    agreement: gr.Slider
    by: gr.Dropdown
    not_by: gr.Dropdown
    most: gr.Number

    @property
    def all(self) -> list[Any]:
        return [self.agreement, self.by, self.not_by, self.most]


@dataclass(frozen=True)
class _Options:
    """Controls of how to train, in the order of :func:`_config`."""

    base: gr.Dropdown
    preset: gr.Radio
    device: gr.Dropdown
    title: gr.Textbox
    processes: gr.Number
    launcher: gr.Radio
    cluster: gr.Textbox
    original: gr.Textbox

    @property
    def all(self) -> list[Any]:
        return [
            self.base, self.preset, self.device, self.title, self.processes, self.launcher, self.cluster, self.original
        ]  # fmt: skip


def build(path: Path | None = None) -> None:
    """Lay the tab out inside the current ``gr.Blocks``.

    Args:
        path: the database of the labels; default the app's own.
    """
    store = Store(path or default_path())
    is_in = gr.State(not password_set())
    with gr.Column(visible=password_set()) as door:
        typed = gr.Textbox(label=word("door.password"), type="password", elem_id="train-password")
        enter = gr.Button(word("door.enter"), variant="primary", elem_id="train-enter")
    with gr.Column(visible=not password_set()) as room, gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            counted = gr.HTML("", elem_id="train-labels")
            labels = _label_controls()
            options = _run_controls()
            estimate = gr.HTML("", elem_id="train-time")
            start = gr.Button(word("train.start"), variant="primary", elem_id="train-start")
        with gr.Column(scale=3, min_width=320):
            panel = Panel(store, is_in)
    hidden: Any = {"api_visibility": "private", "show_progress": "hidden"}

    def sign_in(request: gr.Request, typed: str) -> tuple[Any, ...]:
        check_password(typed, language_of(request))
        return True, gr.Column(visible=False), gr.Column(visible=True)

    def fill(request: gr.Request, is_in: bool) -> dict[Any, Any]:
        if not is_in:
            return {counted: gr.skip()}
        language = language_of(request)
        people, bundles, used = explained(lambda: _choices(store, language), language)
        return {
            counted: labels_note(store, Choice(), language),
            labels.by: gr.Dropdown(choices=people), labels.not_by: gr.Dropdown(choices=people),
            options.base: gr.Dropdown(choices=bundles, value=used),
        }  # fmt: skip

    def count(request: gr.Request, is_in: bool, *values: Any) -> str:
        language = language_of(request)
        check_signed_in(is_in, language)
        return explained(lambda: labels_note(store, choice_of(*values), language), language)

    def reckon(request: gr.Request, is_in: bool, *values: Any) -> Any:
        language = language_of(request)
        return explained(lambda: _time_note(_config(*values), language), language) if is_in else gr.skip()

    def press(request: gr.Request, is_in: bool, *values: Any) -> str:
        language = language_of(request)
        check_signed_in(is_in, language)
        choice, rest = choice_of(*values[: len(labels.all)]), values[len(labels.all) :]

        def config(train: Path, held_out: Path | None, images: Path) -> JobConfig:
            return replace(_config(*rest), train=train, held_out=held_out, images=images)

        return explained(lambda: begin(store, choice, config), language).id

    entered = gr.on([enter.click, typed.submit], sign_in, typed, [is_in, door, room], **hidden)
    filled = [counted, labels.by, labels.not_by, options.base]
    assert Context.root_block is not None, "the tab is laid out inside gr.Blocks"
    for loaded in (Context.root_block.load, entered.success):
        loaded(fill, is_in, filled, **hidden).then(reckon, [is_in, *options.all], estimate, **hidden)
    gr.on([control.change for control in labels.all], count, [is_in, *labels.all], counted, **hidden)
    costly = [options.preset.change, options.device.change, options.processes.change]
    gr.on(costly, reckon, [is_in, *options.all], estimate, **hidden)
    panel.watch(start.click(press, [is_in, *labels.all, *options.all], panel.asked, **hidden))


def _choices(store: Store, language: str) -> tuple[list[str], list[tuple[str, str]], str]:
    """Who gave labels, the bundles to start from, and the one in use."""
    names = [row["id"] for row in store.rows("select distinct annotator_id as id from answers order by id")]
    bundles = [(f"{title_of(entry, language)} ({entry.id})", entry.name) for entry in list_bundles()]
    used = next((entry.name for entry in list_bundles() if entry.is_adopted), "default")
    return names, bundles, used


def _label_controls() -> _Labels:
    with gr.Accordion(word("train.choice"), open=False):
        return _Labels(
            gr.Slider(
                0, 1, 0.66, step=0.01, label=word("train.choice.agreement"), info=word("train.choice.agreement.info")
            ),
            gr.Dropdown([], multiselect=True, label=word("train.choice.by"), info=word("train.choice.by.info")),
            gr.Dropdown([], multiselect=True, label=word("train.choice.not_by")),
            gr.Number(0, minimum=0, precision=0, label=word("train.choice.most"), info=word("train.choice.most.info")),
        )


def _run_controls() -> _Options:
    devices = [(name, device) for device, name in visible_devices().items()]
    base = gr.Dropdown([(word("train.base.default"), "default")], label=word("train.base"), elem_id="train-base")
    preset = gr.Radio(
        [(word(f"train.preset.{name}"), name) for name in PRESETS], value="quick", label=word("train.preset"),
        elem_id="train-preset",
    )  # fmt: skip
    device = gr.Dropdown(devices, value=devices[0][1], label=word("train.device"), elem_id="train-device")
    title = gr.Textbox(
        label=word("train.title"), placeholder=word("train.title.example"), max_lines=1, elem_id="train-title"
    )
    with gr.Accordion(word("train.more"), open=False):
        processes = gr.Number(
            1, minimum=1, precision=0, label=word("train.processes"), info=word("train.processes.info")
        )
        launcher = gr.Radio(
            [(word(f"train.where.{name}"), name) for name in _LAUNCHERS], value="process", label=word("train.where")
        )
        cluster = gr.Textbox(
            label=word("train.cluster"), placeholder="slurm_partition=gpu timeout_min=600", max_lines=1
        )
        original = gr.Textbox(label=word("train.original"), max_lines=1, info=word("train.original.info"))
    return _Options(base, preset, device, title, processes, launcher, cluster, original)


def _config(
    base: str, preset: Any, device: str, title: str | None, processes: float | None, launcher: Any,
    cluster: str | None, original: str | None,
) -> JobConfig:  # fmt: skip
    """A job without its labels."""
    pairs = dict(item.partition("=")[::2] for item in (cluster or "").split())
    if not all(pairs.values()):
        raise InputError("{!r} is no list of settings: write name=value, with spaces between.", cluster)
    faces = Path(original.strip()).expanduser() if original and original.strip() else None
    if faces is not None and not (faces / "labels.csv").is_file():
        raise InputError("{} holds no labels.csv: give a folder with images.zip and labels.csv, or nothing.", faces)
    return JobConfig(
        train=Path(), images=Path(), base=base, preset=preset, device=device, title=(title or "").strip(),
        processes=max(int(processes or 1), device.count(",") + 1), launcher=launcher, cluster=pairs, original=faces,
    )  # fmt: skip


def _time_note(config: JobConfig, language: str) -> str:
    if config.device != "cpu" or config.launcher == "slurm":
        return note(say(language, "train.time.gpu"))
    need_torch()
    from training.jobs.estimate import estimate_minutes  # takes seconds to import

    minutes = estimate_minutes(replace(config, base=str(find_bundle(config.base))))
    if minutes < 120:
        return note(say(language, "train.time.minutes", count=round(minutes)))
    return note(say(language, "train.time.hours", count=f"{minutes / 60:.1f}"))
