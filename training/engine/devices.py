"""Devices to train on: what there is, and whether what is asked for is there.

Torch is imported when it is asked, for a page lists devices as it starts.
"""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import pynvml

from freeavatar.errors import InputError
from freeavatar.models.bundle import missing_packages
from freeavatar.models.device import missing_device, parse_device

if TYPE_CHECKING:
    import torch


def torch_device(name: str) -> "torch.device":
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` to a device of torch's that works here; auto is the best.

    Raises:
        InputError: the device asked for is not there.
    """
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, works in available.items() if works))
    kind, number = parse_device(name)
    if not available[kind] or number >= max(1, torch.cuda.device_count()):
        raise missing_device(name)
    return torch.device(name)


def check_device(device: str, processes: int = 1, *, is_here: bool = True) -> None:
    """See that a device is there, and that every process gets one.

    Args:
        device: ``cpu``, ``mps``, ``cuda:0``, or several as ``cuda:0,1``.
        processes: how many share the work.
        is_here: whether this machine does it; a cluster's login node need not have the GPUs of its nodes.

    Raises:
        InputError: it is not there, there are fewer GPUs than processes, or packages are missing.
    """
    torch = need_torch()
    if processes < 1:
        raise InputError("{} processes cannot train: give at least 1.", processes)
    kind, _, numbers = device.partition(":")
    asked = [int(number) for number in numbers.split(",") if number.isdecimal()]
    if kind == "cuda" and asked and processes != len(set(asked)):
        raise InputError(
            "{} names {} GPUs for {} processes: name one for each, such as cuda:0,1 for two.",
            device, len(set(asked)), processes,
        )  # fmt: skip
    if kind == "cpu" or (kind == "cuda" and not is_here) or (kind == "mps" and torch.backends.mps.is_available()):
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind != "cuda" or max([*asked, processes - 1]) >= count:
        there = f"GPUs 0 to {count - 1} are" if count else "no GPU is"
        raise InputError("there is no device {!r}; {} here: choose another, or the CPU.", device, there)


def need_torch() -> Any:
    """Torch, where it is installed with what turns a trained bundle into one that runs.

    Raises:
        InputError: a package is missing.
    """
    if missing := missing_packages():
        raise InputError(
            "training takes packages that are not installed ({}): `pip install -r requirements.txt` brings them.",
            ", ".join(missing),
        )
    import torch

    return torch


def visible_devices() -> dict[str, str]:
    """Devices to choose from, with their names: GPUs with their free memory, then the CPU.

    GPUs are asked through NVIDIA's management library, for CUDA would set up a context on each, hundreds of megabytes.
    """
    found = dict(_gpus())
    if len(found) > 1:
        found["cuda:" + ",".join(str(k) for k in range(len(found)))] = f"all {len(found)} GPUs"
    if (platform.system(), platform.machine()) == ("Darwin", "arm64"):
        found["mps"] = "Apple GPU"
    return found | {"cpu": f"CPU ({os.cpu_count()} cores)"}


def _gpus() -> Iterator[tuple[str, str]]:
    """Number, as CUDA counts those it may see, and name of each."""
    try:
        if version("torch").endswith("+cpu"):  # such a torch does not use them
            return
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(k) for k in range(pynvml.nvmlDeviceGetCount())]
        for number, handle in enumerate(_visible(handles)):
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            name = pynvml.nvmlDeviceGetName(handle)
            yield f"cuda:{number}", f"{name} ({memory.free / 2**30:.1f} of {memory.total / 2**30:.1f} GB free)"
        pynvml.nvmlShutdown()
    except (PackageNotFoundError, pynvml.NVMLError):  # no torch, no driver
        return


def _visible(handles: list[Any]) -> list[Any]:
    """Those that CUDA_VISIBLE_DEVICES leaves, in its order; it ends at the first name that it does not know."""
    text = os.environ.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return handles
    named = {f"{k}": handle for k, handle in enumerate(handles)}
    named |= {pynvml.nvmlDeviceGetUUID(handle): handle for handle in handles}
    chosen = []
    for name in text.split(","):
        known = [handle for known, handle in named.items() if name.strip() and known.startswith(name.strip())]
        exact = named.get(name.strip())
        if exact is None and len(known) != 1:
            break
        chosen.append(exact if exact is not None else known[0])
    return chosen
