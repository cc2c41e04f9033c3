"""Settings acting on curves as they were decoded: calibration, smoothing, strength."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from freeavatar.performance import motion
from freeavatar.performance.profile import Profile
from freeavatar.performance.regions import scale_regions
from freeavatar.performance.settings import EditSettings
from freeavatar.rig import ARKIT, Curves

HEAD_LIMIT = np.array([50.0, 35.0, 35.0], np.float32)
"""Avatars' heads turn no further than this: yaw, pitch, roll in degrees."""

_QUICK = [k for k, name in enumerate(ARKIT) if name.startswith(("eyeBlink", "jawOpen", "mouthClose", "mouthFunnel",
                                                               "mouthPress", "mouthPucker", "mouthRoll"))]  # fmt: skip
"""What moves faster than the smoothing's kernel: lids that blink, and lips and jaw that speak."""

Filter = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
"""Values ``(T, 52 + 3)`` of blendshapes and head, their times, the cuts among them and the amount of smoothing in;
smoothed values out."""


class Neutral(NamedTuple):
    """The actor at rest."""

    weights: np.ndarray
    """ARKit's blendshapes, ``(52,)``."""
    head: np.ndarray
    """Yaw, pitch, roll, ``(3,)`` degrees."""


def centred(values: np.ndarray, times: np.ndarray, cuts: np.ndarray, amount: float) -> np.ndarray:
    """The :data:`Filter` of a file's curves: looks both ways, and leaves blinks and plosives as quick as they were."""
    smoothed = motion.smooth(values, times, cuts, amount)
    smoothed[:, _QUICK] = motion.keep_fast(values[:, _QUICK], smoothed[:, _QUICK])
    return smoothed


def edit(raw: Curves, settings: EditSettings, neutral: Neutral, *, smooth: Filter = centred) -> Curves:
    """Calibrate, smooth and scale curves.

    Args:
        raw: as decoded; the head as tracked, the confidence 0 where there is no face.
        settings: what to do.
        neutral: the actor at rest, as :func:`neutral_of` finds it.
        smooth: over time; the default looks both ways.
    """
    head = np.zeros_like(raw.head)
    if settings.has_head_pose:
        head = np.clip((raw.head - neutral.head) * settings.regions.head, -HEAD_LIMIT, HEAD_LIMIT)
    values = np.concatenate([motion.calibrate(raw.weights, neutral.weights), head], axis=1)
    if settings.is_sequence:
        values = motion.fill_gaps(values, raw.times, raw.found)
    else:
        values = values * raw.found[:, None]
    values = smooth(values, raw.times, raw.cuts, settings.smoothing)
    weights = scale_regions(np.clip(values[:, :-3], 0, 1), settings.regions, settings.gain)
    return replace(raw, weights=weights.astype(np.float32), head=values[:, -3:].astype(np.float32))


def neutral_of(raw: Curves, settings: EditSettings, *, offset: float = 0.0) -> Neutral:
    """The actor's neutral as the settings have it.

    Args:
        raw: as decoded.
        settings: their calibration counts.
        offset: second of the input at which the curves begin.

    Raises:
        InputError: no face is in sight around the marked neutral second.
    """
    times, found, chosen = raw.times + offset, raw.found, settings.calibration
    if isinstance(chosen, Profile):
        return Neutral(chosen.weights_of_neutral(), np.array(chosen.head, np.float32))
    rest = np.zeros(3, np.float32)
    if chosen == "auto" and motion.has_neutral(times, found):
        rest = np.median(raw.head[found], axis=0)
    elif not isinstance(chosen, str):
        rest = raw.head[motion.near_second(times, found, chosen)].mean(0)
    return Neutral(motion.neutral_of(raw.weights, times, found, chosen), rest)


def around(raw: Curves, index: int) -> tuple[Curves, int]:
    """The part of curves that an edited frame depends on, and that frame's index in it."""
    time = raw.times[index]
    since = time - motion.HOLD - motion.EASE - 2 * motion.REACH
    begin, end = np.searchsorted(raw.times, (since, time + 2 * motion.REACH))
    part = slice(int(begin), max(int(end), index + 1))
    return raw.part(part), index - part.start
