"""Choosing where networks run."""

import torch

from freeavatar.errors import InputError


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` to a device that works here.

    Raises:
        InputError: the device asked for is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, works in available.items() if works))
    kind, colon, number = name.partition(":")
    if kind not in available or (colon and (kind != "cuda" or not number.isdecimal())):
        raise InputError("there is no device {!r}: use auto, cpu, cuda, cuda:0 or mps.", name)
    if not available[kind] or (number and int(number) >= torch.cuda.device_count()):
        raise InputError("this machine has no {} device: use --device auto or cpu.", name)
    return torch.device(name)
