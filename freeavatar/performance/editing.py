"""Settings acting on a performance as it was decoded: calibration, smoothing, strength."""

from dataclasses import replace

import numpy as np

from freeavatar.performance import motion
from freeavatar.performance.profile import Profile
from freeavatar.performance.regions import scale_regions
from freeavatar.performance.settings import AnimateOptions
from freeavatar.rig import Performance

HEAD_LIMIT = np.array([50.0, 35.0, 35.0], np.float32)
"""Avatars' heads turn no further than this: yaw, pitch, roll in degrees."""

_REACH = 4 * motion.MAX_SIGMA
"""Seconds that smoothing looks ahead and back, at most, with a frame to spare."""


def edit(
    raw: Performance,
    options: AnimateOptions,
    *,
    offset: float = 0.0,
    neutral: tuple[np.ndarray, np.ndarray] | None = None,
) -> Performance:
    """Calibrate, smooth and scale a performance of ARKit's blendshapes.

    Args:
        raw: as decoded; its head is that of the track, and its confidence is 0 where there is no face.
        options: settings.
        offset: second of the input at which the performance begins.
        neutral: rig weights and head of the actor's neutral; default :func:`neutral_of`.

    Raises:
        InputError: no face is in sight around the marked neutral second.
    """
    times, found = raw.times, raw.confidence > 0
    rig, rest = neutral or neutral_of(raw, options, offset=offset)
    weights = motion.calibrate(raw.weights, rig)
    head = np.zeros_like(raw.head)
    if options.has_head_pose:
        head = np.clip((raw.head - rest) * options.regions.head, -HEAD_LIMIT, HEAD_LIMIT) * found[:, None]
    if options.is_sequence:
        weights, head = motion.fill_gaps(weights, times, found), motion.fill_gaps(head, times, found)
    else:
        weights = weights * found[:, None]
    weights = scale_regions(motion.smooth(weights, times, options.smoothing), raw.names, options.regions, options.gain)
    return replace(
        raw, weights=weights.astype(np.float32), head=motion.smooth(head, times, options.smoothing).astype(np.float32)
    )


def neutral_of(raw: Performance, options: AnimateOptions, *, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The actor's neutral as the settings have it: rig weights ``(K,)`` and head ``(3,)`` in degrees.

    Args, Raises: as :func:`edit`.
    """
    times, found, chosen = raw.times + offset, raw.confidence > 0, options.calibration
    if isinstance(chosen, Profile):
        return chosen.neutral_for(raw.names), np.array(chosen.head, np.float32)
    rest = np.zeros(3, np.float32)
    if chosen == "auto" and motion.has_neutral(times, found):
        rest = np.median(raw.head[found], axis=0)
    elif not isinstance(chosen, str):
        rest = raw.head[motion.near_second(times, found, chosen)].mean(0)
    return motion.neutral_of(raw.weights, times, found, chosen), rest


def around(raw: Performance, index: int) -> tuple[Performance, int]:
    """The part of a performance that an edited frame depends on, and that frame's index in it."""
    time = raw.times[index]
    begin, end = np.searchsorted(raw.times, (time - motion.HOLD - motion.EASE - _REACH, time + _REACH))
    part = slice(int(begin), max(int(end), index + 1))
    cut = replace(
        raw, weights=raw.weights[part], times=raw.times[part], head=raw.head[part], confidence=raw.confidence[part]
    )
    return cut, index - part.start
