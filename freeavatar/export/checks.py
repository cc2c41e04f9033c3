"""What every exporter asks of a performance."""

import numpy as np

from freeavatar.errors import InputError
from freeavatar.rig import Performance


def check_performance(performance: Performance) -> None:
    """Refuse a performance that no file format can hold.

    Raises:
        InputError: there is no frame, a value is not finite, or the times do not start at zero
            or later and increase.
    """
    avatar, times = performance.avatar, performance.times
    if len(times) == 0:
        raise InputError(f"The performance of {avatar} has no frames: export a clip of at least one frame.")
    arrays = (performance.weights, times, performance.head, performance.confidence)
    if not all(np.isfinite(array).all() for array in arrays):
        raise InputError(f"The performance of {avatar} has a value that is not a finite number: compute it again.")
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise InputError(f"The times of {avatar}'s performance must increase from zero: give each frame its own time.")
