"""What every exporter asks of a performance."""

import numpy as np

from freeavatar.errors import InputError
from freeavatar.rig import Controls, Curves


def check_performance(performance: Curves | Controls, name: str) -> None:
    """Refuse a performance that no file format can hold.

    Args:
        performance: of a face, or of an avatar.
        name: whose it is, for the message.

    Raises:
        InputError: there is no frame, a value is not finite, or the times do not start at zero
            or later and increase.
    """
    times = performance.times
    if len(times) == 0:
        raise InputError("The performance of {} has no frames: export a clip of at least one frame.", name)
    arrays = (performance.weights, times, performance.head, performance.confidence)
    if not all(np.isfinite(array).all() for array in arrays):
        raise InputError("The performance of {} has a value that is not a finite number: compute it again.", name)
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise InputError("The times of {}'s performance must increase from zero: give each frame its own time.", name)
