"""Runs under rough handling: stopped, killed, shared out by torchrun, handed to submitit, short of room.

    python -m benchmarks.job_survival                 # all of it, a few minutes
    python -m benchmarks.job_survival --only stop     # stop, torchrun, submitit, full

Each uses a tiny base and labels that are noise (``tests/jobs.py``), in a home of its own.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from freeavatar.errors import FreeAvatarError
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


def resume(folder: Path) -> float:
    """Go on with a run until its encoder has come further; the step from which it did."""
    steps = read_metrics(folder / "encoder")[-1]["step"]
    start_run(folder)
    wait(folder, lambda run: read_metrics(folder / "encoder")[-1]["step"] > steps and run.status.get("child"))
    return steps


def try_stop(place: Path) -> None:
    """Stop, resume, end and kill the trainer and resume, kill the runner."""
    folder = begin(make_job(place, plan=replace(PLAN, steps=3000), title="long"))
    wait(folder, lambda run: read_metrics(folder / "encoder"))
    stop_run(folder)
    run = wait(folder, lambda run: not run.is_going)
    print(f"stopped: {run.state}, checkpoint {(folder / 'encoder' / 'checkpoint.pt').exists()}")
    for kind in (signal.SIGTERM, signal.SIGKILL):
        steps = resume(folder)
        print(f"resumed: step {steps:.0f} became {read_metrics(folder / 'encoder')[-1]['step']:.0f}")
        os.kill(read_run(folder).status["child"], kind)
        run = wait(folder, lambda run: not run.is_going)
        print(f"{kind.name} to the trainer alone: {run.state}: {run.reason}; bundle {run.status.get('bundle')}")
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
    """Refused at the start on a disk of 24 MB; on one of 240 MB that runs full on the way, said, and resumed."""
    room = place / "small"
    room.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    subprocess.run([*mount, "size=24m", "tmpfs", str(room)], check=True)
    try:
        os.environ["FREEAVATAR_HOME"] = str(room)
        try:
            begin(make_job(place / "labels"))
        except FreeAvatarError as error:
            print("before the start:", error)
        subprocess.run([*mount, "remount,size=240m", str(room)], check=True)
        folder = begin(make_job(place / "labels", plan=replace(PLAN, steps=1000)))
        wait(folder, lambda run: read_metrics(folder / "encoder"))
        fill(room / "filler")
        run = wait(folder, lambda run: not run.is_going)
        print(f"full: {run.state}: {run.reason}")
        (room / "filler").unlink()
        steps = read_metrics(folder / "encoder")[-1]["step"]
        start_run(folder)
        run = wait(folder, lambda run: not run.is_going)
        print(f"resumed from step {steps:.0f}: {run.state}: {run.reason}; bundle {run.status.get('bundle')}")
    finally:
        subprocess.run(["umount", "--lazy", str(room)], check=False)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


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
