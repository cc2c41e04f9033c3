"""Live Link Face CSV: the file that Epic's iPhone app records and that face tools read.

Timecode is ``HH:MM:SS:FF.sss`` in seconds of the clock; ``FF.sss`` are sixtieths of a second, whatever the rate, as
the app writes them even at 30 rows a second. Older importers of Unreal and scripts for MotionBuilder divide ``FF`` by
60; newer importers take it for thirtieths unless one is above 30, so a clip without such a row begins at 31.

Rotations are in radians. Epic documents no signs. The head's are those of ARKit's face axes (the
actor's left is +X, up is +Y, the nose is +Z), as public tools send and play them; no recording
with head motion was at hand to confirm them:

- HeadYaw is positive towards the actor's left: our yaw.
- HeadPitch is positive upwards: our pitch, negated.
- HeadRoll is positive towards the actor's right shoulder: our roll, negated.

The eyes' signs and scale were measured in one uncalibrated recording of the app, for look weights
up to 0.26: yaw is positive towards the actor's right, pitch is positive downwards, and a weight
of 1 is 35 degrees (0.61 radians). Eye roll, which is tiny there, is written as 0.
"""

import csv
import math
import re
from array import array
from collections.abc import Iterable, Iterator
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import TextIO

import numpy as np

from freeavatar.errors import InputError
from freeavatar.export.checks import check_performance
from freeavatar.export.sink import Recording
from freeavatar.files import replacing
from freeavatar.rig import ARKIT, Curves

EYE_DEGREES = 35.0
"""Rotation of an eye whose look weight is 1, degrees."""

_LABELS = ("Timecode", "BlendShapeCount")
_HEAD = ("HeadYaw", "HeadPitch", "HeadRoll")
_TITLES = tuple(name[0].upper() + name[1:] for name in ARKIT)
_EYES = ("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll")
_HEAD_SIGNS = np.array([1.0, -1.0, -1.0])
_BASE = 60
"""Parts of a second that timecodes count in."""
_MOST_THIRTIETHS = 30
"""Where no row counts further, newer importers take the parts for thirtieths."""
_DAY = 24 * 60 * 60
_TIMECODE = re.compile(r"(\d+):(\d+):(\d+)[:;](\d+(?:\.\d+)?)")


def write_live_link_csv(curves: Curves, path: str | Path) -> None:
    """Write a face's curves as a Live Link Face CSV, one row a frame.

    Args:
        curves: what to write.
        path: the file to write; it is replaced at once when it is complete.

    Raises:
        InputError: the curves or ``path`` cannot be written.
    """
    path = Path(path)
    check_performance(curves, path.stem)
    values = live_link_values(curves.weights, curves.head)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow([*_LABELS, *_TITLES, *_HEAD, *_EYES])
        _write_rows(file, timecodes(curves.times), values)


