"""Denoisers of point clouds at equal cost: what each has learned after the same computing time.

``python -m tests.benchmarks.denoisers --data DIR --minutes 5 --json OUT``

Every candidate sees the same clouds, rotations and noise in the same order, is trained by the same
optimisers with the same schedule, for the same processor time of one thread (``--device cuda``: wall time),
and is judged by its weight average on validation clouds: RMSE/σ per noise level, beside the isotropic Wiener
filter. FLOPs are counted by torch for one cloud, forward and backward. Finished candidates are kept in OUT.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from engine.io.atomic import write_text
from engine.io.clouds import read_clouds
from engine.numerics.devices import multiplies_bfloat16
from engine.priors.checkpoint import ARCHITECTURES
from engine.priors.edm import EdmDenoiser
from engine.priors.training import Trainer, denoising_errors
from tests.benchmarks.denoiser_candidates import CANDIDATES
from tests.benchmarks.tasks import data_folder

SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
KNOWN: dict[str, type[nn.Module]] = ARCHITECTURES | CANDIDATES
# sizes whose steps take about as long, and within the range that was tried in short runs
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "cpu": {
        "equivariant": {"width": 96, "vectors": 24, "message": 16, "pools": 8},
        "kernel": {"width": 96},
        "point_e": {"width": 128, "layers": 6, "heads": 4},
        "latent": {},
        "window": {},
    },
    "cuda": {
        "equivariant": {"width": 256, "vectors": 64, "layers": 8, "message": 32, "pools": 32},
        "kernel": {"width": 256, "layers": 8},
        "point_e": {"width": 512, "layers": 12, "heads": 8},
        "latent": {"width": 384, "layers": 6},
        "window": {"width": 384, "layers": 10, "heads": 8},
    },
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA)")
    parser.add_argument("--candidates", default=",".join(SIZES["cpu"]))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--learning-rate", type=float, default=8e-4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--validation", type=int, default=100, help="first N validation clouds")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", required=True, type=Path, help="results; finished candidates are kept")
    options = parser.parse_args()
    unknown = set(options.candidates.split(",")) - set(KNOWN)
    if unknown:
        parser.error(f"unknown candidate {sorted(unknown)[0]}; choose from {', '.join(KNOWN)}")
    return options


def gigaflops(model: EdmDenoiser, points: int) -> float:
    """Products of one cloud's step, forward and backward, in 10⁹ operations."""
    device = next(model.parameters()).device
    clean, sigma = torch.randn(1, points, 3, device=device), torch.tensor([0.2], device=device)
    with FlopCounterMode(display=False) as counter:
        model.loss(clean, sigma, torch.randn_like(clean)).sum().backward()
    model.zero_grad(set_to_none=True)
    return float(counter.get_total_flops()) / 1e9


def train(name: str, clouds: torch.Tensor, validation: torch.Tensor, options: Any) -> dict[str, Any]:
    """One candidate, trained and judged."""
    torch.manual_seed(options.seed)
    sigma_data = round(float(clouds.float().std()), 4)
    size = SIZES[options.device][name]
    model = EdmDenoiser(KNOWN[name](sigma_data=sigma_data, **size), sigma_data).to(options.device)
    flops = gigaflops(model, clouds.shape[1])
    reduced = multiplies_bfloat16(torch.device(options.device))
    trainer = Trainer(
        model,
        learning_rate=options.learning_rate,
        warmup=100,
        ema_decay=0.99,
        noise=(-1.6, 1.1),
        min_points=clouds.shape[1],
        seed=options.seed,
        precision="bfloat16" if reduced else "float32",
    )
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    begun, losses = clock(), []
    while (progress := (clock() - begun) / (60 * options.minutes)) < 1:
        losses.append(trainer.step(clouds, options.batch, progress))
        if trainer.steps % 100 == 0:
            mean = sum(losses[-100:]) / 100
            sys.stdout.write(f"{name}: step {trainer.steps}, {100 * progress:.0f} %, loss {mean:.4f}\n")
            sys.stdout.flush()
    seconds = clock() - begun
    errors = denoising_errors(trainer.average, validation, SIGMAS)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "size": size,
        "gigaflops_per_cloud": flops,
        "steps": trainer.steps,
        "seconds": seconds,
        "precision": trainer.precision,
        "rmse_over_sigma": {f"{s:g}": e for s, e in errors.items()},
    }


def table(results: dict[str, dict[str, Any]], sigma_data: float) -> str:
    """One row for each candidate, the best at σ = 0.2 first."""
    lines = [f"{'':14}{'parameters':>12}{'GFLOP/cloud':>13}{'steps':>8}{'s/step':>8}"]
    lines[0] += "".join(f"{f'σ {s:g}':>8}" for s in SIGMAS)
    for name, found in sorted(results.items(), key=lambda item: item[1]["rmse_over_sigma"]["0.2"]):
        row = f"{name:14}{found['parameters']:>12,}{found['gigaflops_per_cloud']:>13.1f}{found['steps']:>8}"
        row += f"{found['seconds'] / found['steps']:>8.2f}"
        lines.append(row + "".join(f"{found['rmse_over_sigma'][f'{s:g}']:>8.4f}" for s in SIGMAS))
    wiener = [sigma_data / (sigma_data**2 + s**2) ** 0.5 for s in SIGMAS]
    lines.append(f"{'Wiener':14}{'':41}" + "".join(f"{w:>8.4f}" for w in wiener))
    return "\n".join(lines)


def main() -> None:
    """Train what is not yet in the results file, then print the table."""
    options = arguments()
    folder = data_folder(options.data) / "clouds"
    if options.device == "cpu":
        torch.set_num_threads(1)
    clouds = torch.from_numpy(read_clouds(folder / "train.npz").points)
    validation = torch.from_numpy(read_clouds(folder / "val.npz").points[: options.validation])
    settings = {k: getattr(options, k) for k in ("minutes", "learning_rate", "batch", "validation", "device")}
    stored = json.loads(options.json.read_text()) if options.json.is_file() else {}
    results = stored.get("results", {}) if stored.get("settings") == settings else {}
    for name in options.candidates.split(","):
        if name not in results:
            results[name] = train(name, clouds, validation, options)
            write_text(options.json, json.dumps({"settings": settings, "results": results}, indent=1))
    sys.stdout.write(table(results, float(clouds.float().std())) + "\n")


if __name__ == "__main__":
    main()
