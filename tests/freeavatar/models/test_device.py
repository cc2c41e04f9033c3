"""Where networks run: as asked, or said in a sentence."""

import logging
from types import SimpleNamespace

import pytest

from freeavatar.errors import InputError
from freeavatar.models import choose_device, device
from freeavatar.models.device import providers_of

CUDA, COREML, CPU = "CUDAExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider"


@pytest.fixture
def machine(monkeypatch):
    """A machine with these providers in ONNX Runtime, and so many devices by the driver and by torch."""

    def make(*providers, driver=0, torch=0):
        providers_of.cache_clear()
        monkeypatch.setattr(device.onnxruntime, "get_available_providers", lambda: [*providers, CPU])
        monkeypatch.setattr(device.onnxruntime, "preload_dlls", lambda: None, raising=False)
        monkeypatch.setattr(device, "_cuda_devices", lambda: driver)
        monkeypatch.setattr(device, "_torch_devices", lambda: torch)

    yield make
    providers_of.cache_clear()


def test_auto_is_cuda_where_onnx_runtime_and_the_driver_have_it(machine):
    for providers, driver, expected in (
        ((), 1, "cpu"),
        ((CUDA,), 0, "cpu"),
        ((CUDA,), 1, "cuda"),
        ((COREML,), 0, "cpu"),
    ):
        machine(*providers, driver=driver, torch=1)
        assert choose_device("auto") == expected


def test_a_device_runs_by_its_provider_and_what_fails_there_on_the_cpu(machine):
    machine(CUDA, COREML, driver=2)
    assert choose_device("cuda:1") == "cuda:1" and choose_device("mps") == "mps"
    assert providers_of("cuda:1") == [(CUDA, {"device_id": 1}), CPU]
    assert providers_of("mps") == [COREML, CPU] and providers_of("cpu") == [CPU]


def test_where_torch_alone_sees_the_gpu_avatars_are_drawn_there_and_networks_are_not(machine, caplog):
    machine(driver=1, torch=1)
    assert choose_device("cuda") == "cuda"
    with caplog.at_level(logging.WARNING):
        assert providers_of("cuda") == providers_of("cuda") == [CPU]
    (record,) = caplog.records
    assert "install onnxruntime-gpu in place of onnxruntime" in record.getMessage()


def test_what_is_not_there_is_refused(machine):
    machine(driver=1)
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(InputError, match=f"this machine has no {name} device: use --device auto or cpu"):
            choose_device(name)
    machine(CUDA, driver=2)
    with pytest.raises(InputError, match="no cuda:2 device"):
        choose_device("cuda:2")
    for name in ("tpu", "cpu:0", "cuda:x", "mps:0"):
        with pytest.raises(InputError, match="use auto, cpu, cuda, cuda:0 or mps"):
            choose_device(name)


def test_the_driver_says_how_many_devices_there_are(monkeypatch):
    def count(pointer):
        pointer._obj.value = 2
        return 0

    driver = SimpleNamespace(cuInit=lambda flags: 0, cuDeviceGetCount=count)
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: driver)
    assert device._cuda_devices() == 2
    driver.cuInit = lambda flags: 100  # no device
    assert device._cuda_devices() == 0


def test_without_a_driver_there_is_no_cuda(monkeypatch):
    def refuse(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(device.ctypes, "CDLL", refuse)
    assert device._cuda_devices() == 0
