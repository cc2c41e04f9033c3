"""What ``animate`` costs by length, by size and by avatars: a table, and a picture of it.

    python -m benchmarks.cost CLIP.mp4 --out costs [--lengths 10 60 600] [--sizes 512 1080 2160] [--avatars 1 2 4 8]

The clip is looped; sizes are heights of the actor's frames at 16:9. Every figure is one run of the command in a fresh
folder, start-up included, by every core.
"""

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
import tyro
from plotly.subplots import make_subplots

from freeavatar.avatars import builtin_avatars

LENGTH, SIZE = 10, 512
"""Seconds and height of what is not varied."""


@dataclass(frozen=True)
class CostConfig:
    """What to vary."""

    clip: tyro.conf.Positional[Path]
    out: Path
    """Folder for ``costs.md`` and ``costs.html``."""
    lengths: tuple[int, ...] = (10, 60, 600)
    """Seconds."""
    sizes: tuple[int, ...] = (512, 1080, 2160)
    """Heights in pixels."""
    avatars: tuple[int, ...] = (1, 2, 4, 8)


@dataclass(frozen=True)
class Cost:
    """One run."""

    seconds: float
    """Of video."""
    wall: float
    cpu: float
    """Seconds of all cores."""
    peak: float
    """Resident memory, MB."""


def measure(clip: Path, seconds: int, height: int, avatars: int) -> Cost:
    """Animate a loop of the clip."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        arguments = [str(clip), str(seconds), str(path), str(height), str(height * 16 // 9)]
        subprocess.run([sys.executable, "-m", "benchmarks.memory", "loop", *arguments], check=True)
        names = [word for name in builtin_avatars()[:avatars] for word in ("--avatar", name)]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-c", _RUN, "animate", str(path), "--out", str(Path(folder) / "out"), *names]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(float(seconds), wall, cpu, int(done.stdout.split()[-1]) / 1024)


_RUN = """
import resource, sys
from freeavatar.cli import main
failed = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(failed)
"""


def main(config: CostConfig) -> None:
    """Measure, and write table and picture."""
    config.out.mkdir(parents=True, exist_ok=True)
    runs = {
        "length, s": [(length, (length, SIZE, 1)) for length in config.lengths],
        "height, pixels": [(size, (LENGTH, size, 1)) for size in config.sizes],
        "avatars": [(count, (LENGTH, SIZE, count)) for count in config.avatars],
    }
    known: dict[tuple[int, int, int], Cost] = {}
    lines = ["| varied | at | wall s | CPU s | wall s a second of video | peak MB |", "|---|---|---|---|---|---|"]
    figure = make_subplots(1, len(runs), subplot_titles=list(runs), y_title="seconds a second of video")
    for column, (name, cases) in enumerate(runs.items(), 1):
        costs = []
        for at, case in cases:
            cost = known[case] = known.get(case) or measure(config.clip, *case)
            costs.append(cost.wall / cost.seconds)
            lines.append(f"| {name} | {at} | {cost.wall:.1f} | {cost.cpu:.1f} | {costs[-1]:.2f} | {cost.peak:.0f} |")
            print(lines[-1], flush=True)
        points = go.Scatter(x=[at for at, _ in cases], y=costs, mode="lines+markers", showlegend=False)
        figure.add_trace(points, row=1, col=column)
        figure.update_xaxes(type="log", tickvals=[at for at, _ in cases], row=1, col=column)
    figure.update_yaxes(rangemode="tozero")
    (config.out / "costs.md").write_text("\n".join(lines) + "\n")
    figure.write_html(config.out / "costs.html")


if __name__ == "__main__":
    main(tyro.cli(CostConfig, description=__doc__))
