"""Fine-tuning jobs: labels in, a whole bundle out, by a process of its own that outlives whoever started it.

    python -m training.jobs --train labels/train.jsonl --images labels/images --held-out labels/held_out.jsonl
    python -m training.jobs --train t.jsonl --images crops plan:plan --plan.steps 4 --plan.batch 12 \
        --plan.rehearsal 12 --plan.validation 12 --plan.refit 0 --plan.no-has-clip   # under a minute

A run is a folder ``$FREEAVATAR_HOME/runs/<id>``, and nothing else knows anything of it: ``config.json`` (the
settings, and the labels by hash), ``status.json`` (written by the process alone, see ``training/jobs/runner.py``),
``log.txt``, a folder for each stage, ``report.json``. Touching ``stop`` in it stops the run, on any machine that
shares the disk; starting it again goes on from its checkpoint.
"""

import hashlib
import json
import logging
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from freeavatar.errors import InputError
from freeavatar.files import make_folder, replacing
from freeavatar.models.bundle import check_parts
from freeavatar.models.library import bundle_id, whole_bundle
from freeavatar.paths import runs_folder
from training.engine.devices import check_device
from training.jobs.launching import ROOT, one_at_a_time, started_at, submit

logger = logging.getLogger(__name__)

CONFIG, STATUS, LOG, STOP = "config.json", "status.json", "log.txt", "stop"
_PATHS = ("train", "images", "held_out", "original")
_SILENCE = 120.0
"""Seconds without a sign of life after which a run on another machine counts as dead."""
Launcher = Literal["process", "slurm", "local"]
State = Literal["starting", "running", "stopped", "failed", "finished"]
Preset = Literal["quick", "standard", "long"]


@dataclass(frozen=True)
class Plan:
    """How much a run does."""

    steps: int = 400
    """Of the encoder."""
    batch: int = 96
    """Images a step: over all processes on a CPU, of each GPU."""
    rehearsal: int = 240
    """Rendered faces to rehearse with."""
    rate: float = 2e-3
    """Peak learning rate, of the embedding: feature and decoder go far slower, lest rigs be forgotten."""
    backbone_rate: float = 0.0
    """Factor on the backbone's; 0 leaves all but the embedding as it is, which saves two thirds of the time."""
    validation: int = 120
    """Rendered faces of the shipped validation set."""
    reports: int = 3
    """Looks at the held-out answers on the way."""
    has_clip: bool = True
    """Animate an example clip before and after."""
    refit: int = 600
    """Steps of the rig decoder afterwards, if the base has a neural renderer to judge it by; 0 leaves it."""

    def __post_init__(self) -> None:
        if min(self.steps, self.rehearsal, self.validation, self.reports) < 1 or self.batch < 12:
            raise InputError("a plan needs at least 1 step, 12 images a batch, and some faces to rehearse with.")


PLANS: dict[str, Plan] = {
    "quick": Plan(),
    "standard": Plan(steps=2000, batch=96, backbone_rate=0.02, rehearsal=4000, validation=400, reports=20),
    "long": Plan(steps=12_000, batch=128, backbone_rate=0.05, rehearsal=16_000, validation=400, reports=40),
}


