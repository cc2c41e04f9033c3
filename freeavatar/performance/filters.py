"""The causal filter of live curves, in the place of the centred one that files have."""

import numpy as np

_CALM, _QUICK = 0.6, 8.0
"""Cutoffs of the curves' filter at smoothing 1 and near 0, in hertz."""
_DEGREES = 30.0
"""Degrees of a head's turn that count as much as a whole blendshape."""


class OneEuro:
    """A causal low-pass whose cutoff rises with speed: calm at rest, quick in motion (Casiez et al., CHI 2012)."""

    def __init__(self, cutoff: float, *, slope: float, speed_cutoff: float = 1.0) -> None:
        """Set the filter up.

        Args:
            cutoff: at rest, hertz.
            slope: hertz more for each unit a second of the filtered speed.
            speed_cutoff: of the speed's own filter, hertz.
        """
        self.cutoff, self._slope, self._speed_cutoff = cutoff, slope, speed_cutoff
        self._value: np.ndarray | None = None
        self._speed: np.ndarray | None = None
        self._time = 0.0

    def update(self, value: np.ndarray, time: float) -> np.ndarray:
        """The filtered value at ``time`` in seconds, later than the last."""
        if self._value is None or self._speed is None:
            self._value, self._speed, self._time = value, np.zeros_like(value), time
            return value
        step = max(time - self._time, 1e-3)
        self._speed += _share(self._speed_cutoff, step) * ((value - self._value) / step - self._speed)
        share = _share(self.cutoff + self._slope * np.abs(self._speed), step)
        self._value, self._time = self._value + share * (value - self._value), time
        return self._value


def _share(cutoff: float | np.ndarray, step: float) -> np.ndarray:
    """What a new value weighs in an exponential average, in (0, 1)."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * step)))


class CausalFilter:
    """Smooths the newest of the rows it is given; as :data:`freeavatar.performance.editing.Filter`."""

    def __init__(self) -> None:
        self._filter: OneEuro | None = None

    def __call__(self, values: np.ndarray, times: np.ndarray, cuts: np.ndarray, amount: float) -> np.ndarray:
        """Values ``(T, 52 + 3)`` of blendshapes and head, the last row smoothed with those of earlier calls."""
        if amount == 0:
            return values
        cutoff = _QUICK * (_CALM / _QUICK) ** amount
        if self._filter is None or cuts[-1]:
            self._filter = OneEuro(cutoff, slope=1.5)
        self._filter.cutoff = cutoff
        scale = np.ones(values.shape[1], values.dtype)
        scale[-3:] = _DEGREES
        newest = self._filter.update(values[-1] / scale, float(times[-1])) * scale
        return np.concatenate([values[:-1], newest[None]])
