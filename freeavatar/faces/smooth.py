"""Temporal smoothing of a face's five points: zero lag, and hardly any of it while the face moves."""

import numpy as np

from freeavatar.faces.align import align_matrix

LOOKAHEAD = 5
"""Frames after (and before) a frame that its smoothed points depend on; the outermost two only serve
to tell whether their neighbours are wrong."""

_WIDE, _NARROW = 2 / 30, 0.5 / 30
"""Widths of the Gaussian windows for a still and for a moving point, in seconds."""
_STILL = 1.0
"""Distance between the two estimates below which a point is still, in crop pixels."""
_JUMP, _JUMP_RATIO = 4.0, 4.0
"""Mean movement between two frames that is a jump, in crop pixels, if that many times the movement
before and after: a head has not the force for it, a cut within a scene has."""
_SPIKE = 4.0
"""Deviation from both neighbouring frames beyond which a measurement is wrong, in crop pixels."""


def smooth_points(points: np.ndarray, times: np.ndarray, centre: int) -> np.ndarray:
    """Smooth the points of one frame with those of its neighbours.

    Two lines are fitted to each point's path around the frame, one with a wide Gaussian window and one
    with a narrow one: a line has no lag on steady movement, whatever the frame times are. Where the two
    agree the wide one counts, where they differ by more than noise the narrow one does. A measurement
    that leaps away for a single frame has no weight, and frames beyond a jump have none.

    Args:
        points: five points of neighbouring frames of one uninterrupted face, ``(T, 5, 2)``.
        times: their times, ``(T,)``, in seconds, increasing.
        centre: index of the frame to smooth.

    Returns:
        Its points, ``(5, 2)`` float32.
    """
    points = points.astype(np.float64)
    pixel = 1 / np.hypot(*align_matrix(points[centre])[:, 0])
    trusted = ~_is_spike(points / pixel, times)
    trusted &= np.abs(np.arange(len(points)) - centre) < LOOKAHEAD
    trusted &= _is_joined(points / pixel, centre)
    wide = _line(points, times, centre, trusted, _WIDE)
    narrow = _line(points, times, centre, trusted, _NARROW)
    apart = (((wide - narrow) / (pixel * _STILL)) ** 2).sum(1, keepdims=True) ** 2
    return (wide + (narrow - wide) * apart / (apart + 1)).astype(np.float32)


def _is_spike(points: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Frames in which any point is far from where both neighbours, who agree, put it: ``(T,)``."""
    spike = np.zeros(len(points), bool)
    if len(points) < 3:
        return spike
    before, after = points[:-2], points[2:]
    part = ((times[1:-1] - times[:-2]) / (times[2:] - times[:-2]))[:, None, None]
    deviation = np.linalg.norm(points[1:-1] - (before + (after - before) * part), axis=2)
    change = np.linalg.norm(after - before, axis=2)
    spike[1:-1] = ((deviation > _SPIKE) & (change < deviation / 2)).any(1)
    return spike


def _is_joined(points: np.ndarray, centre: int) -> np.ndarray:
    """Frames with no jump between them and the centre: ``(T,)``."""
    step = np.linalg.norm(np.diff(points, axis=0), axis=2).mean(1)
    around = np.pad(step, 1)
    is_jump = step > np.maximum(_JUMP, _JUMP_RATIO * np.maximum(around[:-2], around[2:]))
    piece = np.concatenate(([0], np.cumsum(is_jump)))
    return piece == piece[centre]


def _line(points: np.ndarray, times: np.ndarray, centre: int, trusted: np.ndarray, width: float) -> np.ndarray:
    """Value at the centre of the weighted least-squares line through the trusted points, ``(5, 2)``."""
    offset = (times - times[centre]) / width
    nearest = (offset[trusted] ** 2).min()
    weight = np.exp(np.minimum(0, nearest - offset**2) / 2) * trusted
    total, first, second = weight.sum(), (weight * offset).sum(), (weight * offset**2).sum()
    spread = total * second - first**2
    has_slope = spread > 1e-6 * total**2
    kernel = weight * (second - first * offset) / spread if has_slope else weight / total
    return np.tensordot(kernel, points, axes=1)
