"""Rig weights as JSON: everything an avatar plays, for scripts and other tools."""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from freeavatar.errors import InputError
from freeavatar.export.checks import check_performance
from freeavatar.export.sink import Recording
from freeavatar.files import replacing
from freeavatar.rig import Controls

FORMAT = "freeavatar-performance"
VERSION = 1
_KEYS = ("format", "version", "avatar", "names", "rate", "times", "weights", "head", "confidence")
_CHUNK = 1024


def write_rig_json(performance: Controls, path: str | Path, *, extra: dict[str, Any] | None = None) -> None:
    """Write what an avatar plays as one JSON object.

    Its keys: ``format`` and ``version``; ``avatar``; ``names`` of the K controls; ``rate``, such as
    ``"30000/1001"``; ``times``, T seconds; ``weights``, T rows of K; ``head``, T rows of yaw, pitch
    and roll in degrees, signed as in the package; ``confidence``, T values. Times are exact, the
    other numbers are rounded to 5 digits.

    Args:
        performance: what to write.
        path: the file to write; it is replaced at once when it is complete.
        extra: further keys, such as settings and a report; any JSON value.

    Raises:
        InputError: the performance, ``extra`` or ``path`` cannot be written.
    """
    check_performance(performance, performance.avatar)
    header = _header(performance, extra or {})
    arrays = {
        "times": (performance.times, None),
        "weights": (performance.weights, 5),
        "head": (performance.head, 5),
        "confidence": (performance.confidence, 5),
    }
    with replacing(Path(path)) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(header.removesuffix("}"))
        for key, (array, digits) in arrays.items():
            file.write(f',\n"{key}": [\n')
            file.writelines(_chunks(array, digits))
            file.write("]")
        file.write("}\n")


def read_rig_json(path: str | Path) -> Controls:
    """Read a file of :func:`write_rig_json`; extra keys are ignored.

    Raises:
        InputError: the file cannot be read or is not a performance.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("Cannot read {} ({}): choose a file that exists.", path, error.strerror) from error
    except ValueError as error:
        raise InputError("{} is not JSON ({}): choose a rig file exported here.", path.name, error) from error
    if not isinstance(data, dict) or (data.get("format"), data.get("version")) != (FORMAT, VERSION):
        raise InputError(
            '{} is not a "{}" file of version {}: choose a rig file exported here.', path.name, FORMAT, VERSION
        )
    try:
        return _controls(data)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError("{} is damaged ({}): export the performance again.", path.name, error) from error


def _header(performance: Controls, extra: dict[str, Any]) -> str:
    if taken := sorted(set(extra) & set(_KEYS)):
        raise InputError("Extra keys may not be named {}: rename them.", ", ".join(taken))
    header = {
        "format": FORMAT,
        "version": VERSION,
        "avatar": performance.avatar,
        "names": list(performance.names),
        "rate": f"{performance.rate.numerator}/{performance.rate.denominator}",
        **extra,
    }
    try:
        return json.dumps(header, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError("The extra keys do not fit in JSON ({}): use plain values.", error) from error


def _chunks(array: np.ndarray, digits: int | None) -> Iterator[str]:
    """The inside of the array's JSON, a row a line, in pieces that keep the memory flat."""
    for start in range(0, len(array), _CHUNK):
        values = array[start : start + _CHUNK].astype(np.float64)
        if digits is not None:
            values = np.round(values, digits) + 0.0  # + 0.0 turns -0.0 into 0.0
        text = json.dumps(values.tolist(), separators=(",", ":"))[1:-1]
        yield (",\n" if start else "") + text.replace("],[", "],\n[")


def _controls(data: dict[str, Any]) -> Controls:
    names = tuple(map(str, data["names"]))
    times = np.asarray(data["times"], np.float64)
    weights, head, confidence = (np.asarray(data[key], np.float32) for key in ("weights", "head", "confidence"))
    count = len(times)
    shapes = [times.shape, weights.shape, head.shape, confidence.shape]
    if shapes != [(count,), (count, len(names)), (count, 3), (count,)]:
        raise ValueError("its arrays differ in length")
    performance = Controls(
        avatar=str(data["avatar"]),
        names=names,
        weights=weights,
        times=times,
        rate=Fraction(data["rate"]),
        head=head,
        confidence=confidence,
    )
    check_performance(performance, performance.avatar)
    return performance


class JsonSink(Recording):
    """Writes what the avatar plays as JSON, with the settings."""

    def save(self) -> None:
        """Write it."""
        write_rig_json(self.controls, self.output.path, extra={"settings": self.output.settings})
