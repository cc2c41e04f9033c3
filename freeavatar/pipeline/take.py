"""Takes: the track of a run and what was decoded from it, stored so that other settings act on it at once."""

import hashlib
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from freeavatar.avatars import Avatar, retarget
from freeavatar.errors import InputError, WeightsError
from freeavatar.faces import Box
from freeavatar.files import replacing
from freeavatar.models import Bundle
from freeavatar.performance.editing import Neutral, edit, neutral_of
from freeavatar.performance.profile import Profile
from freeavatar.performance.settings import AnimateOptions, EditSettings
from freeavatar.pipeline.acting import act, identity_of
from freeavatar.pipeline.sources import Source, images_in, open_source
from freeavatar.pipeline.tracking import Track
from freeavatar.rig import ARKIT, Controls, Curves

VERSION = 2
_OLDEST = 1
"""Takes of version 1 know no cuts, and their rigs went by an avatar's name: they are decoded again."""
ENDING = ".take.npz"
"""What names of files with takes end in."""
_ARRAYS = ("times", "features", "embeddings", "head", "points", "confidence", "cuts")


@dataclass(frozen=True)
class TakeInfo:
    """Where a track comes from and how it was made."""

    source: str
    """Path of the input, absolute, or relative to the folder of the take if it lies there."""
    size: int
    """Bytes of the input."""
    modified: int
    """When it was last changed, nanoseconds; of a folder a number that changes with its images."""
    weights: str
    """Id of the weights."""
    rate: str
    """Nominal frames a second, a fraction."""
    offset: str
    """Second of the input at which the track begins, a fraction."""
    start: float
    end: float | None
    face: int
    box: Box | None
    is_sequence: bool
    has_cuts: bool = True
    """Whether the track knows where shots begin; those of version 1 do not."""


@dataclass(frozen=True, eq=False)
class Acted:
    """What was decoded for one avatar."""

    avatar: str
    """Its name."""
    weights: np.ndarray
    """ARKit's blendshapes, ``(T, 52)`` float32."""
    drive: np.ndarray
    """How its controls follow them, ``(K, 52)`` float32."""


@dataclass(frozen=True, eq=False)
class Take:
    """A track, and what was decoded from it."""

    info: TakeInfo
    track: Track
    acted: Mapping[str, Acted]
    """By the content of the avatar's file."""
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
            raise InputError(
                "{}, which {} was made from, is gone: put it back, or beside the take.", path, self.path.name
            )
        if self.info.size and signature(path)[0] != self.info.size:  # version 1 gave folders no size
            raise InputError("{} is not the file that {} was made from: animate it anew.", path, self.path.name)
        return open_source(path, start=self.info.start, end=self.info.end)

    def matches(self, path: Path, options: AnimateOptions, weights: str) -> bool:
        """Whether tracking ``path`` with these settings and weights would give this very track."""
        info = self.info
        return self.source_path.exists() and self.source_path.samefile(path) and (
            (info.size, info.modified) == signature(path) and info.weights == weights and info.has_cuts
            and (info.start, info.end, info.face, info.box) == (options.start, options.end, options.face, options.box)
            and info.is_sequence == options.is_sequence
        )  # fmt: skip

    def moved(self, folder: Path, source: Source) -> "Take":
        """The take as it is going to be kept in another folder."""
        info = replace(self.info, source=stored_path(source.path, folder))
        return replace(self, info=info, path=folder / f"{source.stem}{ENDING}")

    def decode(self, cast: Sequence[Avatar], bundle: Bundle) -> "Take":
        """The take with what each of these avatars is to play; what other weights decoded is kept as it was.

        An avatar whose file has changed since plays what was decoded for the one of its name, if it has as many
        controls.

        Raises:
            WeightsError: the take was made with other weights, and holds nothing of one of the avatars.
        """
        if self.info.weights == bundle.id:
            acted = {avatar.content: self._act(avatar, bundle) for avatar in cast}
            return replace(self, acted={**self.acted, **acted})
        same = {(acted.avatar, len(acted.drive)): acted for acted in self.acted.values()}
        redrawn = {
            avatar.content: same[key]
            for avatar in cast
            if avatar.content not in self.acted and (key := (avatar.name, len(avatar.target_names))) in same
        }
        if redrawn:
            return replace(self, acted={**self.acted, **redrawn}).decode(cast, bundle)
        if any(avatar.content not in self.acted for avatar in cast):
            known = ", ".join(acted.avatar for acted in self.acted.values())
            made = (self.path.name, self.info.weights, bundle.id)
            if not known:
                raise WeightsError("{} was made with other weights ({}, these are {}): animate the video again.", *made)
            raise WeightsError(
                "{} was made with other weights ({}, these are {}): animate the video again, or choose among {}.",
                *made, known,
            )  # fmt: skip
        return self

    def _act(self, avatar: Avatar, bundle: Bundle) -> Acted:
        identity = identity_of(avatar, bundle)
        return Acted(avatar.name, act(self.track.features, identity, bundle), identity.drive)

    def raw(self, content: str) -> Curves:
        """The curves as decoded for the avatar with this content."""
        return self.track.curves(self.acted[content].weights, Fraction(self.info.rate))

    def edited(self, avatar: Avatar, settings: EditSettings) -> Curves:
        """What the settings make of an avatar's curves.

        Raises:
            InputError: no face is in sight around the marked neutral second, or the profile fits other weights.
        """
        return edit(self.raw(avatar.content), settings, self.neutral(avatar.content, settings))

    def neutral(self, content: str, settings: EditSettings) -> Neutral:
        """The actor's neutral as the settings have it, by the curves of the avatar with this content.

        Raises:
            InputError: as :meth:`edited`.
        """
        if isinstance(settings.calibration, Profile):
            settings.calibration.check_weights(self.info.weights)
        return neutral_of(self.raw(content), settings, offset=self.offset)

    def controls(self, avatar: Avatar, curves: Curves) -> Controls:
        """What the avatar plays of its edited curves."""
        return retarget(avatar, curves, self.acted[avatar.content].drive)

    def index_at(self, second: float) -> int:
        """Index of the frame on screen at a second of the take."""
        return max(int(np.searchsorted(self.track.times, second + 1e-4, side="right")) - 1, 0)


