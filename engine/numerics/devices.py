"""Where to compute, always said in words. A GPU that is there but unusable is a warning, never silence."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from engine.errors import DeviceError

_DOCTOR = "`verglas doctor` says more."


@dataclass(frozen=True)
class DeviceChoice:
    """A device and what to tell the user about it.

    Attributes
    ----------
    device : for torch.
    words : for people, e.g. ``CPU (2 cores)``.
    warnings : what is wrong, one sentence or two each; empty if nothing is.
    """

    device: torch.device
    words: str
    warnings: tuple[str, ...] = ()


def choose_device(wanted: str = "auto") -> DeviceChoice:
    """The device to compute on.

    Parameters
    ----------
    wanted : ``auto`` takes CUDA, then MPS, then the CPU; else ``cuda``, ``mps`` or ``cpu``.

    Raises
    ------
    DeviceError
        If a device was asked for by name and can't be used.
    """
    if wanted == "cpu":
        return DeviceChoice(torch.device("cpu"), cpu_words())
    if wanted == "mps":
        problem = _mps_problem()
        if problem:
            raise DeviceError(problem, "Choose `auto` or `cpu`.")
        return DeviceChoice(torch.device("mps"), mps_words())
    if wanted == "cuda":
        problem = _cuda_problem()
        if problem:
            raise DeviceError(
                f"The NVIDIA GPU can't be used: {problem}", f"Choose `auto` or `cpu`. {_DOCTOR}"
            )
        return DeviceChoice(torch.device("cuda"), cuda_words())
    if wanted != "auto":
        raise DeviceError(f"There is no device `{wanted}`.", "Choose auto, cuda, mps or cpu.")

    problem = _cuda_problem()
    if not problem:
        return DeviceChoice(torch.device("cuda"), cuda_words())
    warnings: tuple[str, ...] = ()
    present = nvidia_gpu_present()
    if present:
        warnings = (f"There is an NVIDIA GPU ({present}), but it can't be used: {problem} {_DOCTOR}",)
    if not _mps_problem():
        return DeviceChoice(torch.device("mps"), mps_words(), warnings)
    if warnings:
        warnings = (f"{warnings[0]} The run goes on with the CPU, which is many times slower.",)
    return DeviceChoice(torch.device("cpu"), cpu_words(), warnings)


def nvidia_gpu_present() -> str:
    """What shows that the machine has an NVIDIA GPU, usable or not; empty if nothing does."""
    tool = shutil.which("nvidia-smi")
    if tool:
        try:
            listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10, check=False)
            first = next((line for line in listed.stdout.splitlines() if line.startswith("GPU ")), "")
            if first:
                return first.split(": ", 1)[-1].split(" (UUID")[0]
        except (OSError, subprocess.TimeoutExpired):
            pass
    nodes = nvidia_nodes()
    return f"seen as {nodes[0]}" if nodes else ""


def nvidia_nodes() -> list[str]:
    """Device nodes and driver entries of NVIDIA GPUs (Linux)."""
    found = [str(p) for p in sorted(Path("/dev").glob("nvidia[0-9]*"))]
    return found + [str(p) for p in sorted(Path("/proc/driver/nvidia/gpus").glob("*"))]


def cpu_words() -> str:
    """E.g. ``CPU (2 cores)``: the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return f"CPU ({cores} core{'s' if cores != 1 else ''})"


def cuda_words() -> str:
    """E.g. ``NVIDIA H100 80GB HBM3 (79 GB)``."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return f"{properties.name} ({properties.total_memory / 2**30:.0f} GB)"


def mps_words() -> str:
    """E.g. ``Apple GPU (arm64)``."""
    return f"Apple GPU ({platform.machine()})"


def free_memory(device: torch.device) -> int:
    """Bytes of memory that are free on a device; 0 where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available) if device.type == "cpu" else 0


def _cuda_problem() -> str:
    if torch.version.cuda is None:
        return "this PyTorch was installed without CUDA."
    if not torch.cuda.is_available():
        return (
            "PyTorch finds no usable driver (too old for this PyTorch, missing, or hidden from this process)."
        )
    return _kernel_problem("cuda")


def _mps_problem() -> str:
    if not torch.backends.mps.is_available():
        return "This machine has no Apple GPU that PyTorch can use."
    problem = _kernel_problem("mps")
    return f"The Apple GPU can't be used: {problem}" if problem else ""


def _kernel_problem(device: str) -> str:
    """Run a tiny kernel: a driver may be listed and still refuse to compute."""
    try:
        total = float(torch.ones(8, device=device).cumsum(0).sum().item())
    except Exception as exc:
        reason = str(exc).strip().splitlines()
        return f"a first computation failed ({reason[0] if reason else type(exc).__name__})."
    return "" if total == 36.0 else f"a first computation gave {total:g} instead of 36."


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are done in hardware there, and so several times faster."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        found = torch.cpu.get_capabilities()
        return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return False
