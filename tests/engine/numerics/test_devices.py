"""The device is always said; a GPU that can't be used is never passed over in silence."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
import torch

from engine.errors import DeviceError
from engine.numerics import devices

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Pretend to be another machine."""

    def pretend(*, cuda: str = "no driver", mps: str = "none", present: str = "") -> None:
        monkeypatch.setattr(devices, "_cuda_problem", lambda: cuda)
        monkeypatch.setattr(devices, "_mps_problem", lambda: mps)
        monkeypatch.setattr(devices, "nvidia_gpu_present", lambda: present)
        monkeypatch.setattr(devices, "cuda_words", lambda: "NVIDIA T (16 GB)")

    return pretend


def test_auto_takes_the_best(machine: Machine):
    machine(cuda="", mps="")
    assert devices.choose_device("auto") == devices.DeviceChoice(torch.device("cuda"), "NVIDIA T (16 GB)")
    machine(mps="")
    assert devices.choose_device("auto").device.type == "mps"
    machine()
    choice = devices.choose_device()
    assert choice.device.type == "cpu"
    assert choice.words.startswith("CPU (")
    assert choice.warnings == ()


@pytest.mark.parametrize("mps", ["", "none"])
def test_an_unusable_gpu_is_a_warning(machine: Machine, mps: str):
    machine(cuda="the driver is too old.", mps=mps, present="NVIDIA T")
    choice = devices.choose_device("auto")
    assert choice.device.type == ("cpu" if mps else "mps")
    assert len(choice.warnings) == 1
    assert "NVIDIA T" in choice.warnings[0]
    assert "driver is too old" in choice.warnings[0]
    assert ("many times slower" in choice.warnings[0]) == bool(mps)


def test_what_is_asked_for_by_name_is_not_replaced(machine: Machine):
    machine(cuda="no driver.", mps="no Apple GPU.", present="NVIDIA T")
    with pytest.raises(DeviceError, match="no driver"):
        devices.choose_device("cuda")
    with pytest.raises(DeviceError, match="no Apple GPU"):
        devices.choose_device("mps")
    with pytest.raises(DeviceError, match="no device `tpu`"):
        devices.choose_device("tpu")
    assert devices.choose_device("cpu").warnings == ()  # asked for: nothing to warn of


def test_a_listed_gpu_that_refuses_to_compute_is_unusable(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **options: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution\nmore")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", refuse)
    with pytest.raises(DeviceError, match="first computation failed .CUDA error: no kernel image"):
        devices.choose_device("cuda")


def test_a_gpu_that_computes_wrongly_is_unusable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "ones", lambda *a, **o: torch.full((8,), 2.0))
    assert "gave 72 instead of 36" in devices._kernel_problem("cpu")


def test_a_working_device_has_no_problem():
    assert devices._kernel_problem("cpu") == ""


@pytest.mark.parametrize(
    ("cuda", "available", "words"),
    [(None, False, "installed without CUDA"), ("13.0", False, "no usable driver"), ("13.0", True, "")],
)
def test_why_cuda_is_unusable(monkeypatch: pytest.MonkeyPatch, cuda: str | None, available: bool, words: str):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(devices, "_kernel_problem", lambda device: "")
    assert words in devices._cuda_problem()
    assert bool(devices._cuda_problem()) == bool(words)


def _smi(stdout: str) -> Callable[..., object]:
    return lambda *a, **o: subprocess.CompletedProcess(a, 0, stdout, "")


def test_a_gpu_is_seen_by_the_tool_or_its_device_node(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(devices, "nvidia_nodes", list)
    monkeypatch.setattr(devices.subprocess, "run", _smi("GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\n"))
    assert devices.nvidia_gpu_present() == "NVIDIA H100 80GB HBM3"
    monkeypatch.setattr(devices.subprocess, "run", _smi("NVIDIA-SMI has failed because it couldn't\n"))
    assert devices.nvidia_gpu_present() == ""
    monkeypatch.setattr(devices, "nvidia_nodes", lambda: ["/dev/nvidia0"])
    assert devices.nvidia_gpu_present() == "seen as /dev/nvidia0"

    def hang(*args: object, **options: object) -> None:
        raise subprocess.TimeoutExpired("nvidia-smi", 10)

    monkeypatch.setattr(devices.subprocess, "run", hang)
    assert devices.nvidia_gpu_present() == "seen as /dev/nvidia0"


def test_cores_are_counted_in_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: {0}, raising=False)
    assert devices.cpu_words() == "CPU (1 core)"
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    assert devices.cpu_words() == "CPU (2 cores)"
