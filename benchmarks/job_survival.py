"""Runs under rough handling: stopped, killed, shared out by torchrun, handed to submitit, short of room.

    python -m benchmarks.job_survival                 # all of it, a few minutes
    python -m benchmarks.job_survival --only stop     # stop, torchrun, submitit, full

Each uses a tiny base and labels that are noise (``tests/jobs.py``), in a home of its own.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from freeavatar.errors import FreeAvatarError
from freeavatar.models.library import find_bundle
from tests.jobs import PLAN, make_job
from training.engine.metrics import read_metrics
from training.jobs.job import JobConfig, Run, new_folder, prepare_run, read_run, start_run, stop_run

What = Literal["stop", "torchrun", "submitit", "full"]
_PATIENCE = 1200.0


@dataclass(frozen=True)
class SurvivalConfig:
    """What to try."""

    only: tuple[What, ...] = ("stop", "torchrun", "submitit", "full")


def wait(folder: Path, is_reached) -> Run:
    """The run when it has come that far."""
    end = time.monotonic() + _PATIENCE
    while not is_reached(run := read_run(folder)):
        assert time.monotonic() < end, (run, (folder / "log.txt").read_text()[-2000:])
        time.sleep(0.3)
    return run


def begin(config: JobConfig) -> Path:
    """A run that was started."""
    folder = new_folder()
    prepare_run(folder, config)
    start_run(folder)
    return folder


def try_stop(place: Path) -> None:
    """Stop, resume, kill the trainer, resume, kill the runner."""
    folder = begin(make_job(place, plan=replace(PLAN, steps=3000), title="long"))
    wait(folder, lambda run: read_metrics(folder / "encoder"))
    stop_run(folder)
    run = wait(folder, lambda run: not run.is_going)
    print(f"stopped: {run.state}, checkpoint {(folder / 'encoder' / 'checkpoint.pt').exists()}")
    start_run(folder)
    steps = read_metrics(folder / "encoder")[-1]["step"]
    run = wait(folder, lambda run: read_metrics(folder / "encoder")[-1]["step"] > steps and run.status.get("child"))
    print(f"resumed: step {steps:.0f} became {read_metrics(folder / 'encoder')[-1]['step']:.0f}")
    os.kill(run.status["child"], signal.SIGKILL)
    run = wait(folder, lambda run: not run.is_going)
    print(f"trainer killed: {run.state}: {run.reason}")
    start_run(folder)
    run = wait(folder, lambda run: run.state == "running" and run.status.get("stage") == "encoder")
    os.kill(run.status["pid"], signal.SIGKILL)
    run = wait(folder, lambda run: not run.is_going)
    print(f"runner killed: {run.state}: {run.reason}")
    time.sleep(10)
    print(f"its trainer ended with it: {not Path('/proc', str(run.status.get('child'))).exists()}")


def try_whole(place: Path, **more) -> None:
    """One run to its end."""
    began = time.monotonic()
    folder = begin(make_job(place, **more))
    run = wait(folder, lambda run: not run.is_going)
    print(f"{more}: {run.state} {run.reason}, bundle {run.status.get('bundle')}, {time.monotonic() - began:.0f} s")
    lines = [line for line in read_metrics(folder / "encoder") if "minutes" in line]
    print("  loss on the labels:", [round(line["listed_triplets"], 4) for line in lines])


def try_full(place: Path) -> None:
    """A disk of 24 MB: refused at the start, or said when it runs full on the way."""
    room = place / "small"
    room.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(room)], check=True)
    try:
        os.environ["FREEAVATAR_HOME"] = str(room)
        config = make_job(place / "labels")
        try:
            begin(config)
        except FreeAvatarError as error:
            print("before the start:", error)
        (room / "filler").write_bytes(bytes(23 * 2**20))
        base = find_bundle(config.base)
        command = [sys.executable, "-m", "freeavatar", "models", "import", str(base)]
        done = subprocess.run(command, capture_output=True, text=True)
        print("import:", done.returncode, done.stderr.strip())
    finally:
        subprocess.run(["umount", str(room)], check=False)


def main(config: SurvivalConfig) -> None:
    """Try what is asked for."""
    with tempfile.TemporaryDirectory() as scratch:
        for what in config.only:
            place = Path(scratch, what)
            place.mkdir()
            os.environ["FREEAVATAR_HOME"] = str(place / "home")
            if what == "stop":
                try_stop(place)
            elif what == "full":
                try_full(place)
            else:
                try_whole(place, **({"processes": 2} if what == "torchrun" else {"launcher": "local"}))


if __name__ == "__main__":
    main(tyro.cli(SurvivalConfig, description=__doc__))
