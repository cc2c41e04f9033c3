"""Devices to train on: who gets which, and how they are counted without touching them."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest
import torch

from freeavatar.errors import InputError
from training.engine import devices
from training.engine.devices import check_device, torch_device, visible_devices
from training.engine.stage import EngineConfig, device_of


@pytest.fixture
def gpus(monkeypatch):
    """A machine with four GPUs, as far as asking goes."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(devices, "version", lambda package: "2.0")
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: pytest.fail("a context was set up"))
    memory = SimpleNamespace(free=60 * 2**30, total=80 * 2**30)
    for name, answer in {
        "nvmlInit": lambda: None, "nvmlShutdown": lambda: None, "nvmlDeviceGetCount": lambda: 4,
        "nvmlDeviceGetHandleByIndex": lambda k: k, "nvmlDeviceGetMemoryInfo": lambda k: memory,
        "nvmlDeviceGetName": lambda k: f"H{k}", "nvmlDeviceGetUUID": lambda k: f"GPU-{k}{k}{k}",
    }.items():  # fmt: skip
        monkeypatch.setattr(devices.pynvml, name, answer)


@pytest.mark.parametrize(
    ("visible", "names"),
    [(None, ["H0", "H1", "H2", "H3"]), ("2,0", ["H2", "H0"]), ("GPU-33", ["H3"]), ("1,9,0", ["H1"]), ("", [])],
)
def test_gpus_are_listed_as_cuda_counts_them_without_a_context(gpus, monkeypatch, visible, names):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = [text for device, text in visible_devices().items() if device.startswith("cuda") and "," not in device]
    assert found == [f"{name} (60.0 of 80.0 GB free)" for name in names]


def test_a_machine_without_a_driver_has_its_cpu(monkeypatch):
    def refuse():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(devices, "version", lambda package: "2.0")
    monkeypatch.setattr(devices.pynvml, "nvmlInit", refuse)
    assert not [device for device in visible_devices() if device.startswith("cuda")]


def test_a_torch_for_the_cpu_shows_no_gpus(gpus, monkeypatch):
    monkeypatch.setattr(devices, "version", lambda package: "2.0+cpu")
    assert not [device for device in visible_devices() if device.startswith("cuda")]


def test_every_process_has_a_gpu_or_is_refused(gpus):
    check_device("cuda:0,2", 2)
    check_device("cuda", 4)
    for device, processes in (("cuda:0", 4), ("cuda:0,1", 1), ("cuda:0,0", 2)):
        with pytest.raises(InputError, match=f"GPUs for {processes} processes: name one for each"):
            check_device(device, processes)
    for device, processes in (("cuda:4", 1), ("cuda", 5)):
        with pytest.raises(InputError, match="GPUs 0 to 3 are here"):
            check_device(device, processes)


def test_what_publishes_a_trained_bundle_is_missed_before_training(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in ("onnx", "onnxscript") else found(name)
    )
    with pytest.raises(InputError, match=r"packages that are not installed \(onnx, onnxscript\): `pip install"):
        check_device("cpu")


def test_a_login_node_needs_no_gpu_of_its_own():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="no GPU is here"):
        check_device("cuda", 1)
    check_device("cuda", 8, is_here=False)
    with pytest.raises(InputError, match="name one for each"):
        check_device("cuda:0", 8, is_here=False)


def test_a_stage_runs_on_the_gpu_that_it_names(gpus, monkeypatch):
    def device(name, rank=None, world=1):
        monkeypatch.delenv("LOCAL_RANK", raising=False)
        if rank is not None:
            monkeypatch.setenv("LOCAL_RANK", str(rank))
            monkeypatch.setenv("LOCAL_WORLD_SIZE", str(world))
        return str(device_of(EngineConfig(Path(), steps=1, device=name)))

    assert device("cuda:1") == "cuda:1" and device("cuda") == "cuda" and device("cuda", 2, 4) == "cuda:2"
    with pytest.raises(InputError, match="several processes want one each"):
        device("cuda:1", 0, 2)
    assert torch_device("cuda:3").index == 3
    for name in ("cuda:4", "cuda:x", "cpu:0", "tpu"):
        with pytest.raises(InputError, match="device"):
            torch_device(name)
