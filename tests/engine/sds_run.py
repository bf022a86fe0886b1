"""A small finished run of score distillation, made without one: a blob with an arm that moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.io import volumes
from engine.io.json_files import write_json
from engine.io.landscape_file import write_landscape
from engine.io.pose_table import make_table, write_poses
from engine.metrics.landscape import landscape
from engine.numerics.rotations import random_rotations
from engine.specs.sds import SdsSpec
from engine.types import ImageStack

BOX, PIXEL = 24, 4.0


def blob(arm: float, box: int = BOX) -> np.ndarray:
    """A body of three unequal lumps and an arm at angle ``arm`` (radians), (z, y, x); no symmetry at all."""
    z, y, x = (np.indices((box,) * 3) - box // 2) * (24 / box)
    centres = [(0, 0, 0, 3.0, 1.0), (4, -2, 3, 2.0, 0.8), (-3, 4, 2, 1.5, 0.9)]
    centres.append((6 * np.cos(arm), 6 * np.sin(arm), -4, 1.7, 0.8))
    total = sum(
        h * np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * w**2)) for a, b, c, w, h in centres
    )
    return np.asarray(total, np.float32)


def quick_spec(file: Path, steps: int) -> SdsSpec:
    """A run with a volume for each class average that takes seconds."""
    values: dict[str, Any] = {
        "averages": {"file": str(file), "contrast": "white"}, "volumes": "each", "device": "cpu",
        "denoiser": {"kind": "closed_form", "angle_step_deg": 30.0, "components": 16}, "restarts": 1,
        "distillation": {"steps": steps, "views_first": 4, "views_last": 4}, "refine_rounds": 1,
        "half_sets": False,
    }  # fmt: skip
    return SdsSpec.model_validate(values)


def make_run(folder: Path, count: int = 6, *, each: bool = True, counts: bool = True) -> np.ndarray:
    """Fill ``folder`` as a finished run of ``count`` class averages; the rotations (count, 3, 3)."""
    results = folder / "results"
    rng = np.random.default_rng(0)
    arms = np.linspace(0.0, 1.2, count)[rng.permutation(count)]
    maps = [blob(arm) for arm in arms]
    images = np.stack([m.sum(0) for m in maps])
    entries = [
        {"row": k + 1, "file": "classes.mrcs", "count": 10.0 + k if counts else None} for k in range(count)
    ]
    volumes.write_prepared(
        results, ImageStack(images, PIXEL), entries, mask_radius_px=BOX / 2, contrast="White."
    )
    rotations = random_rotations(count, rng)
    shifts = rng.normal(size=(count, 2)) * 3
    table = make_table(rotations, shifts, PIXEL, confidence=rng.random(count), correlation=rng.random(count))
    write_poses(results, table, box=BOX)
    volumes.write_map(results / volumes.CONSENSUS, np.mean(maps, axis=0), PIXEL)
    if each:
        for image, density in enumerate(maps, start=1):
            volumes.write_volume_result(results, image, density, PIXEL, {"seed": 0, "correlation": 0.9})
        write_landscape(results, landscape(np.stack(maps), components=3, voxel_size_A=PIXEL))
    write_json(
        results / volumes.METRICS,
        {
            "kind": "sds",
            "volumes": count if each else 0,
            "seconds": {"tournament": 3.0, "volumes": 60.0},
            "fsc_half": {
                "frequency_per_A": [0.0, 0.05], "correlation": [1.0, 0.2], "resolution_0p143_A": 18.0,
                "resolution_0p5_A": 25.0, "sentence": "The half maps agree to 18.0 Å at FSC 0.143.",
            },
            "fsc_truth": None,
            "agreement": {"agree": 7, "starts": 10, "sentence": "7 of 10 starts agree."},
            "confidence": {"median": 0.8},
            "notes": ["The hand can't be told from projections."],
        },
    )  # fmt: skip
    write_json(folder / "spec.json", {"kind": "sds"})
    return rotations
