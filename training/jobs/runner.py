"""The process behind a run: its stages one after the other, each a command of its own, reported in ``status.json``.

    python -m training.jobs.runner RUN   # what ``training.jobs`` starts

A stage that ends with an error ends the run, with the stage's own sentence as the reason. ``RUN/stop``, or SIGTERM,
makes the stage save and end; the next start goes on with that stage.
"""

import ctypes
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from freeavatar.files import replacing
from freeavatar.models.config import encoder_config, read_config
from freeavatar.models.library import add_bundle
from training.engine.loop import INTERRUPTED, MARK
from training.jobs.job import LOG, STOP, JobConfig, read_run, read_status, write_status
from training.jobs.launching import ROOT, started_at
from training.renders.rehearsal import portraits_folder, rehearsal_folder

logger = logging.getLogger(__name__)

EXAMPLE = ROOT / "examples" / "actor.mp4"
"""The clip that is animated before and after."""
REFIT = ROOT / "training" / "configs_refit.yaml"
"""How the rig decoder is refitted."""
_PAUSE, _BEAT = 0.5, 10.0
"""Seconds between two looks at a stage, and between two signs of life."""


@dataclass(frozen=True)
class Step:
    """One stage of a run."""

    name: str
    """Of its folder, too."""
    title: str
    command: list[str]


def steps_of(folder: Path, config: JobConfig) -> list[Step]:
    """The stages of a run, in order: whoever adds one that makes weights adds its line here."""
    steps = [
        Step("rehearsal", "Rendering faces to rehearse with", _rehearse(config)),
        Step("encoder", "Training on the labels", _train(folder, config)),
    ]
    if config.is_refitted:
        steps.append(Step("decoder", "Refitting the rig decoder", _refit(folder, config)))
    weights = folder / steps[-1].name / "weights"
    return [*steps, Step("compare", "Comparing before and after", _compare(folder, config, weights))]


def weights_of(folder: Path) -> Path:
    """The bundle a run made: that of the last stage that has one."""
    return sorted(folder.glob("*/weights"), key=lambda path: path.stat().st_mtime)[-1]


def _rehearse(config: JobConfig) -> list[str]:
    plan = config.amount
    counts = ["--count", str(plan.rehearsal), "--validation", str(plan.validation)]
    portraits = ["--portraits"] if config.is_refitted else []
    return [sys.executable, "-m", "training.renders.rehearsal", *counts, *portraits]


