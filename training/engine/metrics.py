"""Metrics of a run: lines of metrics.jsonl, and TensorBoard's files where it is installed."""

import json
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def read_metrics(out: Path) -> list[dict[str, float]]:
    """Lines of a run's metrics.jsonl; none if it has not come that far. A line cut short by a kill is left out."""
    path = out / "metrics.jsonl"
    whole = [line for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
    return [json.loads(line) for line in whole]


class Metrics:
    """Means of the losses between two lines, and the lines."""

    def __init__(self, out: Path, *, is_writing: bool = True) -> None:
        self._out, self._is_writing = out, is_writing
        self._sums: dict[str, float] = {}
        self._count = 0
        self._board: Any = None
        if is_writing:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self._board = SummaryWriter(str(out))

    def add(self, losses: dict[str, float]) -> None:
        """Take the losses of a step."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def write(self, step: int, minutes: float, rate: float) -> None:
        """Write the means since the last time."""
        means = {name: total / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        self.note(step, {"minutes": minutes, "rate": rate, **means})

    def note(self, step: int, numbers: dict[str, float]) -> None:
        """Write one line."""
        if not self._is_writing or not numbers:
            return
        line = {"step": step, **{name: float(f"{value:.7g}") for name, value in numbers.items()}}
        logger.info("%s", line)
        with (self._out / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, step)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"sums": dict(self._sums), "count": self._count}

    def restore(self, state: dict[str, Any], step: int) -> None:
        """Go back to a checkpoint: lines written after it are taken off."""
        self._sums, self._count = dict(state["sums"]), state["count"]
        if self._is_writing:
            kept = [line for line in read_metrics(self._out) if line["step"] <= step]
            (self._out / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self._board is not None:
            self._board.close()