@dataclass(frozen=True)
class JobConfig:
    """What to learn, from what, where."""

    train: Path
    """Triplets to learn from, JSONL."""
    images: Path
    """Folder of the triplets' images."""
    held_out: Path | None = None
    """Triplets to measure on: answers to random questions."""
    base: str = "default"
    """Bundle to start from: its name, id or folder."""
    title: str = ""
    """Of the new bundle."""
    preset: Preset = "quick"
    plan: Plan | None = None
    """Default: the preset's."""
    device: str = "cpu"
    """cpu, mps, cuda:0, or several as cuda:0,1."""
    processes: int = 1
    """Processes that share the work, by torchrun; with GPUs one each."""
    launcher: Launcher = "process"
    """A process here, or submitit's cluster: slurm, or local to try it."""
    cluster: dict[str, str] = field(default_factory=dict)
    """What submitit is told besides, such as slurm_partition=gpu."""
    original: Path | None = None
    """Original faces to rehearse with as well: a folder with images.zip and labels.csv."""
    labels: dict[str, Any] = field(default_factory=dict)
    """How the labels were chosen, for the record."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Of the labels, by file; filled in when the run is made."""
    base_id: str = ""
    """Filled in when the run is made."""
    has_renderer: bool = False
    """Whether the base has a neural renderer; filled in when the run is made."""

    @property
    def amount(self) -> Plan:
        """The plan that counts."""
        return self.plan or PLANS[self.preset]

    @property
    def is_refitted(self) -> bool:
        """Whether the rig decoder has a stage of its own."""
        return self.has_renderer and self.amount.refit > 0


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it."""

    folder: Path
    config: JobConfig
    state: State
    status: dict[str, Any]
    reason: str
    """Why it failed."""

    @property
    def id(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def is_going(self) -> bool:
        """Whether it is on its way."""
        return self.state in ("starting", "running")


def new_folder() -> Path:
    """A folder for a run to be; its labels go there first."""
    return make_folder(make_folder(runs_folder()) / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid4().hex[:4]}")


def prepare_run(folder: Path, config: JobConfig) -> Run:
    """See that a run can be made as asked, and write its settings.

    Raises:
        InputError, WeightsError: the device is not there, the disk is full, the base does not load, labels are missing.
    """
    check_device(config.device, config.processes, is_here=config.launcher != "slurm")
    base = whole_bundle(config.base)
    settings = check_parts(base)
    files = [path for path in (config.train, config.held_out) if path is not None]
    for path in files:
        if not path.is_file():
            raise InputError("there are no labels {}: export some, or take them in the Train tab.", path)
    _check_room(folder, base, config.amount)
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    paths = {name: path.resolve() for name in _PATHS if (path := getattr(config, name))}
    full = replace(config, base=str(base.resolve()), sha256=hashes, **paths)
    full = replace(full, base_id=bundle_id(base), has_renderer=bool(settings.get("renderer")))
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(asdict(full), default=str, indent=1))
    write_status(folder, state="stopped", stage="", done=[])
    return read_run(folder)


def start_run(folder: Path) -> Run:
    """Start a prepared run, or go on with one that was stopped or failed.

    Raises:
        InputError: another run is going on, the device is not there, or there is no cluster.
    """
    config = _read_config(folder)
    check_device(config.device, config.processes, is_here=config.launcher != "slurm")
    with one_at_a_time(runs_folder()):
        if config.launcher != "slurm":
            _refuse_company(folder)
        (folder / STOP).unlink(missing_ok=True)
        before = read_status(folder)
        write_status(folder, **{**before, "state": "starting", "began": time.time(), "reason": "", "pid": None})
        command = [sys.executable, "-m", "training.jobs.runner", str(folder)]
        try:
            if config.launcher == "process":
                _spawn(folder, command)
            else:
                submit(command, folder / "submitit", config.launcher, config.processes, config.device, config.cluster)
        except (InputError, OSError):
            write_status(folder, **before)
            raise
    return read_run(folder)


def stop_run(folder: Path) -> None:
    """Ask a run to save and end; it may take a few seconds."""
    with suppress(FileNotFoundError):
        (folder / STOP).touch()


def list_runs() -> list[Run]:
    """Every run there is, newest first."""
    home = runs_folder()
    folders = (
        sorted((path for path in home.iterdir() if (path / CONFIG).is_file()), reverse=True) if home.is_dir() else []
    )
    found = []
    for folder in folders:
        with suppress(InputError):
            found.append(read_run(folder))
    return found


def read_run(folder: Path) -> Run:
    """A run as its folder tells it now.

    Raises:
        InputError: it is no folder of a run.
    """
    config, status = _read_config(folder), read_status(folder)
    state, reason = status.get("state", "stopped"), status.get("reason", "")
    if state in ("starting", "running") and not _is_alive(config, status):
        state, reason = "failed", _last_words(folder)
    return Run(folder, config, state, status, reason)


def read_status(folder: Path) -> dict[str, Any]:
    """What the run's process wrote last; empty if there is nothing."""
    try:
        return json.loads((folder / STATUS).read_text())
    except (OSError, ValueError):
        return {}


def write_status(folder: Path, **status: Any) -> None:
    """Replace the status."""
    with replacing(folder / STATUS) as temporary:
        temporary.write_text(json.dumps(status))


def _check_room(folder: Path, base: Path, plan: Plan) -> None:
    weights = sum(path.stat().st_size for path in base.glob("*.safetensors"))
    needed = 14 * weights + 25_000 * (plan.rehearsal + plan.validation) + 30 * 2**20
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            "the disk of {} has {:.0f} MB free, and this run takes about {:.0f} MB: make room, or choose another "
            "FREEAVATAR_HOME.",
            folder.parent,
            free / 2**20,
            needed / 2**20,
        )


def _refuse_company(folder: Path) -> None:
    for other in list_runs():
        if other.is_going and other.config.launcher != "slurm":
            since = time.strftime("%H:%M", time.localtime(other.status.get("began", 0)))
            name = "this run" if other.folder == folder else other.config.title or other.id
            raise InputError(
                "a run is going on already ({}, since {}): wait for its end, or stop it first.", name, since
            )


_children: dict[int, subprocess.Popen] = {}
"""What this process started: to be asked, or they would stay as zombies."""


def _spawn(folder: Path, command: list[str]) -> None:
    with (folder / LOG).open("ab") as log:
        child = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )  # fmt: skip
    _children[child.pid] = child
    status = read_status(folder)
    if status.get("pid") is None:
        here = {"pid": child.pid, "host": socket.gethostname(), "started": started_at(child.pid)}
        write_status(folder, **{**status, **here})


def _is_alive(config: JobConfig, status: dict[str, Any]) -> bool:
    pid = status.get("pid")
    if pid is None:
        return config.launcher != "process"  # waiting for its turn
    if status.get("host") != socket.gethostname():
        return time.time() - status.get("beat", 0) < _SILENCE
    if pid in _children:
        return _children[pid].poll() is None
    return started_at(pid) is not None and started_at(pid) == status.get("started")


def _last_words(folder: Path) -> str:
    if shutil.disk_usage(folder).free < 2**20:
        return "the disk is full: make room, then resume."
    return "its process is gone (killed, or the machine was restarted): resume goes on from the last checkpoint."


def _read_config(folder: Path) -> JobConfig:
    try:
        found = json.loads((folder / CONFIG).read_text())
        paths = {name: Path(found[name]) for name in _PATHS if found.get(name)}
        return JobConfig(**{**found, **paths, "plan": Plan(**found["plan"]) if found.get("plan") else None})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError("{} holds no run ({}): choose one that the Train tab lists.", folder, error) from error


def main(config: JobConfig) -> None:
    """Start a run and say where it is."""
    folder = new_folder()
    try:
        prepare_run(folder, config)
        start_run(folder)
    except BaseException:
        if not (folder / LOG).exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise
    print(folder)
