"""How well ``send`` keeps time: one take to four receivers at once, as they see it.

    python -m benchmarks.streams [--seconds 60] [--rate 30]

Four UDP receivers on loopback, each a thread, note when a sample's first packet arrives. Jitter is how far arrivals
lie from a steady beat; drift is how much longer or shorter the whole took than it should have.
"""

import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import tyro

from freeavatar.export import write_live_link_csv
from freeavatar.rig import ARKIT, Curves

STARTS = {"vmc": b"/VMC/Ext/OK", "livelink": b"\x06", "ifacialmocap": b"trackingStatus", "vrchat": b"EyeTrackingActive"}
"""What the first packet of a sample holds."""
FAREWELL = 2
"""Samples that follow the take."""


@dataclass(frozen=True)
class StreamsConfig:
    """What to play."""

    seconds: int = 60
    rate: int = 30


class Receiver(threading.Thread):
    """Notes when samples arrive."""

    def __init__(self, scheme: str) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(2)
        self.scheme, self.times = scheme, list[float]()
        self.url = f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}"

    def run(self) -> None:
        """Listen until nothing comes for two seconds."""
        while True:
            try:
                packet = self._socket.recv(8192)
            except TimeoutError:
                if self.times:
                    return
                continue
            if STARTS[self.scheme] in packet[:64]:
                self.times.append(time.monotonic())


def make_curves(seconds: int, rate: int) -> Curves:
    """A face that is never still."""
    count = seconds * rate
    times = np.arange(count) / rate
    waves = 0.5 + 0.5 * np.sin(times[:, None] * np.linspace(1, 6, len(ARKIT)))
    return Curves(
        weights=waves.astype(np.float32), times=times, rate=Fraction(rate), head=np.zeros((count, 3), np.float32),
        confidence=np.ones(count, np.float32), cuts=np.zeros(count, bool),
    )  # fmt: skip


def main(config: StreamsConfig) -> None:
    """Play, and print what the receivers saw."""
    receivers = [Receiver(scheme) for scheme in STARTS]
    for receiver in receivers:
        receiver.start()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "waves.csv"
        write_live_link_csv(make_curves(config.seconds, config.rate), path)
        urls = [word for receiver in receivers for word in ("--send", receiver.url)]
        subprocess.run([sys.executable, "-m", "freeavatar", "send", str(path), *urls], check=True)
    print("\n| receiver | samples | rate, 1/s | jitter, median ms | 99 % ms | worst ms | drift, ms |")
    print("|---|---|---|---|---|---|---|")
    for receiver in receivers:
        receiver.join()
        print(f"| {receiver.scheme} | {_row(np.array(receiver.times[:-FAREWELL]), config.rate)} |")


def _row(times: np.ndarray, rate: int) -> str:
    beats = np.rint((times - times[0]) * rate)
    off = times - times[0] - beats / rate
    off = np.abs(off - np.median(off)) * 1000
    length = times[-1] - times[0]
    figures = (np.median(off), np.quantile(off, 0.99), off.max(), (length - beats[-1] / rate) * 1000)
    return f"{len(times)} | {(len(times) - 1) / length:.3f} | " + " | ".join(f"{figure:.2f}" for figure in figures)


if __name__ == "__main__":
    main(tyro.cli(StreamsConfig))
