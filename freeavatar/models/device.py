"""Choosing where networks run."""

import torch

from freeavatar.errors import InputError


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``mps`` to a device that works here.

    Raises:
        InputError: the device asked for is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, works in available.items() if works))
    if name not in available:
        raise InputError(f"there is no device {name!r}: use auto, cpu, cuda or mps.")
    if not available[name]:
        raise InputError(f"this machine has no {name} device: use --device auto or cpu.")
    return torch.device(name)
