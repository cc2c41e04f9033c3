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
        raise InputError("there is no device {!r}: use auto, cpu, cuda or mps.", name)
    if not available[name]:
        raise InputError("this machine has no {} device: use --device auto or cpu.", name)
    return torch.device(name)
