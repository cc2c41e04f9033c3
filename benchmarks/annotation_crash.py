"""Many processes write labels while a backup and an export run, and one of them is killed every two seconds.

    python -m benchmarks.annotation_crash                                  # 16 processes x 500 answers
    python -m benchmarks.annotation_crash --processes 4 --answers 60       # CPU-sized

A writer notes an answer as acknowledged once the call has returned; a killed one is started again for the
rest. Afterwards every acknowledged answer must be there, `check` must pass, and the last backup must be sound.
"""

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from annotation.store.ids import now
from annotation.store.maintenance import backup_store, check_store
from annotation.store.store import Store

WEIGHTS = "benchmark"


@dataclass(frozen=True)
class CrashConfig:
    """How many write, and how often one dies."""

    processes: int = 16
    answers: int = 500
    """Of each process."""
    kill_every: float = 2.0
    """Seconds."""
    images: int = 400


def make_store(path: Path, config: CrashConfig) -> Store:
    """A pool of images without pictures, and an annotator for each writer."""
    store, rng = Store(path), np.random.default_rng(0)
    vectors = rng.normal(size=(config.images, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with store.write() as db:
        for k, vector in enumerate(vectors):
            row = (f"{k:032x}", "photo", f"benchmark {k}", None, "none", None, None, b"jpeg", now())
            db.execute("insert into images values (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            db.execute("insert into embeddings values (?, ?, ?)", (row[0], WEIGHTS, vector.tobytes()))
        for k in range(config.processes):
            db.execute("insert into annotators values (?, 'link', null, null, '', ?)", (f"link:{k}", now()))
    return store


def write(path: Path, person: int, log: Path, answers: int) -> None:
    """Ask and answer until ``log`` holds ``answers`` ids."""
    from annotation.asking.desk import Desk
    from annotation.pool.index import LiveIndex

    store = Store(path)
    desk = Desk(store, LiveIndex(store, WEIGHTS))
    done = len(log.read_text().split()) if log.exists() else 0
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for k in range(done, answers):
        if not _has_parent():
            return
        asked = desk.ask(f"link:{person}", form="odd")
        answer = desk.answer(asked.lease, "choice", [k % 3], seconds=1.0)
        os.write(file, f"{answer}\n".encode())


def _has_parent() -> bool:
    """Whether who started this process still runs: a killed one cannot take its children along."""
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()


def back_up(path: Path, out: Path) -> None:
    """Back up again and again."""
    store = Store(path)
    while _has_parent():
        backup_store(store, out)
        time.sleep(0.2)


def export(path: Path, out: Path) -> None:
    """Export again and again."""
    from annotation.results.exporting import export_labels
    from freeavatar.errors import InputError

    store = Store(path)
    while _has_parent():
        try:
            export_labels(store, out, kind="csv", min_agreement=0)
        except InputError as nothing_yet:
            if "no triplet" not in str(nothing_yet):
                raise
        time.sleep(0.2)


def main(config: CrashConfig) -> None:
    """Write, kill, count; exits 1 if an acknowledged answer is missing or the database is damaged."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    context, rng = multiprocessing.get_context("spawn"), random.Random(0)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        path, copy = folder / "labels.db", folder / "backup.db"
        make_store(path, config).close()
        jobs = {f"writer {k}": (write, (path, k, folder / f"{k}.log", config.answers)) for k in range(config.processes)}
        others = {"backup": (back_up, (path, copy)), "export": (export, (path, folder / "labels.csv"))}
        running = {}
        start = time.monotonic()
        due, kills, failures = start + config.kill_every, dict.fromkeys(("writer", "backup", "export"), 0), 0
        try:
            while jobs:
                for name, (work, values) in (jobs | others).items():
                    if name not in running:
                        running[name] = context.Process(target=work, args=values, daemon=True)
                        running[name].start()
                time.sleep(0.05)
                if time.monotonic() > due:
                    due += config.kill_every
                    name = rng.choice(sorted(running))
                    os.kill(running[name].pid, signal.SIGKILL)
                    kills[name.split()[0]] += 1
                for name, process in list(running.items()):
                    if process.exitcode is not None:
                        del running[name]
                        failures += process.exitcode > 0
                        if process.exitcode == 0:
                            jobs.pop(name, None)
            seconds = time.monotonic() - start
        finally:
            for process in running.values():
                process.kill()
                process.join()
        report(config, folder, seconds, kills, failures)


def report(config: CrashConfig, folder: Path, seconds: float, kills: dict[str, int], failures: int) -> None:
    """Count what was acknowledged and what is there."""
    acknowledged = {line for log in folder.glob("*.log") for line in log.read_text().split()}
    store = Store(folder / "labels.db")
    stored = {row["id"] for row in store.rows("select id from answers")}
    problems = check_store(store)
    copy_problems = check_store(Store(folder / "backup.db")) if (folder / "backup.db").exists() else ["no backup"]
    lost = acknowledged - stored
    print(f"{config.processes} processes x {config.answers} answers in {seconds:.0f} s; killed: {kills}")
    print(f"acknowledged {len(acknowledged)}, stored {len(stored)}, lost {len(lost)}, processes failed {failures}")
    print(f"check: {problems or 'sound'}; backup: {copy_problems or 'sound'}")
    raise SystemExit(int(bool(lost or problems or copy_problems or failures)))


if __name__ == "__main__":
    main(tyro.cli(CrashConfig, description=__doc__))