def read_live_link_csv(path: str | Path, *, rate: Fraction | None = None) -> Curves:
    """Read a Live Link Face CSV.

    Columns are found by name, in any case and any order; one of ARKit's that is missing is 0, and other columns are
    left out. Times count from the first row, the confidence is 1. The eyes' rotations are not read: the look weights
    hold them.

    Files of earlier versions counted the frames of the clip's own rate; they are told from others by where one second
    passes to the next.

    Args:
        path: the file.
        rate: frames a second, which the file does not state, and which files of earlier versions need for exact
            times. By default it follows from the rows.

    Raises:
        InputError: the file cannot be read, or is not such a CSV.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read_rows(csv.reader(file), rate)
    except OSError as error:
        raise InputError("Cannot read {} ({}): choose a file that exists.", path, error.strerror) from error
    except (ValueError, IndexError, csv.Error) as error:
        raise InputError("{} is not a complete Live Link Face CSV ({}): export it again.", path.name, error) from error


def live_link_values(weights: np.ndarray, head: np.ndarray) -> np.ndarray:
    """The 61 columns of numbers: ARKit's blendshapes, then the rotations of head, left eye and right eye.

    Args:
        weights: ARKit's blendshapes, ``(T, 52)`` in [0, 1].
        head: yaw, pitch, roll, ``(T, 3)`` degrees, signed as in the package.

    Returns:
        ``(T, 61)`` float64; rotations in radians, signed as the file has them.
    """
    weights = weights.astype(np.float64)
    turns = np.radians(head.astype(np.float64)) * _HEAD_SIGNS
    return np.concatenate([weights, turns, np.radians(eye_degrees(weights))], axis=1)


def eye_degrees(weights: np.ndarray) -> np.ndarray:
    """Rotations of the eyes that look weights stand for.

    Args:
        weights: of :data:`freeavatar.rig.ARKIT`, ``(T, 52)``.

    Returns:
        Yaw, pitch and roll of the left eye, then of the right, ``(T, 6)`` degrees: yaw is positive towards the actor's
        right, pitch is positive downwards, roll is 0.
    """
    look = {name: weights[:, i] for i, name in enumerate(ARKIT) if name.startswith("eyeLook")}
    none = np.zeros(len(weights))
    columns = [
        look["eyeLookInLeft"] - look["eyeLookOutLeft"],
        look["eyeLookDownLeft"] - look["eyeLookUpLeft"],
        none,
        look["eyeLookOutRight"] - look["eyeLookInRight"],
        look["eyeLookDownRight"] - look["eyeLookUpRight"],
        none,
    ]
    return EYE_DEGREES * np.stack(columns, axis=1)


def timecodes(times: np.ndarray) -> list[str]:
    """Timecode of each time, ``HH:MM:SS:FF.sss``, in sixtieths of a second.

    Args:
        times: seconds from the first frame, ``(T,)``.
    """
    counts = np.rint(times * _BASE * 1000).astype(np.int64)
    furthest = (counts % (_BASE * 1000)).max(initial=0)
    if 0 < furthest <= _MOST_THIRTIETHS * 1000:
        counts += (_MOST_THIRTIETHS + 1) * 1000
    labels = []
    for thousandths in counts.tolist():
        count, fraction = divmod(thousandths, 1000)
        seconds, frame = divmod(count, _BASE)
        minutes, second = divmod(seconds, 60)
        hour, minute = divmod(minutes, 60)
        labels.append(f"{hour:02}:{minute:02}:{second:02}:{frame:02}.{fraction:03}")
    return labels


def _write_rows(file: TextIO, labels: list[str], values: np.ndarray) -> None:
    count = values.shape[1]
    form = f"%s,{count}" + ",%.6f" * count + "\n"
    values = np.round(values, 6) + 0.0  # + 0.0 turns -0.0 into 0.0
    file.writelines(form % (label, *row) for label, row in zip(labels, values, strict=True))


def _read_rows(rows: Iterator[list[str]], rate: Fraction | None) -> Curves:
    columns = _columns(next(rows, []))
    timecode = columns.pop("Timecode")
    if not columns:
        raise ValueError("it has no column of numbers")
    labels, values = [], array("d")
    pick = itemgetter(*columns.values(), timecode)
    for row in filter(None, rows):
        *numbers, label = pick(row)
        labels.append(label)
        values.extend(map(float, numbers))
    table = np.reshape(values, (len(labels), len(columns)))
    if not labels or not np.isfinite(table).all():
        raise ValueError("a number is missing" if labels else "it has no rows")
    times, rate = _times(labels, rate)
    index = {name: column for column, name in enumerate(columns)}
    picked = [[table[:, index[n]] if n in index else np.zeros(len(table)) for n in names] for names in (ARKIT, _HEAD)]
    weights, head = (np.stack(found, axis=1) for found in picked)
    return Curves(
        weights=np.clip(weights, 0, 1).astype(np.float32), times=times, rate=rate,
        head=np.degrees(head * _HEAD_SIGNS).astype(np.float32), confidence=np.ones(len(table), np.float32),
        cuts=np.zeros(len(table), bool),
    )  # fmt: skip


def _columns(header: list[str]) -> dict[str, int]:
    """Position of each column to read: ARKit's in their order, the head's, the timecode."""
    known = {name.lower(): name for name in (*ARKIT, *_HEAD, *_EYES, *_LABELS)}
    found: dict[str, int] = {}
    for position, title in enumerate(map(str.strip, header)):
        name = known.get(title.lower(), title)
        if name in found:
            raise ValueError(f'it has two columns "{title}"')
        found[name] = position
    if "Timecode" not in found:
        raise ValueError("it has no column Timecode")
    wanted = [*ARKIT, *_HEAD, "Timecode"]
    return {name: found[name] for name in wanted if name in found}


def _times(labels: Iterable[str], rate: Fraction | None) -> tuple[np.ndarray, Fraction]:
    """Seconds from the first row, ``(T,)``, and the rate."""
    parts = []
    for label in labels:
        if (match := _TIMECODE.fullmatch(label.strip())) is None:
            raise ValueError(f'"{label}" is not a timecode HH:MM:SS:FF.sss')
        hours, minutes, seconds, frames = match.groups()
        parts.append((int(hours) * 3600 + int(minutes) * 60 + int(seconds), float(frames)))
    seconds, frames = np.array(parts).T
    seconds = seconds + _DAY * np.concatenate([[0], np.cumsum(np.diff(seconds) < -_DAY / 2)])
    base = _counted(seconds, frames, rate)
    counts = (seconds - seconds[0]) * base + frames - frames[0]
    if (np.diff(counts) <= 0).any():
        raise ValueError("its timecode does not increase")
    if rate is not None and _nominal(rate) == base and (base != _BASE or not (frames % 1).any()):
        return counts / float(rate), rate
    step = np.median(np.diff(counts)) if len(counts) > 1 else 1.0
    return counts / base, rate or _named_rate(base / step)


def _nominal(rate: Fraction) -> int:
    return max(1, math.floor(rate + Fraction(1, 2)))


def _named_rate(rate: float) -> Fraction:
    """The whole or NTSC rate that a measured one is, within the rounding of timecodes."""
    whole = max(round(rate), 1)
    near = min((Fraction(whole), Fraction(whole * 1000, 1001)), key=lambda known: abs(float(known) - rate))
    return near if abs(float(near) - rate) < 5e-4 * rate else Fraction(rate).limit_denominator(1001)


def _counted(seconds: np.ndarray, frames: np.ndarray, rate: Fraction | None) -> int:
    """Parts of a second that the timecode counts in: sixty, or the frames of a file of earlier versions."""
    steps, turns = np.diff(frames), np.diff(seconds)
    within = np.where(turns == 0, steps, np.nan)
    # A row that passes to the next second lasts as long as the one before it, or after.
    before, after = np.append(np.nan, within[:-1]), np.append(within[1:], np.nan)
    counted = np.where(np.isnan(before), after, before)[: len(steps)] - steps
    counted = counted[(turns == 1) & ~np.isnan(counted)]
    if len(counted):
        found = round(float(np.median(counted)))
    elif rate is not None and len(steps) and abs(np.median(steps) - 1) < abs(np.median(steps) - _BASE / rate):
        found = _nominal(rate)
    else:
        found = _BASE
    found = max(found, int(frames.max()) + 1)
    return _BASE if abs(found - _BASE) <= 1 else found


class LiveLinkSink(Recording):
    """Writes a Live Link Face CSV."""

    def save(self) -> None:
        """Write it."""
        write_live_link_csv(self.curves, self.output.path)
