"""Train a 2D denoiser: from class averages to a weights file with its measured quality."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import SpecError
from engine.events import ImagesSnapshot, Metric
from engine.io.atomic import write_npy, write_text
from engine.io.averages import PreparedAverages, prepare, soft_disc
from engine.io.class_averages import read_class_averages
from engine.pipelines.context import RunContext
from engine.pipelines.training_loop import SamplePace, TrainingLoop
from engine.priors.empirical import EmpiricalDenoiser
from engine.priors.image_checkpoint import ImageDenoiserCard, load_image_denoiser, save_image_denoiser
from engine.priors.image_training import ImageTrainer, denoising_errors, quarter_turns
from engine.priors.training_state import hold_out
from engine.priors.unet import ImageDenoiser, build_denoiser
from engine.sampling.ode import heun
from engine.sampling.schedules import noise_levels
from engine.specs.sds import ClosedFormDenoiser, TrainDenoiserSpec

VALIDATION_SIGMAS = (0.1, 0.2, 0.4, 0.8, 1.6)
VALIDATION_WHILE_TRAINING = 16  # images; all of them at the end
VALIDATION_AT_LEAST = 64  # images, made of turned ones where fewer are held out
SAMPLES = 4
SAMPLE_STEPS = 10
SAMPLE_SECONDS = 30.0
SAMPLE_SHARE = 0.05  # of the time, at most
WEIGHTS = Path("results") / "denoiser.safetensors"
METRICS = Path("results") / "metrics.json"


class _Training:
    """A training of images, as the loop wants it."""

    trainer: ImageTrainer

    def __init__(
        self,
        spec: TrainDenoiserSpec,
        context: RunContext,
        prepared: PreparedAverages,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec, self.context, self.prepared = spec, context, prepared
        images = torch.from_numpy(prepared.stack.images)
        kept, held = _split(len(images), spec)
        self.box, self.pixel_size_A = images.shape[1], prepared.stack.pixel_size_A
        self.architecture, model = self._model()
        self.trainer = ImageTrainer(
            model.to(context.device),
            images[kept].to(context.device),
            mask=torch.from_numpy(soft_disc(self.box, prepared.mask_radius_px)).to(context.device),
            background=prepared.background,
            learning_rate=spec.learning_rate,
            warmup=spec.warmup,
            ema_decay=spec.ema_decay,
            noise=(spec.p_mean, spec.p_std),
            shift_px=spec.shift * self.box,
            seed=spec.seed,
        )
        self.training_images, self.held_out = len(kept), len(held)
        validation = quarter_turns(images[held], VALIDATION_AT_LEAST)
        self.validation = model.support * validation.to(context.device)
        self.baseline = self._closed_form(images[kept])
        self._pace = SamplePace(seconds=SAMPLE_SECONDS, share=SAMPLE_SHARE, rarer=0.02, clock=clock)

    def _model(self) -> tuple[str, ImageDenoiser]:
        """The network to start from, and the name of its architecture."""
        torch.manual_seed(self.spec.seed)
        if self.spec.start_from is None:
            radius = self.prepared.mask_radius_px
            return self.spec.architecture, build_denoiser(self.spec.architecture, self.box, radius)
        model, card = load_image_denoiser(self.spec.start_from)
        card.require(self.box, self.pixel_size_A, self.prepared.mask_radius_px, path=self.spec.start_from)
        self.context.notice(
            f"Starting from {self.spec.start_from} ({card.architecture}); its architecture is kept."
        )
        return card.architecture, model.requires_grad_(True)

    def _closed_form(self, images: Tensor) -> dict[float, float]:
        """Errors of the exact denoiser of the training images: what a network has to beat."""
        defaults = ClosedFormDenoiser()
        exact = EmpiricalDenoiser.fit(
            images.numpy(),
            mask_radius_px=self.prepared.mask_radius_px,
            angle_step_deg=defaults.angle_step_deg,
            components=defaults.components,
            device=self.context.device,
        )
        errors = self._errors(exact, final=True)
        for sigma, error in errors.items():
            self.context.emit(Metric(f"closed form RMSE/σ at σ={sigma:g}", 0, error))
        return errors

    def _errors(self, denoiser: Any, *, final: bool) -> dict[float, float]:
        images = self.validation
        if not final:
            images = images[:: max(1, math.ceil(len(images) / VALIDATION_WHILE_TRAINING))]
        return denoising_errors(denoiser, images, VALIDATION_SIGMAS, support=self.trainer.model.support)

    # ---- what the loop asks for -----------------------------------------------------------------

    def step(self, progress: float) -> float:
        return self.trainer.step(self.spec.batch, progress)

    def pause(self) -> None:
        """A picture of what the network would draw by itself, when it is time for one."""
        self._pace.keep(self.trainer.seconds, self.show_samples)

    def show_samples(self) -> None:
        """The same noise every time, so that one can watch images take shape."""
        steps, device = self.trainer.steps, self.context.device
        noise = torch.randn(
            SAMPLES, self.box, self.box, generator=torch.Generator().manual_seed(self.spec.seed)
        )
        drawn = heun(self.trainer.average, noise.to(device), noise_levels(SAMPLE_STEPS, 20.0, 0.05, 7.0))
        path = Path("snapshots") / f"images_{steps:07d}.npy"
        write_npy(self.context.folder / path, drawn.float().cpu().numpy())
        self.context.emit(ImagesSnapshot(step=steps, role="samples", path=path.as_posix()))

    def save(self, *, final: bool) -> None:
        """Weights and metrics: a training that stops here keeps them."""
        trainer = self.trainer
        errors = self._errors(trainer.average, final=final)
        for sigma, error in errors.items():
            self.context.emit(Metric(f"validation RMSE/σ at σ={sigma:g}", trainer.steps, error))
        facts: dict[str, Any] = {
            "kind": "train_denoiser",
            "file": Path(self.spec.averages.file).name,
            "training_images": self.training_images,
            "held_out_images": self.held_out,
            "steps": trainer.steps,
            "images_seen": trainer.seen,
            "minutes": round(trainer.seconds / 60, 3),
            "device": self.context.device_words,
            "batch": self.spec.batch,
            "learning_rate": self.spec.learning_rate,
            "parameters": sum(p.numel() for p in trainer.model.parameters()),
            "validation_rmse_over_sigma": _rounded(errors),
            "closed_form_rmse_over_sigma": _rounded(self.baseline),
        }
        card = ImageDenoiserCard(
            architecture=self.architecture,
            box=self.box,
            pixel_size_A=self.pixel_size_A,
            mask_radius_px=self.prepared.mask_radius_px,
            sigma_data=trainer.model.sigma_data,
            trained={k: v for k, v in facts.items() if k != "kind"},
        )
        save_image_denoiser(self.context.folder / WEIGHTS, trainer.average.state_dict(), card)
        write_text(self.context.folder / METRICS, json.dumps(facts, indent=1) + "\n")


def _rounded(errors: dict[float, float]) -> dict[str, float]:
    return {f"{s:g}": round(e, 4) for s, e in errors.items()}


def _split(count: int, spec: TrainDenoiserSpec) -> tuple[Tensor, Tensor]:
    if count < 2:
        raise SpecError(
            "One image can't be trained on and measured with.", "Give at least two class averages."
        )
    kept, held = hold_out(count, min(count - 1, max(1, round(spec.held_out * count))), spec.seed)
    return kept, held


def run(spec: TrainDenoiserSpec, context: RunContext) -> None:
    """Train until the time or the steps are used up; continues from the folder's checkpoint.

    Writes ``results/denoiser.safetensors`` (float16 weight average with its card) and
    ``results/metrics.json``, with the errors of the closed-form denoiser of the same training images
    beside the network's. A cancelled training keeps both, and a checkpoint to go on from.

    Raises
    ------
    InputError
        If the class averages can't be used.
    SpecError
        If there are fewer than two.
    PriorError
        If ``start_from`` is no denoiser of such images.
    """
    averages = read_class_averages(spec.averages.file, pixel_size_A=spec.averages.pixel_size_A)
    prepared = prepare(averages, spec.averages)
    for note in (*averages.notes, prepared.contrast, *prepared.notes):
        context.notice(note)
    training = _Training(spec, context, prepared)
    loop = TrainingLoop(
        training,
        context,
        seconds=60 * spec.minutes,
        max_steps=spec.max_steps,
        checkpoint_seconds=60 * spec.checkpoint_minutes,
    )
    parameters = sum(p.numel() for p in training.trainer.model.parameters())
    context.notice(
        f"{parameters:,} parameters; {training.training_images} training and {training.held_out} held-out "
        f"images of {training.box} × {training.box} pixels of {training.pixel_size_A:.4g} Å."
    )
    loop.run()
    training.show_samples()
    context.result("denoiser", context.folder / WEIGHTS)
    context.result("metrics", context.folder / METRICS)
