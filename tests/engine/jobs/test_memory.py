"""Less memory, the same result: what a run falls back to, and that it says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.events import Completed, Failed, Notice, Started
from engine.jobs import memory, runner
from engine.jobs.run_dir import RunDir
from engine.numerics import devices
from engine.numerics.devices import DeviceChoice
from engine.pipelines import dps, train_prior
from engine.pipelines.context import RunContext
from engine.specs.estimates import Facts, bytes_needed
from engine.specs.job import DpsSpec, TrainPriorSpec

Training = Callable[..., TrainPriorSpec]


def drawing(**changes: object) -> DpsSpec:
    values: dict[str, object] = {
        "samples": 10, "sampler": {"kind": "unconditional"}, "device": "cpu",
        "observations": [{"kind": "coarse_points", "file": "shape.csv"}],
    }  # fmt: skip
    return DpsSpec.model_validate(values | changes)


def chain(spec, gpu: bool) -> list[str]:
    words = []
    while (found := memory.lighter(spec, gpu=gpu and spec.device != "cpu")) is not None:
        spec, said = found
        words.append(said)
    return words


def test_samples_are_halved_and_then_the_cpu_is_taken():
    spec = drawing(batch=8, device="cuda")
    assert chain(spec, gpu=True)[:4] == [
        "4 samples at a time, not 8", "2 samples at a time, not 4", "1 sample at a time, not 2",
        "the CPU, which is many times slower",
    ]  # fmt: skip
    assert chain(drawing(samples=1), gpu=False) == []


def test_what_belongs_together_is_not_taken_apart(training: Training):
    steered = drawing(device="cuda", sampler={"kind": "proximal", "steering": 1.0})
    assert chain(steered, gpu=True) == ["the CPU, which is many times slower"]
    train = training(batch=6, device="cuda")
    assert chain(train, gpu=True) == [
        "each batch in 2 parts", "each batch in 4 parts", "each batch in 6 parts",
        "the CPU, which is many times slower",
    ]  # fmt: skip


def test_a_run_is_made_to_fit_before_it_begins():
    spec = drawing(batch=16, samples=16, sampler={"kind": "algorithm1"}, points=1024, device="cuda")
    need = [bytes_needed(spec.model_copy(update={"batch": b}), Facts())[1] for b in (16, 8, 4, 1)]
    assert memory.fitted(spec, need[0], "GPU") == (spec, "")
    less, words = memory.fitted(spec, need[1], "GPU")
    assert less.batch == 8
    assert words.endswith("it goes on with 8 samples at a time, not 16.")
    on_cpu, words = memory.fitted(spec, need[3] - 1, "GPU")
    assert (on_cpu.device, on_cpu.batch) == ("cpu", 16)
    assert "the CPU" in words
    # nobody knows how much is free
    assert memory.fitted(spec, 0, "GPU") == (spec, "")
    least, words = memory.fitted(spec, 1, "computer")
    assert least.batch == 1
    assert words.endswith("close other programs.")


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: BaseException, lacks: bool):
    assert memory.is_out_of_memory(error) is lacks


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that computes on the meta device as far as anybody looks: the pipeline is replaced, too."""

    def choose(wanted: str = "auto") -> DeviceChoice:
        if wanted == "cpu":
            return DeviceChoice(torch.device("cpu"), "CPU (1 core)")
        return DeviceChoice(torch.device("meta"), "Made-up GPU")

    monkeypatch.setattr(devices, "choose_device", choose)


def test_a_gpu_without_memory_gives_way_step_by_step_and_every_step_is_said(
    tmp_path: Path, a_gpu: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("shape.csv").write_text("x,y,z\n0,0,0\n")
    tried: list[tuple[str, int]] = []

    def run(spec: DpsSpec, context: RunContext) -> None:
        tried.append((context.device.type, spec.batch))
        if context.device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(dps, "run", run)
    folder = RunDir.create(tmp_path / "run", drawing(samples=4, batch=4, device="auto"))
    assert isinstance(runner.run(folder.spec(), folder), Completed)
    assert tried == [("meta", 4), ("meta", 2), ("meta", 1), ("cpu", 1)]
    warned = [e.message for e in folder.events() if isinstance(e, Notice) and e.level == "warning"]
    assert len(warned) == 3
    assert warned[0].startswith("The GPU ran out of memory: the run goes on with 2 samples at a time, not 4.")
    assert "the CPU, which is many times slower" in warned[2]
    devices_said = [e.device for e in folder.events() if isinstance(e, Started)]
    assert devices_said == ["Made-up GPU"] * 3 + ["CPU (1 core)"]
    assert folder.spec().batch == 4  # what was asked for stays as it was asked


def test_without_anything_less_it_fails_with_advice(
    tmp_path: Path, training: Training, monkeypatch: pytest.MonkeyPatch
):
    calls: list[int] = []

    def run(spec: TrainPriorSpec, context: RunContext) -> None:
        calls.append(spec.accumulate)
        raise MemoryError

    monkeypatch.setattr(train_prior, "run", run)
    folder = RunDir.create(tmp_path / "run", training(batch=2))
    event = runner.run(folder.spec(), folder)
    assert isinstance(event, Failed)
    assert "ran out of memory" in event.message
    assert calls == [1, 2]
