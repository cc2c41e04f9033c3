"""Takes: the track of a run and the rigs decoded from it, stored so that other settings act on it at once."""

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from freeavatar.errors import InputError
from freeavatar.faces import Box
from freeavatar.files import replacing
from freeavatar.performance.editing import edit, neutral_of
from freeavatar.performance.profile import Profile
from freeavatar.performance.settings import AnimateOptions
from freeavatar.pipeline.sources import Source, open_source
from freeavatar.pipeline.tracking import Track
from freeavatar.rig import Performance

VERSION = 1
ENDING = ".take.npz"
"""What names of files with takes end in."""
_ARRAYS = ("times", "features", "embeddings", "poses", "points", "confidence")


@dataclass(frozen=True)
class TakeInfo:
    """Where a track comes from and how it was made."""

    source: str
    """Path of the input, absolute, or relative to the folder of the take if it lies there."""
    size: int
    """Bytes of the input; 0 for a folder."""
    modified: int
    """When it was last changed, nanoseconds."""
    weights: str
    """Id of the weights."""
    rate: str
    """Nominal frames a second, a fraction."""
    offset: str
    """Second of the input at which the track begins, a fraction."""
    start: float
    end: float | None
    face: int
    crop: Box | None
    is_sequence: bool


@dataclass(frozen=True)
class Take:
    """A track with its raw performances."""

    info: TakeInfo
    track: Track
    performances: Mapping[str, Performance]
    """By avatar: ARKit's blendshapes as decoded, the head as tracked."""
    path: Path
    """The file, or where it is going to be."""

    @property
    def offset(self) -> float:
        """Second of the input at which the track begins."""
        return float(Fraction(self.info.offset))

    @property
    def source_path(self) -> Path:
        """The input, wherever it is found: where it was, or beside the take."""
        stored = self.path.parent / self.info.source
        beside = self.path.parent / Path(self.info.source).name
        return beside if beside.exists() and not stored.exists() else stored

    def source(self) -> Source:
        """The input again.

        Raises:
            InputError: it is gone or was changed.
            VideoError: it cannot be read.
        """
        path = self.source_path
        if not path.exists():
            raise InputError(f"{path}, which {self.path.name} was made from, is gone: put it back, or beside the take.")
        if signature(path)[0] != self.info.size:
            raise InputError(f"{path} is not the file that {self.path.name} was made from: animate it anew.")
        return open_source(path, start=self.info.start, end=self.info.end)

    def fits(self, path: Path, options: AnimateOptions, weights: str) -> bool:
        """Whether tracking ``path`` with these settings and weights would give this very track."""
        info = self.info
        return self.source_path.exists() and self.source_path.samefile(path) and (
            (info.size, info.modified) == signature(path) and info.weights == weights
            and (info.start, info.end, info.face, info.crop) == (options.start, options.end, options.face, options.crop)
            and info.is_sequence == options.is_sequence
        )  # fmt: skip

    def edited(self, avatar: str, options: AnimateOptions) -> Performance:
        """What the settings make of an avatar's raw performance.

        Raises:
            InputError: no face is in sight around the marked neutral second, or the profile fits other weights.
        """
        return edit(self.performances[avatar], options, neutral=self.neutral(avatar, options))

    def neutral(self, avatar: str, options: AnimateOptions) -> tuple[np.ndarray, np.ndarray]:
        """The actor's neutral as the settings have it: rig weights ``(K,)`` and head ``(3,)`` in degrees.

        Raises:
            InputError: as :meth:`edited`.
        """
        if isinstance(options.calibration, Profile):
            options.calibration.check_weights(self.info.weights)
        return neutral_of(self.performances[avatar], options, offset=self.offset)

    def index_at(self, second: float) -> int:
        """Index of the frame on screen at a second of the take."""
        return max(int(np.searchsorted(self.track.times, second + 1e-4, side="right")) - 1, 0)


def signature(path: Path) -> tuple[int, int]:
    """Size and time of change of an input; a folder's size is 0."""
    stat = path.stat()
    return (0 if path.is_dir() else stat.st_size), stat.st_mtime_ns


