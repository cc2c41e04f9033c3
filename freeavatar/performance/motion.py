"""Rig weights over time: filling gaps, calibrating to neutral, smoothing. Plain numpy, no lag."""

from typing import Literal

import numpy as np

from freeavatar.errors import InputError

HOLD = 0.4
"""Seconds a lost face keeps its expression."""
EASE = 0.8
"""Seconds it then takes to become neutral."""
MAX_SIGMA = 0.09
"""Standard deviation of the smoothing kernel at ``smoothing=1``, seconds."""
REACH = 3 * MAX_SIGMA
"""Seconds to either side that a smoothed frame depends on, at most."""
MAX_BASELINE = 0.35
"""Automatic calibration takes at most this much off a channel."""
SHORTEST_CLIP = 1.0
"""Seconds a clip must last for its neutral to be found in it: a single picture has none to show."""
FAST = (0.1, 0.25)
"""What smoothing may take off a blendshape, and what it may not: blinks and plosives are shorter than its kernel."""
NEUTRAL_WINDOW = 0.25
"""Seconds to either side of a marked neutral moment that are averaged."""

Calibration = Literal["auto", "none"] | float


def fill_gaps(values: np.ndarray, times: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Hold the last values where no face was found, then ease to zero.

    Args:
        values: ``(T, K)``; rows without a face are ignored.
        times: ``(T,)`` seconds.
        found: ``(T,)`` bool.

    Returns:
        ``(T, K)``; zeros before the first face.
    """
    index = np.maximum.accumulate(np.where(found, np.arange(len(found)), -1))
    age = times - times[np.maximum(index, 0)]
    eased = np.clip((age - HOLD) / EASE, 0, 1)
    keep = np.where(index < 0, 0.0, 0.5 + 0.5 * np.cos(np.pi * eased))
    return values[np.maximum(index, 0)] * keep[:, None].astype(values.dtype)


def neutral_of(values: np.ndarray, times: np.ndarray, found: np.ndarray, calibration: Calibration) -> np.ndarray:
    """The actor's neutral, ``(K,)``: what to take off every frame.

    Args:
        values: rig weights, ``(T, K)``.
        times: ``(T,)`` seconds.
        found: frames with a face, ``(T,)`` bool.
        calibration: ``auto``: each channel's 10th percentile, at most :data:`MAX_BASELINE`, and zeros for less
            than :data:`SHORTEST_CLIP`; ``none``: zeros; a number: the mean around that second.

    Raises:
        InputError: no face around the given second.
    """
    if calibration == "none" or (calibration == "auto" and not has_neutral(times, found)):
        return np.zeros(values.shape[1], values.dtype)
    if calibration == "auto":
        return np.minimum(np.quantile(values[found], 0.1, axis=0), MAX_BASELINE).astype(values.dtype)
    chosen = near_second(times, found, float(calibration))
    return values[chosen].mean(0)


def has_neutral(times: np.ndarray, found: np.ndarray) -> bool:
    """Whether a face is in sight for long enough to find its neutral."""
    seen = times[found]
    return len(seen) > 1 and seen[-1] - seen[0] >= SHORTEST_CLIP


def near_second(times: np.ndarray, found: np.ndarray, second: float) -> np.ndarray:
    """Frames with a face within :data:`NEUTRAL_WINDOW` of a second, ``(T,)`` bool.

    Raises:
        InputError: there is none.
    """
    chosen = found & (np.abs(times - second) <= NEUTRAL_WINDOW)
    if not chosen.any():
        raise InputError(
            "no face around second {:g} to calibrate on: give a moment between {:.1f} and {:.1f} at which the face "
            "is neutral and visible.",
            second,
            times[0],
            times[-1],
        )
    return chosen


def calibrate(values: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """Take the neutral off rig weights, ``(T, K)`` in [0, 1]; 1 stays 1, unless the neutral is more than a half."""
    return np.clip((values - neutral) / np.maximum(1 - neutral, 0.5), 0, 1)


def smooth(values: np.ndarray, times: np.ndarray, cuts: np.ndarray, amount: float) -> np.ndarray:
    """Smooth over time without lag: the weighted least-squares line around every frame, taken at that frame.

    The weights are a Gaussian of ``amount`` times :data:`MAX_SIGMA`, cut off at three of it. A line, where a mean
    would do amid even frames, leaves no lag at the ends, at cuts, and between uneven frames (local linear
    regression: Cleveland 1979).

    Args:
        values: ``(T, K)``.
        times: ``(T,)`` seconds, any spacing, increasing.
        cuts: frames at which another shot begins, ``(T,)`` bool; nothing is carried across.
        amount: in [0, 1]; 0 changes nothing.

    Raises:
        InputError: ``amount`` is outside [0, 1].
    """
    if not 0 <= amount <= 1:
        raise InputError("smoothing is {:g}, expected a number between 0 and 1.", amount)
    sigma = amount * MAX_SIGMA
    if sigma == 0 or len(values) < 2:
        return values
    shot = np.cumsum(cuts)
    zeroth, first, second = np.ones((3, len(values), 1)) * np.array([1, 0, 0])[:, None, None]
    plain, sloped = values.astype(np.float64), np.zeros(values.shape)
    for lag in range(1, len(values)):
        step = times[lag:] - times[:-lag]
        weight = np.exp(-0.5 * (step / sigma) ** 2) * (step <= 3 * sigma) * (shot[lag:] == shot[:-lag])
        if not weight.any():
            break
        for here, there, sign in ((slice(None, -lag), slice(lag, None), 1), (slice(lag, None), slice(None, -lag), -1)):
            w, offset = weight[:, None], sign * step[:, None] / sigma
            zeroth[here] += w
            first[here] += w * offset
            second[here] += w * offset**2
            plain[here] += w * values[there]
            sloped[here] += w * offset * values[there]
    spread = zeroth * second - first**2
    has_slope = spread > 1e-6 * zeroth**2
    line = (second * plain - first * sloped) / np.where(has_slope, spread, 1)
    return np.where(has_slope, line, plain / zeroth).astype(values.dtype)


def keep_fast(values: np.ndarray, smoothed: np.ndarray) -> np.ndarray:
    """Give back to smoothed rig weights what was too much to be noise: ``(T, K)``.

    Noise is small against a blink: a difference below the first of :data:`FAST` stays off, one beyond the second comes
    back whole, and between them it fades.

    Args:
        values: as they were, ``(T, K)``.
        smoothed: what :func:`smooth` made of them, ``(T, K)``.
    """
    taken = values - smoothed
    share = np.clip((np.abs(taken) - FAST[0]) / (FAST[1] - FAST[0]), 0, 1)
    return smoothed + taken * share * share * (3 - 2 * share)
