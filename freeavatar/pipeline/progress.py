"""How far an animation is, and what came of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    stage: str
    """``tracking`` or ``rendering``."""
    done: int
    """Frames of this stage that are done."""
    total: int | None
    """Frames of this stage; None while unknown."""
    rate: float
    """Frames a second, so far in this stage."""
    time: float = 0.0
    """Where in the clip the last frame lies, seconds."""

    @property
    def seconds_left(self) -> float | None:
        """Of this stage; None while unknown."""
        if self.total is None or self.rate <= 0:
            return None
        return max(self.total - self.done, 0) / self.rate


def timed(stage: str, total: int | None) -> Callable[[int, float], Progress]:
    """Makes the progress of a stage that begins now, of frames done and the time of the last."""
    start = time.monotonic()
    return lambda done, moment: Progress(stage, done, total, done / max(time.monotonic() - start, 1e-6), moment)


@dataclass(frozen=True)
class Report:
    """What an animation wrote."""

    files: dict[str, dict[str, Path]]
    """Per avatar: ``video`` (or ``image``; of several avatars if each was asked for), ``csv``, ``json``, ``glb``,
    ``vrma``, and if asked for ``usd`` and ``avatar``, the video of it alone."""
    combined: Path | None
    """Actor and all avatars in a row, if there are several."""
    frames: int
    frames_without_face: int
    take: Path | None = None
    """The stored track, from which other settings give new results at once."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time spent in each stage."""

    @property
    def paths(self) -> list[Path]:
        """Every file written."""
        found = [path for files in self.files.values() for path in files.values()]
        return found + [path for path in (self.combined, self.take) if path]

    def summary(self) -> str:
        """One or two sentences for people."""
        text = f"{self.frames} frames animated in {sum(self.seconds.values()):.1f} s."
        if self.frames_without_face:
            text += f" {self.frames_without_face} of them show no face: there the avatar holds, then eases to neutral."
        return text
