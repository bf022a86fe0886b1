"""Small runs of each kind, of some seconds each, on data made here."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import affine_transform

from engine.forward.gaussians import splat_image
from engine.io.atomic import write_text
from engine.io.mrc import write_images
from engine.io.star import write_poses
from engine.numerics.rotations import random_rotations
from engine.specs import codec
from engine.types import ImageStack, Poses
from tests.engine.sds_run import blob

KINDS = ("dps", "sds", "train_prior", "train_denoiser", "export")
_POINTS = 256


def make_case(kind: str, folder: Path) -> Path:
    """Inputs and a run description in ``folder``; the description's path."""
    values = {"dps": _points, "sds": _volumes, "train_prior": _prior, "train_denoiser": _denoiser}[kind](
        folder
    )
    spec = codec.validate(values | {"kind": kind, "device": "cpu", "seed": 3})
    path = folder / "spec.json"
    write_text(path, codec.to_json(spec))
    return path


def export_command(run: Path, out: Path) -> list[str]:
    """Export of an ensemble."""
    return [sys.executable, "-m", "engine", "export", str(run), "--format", "mmcif", "--out", str(out)]


def _points(folder: Path) -> dict[str, object]:
    rng = np.random.default_rng(1)
    centres = rng.normal(0, 30, (6, 3))
    points = centres[rng.integers(0, 6, _POINTS)] + rng.normal(0, 8, (_POINTS, 3))
    rotations = random_rotations(4, rng)
    images = [
        splat_image((points @ r.T)[:, :2], pixel_size_A=6.0, box=48, resolution_A=14.0) for r in rotations
    ]
    write_images(folder / "views.mrcs", ImageStack(np.stack(images), 6.0))
    poses = Poses(rotations, np.zeros((4, 2)), ("views.mrcs",) * 4, np.arange(4, dtype=np.int32), 6.0)
    write_poses(folder / "views.star", poses, box=48)
    return {
        "observations": [
            {
                "kind": "projection_images", "images": str(folder / "views.mrcs"),
                "poses": str(folder / "views.star"), "points": _POINTS,
            }
        ],
        "prior": {"kind": "gaussian"},
        "sampler": {"kind": "proximal", "steps": 40},
        "points": _POINTS, "samples": 8, "batch": 2,
    }  # fmt: skip


def _images(folder: Path) -> str:
    rng = np.random.default_rng(2)
    rotations = random_rotations(24, rng)
    images = []
    for arm, r in zip(rng.uniform(0, 1.2, 24), rotations, strict=True):
        turned = affine_transform(
            blob(arm), r[::-1, ::-1].T, offset=12 - r[::-1, ::-1].T @ np.full(3, 12.0), order=1
        )
        images.append(turned.sum(0) + rng.normal(0, 0.02, (24, 24)))
    write_images(folder / "averages.mrcs", ImageStack(np.stack(images).astype(np.float32), 4.0))
    return str(folder / "averages.mrcs")


def _volumes(folder: Path) -> dict[str, object]:
    return {
        "averages": {"file": _images(folder), "contrast": "white"},
        "volumes": "each", "restarts": 3, "refine_rounds": 4,
        "distillation": {"steps": 10},
    }  # fmt: skip


def _prior(folder: Path) -> dict[str, object]:
    rng = np.random.default_rng(3)
    np.savez(folder / "clouds.npz", points=rng.uniform(-1, 1, (24, 64, 3)).astype(np.float16))
    return {
        "clouds": str(folder / "clouds.npz"), "width": 16, "layers": 2, "batch": 4, "min_points": 64,
        "max_steps": 200, "hours": 100, "checkpoint_minutes": 0.01,
    }  # fmt: skip


def _denoiser(folder: Path) -> dict[str, object]:
    return {
        "averages": {"file": _images(folder), "contrast": "white"},
        "max_steps": 24, "minutes": 1000, "batch": 4, "checkpoint_minutes": 0.01,
    }  # fmt: skip
