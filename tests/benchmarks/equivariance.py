"""Does a prior turn with its input, and does averaging over turns help it?

``python -m tests.benchmarks.equivariance --data DIR --prior shipped``

For each noise level: the denoising error RMSE/σ on validation clouds as they are; the RMS of
``R⁻¹ D(R x) - D(x)`` over random rotations R, in units of σ, which is 0 for an equivariant prior; and the
denoising error of the mean over the rotations, ``mean R⁻¹ D(R x)``: test-time averaging.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch

from engine.io.clouds import read_clouds
from engine.numerics.rotations import random_rotations
from engine.priors.checkpoint import load_prior, resolve
from tests.benchmarks.tasks import data_folder

SIGMAS = (0.05, 0.1, 0.2, 0.5, 1.0)


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA)")
    parser.add_argument("--prior", default="shipped")
    parser.add_argument("--clouds", type=int, default=20, help="first N validation clouds")
    parser.add_argument("--rotations", type=int, default=6)
    options = parser.parse_args()
    clean = torch.from_numpy(read_clouds(data_folder(options.data) / "clouds" / "val.npz").points).float()
    clean = clean[: options.clouds]
    torch.set_num_threads(1)
    denoiser, _ = load_prior(resolve(options.prior))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    turns = torch.from_numpy(random_rotations(options.rotations, np.random.default_rng(2))).float()
    sys.stdout.write(f"{'σ':>6}{'RMSE/σ':>10}{'turned apart/σ':>16}{'averaged RMSE/σ':>17}\n")
    for sigma in SIGMAS:
        level, errors = torch.full((1,), sigma), torch.zeros(3, dtype=torch.float64)
        for cloud, draw in zip(clean, noise, strict=True):
            x = (cloud + sigma * draw)[None]
            plain = denoiser(x, level)
            turned = torch.cat([denoiser(x @ r.T, level) @ r for r in turns])
            errors += torch.stack(
                [
                    (plain - cloud).square().mean(),
                    (turned - plain).square().mean(),
                    (turned.mean(0) - cloud).square().mean(),
                ]
            ).double()
        plain_error, apart, averaged = (errors / len(clean)).sqrt() / sigma
        sys.stdout.write(f"{sigma:>6g}{plain_error:>10.4f}{apart:>16.2e}{averaged:>17.4f}\n")


if __name__ == "__main__":
    main()
