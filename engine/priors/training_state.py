"""What every training carries from one step to the next: weights, their average, optimisers, randomness.

Kept exactly, so that a resumed training takes the same steps. What is drawn in a step, and when to stop,
is decided elsewhere.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Int64
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from engine.errors import RunError
from engine.io.atomic import atomic_path
from engine.priors.edm import EdmDenoiser
from engine.priors.team import Team


class _Loss(nn.Module):
    """The loss as a module's forward pass: what can be compiled and shared among processes."""

    def __init__(self, model: EdmDenoiser) -> None:
        super().__init__()
        self.model = model

    def forward(self, clean: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        return self.model.loss(clean, sigma, noise)


class TrainingState:
    """Weights, their average, optimisers and random stream of one training.

    Parameters
    ----------
    model : the denoiser, already on its device.
    optimisers : of the model's parameters; their rates are peaks.
    warmup : steps of linear warm-up.
    ema_decay : of the weight average, itself warmed up.
    seed : of everything that is drawn; drawn on the CPU, so the same on every device.
    precision : of the products in a step: ``float32`` or ``bfloat16`` (weights stay float32).
    accumulate : parts of a batch that are computed one after the other, to save memory.
    compiled : whether ``torch.compile`` makes the step.
    team : the processes that share each batch; None for this one alone.

    Attributes
    ----------
    steps : taken so far.
    seen : clouds or images in them.
    seconds : spent in them; counted by the caller.
    """

    def __init__(
        self,
        model: EdmDenoiser,
        optimisers: Sequence[torch.optim.Optimizer],
        *,
        warmup: int,
        ema_decay: float,
        seed: int,
        precision: str = "float32",
        accumulate: int = 1,
        compiled: bool = False,
        team: Team | None = None,
    ) -> None:
        self.precision, self.accumulate, self.team = precision, accumulate, team
        self.model, self.optimisers = model, list(optimisers)
        self.average = copy.deepcopy(model).requires_grad_(False).eval()
        self.peaks = [o.param_groups[0]["lr"] for o in self.optimisers]
        self.warmup, self.ema_decay = warmup, ema_decay
        self.generator = torch.Generator().manual_seed(seed)
        self.steps, self.seen, self.seconds = 0, 0, 0.0
        # not an attribute of the model: its parameters keep their names
        loss: nn.Module = _Loss(model)
        if compiled:
            loss = cast(nn.Module, torch.compile(loss))
        self._loss = DistributedDataParallel(loss) if team is not None else loss

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def descend(
        self,
        clean: Float[Tensor, " n *shape"],
        sigma: Float[Tensor, " n"],
        noise: Float[Tensor, " n *shape"],
        progress: float,
    ) -> float:
        """One optimiser step on a batch; returns the loss.

        Parameters
        ----------
        progress : share of the training that is over, in [0, 1]; the rate falls linearly to zero.
        """
        self.model.train()
        factor = min(1.0, (self.steps + 1) / max(1, self.warmup)) * max(0.01, 1.0 - progress)
        for optimiser, peak in zip(self.optimisers, self.peaks, strict=True):
            optimiser.param_groups[0]["lr"] = peak * factor
            optimiser.zero_grad(set_to_none=True)
        mean = self._backward(clean, sigma, noise)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.steps += 1
        self.seen += len(clean)
        self._update_average()
        return mean

    def _backward(self, clean: Tensor, sigma: Tensor, noise: Tensor) -> float:
        """Gradients of the batch's mean loss, summed over parts and processes; that mean."""
        rank, size = (0, 1) if self.team is None else (self.team.rank, self.team.size)
        count = len(clean)
        parts = torch.arange(rank, count, size).tensor_split(self.accumulate)
        parts = tuple(rows for rows in parts if len(rows))
        total = torch.zeros((), device=self.device)
        for rows in parts:
            with self._gathering(rows is parts[-1]):
                with self.autocast():
                    loss = self._loss(clean[rows], sigma[rows], noise[rows]).sum() / count
                # processes average their gradients, so each counts `size` times
                (loss * size).backward()
            total += loss.detach()
        if self.team is not None:
            total = self.team.total(total)
        return float(total)

    def autocast(self) -> torch.autocast:
        """The precision of a step, as a context."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _gathering(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients travel between processes once a batch, after its last part."""
        if isinstance(self._loss, DistributedDataParallel) and not last:
            return cast(AbstractContextManager[Any], self._loss.no_sync())
        return nullcontext()

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.ema_decay, (1 + self.steps) / (10 + self.steps))
        for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)

    # ---- exact state --------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on, atomically, as safetensors."""
        tensors: dict[str, Tensor] = {"generator": self.generator.get_state()}
        tensors |= {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for i, optimiser in enumerate(self.optimisers):
            for row, state in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{i}.{row}.{k}": torch.as_tensor(v) for k, v in state.items()}
        facts = {"steps": self.steps, "seen": self.seen, "seconds": self.seconds}
        with atomic_path(path) as temporary:
            save_file(
                {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()},
                str(temporary),
                metadata={"format": "verglas-training-1", "facts": json.dumps(facts)},
            )

    def load(self, path: Path) -> None:
        """Inverse of :meth:`save`.

        Raises
        ------
        RunError
            If the file is damaged or belongs to another architecture.
        """
        advice = "Remove this checkpoint to start again from the last shipped or given weights."
        try:
            with safe_open(str(path), framework="pt") as handle:
                facts = json.loads((handle.metadata() or {})["facts"])
                tensors = {k: handle.get_tensor(k) for k in handle.keys()}  # noqa: SIM118
            self.model.load_state_dict(_below(tensors, "model."))
            self.average.load_state_dict(_below(tensors, "average."))
            for i, optimiser in enumerate(self.optimisers):
                described = optimiser.state_dict()
                states: dict[int, dict[str, Tensor]] = {}
                for key, value in _below(tensors, f"optimiser.{i}.").items():
                    row, name = key.split(".", 1)
                    states.setdefault(int(row), {})[name] = value
                described["state"] = states
                optimiser.load_state_dict(described)
            self.generator.set_state(tensors["generator"])
            # `clouds_seen` was its name when there were only clouds
            seen = int(facts["seen"] if "seen" in facts else facts["clouds_seen"])
            steps, seconds = int(facts["steps"]), float(facts["seconds"])
        except Exception as exc:
            raise RunError(f"The training checkpoint can't be used ({exc}).", advice, path) from exc
        self.steps, self.seen, self.seconds = steps, seen, seconds


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def hold_out(count: int, held: int, seed: int) -> tuple[Int64[Tensor, " a"], Int64[Tensor, " b"]]:
    """Row numbers of a training and a validation part."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[held:], order[:held]
