"""Fewer keys: those left out lie on the line between their neighbours, within a bound.

The keys of one curve, or of several that share their times, are chosen by Ramer (1972) and Douglas & Peucker (1973): a
stretch between two keys gets another where it is farthest off, until no frame is off by more than the bound.
"""

import numpy as np


def needed_keys(times: np.ndarray, values: np.ndarray, most_error: float, *, is_rotation: bool = False) -> np.ndarray:
    """Frames whose keys have to stay, the first and the last among them.

    Args:
        times: of the frames, ``(T,)``, increasing.
        values: ``(T, N)``, interpolated linearly; all N share the keys. Rotations are unit quaternions ``(T, 4)``,
            interpolated along the shorter arc (slerp), as glTF and USD do.
        most_error: largest difference of any value of any frame; of rotations the angle, radians. 0 keeps all.
        is_rotation: whether they are rotations.

    Returns:
        Indices, increasing.
    """
    if most_error <= 0:
        return np.arange(len(times))
    times, values = times.astype(np.float64), values.astype(np.float64)
    last = len(times) - 1
    kept, stretches = {0, last}, [(0, last)]
    while stretches:
        first, last = stretches.pop()
        inner = slice(first + 1, last)
        part = ((times[inner] - times[first]) / max(times[last] - times[first], 1e-12))[:, None]
        if is_rotation:
            errors = _angles(_slerp(values[first], values[last], part), values[inner])
        else:
            errors = np.abs(values[first] + part * (values[last] - values[first]) - values[inner]).max(1, initial=0)
        if len(errors) and errors.max() > most_error:
            middle = first + 1 + int(errors.argmax())
            kept.add(middle)
            stretches += [(first, middle), (middle, last)]
    return np.array(sorted(kept))


def _slerp(first: np.ndarray, last: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Rotations between two, ``(M, 4)``, at parts ``(M, 1)`` of the way."""
    cosine = float(first @ last)
    if cosine < 0:
        last, cosine = -last, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-6:
        return first + part * (last - first)
    return (np.sin((1 - part) * angle) * first + np.sin(part * angle) * last) / np.sin(angle)


def _angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angles between rotations, ``(M,)`` radians."""
    chord = np.minimum(np.linalg.norm(first - second, axis=1), np.linalg.norm(first + second, axis=1))
    return 4 * np.arcsin(np.minimum(chord / 2, 1))
