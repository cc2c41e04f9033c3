"""Peak memory of ``animate`` on a clip looped to 10 seconds and to 5 minutes, at 1280 x 720.

python -m benchmarks.memory CLIP.mp4
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import tyro

from freeavatar.export.side_by_side import letterbox
from freeavatar.video import VideoReader, VideoWriter


@dataclass(frozen=True)
class MemoryConfig:
    """What to loop."""

    clip: tyro.conf.Positional[Path]
    seconds: tuple[int, ...] = (10, 300)


def loop(
    clip: Path, seconds: int, path: Path, *, size: tuple[int, int] = (720, 1280), rate: Fraction | None = None
) -> None:
    """Write ``clip`` over and over until it lasts ``seconds``, by default with its own frames a second."""
    images = (letterbox(frame.image, *size) for _ in repeat(None) for frame in VideoReader(clip))
    rate = rate or VideoReader(clip).info.rate
    with VideoWriter(path, size=size, rate=rate) as writer:
        for index, image in zip(range(int(seconds * rate)), images, strict=False):
            writer.write(image, float(index / rate))


def main(config: MemoryConfig) -> None:
    """Print the peak resident memory of one process a length."""
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for seconds in config.seconds:
            path = Path(folder) / f"{seconds}.mp4"
            arguments = [str(config.clip), str(seconds), str(path)]
            subprocess.run([sys.executable, "-m", "benchmarks.memory", "loop", *arguments], check=True)
            command = [sys.executable, "-c", _MEASURE, str(path), folder]
            peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
            peaks.append(peak / 1024)
            print(f"{seconds:4d} s: peak {peaks[-1]:.0f} MB", flush=True)
    print(f"growth {100 * (peaks[-1] / peaks[0] - 1):.1f} %")


_MEASURE = """
import os, resource, sys
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
from freeavatar.pipeline import animate
animate(sys.argv[1], out=sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

if __name__ == "__main__":
    if sys.argv[1:2] == ["loop"]:
        size = (int(sys.argv[5]), int(sys.argv[6])) if len(sys.argv) > 5 else (720, 1280)
        loop(Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), size=size)
    else:
        main(tyro.cli(MemoryConfig, description=__doc__))
