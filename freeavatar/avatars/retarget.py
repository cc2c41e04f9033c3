"""From a face's curves to what an avatar plays."""

import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.rig import Controls, Curves


def retarget(avatar: Avatar, curves: Curves, drive: np.ndarray | None = None) -> Controls:
    """Turn ARKit's blendshapes into the avatar's own controls.

    Args:
        avatar: who plays.
        curves: what the face does.
        drive: how its controls follow ARKit's blendshapes, ``(K, 52)``, where that was learned; default as its file
            declares.
    """
    return Controls(
        avatar=avatar.name, names=avatar.target_names, weights=avatar.control_weights(curves.weights, drive),
        times=curves.times, rate=curves.rate, head=curves.head, confidence=curves.confidence,
    )  # fmt: skip
