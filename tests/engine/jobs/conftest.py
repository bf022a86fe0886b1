"""Tiny jobs for the tests of runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from engine.events import Event
from engine.jobs import worker
from engine.specs.job import TrainPriorSpec


@pytest.fixture
def clouds(tmp_path: Path) -> Path:
    """Twelve clouds of 32 points, as a training file."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (12, 32, 3)).astype(np.float16)
    file = tmp_path / "clouds.npz"
    np.savez(file, points=points)
    return file


@pytest.fixture
def training(clouds: Path) -> Callable[..., TrainPriorSpec]:
    """A training that takes a fraction of a second per hundred steps; endless unless told."""

    def make(**changes: object) -> TrainPriorSpec:
        values: dict[str, object] = {
            "clouds": str(clouds), "width": 8, "layers": 1, "batch": 1, "min_points": 32, "device": "cpu",
        }  # fmt: skip
        return TrainPriorSpec.model_validate(values | changes)

    return make


class Listener:
    """Keeps a worker's events and waits for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def wait_for(self, kind: type[Event], timeout: float = 60.0) -> Event:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for event in self.events:
                if isinstance(event, kind):
                    return event
            time.sleep(0.02)
        raise AssertionError(f"no {kind.__name__} among {self.events}")


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def no_processes_left() -> Iterator[None]:
    """Ends idle processes after the test, and fails if any other is left."""
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    yield
    worker.shutdown()
    left = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
    gone, alive = psutil.wait_procs(left, timeout=3)
    for process in alive:
        process.kill()
    worker.shutdown()  # also forgets those that it had left alone
    assert not alive