def signature(path: Path) -> tuple[int, int]:
    """Size and time of change of an input; of a folder the size of its images, and a number of their names, sizes and
    times of change."""
    if not path.is_dir():
        stat = path.stat()
        return stat.st_size, stat.st_mtime_ns
    stats = [(image.name, image.stat()) for image in images_in(path)]
    named = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]).encode()
    return sum(stat.st_size for _, stat in stats), int.from_bytes(hashlib.sha256(named).digest()[:7])


def take_info(source: Source, options: AnimateOptions, weights: str, folder: Path) -> TakeInfo:
    """What is stored of a run whose take goes to ``folder``."""
    size, modified = signature(source.path)
    return TakeInfo(
        source=stored_path(source.path, folder), size=size, modified=modified, weights=weights,
        rate=str(source.rate), offset=str(source.offset), start=options.start, end=options.end, face=options.face,
        box=options.box, is_sequence=options.is_sequence,
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
    avatars = [{"name": acted.avatar, "content": content} for content, acted in take.acted.items()]
    header = {"format": "freeavatar-take", "version": VERSION, "info": asdict(take.info), "avatars": avatars}
    arrays = {name: getattr(take.track, name) for name in _ARRAYS}
    for k, acted in enumerate(take.acted.values()):
        arrays |= {f"rig{k}": acted.weights, f"drive{k}": acted.drive}
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
            if not _OLDEST <= header["version"] <= VERSION:
                raise InputError(
                    "{} is a take of version {}, expected {} to {}: animate the video again.",
                    path.name,
                    header["version"],
                    _OLDEST,
                    VERSION,
                )
            return _parsed(path, header, data)
    except OSError as error:
        raise InputError("cannot read {} ({}): give a take that exists.", path, error.strerror or error) from error
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        raise InputError("{} is not a complete take ({}): animate the video again.", path.name, error) from error


def _parsed(path: Path, header: dict[str, Any], data: Any) -> Take:
    stored = header["info"]
    box = stored.pop("crop" if header["version"] == _OLDEST else "box")
    info = TakeInfo(**{"has_cuts": "cuts" in data, **stored, "box": None if box is None else tuple(box)})
    arrays = {name: data[name] for name in _ARRAYS if name in data}
    arrays.setdefault("cuts", np.zeros(len(arrays["times"]), bool))
    if header["version"] == _OLDEST:
        arrays["head"] = data["poses"]
    acted = {
        entry["content"]: Acted(entry["name"], data[f"rig{k}"], data[f"drive{k}"])
        for k, entry in enumerate(header.get("avatars", []))
    }
    lengths = {len(values) for values in (*arrays.values(), *(one.weights for one in acted.values()))}
    if len(lengths) != 1 or not lengths.pop():
        raise ValueError("its arrays differ in length")
    rate = Fraction(info.rate)
    if not math.isfinite(float(rate)) or rate <= 0:
        raise ValueError("its rate is not positive")
    return Take(info, Track(**arrays), acted, path)


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


def most_moving(curves: Curves, count: int = 8) -> list[str]:
    """Names of the blendshapes that moved most, by the span between their 2nd and 98th percentile, most first."""
    low, high = np.quantile(curves.weights, (0.02, 0.98), axis=0)
    order = np.argsort(low - high, kind="stable")[:count]
    return [ARKIT[k] for k in order if high[k] - low[k] > 0.01]
