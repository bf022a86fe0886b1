"""Train a prior: from a file of clouds to a weights file with its measured quality."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import SpecError
from engine.events import Metric
from engine.io.atomic import write_text
from engine.io.clouds import read_clouds
from engine.pipelines.context import RunContext
from engine.pipelines.training_loop import TrainingLoop
from engine.priors.checkpoint import PriorCard, build, load_prior, save_prior, sha256
from engine.priors.training import Trainer, denoising_errors
from engine.priors.training_state import hold_out
from engine.specs.job import TrainPriorSpec

VALIDATION_SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
VALIDATION_CLOUDS = 40  # of the validation set, while training; all of them at the end


def _sets(spec: TrainPriorSpec) -> tuple[Tensor, Tensor]:
    """Training and validation clouds, CPU, as stored."""
    training = torch.from_numpy(read_clouds(spec.clouds).points)
    if spec.validation is not None:
        return training, torch.from_numpy(read_clouds(spec.validation).points)
    if len(training) < 10:
        raise SpecError("Fewer than 10 clouds can't be split.", "Give more clouds, or a validation file.")
    kept, held = hold_out(len(training), min(200, max(1, len(training) // 10)), spec.seed)
    return training[kept], training[held]


def _options(spec: TrainPriorSpec) -> dict[str, int]:
    given = {"width": spec.width, "layers": spec.layers}
    return {k: v for k, v in given.items() if v is not None}


def _trainer(
    spec: TrainPriorSpec, context: RunContext, sigma_data: float, points: int
) -> tuple[Trainer, PriorCard]:
    torch.manual_seed(spec.seed)
    if spec.start_from is not None:
        model, old = load_prior(spec.start_from)
        card = PriorCard(old.architecture, old.options, old.sigma_data, points)
        model.requires_grad_(True)
        context.notice(f"Starting from {spec.start_from} ({old.architecture}); its architecture is kept.")
    else:
        card = PriorCard(spec.architecture, dict(_options(spec)), sigma_data, points)
        model = build(card)
    trainer = Trainer(
        model.to(context.device),
        learning_rate=spec.learning_rate,
        warmup=spec.warmup,
        ema_decay=spec.ema_decay,
        noise=(spec.p_mean, spec.p_std),
        min_points=spec.min_points,
        seed=spec.seed,
    )
    return trainer, card


class _Training:
    """A training of point clouds, as the loop wants it."""

    def __init__(self, spec: TrainPriorSpec, context: RunContext) -> None:
        self.spec, self.context = spec, context
        self.clouds, self.validation = _sets(spec)
        sigma_data = round(float(self.clouds.float().std()), 4)
        self.trainer, self.card = _trainer(spec, context, sigma_data, self.clouds.shape[1])

    def step(self, progress: float) -> float:
        return self.trainer.step(self.clouds, self.spec.batch, progress)

    def pause(self) -> None:
        """There are no pictures."""

    def validate(self, count: int) -> dict[float, float]:
        errors = denoising_errors(self.trainer.average, self.validation[:count], VALIDATION_SIGMAS)
        for sigma, error in errors.items():
            self.context.emit(Metric(f"validation RMSE/σ at σ={sigma:g}", self.trainer.steps, error))
        return errors

    def save(self, *, final: bool) -> None:
        """Weights and metrics: a training that stops here keeps them."""
        count = len(self.validation) if final else VALIDATION_CLOUDS
        trained = {
            "clouds": Path(self.spec.clouds).name,
            "clouds_sha256": sha256(self.spec.clouds),
            "training_clouds": len(self.clouds),
            "steps": self.trainer.steps,
            "clouds_seen": self.trainer.seen,
            "hours": round(self.trainer.seconds / 3600, 3),
            "device": self.context.device_words,
            "batch": self.spec.batch,
            "learning_rate": self.spec.learning_rate,
            "parameters": sum(p.numel() for p in self.trainer.model.parameters()),
            "validation_clouds": min(count, len(self.validation)),
            "validation_rmse_over_sigma": {f"{s:g}": round(e, 4) for s, e in self.validate(count).items()},
        }
        card = PriorCard(
            self.card.architecture, self.card.options, self.card.sigma_data, self.card.points, trained
        )
        weights = self.context.folder / "results" / "prior.safetensors"
        save_prior(weights, self.trainer.average.state_dict(), card, half=True)
        write_text(self.context.folder / "results" / "metrics.json", json.dumps(trained, indent=1))


def run(spec: TrainPriorSpec, context: RunContext) -> None:
    """Train until the time or the steps are used up; continues from the folder's checkpoint.

    Writes ``results/prior.safetensors`` (float16 weight average with its card) and
    ``results/metrics.json``. A cancelled training keeps both, and a checkpoint to go on from.
    """
    training = _Training(spec, context)
    t, validation = training.trainer, training.validation
    parameters = sum(p.numel() for p in t.model.parameters())
    context.notice(
        f"{parameters:,} parameters; {len(training.clouds)} training and {len(validation)} validation clouds "
        f"of {training.clouds.shape[1]} points; σ_data {training.card.sigma_data:g}."
    )
    TrainingLoop(
        training,
        context,
        seconds=3600 * spec.hours,
        max_steps=spec.max_steps,
        checkpoint_seconds=60 * spec.checkpoint_minutes,
    ).run()
    context.result("prior", context.folder / "results" / "prior.safetensors")
    context.result("metrics", context.folder / "results" / "metrics.json")
