"""Devices to train on: what there is, and whether what is asked for is there."""

import os

import torch

from freeavatar.errors import InputError


def check_device(device: str, processes: int = 1) -> None:
    """See that a device is there.

    Args:
        device: ``cpu``, ``mps``, ``cuda:0``, or several as ``cuda:0,1``.
        processes: how many share the work.

    Raises:
        InputError: it is not there.
    """
    if processes < 1:
        raise InputError("{} processes cannot train: give at least 1.", processes)
    kind, _, numbers = device.partition(":")
    if kind == "cpu" or (kind == "mps" and torch.backends.mps.is_available()):
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    asked = [int(number) for number in numbers.split(",") if number.isdecimal()] or [0]
    if kind != "cuda" or max(asked) >= count:
        there = f"GPUs 0 to {count - 1} are" if count else "no GPU is"
        raise InputError("there is no device {!r}; {} here: choose another, or the CPU.", device, there)


def visible_devices() -> dict[str, str]:
    """Devices to choose from, with their names: GPUs with their free memory, then the CPU."""
    found = {}
    for k in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(k)
        found[f"cuda:{k}"] = f"{torch.cuda.get_device_name(k)} ({free / 2**30:.1f} of {total / 2**30:.1f} GB free)"
    if len(found) > 1:
        found["cuda:" + ",".join(str(k) for k in range(len(found)))] = f"all {len(found)} GPUs"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    return found | {"cpu": f"CPU ({os.cpu_count()} cores)"}
