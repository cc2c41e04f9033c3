"""The Train tab in a real browser: a fine-tune on a taste of its own, started, watched, killed around, adopted.

    FREEAVATAR_HOME=/tmp/home python -m benchmarks.taste --renders RENDERS
    FREEAVATAR_HOME=/tmp/home python -m benchmarks.train_tab --out /tmp/shots

Starts the app, presses Start, kills the app in mid-run (SIGKILL), starts it again, waits for the end, adopts and rolls
back by clicks, and prints the figures; screenshots go to ``--out``. Stop it at any time: the run goes on.
"""

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from playwright.sync_api import Page, sync_playwright

from freeavatar.files import make_folder
from freeavatar.models.library import adopted_bundle
from training.engine.metrics import read_metrics
from training.jobs.job import Run, list_runs
from webapp.train.view import verdict_words

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class JourneyConfig:
    """What to do."""

    out: Path
    port: int = 7869
    chromium: str = "/usr/bin/chromium"
    minutes: float = 60.0
    """Patience."""


def start_app(config: JourneyConfig) -> subprocess.Popen:
    """The app as a process of its own."""
    command = [sys.executable, "app.py", "--no-browser", "--port", str(config.port), "--tabs", "label", "train"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def open_tab(page: Page, config: JourneyConfig) -> None:
    """Go to the Train tab, as soon as the app is there."""
    end = time.monotonic() + 60 * config.minutes
    while True:
        try:
            page.goto(f"http://127.0.0.1:{config.port}")
            break
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(1)
    page.get_by_role("tab", name="Train").click()
    page.wait_for_selector("#train-start")


def until(config: JourneyConfig, is_reached) -> Run:
    """The newest run, when it has come that far."""
    end = time.monotonic() + 60 * config.minutes
    while not (list_runs() and is_reached(list_runs()[0])):
        assert time.monotonic() < end, list_runs()
        time.sleep(1)
    return list_runs()[0]


def main(config: JourneyConfig) -> None:
    """Walk the journey."""
    out, app = make_folder(config.out), start_app(config)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=config.chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(60_000 * config.minutes)
            open_tab(page, config)
            page.fill("#train-title textarea, #train-title input", "Eyes first")
            page.click("#train-start")
            until(config, lambda run: read_metrics(run.folder / "encoder"))
            app.send_signal(signal.SIGKILL)
            print("the app was killed; the run:", list_runs()[0].state)
            app = start_app(config)
            open_tab(page, config)
            page.wait_for_selector(".trn-state.running")
            page.screenshot(path=out / "running.png", full_page=True)
            run = until(config, lambda run: not run.is_going)
            print(run.state, run.reason, {name: f"{s:.0f} s" for name, s in run.status["seconds"].items()})
            page.wait_for_selector("#train-adopt")
            page.screenshot(path=out / "finished.png", full_page=True)
            print_state(run)
            for button in ("#train-adopt", "#train-back"):
                page.click(button)
                page.wait_for_timeout(6000)
                print(f"{button}: {adopted_bundle().name} is in use")
            browser.close()
    finally:
        app.kill()


def print_state(run: Run) -> None:
    """Print the figures."""
    report = json.loads((run.folder / "report.json").read_text())
    print(verdict_words(report))
    for name in ("held_out", "held_out_new", "validation"):
        for when in ("before", "after", "difference") if name in report else ():
            figure = report[name][when]
            print(f"{name:13s} {when:10s} {figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]")
    print("rig", report["rig"])


if __name__ == "__main__":
    main(tyro.cli(JourneyConfig, description=__doc__))
