"""Choosing where networks run and avatars are drawn."""

import ctypes
import logging
import os
from functools import lru_cache
from typing import Any

import onnxruntime

from freeavatar.errors import InputError

logger = logging.getLogger(__name__)

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider"}
"""ONNX Runtime's names of what runs networks."""


def choose_device(name: str) -> str:
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` to a device that works here.

    Auto is CUDA where ONNX Runtime and the driver have it, and else the CPU.

    Raises:
        InputError: the device asked for is not there.
    """
    if name == "auto":
        return "cuda" if _has_provider("cuda") and _cuda_devices() else "cpu"
    kind, number = parse_device(name)
    if kind == "cuda" and number >= (_cuda_devices() if _has_provider("cuda") else _torch_devices()):
        raise missing_device(name)
    if kind == "mps" and not _has_provider("mps"):
        raise missing_device(name)
    return name


def parse_device(name: str) -> tuple[str, int]:
    """Kind and number of a device; without a number it is the first.

    Raises:
        InputError: there is no such kind.
    """
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and (kind != "cuda" or not number.isdecimal())):
        raise InputError("there is no device {!r}: use auto, cpu, cuda, cuda:0 or mps.", name)
    return kind, int(number or 0)


def missing_device(name: str) -> InputError:
    """What to raise where a device is not there."""
    return InputError("this machine has no {} device: use --device auto or cpu.", name)


@lru_cache(maxsize=8)
def providers_of(device: str) -> list[Any]:
    """ONNX Runtime's providers for a device that was chosen, best first; says so once where it is the CPU after all."""
    kind, number = parse_device(device)
    if kind == "cpu":
        return ["CPUExecutionProvider"]
    if not _has_provider(kind):
        logger.warning(
            "the networks run on the CPU, for this ONNX Runtime does not use %s: to have them there, install "
            "onnxruntime-gpu in place of onnxruntime.",
            device,
        )
        return ["CPUExecutionProvider"]
    if kind == "cuda":
        onnxruntime.preload_dlls()  # CUDA's libraries as pip has them
        return [(_PROVIDERS[kind], {"device_id": number}), "CPUExecutionProvider"]
    return [_PROVIDERS[kind], "CPUExecutionProvider"]


def _has_provider(kind: str) -> bool:
    return _PROVIDERS[kind] in onnxruntime.get_available_providers()


def _cuda_devices() -> int:
    """How many the driver shows."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int()
    is_there = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if is_there else 0


def _torch_devices() -> int:
    """How many torch can draw on, where it is installed."""
    try:
        import torch
    except ImportError:
        return 0
    return torch.cuda.device_count()
