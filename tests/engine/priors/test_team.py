"""Several processes train as one does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.errors import SpecError
from engine.priors.checkpoint import PriorCard, build
from engine.priors.training import Trainer

CARD = PriorCard("equivariant", {"width": 16, "vectors": 4, "layers": 1, "message": 4, "pools": 2}, 0.36, 64)


def rings(count: int = 24, points: int = 64) -> torch.Tensor:
    angle = 6.2832 * torch.rand(count, points, generator=torch.Generator().manual_seed(0))
    return 0.5 * torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], dim=-1)


def trainer(**state: object) -> Trainer:
    torch.manual_seed(0)
    return Trainer(
        build(CARD),
        learning_rate=2e-3,
        warmup=2,
        ema_decay=0.9,
        noise=(-1.6, 1.0),
        min_points=64,
        seed=1,
        **state,
    )


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def command(clouds: Path, out: Path, steps: int) -> list[str]:
    options = f"--max-steps {steps} --batch 6 --warmup 1 --accumulate 2 --min-points 64"
    network = "--architecture kernel --width 16 --layers 1 --device cpu --precision float32"
    return ["engine", "train", "prior", str(clouds), "--out", str(out), *options.split(), *network.split()]


def start(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    surroundings = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(
        [sys.executable, "-m", *arguments], env=surroundings, capture_output=True, text=True, timeout=240
    )


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    file = tmp_path / "rings.npz"
    np.savez(file, points=rings().numpy().astype(np.float32))
    for steps in (3, 5):  # the second goes on from the first one's checkpoint
        launcher = ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port()), "-m"]
        alone = start(command(file, tmp_path / "one", steps))
        assert alone.returncode == 0, alone.stderr
        together = start([*launcher, *command(file, tmp_path / "two", steps)])
        assert together.returncode == 0, together.stderr
    one = load_file(tmp_path / "one" / "results" / "prior.safetensors")
    two = load_file(tmp_path / "two" / "results" / "prior.safetensors")
    for name, value in one.items():
        torch.testing.assert_close(two[name].float(), value.float(), rtol=0, atol=2e-3)
    facts = json.loads((tmp_path / "two" / "results" / "metrics.json").read_text())
    assert facts["processes"] == 2
    assert facts["steps"] == 5
    assert facts["clouds_seen"] == 30


def test_a_batch_too_small_for_the_team_is_refused(tmp_path: Path) -> None:
    from engine.pipelines.context import RunContext
    from engine.pipelines.train_prior import _Training
    from engine.priors.team import Team
    from engine.specs.job import TrainPriorSpec

    spec = TrainPriorSpec(clouds=str(tmp_path / "none.npz"), batch=2)
    context = RunContext(tmp_path, lambda event: None, lambda: False, torch.device("cpu"), "CPU")
    with pytest.raises(SpecError, match="shared by 3 processes"):
        _Training(spec, context, Team(0, 3, torch.device("cpu")))


def test_parts_of_a_batch_add_up() -> None:
    whole, parts = trainer(), trainer(accumulate=3)
    for t in (whole, parts):
        t.model.network.head.weight.data.normal_(generator=torch.Generator().manual_seed(3))
        clean, sigma, noise = t.draw(rings(), 8)
        t.mean_loss = t._backward(clean, sigma, noise)
    assert parts.mean_loss == pytest.approx(whole.mean_loss, rel=1e-5)
    for p, q in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-3, atol=1e-5 * float(p.grad.abs().max() + 1e-3))


def test_bfloat16_steps_learn_and_weights_stay_float32() -> None:
    exact, reduced = trainer(), trainer(precision="bfloat16")
    first = [t.step(rings(), 8, 0.0) for t in (exact, reduced)]
    assert first[1] == pytest.approx(first[0], rel=0.02)
    for i in range(80):
        exact.step(rings(), 8, i / 80)
        last = reduced.step(rings(), 8, i / 80)
    assert last < 0.85 * first[1]
    assert {p.dtype for p in reduced.model.parameters()} == {torch.float32}


def test_a_process_alone_is_no_team() -> None:
    from engine.priors.team import Team

    assert Team.join(torch.device("cpu")) is None
