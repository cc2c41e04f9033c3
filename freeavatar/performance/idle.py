"""What an avatar does while nobody drives it: it blinks, and its head sways a little."""

import numpy as np

from freeavatar.rig import ARKIT

BLINK = 0.26
"""Seconds from open over closed to open."""
_PERIOD = 3.4
"""Seconds in which one blink falls."""
_SWAYS = ((2.2, 7.3, 0.0), (1.1, 5.1, 1.7), (0.9, 9.7, 0.6))
"""Degrees, seconds and phase (radians) of the head's yaw, pitch and roll."""
_GLANCE = 0.12
"""How far the eyes wander with the head's slow sway."""
_LIDS = [ARKIT.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]
_TO_IMAGE_RIGHT = [ARKIT.index(name) for name in ("eyeLookOutLeft", "eyeLookInRight")]
_TO_IMAGE_LEFT = [ARKIT.index(name) for name in ("eyeLookInLeft", "eyeLookOutRight")]


def idle(time: float) -> tuple[np.ndarray, np.ndarray]:
    """The pose at a moment, the same whenever it is asked for.

    Args:
        time: seconds.

    Returns:
        Weights of ARKit's blendshapes, ``(52,)`` float32 in [0, 1], and yaw, pitch and roll, ``(3,)`` float32 degrees.
    """
    weights = np.zeros(len(ARKIT), np.float32)
    weights[_LIDS] = _blink(time)
    glance = _GLANCE * np.sin(2 * np.pi * time / 11.3)
    weights[_TO_IMAGE_RIGHT if glance > 0 else _TO_IMAGE_LEFT] = abs(glance)
    head = [size * np.sin(2 * np.pi * time / period + phase) for size, period, phase in _SWAYS]
    return weights, np.array(head, np.float32)


def _blink(time: float) -> float:
    """How far the lids are closed: once in every period, at a moment that differs from period to period."""
    count, within = divmod(time, _PERIOD)
    start = (_PERIOD - BLINK) * ((count * 0.618034) % 1)
    part = (within - start) / BLINK
    return float(np.sin(np.pi * part) ** 2) if 0 < part < 1 else 0.0