def take_info(source: Source, options: AnimateOptions, weights: str, folder: Path) -> TakeInfo:
    """What is stored of a run whose take goes to ``folder``."""
    size, modified = signature(source.path)
    return TakeInfo(
        source=stored_path(source.path, folder), size=size, modified=modified, weights=weights,
        rate=str(source.rate), offset=str(source.offset), start=options.start, end=options.end, face=options.face,
        crop=options.crop, is_sequence=options.is_sequence,
    )  # fmt: skip


def stored_path(path: Path, folder: Path) -> str:
    """How a take in ``folder`` names its input."""
    path, folder = path.resolve(), folder.resolve()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def save_take(take: Take) -> Path:
    """Write a take to its path, at once when it is complete, and return that.

    Raises:
        InputError: the file cannot be written.
    """
    rigs = {name: list(p.names) for name, p in take.performances.items()}
    header = {"format": "freeavatar-take", "version": VERSION, "info": asdict(take.info), "rigs": rigs}
    arrays = {name: getattr(take.track, name) for name in _ARRAYS}
    for k, performance in enumerate(take.performances.values()):
        arrays |= {f"rig{k}": performance.weights, f"drive{k}": performance.drive}
    with replacing(take.path) as temporary, temporary.open("wb") as file:
        np.savez(file, header=np.array(json.dumps(header)), **arrays)
    return take.path


def load_take(path: str | Path) -> Take:
    """Read a file of :func:`save_take`.

    Raises:
        InputError: it cannot be read, or is no take of this version.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as data:
            header = json.loads(str(data["header"]))
            if header["version"] != VERSION:
                raise InputError(
                    f"{path.name} is a take of version {header['version']}, expected {VERSION}: run it again."
                )
            return _parsed(path, header, data)
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror or error}): give a take that exists.") from error
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path.name} is not a complete take ({error}): animate the video again.") from error


def _parsed(path: Path, header: dict[str, Any], data: Any) -> Take:
    stored = header["info"]
    info = TakeInfo(**{**stored, "crop": None if stored["crop"] is None else tuple(stored["crop"])})
    track = Track(**{name: data[name] for name in _ARRAYS})
    if len({len(getattr(track, name)) for name in _ARRAYS}) != 1 or not len(track.times):
        raise ValueError("its arrays differ in length")
    rate = Fraction(info.rate)
    if not math.isfinite(float(rate)) or rate <= 0:
        raise ValueError("its rate is not positive")
    performances = {
        name: Performance(
            avatar=name, names=tuple(names), weights=data[f"rig{k}"], times=track.times, rate=rate,
            head=track.poses, confidence=track.confidence, drive=data[f"drive{k}"],
        )
        for k, (name, names) in enumerate(header["rigs"].items())
    }  # fmt: skip
    if any(len(p.weights) != len(track.times) for p in performances.values()):
        raise ValueError("its arrays differ in length")
    return Take(info, track, performances, path)


def missing_spans(times: np.ndarray, confidence: np.ndarray, rate: float) -> list[tuple[float, float]]:
    """Stretches without a face, ``(begin, end)`` in seconds.

    Args:
        times: ``(T,)`` seconds.
        confidence: ``(T,)``; 0 where there is no face.
        rate: nominal frames a second: how long the last frame lasts.
    """
    lost = np.concatenate([[False], confidence <= 0, [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(lost)).reshape(-1, 2)
    ends = np.append(times, times[-1] + 1 / rate)
    return [(float(ends[begin]), float(ends[end])) for begin, end in edges]


def most_moving(performance: Performance, count: int = 8) -> list[str]:
    """Names of the controls that moved most, by the span between their 2nd and 98th percentile, most first."""
    low, high = np.quantile(performance.weights, (0.02, 0.98), axis=0)
    order = np.argsort(low - high, kind="stable")[:count]
    return [performance.names[k] for k in order if high[k] - low[k] > 0.01]
