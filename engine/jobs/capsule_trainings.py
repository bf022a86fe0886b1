"""What the methods paragraph of a capsule says of trainings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.jobs.capsule_inputs import file_name
from engine.specs.job import TrainPriorSpec
from engine.specs.sds import TrainDenoiserSpec


def of_prior(spec: TrainPriorSpec, metrics: Mapping[str, Any]) -> list[str]:
    """Sentences on a prior's training; citations as ``[@key]``."""
    architecture = {
        "equivariant": "rotation-equivariant", "kernel": "kernel-based", "point_e": "transformer (Point-E)",
    }[spec.architecture]  # fmt: skip
    clouds = (
        f"{metrics['training_clouds']:,} point clouds" if metrics.get("training_clouds") else "point clouds"
    )
    held = metrics.get("validation_clouds")
    return [
        f"A {architecture} denoiser{_count(metrics)} was trained on {clouds} ({file_name(spec.clouds)}) "
        "as a diffusion "
        "model [@karras2022]" + (f", {held} being held out." if held else "."),
        _training_words(spec, metrics),
        f"ln σ was drawn from N({spec.p_mean:g}, {spec.p_std:g}²), for {100 * spec.high_noise:.0f} % of "
        "the clouds "
        f"from N(0.3, 1.2²)"
        + (
            f", and in the last {100 * spec.second_phase:.0f} % of the training from N(-1.2, 1.2²)"
            if spec.second_phase
            else ""
        )  # fmt: skip
        + f"; clouds were {'rotated' if spec.augment == 'SO3' else 'rotated and mirrored'} at random.",
    ]


def of_denoiser(spec: TrainDenoiserSpec, metrics: Mapping[str, Any]) -> list[str]:
    """Sentences on the training of a denoiser of images; citations as ``[@key]``."""
    held = metrics.get("held_out_images")
    return [
        f"A denoiser of images{_count(metrics)} was trained on the class averages in "
        f"{file_name(spec.averages.file)} as "
        "a diffusion model [@karras2022], as score distillation needs it [@randomtomography]"
        + (f"; {held} images were held out." if held else "."),
        _training_words(spec, metrics),
        f"ln σ was drawn from N({spec.p_mean:g}, {spec.p_std:g}²); images were turned and mirrored at "
        "random and shifted "
        f"by up to {100 * spec.shift:g} % of the box.",
    ]


def _count(metrics: Mapping[str, Any]) -> str:
    return f" of {metrics['parameters']:,} parameters" if isinstance(metrics.get("parameters"), int) else ""


def _training_words(spec: TrainPriorSpec | TrainDenoiserSpec, metrics: Mapping[str, Any]) -> str:
    steps = f"{metrics['steps']:,} steps" if isinstance(metrics.get("steps"), int) else "steps"
    return (
        f"It made {steps} of AdamW [@loshchilov2017] with batches of {spec.batch}, a peak learning rate of "
        f"{spec.learning_rate:g} after {spec.warmup} steps of warm-up; the weights are their moving "
        "average with decay "
        f"{spec.ema_decay:g}."
        + (f" It began with the weights {file_name(spec.start_from)}." if spec.start_from else "")
    )