def _train(folder: Path, config: JobConfig) -> list[str]:
    plan, base = config.amount, Path(config.base)
    settings = asdict(encoder_config(base, read_config(base)))
    cells = "--has-cells" if settings.pop("has_cells") else "--no-has-cells"
    slow = 0.01 if plan.backbone_rate else 0.0
    # Processes share the cores of a CPU, and with them the batch; GPUs get one each.
    batch = plan.batch if config.device.startswith("cuda") else plan.batch // config.processes
    options: dict[str, Any] = {
        "out": folder / "encoder", "start": base, "teacher": base, "device": config.device.partition(":")[0],
        "triplets": config.train, "triplet-images": config.images, "renders": rehearsal_folder(plan.rehearsal),
        "steps": plan.steps, "batch": batch, "parts": config.processes, "rate": plan.rate,
        "log-every": max(1, plan.steps // 100), "report-every": max(1, plan.steps // plan.reports),
        "save-minutes": 1, "backbone-rate": plan.backbone_rate, "listed-share": 3,
        "feature-rate": slow, "decoder-rate": slow, "distillation": 2, "embedding-share": 0.5,
        **{name.replace("_", "-"): value for name, value in settings.items()},
    }  # fmt: skip
    if config.held_out is not None:
        options["held-out"] = config.held_out
    if config.original is not None:
        options["faces"] = config.original
    command = ["training.train", "--is-norm-frozen", cells, *([] if plan.backbone_rate else ["--no-is-relit"])]
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    if config.processes == 1:
        return [sys.executable, "-m", *command]
    # Behind the dashes torchrun leaves options alone; it would take --start for one of its own.
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc_per_node={config.processes}", "-m", "--"]
    return [sys.executable, "-m", *torchrun, *command]


def _refit(folder: Path, config: JobConfig) -> list[str]:
    """One process: the features of all images are encoded once, which is most of the work."""
    plan = config.amount
    faces = ("data.faces", config.original) if config.original else ("data.images", config.images)
    options = {
        "pretrained": folder / "encoder" / "weights", "teacher": config.base, "portraits": portraits_folder(),
        "data.renders": rehearsal_folder(plan.rehearsal), faces[0]: faces[1],
        "engine.out": folder / "decoder", "engine.steps": plan.refit, "engine.log-every": max(1, plan.refit // 30),
        "engine.device": config.device.partition(":")[0],
    }  # fmt: skip
    options_text = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return [sys.executable, "-m", "training.train_emb2rig_multichar", str(REFIT), *options_text]


def _compare(folder: Path, config: JobConfig, weights: Path) -> list[str]:
    command = [sys.executable, "-m", "training.measure.before_after", "--before", config.base, "--after", str(weights)]
    command += ["--out", str(folder / "compare"), "--train", str(config.train), "--images", str(config.images)]
    command += ["--validation", str(config.amount.validation), "--device", config.device.partition(":")[0]]
    if config.held_out is not None:
        command += ["--held-out", str(config.held_out)]
    if config.amount.has_clip and EXAMPLE.is_file():
        command += ["--clip", str(EXAMPLE)]
    return command


class Runner:
    """Works through the stages of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._config = folder, read_run(folder).config
        self._is_ending = False
        before = read_status(folder)
        self._status: dict[str, Any] = {
            "began": before.get("began", time.time()), "done": before.get("done", []),
            "seconds": before.get("seconds", {}), "pid": os.getpid(), "host": socket.gethostname(),
            "started": started_at(os.getpid()),
        }  # fmt: skip

    def go(self) -> int:
        """Run every stage that is not done; the exit code."""
        signal.signal(signal.SIGTERM, self._end)
        for step in steps_of(self._folder, self._config):
            if step.name in self._status["done"]:
                continue
            self._report("running", step)
            reason = self._run(step)
            if self._is_ending:
                self._report("stopped", step)
                return 0
            if reason:
                self._report("failed", step, reason=reason)
                return 1
            self._status["done"].append(step.name)
        return self._finish()

    def _finish(self) -> int:
        try:
            bundle = publish(self._folder, self._config)
        except Exception as error:
            logger.exception("the bundle could not be kept")
            self._report("failed", reason=str(error))
            return 1
        self._report("finished", bundle=bundle)
        return 0

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._is_ending = True

    def _report(self, state: str, step: Step | None = None, **more: Any) -> None:
        where = {"stage": step.name, "title": step.title} if step else {"stage": "", "title": ""}
        self._last = {**self._status, "state": state, **where, **more, "beat": time.time()}
        try:
            write_status(self._folder, **self._last)
        except Exception:
            logger.exception("the status could not be written")

    def _run(self, step: Step) -> str:
        """Run a stage to its end; why it failed, or nothing."""
        logger.info("%s", step.title)
        log, began, is_signalled = self._folder / LOG, time.monotonic(), False
        start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            process = subprocess.Popen(
                step.command, cwd=ROOT, env=_environment(self._config), stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, preexec_fn=_die_with_parent,
            )  # fmt: skip
        self._report("running", step, child=process.pid)
        while process.poll() is None:
            self._is_ending |= (self._folder / STOP).exists()
            if self._is_ending and not is_signalled:
                process.terminate()
                is_signalled = True
            if time.time() - self._last["beat"] > _BEAT:
                self._report("running", step, child=process.pid)
            time.sleep(_PAUSE)
        seconds = self._status["seconds"]
        seconds[step.name] = seconds.get(step.name, 0.0) + time.monotonic() - began
        return reason_of(process.returncode, log, start)


def reason_of(code: int, log: Path, start: int) -> str:
    """Why a process ended: nothing for exit code 0, else its own sentence from the log after ``start`` bytes."""
    if code == 0:
        return ""
    with log.open("rb") as file:
        file.seek(start)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    marked = [line.partition(MARK)[2] for line in lines if MARK in line]
    if marked:
        return marked[-1]
    if code < 0 or code == INTERRUPTED:
        name = signal.Signals(-code if code < 0 else signal.SIGTERM).name
        why = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"the trainer was killed ({name}{why}): resume goes on from the last checkpoint."
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors or lines or [f"it ended with code {code}."])[-1]


def publish(folder: Path, config: JobConfig) -> str:
    """Put the run's bundle into the library, with where it came from; its id."""
    report = json.loads((folder / "compare" / "report.json").read_text())
    with replacing(folder / "report.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1))
    title = config.title or f"Fine-tuned {time.strftime('%d %B %Y, %H:%M')}"
    plan = vars(config.amount)
    lineage = {
        "title": title, "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "base": config.base_id, "run": folder.name,
        "labels": {**config.labels, "sha256": config.sha256}, "settings": {"preset": config.preset, **plan},
    }  # fmt: skip
    card = (
        f"# {title}\n\nFine-tuned from bundle {config.base_id} ({config.preset}: {plan['steps']} steps of "
        f"{plan['batch']} images) on labels {', '.join(f'{n} {h[:12]}' for n, h in config.sha256.items())}. "
        "What the base's card says of data, licences and limits holds here, too.\n\n"
        f"```json\n{json.dumps({k: v for k, v in report.items() if k != 'clip'}, indent=1)}\n```\n"
    )
    return add_bundle(weights_of(folder), lineage=lineage, metrics=report, card=card).id


def _environment(config: JobConfig) -> dict[str, str]:
    own = dict(os.environ)
    kind, _, numbers = config.device.partition(":")
    if kind == "cuda" and numbers and config.launcher != "slurm":
        own["CUDA_VISIBLE_DEVICES"] = numbers
    if config.processes > 1 and kind == "cpu":
        own.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // config.processes)))
    return own


def _die_with_parent() -> None:
    """Have the system end a stage when its runner is killed, so that none goes on behind the page's back."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    sys.exit(Runner(Path(sys.argv[1])).go())
