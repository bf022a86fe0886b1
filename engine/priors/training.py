"""Training of a prior, one step at a time: loss, schedule, weight average, exact state.

The pipeline decides when to stop, what to write and what to say; this module owns what has to be
carried from one step to the next, so that a resumed training takes the same steps.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import RunError
from engine.io.atomic import atomic_path
from engine.priors.edm import EdmDenoiser, lognormal_sigmas

Clouds = Float[Tensor, "clouds points 3"]

HIGH_NOISE_SHARE = 0.1  # of the clouds in a batch
HIGH_NOISE = (0.3, 1.2)  # mean and spread of ln sigma there: unconditional samples start at 80
SCALE_JITTER = 0.05  # of ln scale: the frame of a real run is an estimate
MUON_RATIO = 7.0  # of the matrices' learning rate to the rest's


def random_rotations(n: int, generator: torch.Generator) -> Float[Tensor, "n 3 3"]:
    """Uniform proper rotations from normalised Gaussian quaternions."""
    q = torch.randn(n, 4, generator=generator)
    w, x, y, z = (q / q.norm(dim=1, keepdim=True)).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1).view(n, 3, 3)


class Trainer:
    """Weights, their average, optimisers and random stream of one training.

    Parameters
    ----------
    model : the denoiser, already on its device.
    learning_rate : AdamW's peak rate; block matrices are stepped by Muon at a fixed multiple.
    warmup : steps of linear warm-up.
    ema_decay : of the weight average, itself warmed up.
    noise : mean and standard deviation of ln sigma.
    seed : of batches, rotations and noise; drawn on the CPU, so the same on every device.
    """

    def __init__(
        self,
        model: EdmDenoiser,
        *,
        learning_rate: float,
        warmup: int,
        ema_decay: float,
        noise: tuple[float, float],
        min_points: int,
        seed: int,
    ) -> None:
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.warmup, self.ema_decay, self.noise, self.min_points = warmup, ema_decay, noise, min_points
        self.generator = torch.Generator().manual_seed(seed)
        self.steps, self.clouds_seen, self.seconds = 0, 0, 0.0
        # Muon (Jordan et al. 2024) orthogonalises the steps of hidden matrices; embeddings, heads and
        # vectors stay with AdamW.
        named = list(model.named_parameters())
        hidden = [p for k, p in named if p.ndim == 2 and ".blocks." in k]
        rest = [p for k, p in named if not (p.ndim == 2 and ".blocks." in k)]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
        ]
        if hidden:
            muon = torch.optim.Muon(
                hidden, lr=MUON_RATIO * learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
            )
            self.optimisers.append(muon)
        self.peaks = [o.param_groups[0]["lr"] for o in self.optimisers]

    def draw(self, clouds: Clouds, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """A batch of thinned, rotated clouds with noise levels and noise, on the CPU.

        Returns
        -------
        clean : (batch, p, 3).
        sigma : (batch,).
        noise : (batch, p, 3) standard normal.
        """
        g = self.generator
        rows = torch.randint(len(clouds), (batch,), generator=g)
        available = clouds.shape[1]
        sizes = [p for p in (available, available // 2, available // 4) if p >= self.min_points] or [
            available
        ]
        size = sizes[int(torch.randint(len(sizes), (1,), generator=g))]
        clean = clouds[rows].float()
        if size < available:
            clean = clean[:, torch.randperm(available, generator=g)[:size]]
        scale = (torch.randn(batch, 1, 1, generator=g) * SCALE_JITTER).exp()
        clean = scale * clean @ random_rotations(batch, g).transpose(1, 2)
        sigma = lognormal_sigmas(batch, *self.noise, g)
        high = torch.rand(batch, generator=g) < HIGH_NOISE_SHARE
        sigma = torch.where(high, lognormal_sigmas(batch, *HIGH_NOISE, g), sigma)
        return clean, sigma, torch.randn(clean.shape, generator=g)

    def step(self, clouds: Clouds, batch: int, progress: float) -> float:
        """One optimiser step; returns the loss.

        Parameters
        ----------
        clouds : the training set, CPU.
        progress : share of the training that is over, in [0, 1]; the rate falls linearly to zero.
        """
        self.model.train()
        device = next(self.model.parameters()).device
        clean, sigma, noise = (t.to(device) for t in self.draw(clouds, batch))
        factor = min(1.0, (self.steps + 1) / max(1, self.warmup)) * max(0.01, 1.0 - progress)
        for optimiser, peak in zip(self.optimisers, self.peaks, strict=True):
            optimiser.param_groups[0]["lr"] = peak * factor
            optimiser.zero_grad(set_to_none=True)
        loss = self.model.loss(clean, sigma, noise).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.steps += 1
        self.clouds_seen += batch
        self._update_average()
        return loss.item()

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
        facts = {"steps": self.steps, "clouds_seen": self.clouds_seen, "seconds": self.seconds}
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
        except Exception as exc:
            raise RunError(f"The training checkpoint can't be used ({exc}).", advice, path) from exc
        self.steps, self.clouds_seen = int(facts["steps"]), int(facts["clouds_seen"])
        self.seconds = float(facts["seconds"])


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@torch.no_grad()
def denoising_errors(
    denoiser: EdmDenoiser,
    clouds: Clouds,
    sigmas: Iterable[float],
    *,
    batch: int = 8,
    seed: int = 1,
) -> dict[float, float]:
    """Root mean squared denoising error per noise level, in units of the noise.

    The isotropic Wiener filter, which knows only the size, has ``s / sqrt(s² + sigma²)`` for data of
    standard deviation s: a prior has learned shapes by as much as it lies below that.

    Parameters
    ----------
    clouds : validation clouds, all of them used, unrotated; the noise depends on ``seed`` alone.
    """
    denoiser.eval()
    device = next(denoiser.parameters()).device
    noise = torch.randn(clouds.shape, generator=torch.Generator().manual_seed(seed))
    errors = {}
    for level in sigmas:
        total = 0.0
        for start in range(0, len(clouds), batch):
            clean = clouds[start : start + batch].float().to(device)
            noisy = clean + level * noise[start : start + batch].to(device)
            estimate = denoiser(noisy, torch.full((len(clean),), level, device=device))
            total += float((estimate - clean).square().mean(dim=(1, 2)).sum())
        errors[float(level)] = (total / len(clouds)) ** 0.5 / level
    return errors


def hold_out(count: int, held: int, seed: int) -> tuple[Int64[Tensor, " a"], Int64[Tensor, " b"]]:
    """Row numbers of a training and a validation part."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[held:], order[:held]
