"""How fast and how accurate are the projectors, in the same run?

(a) torch's grid_sample, differentiated by autograd; (b) ``engine.forward.volume_projection``; (c)
``engine.forward.fourier_slice``. A round projects a map of blobs in random directions and takes the
images back to voxels. The three take turns; every round has fresh directions, so nothing is reused but
what (c) reuses between its two ways. Errors are against the closed form, over all pixels of all views.
Run as ``python -m tests.benchmarks.projector``; ``--device cuda`` for a GPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn import functional

from engine.forward import volume_projection
from engine.forward.fourier_slice import PADDING, SliceProjector

AT_ONCE = 8
"""Views that (a) holds in memory at once: 64 of 88³ voxels would need gigabytes."""

Round = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def grid_sample(volume: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    """Images, and the gradient of half their squared norm: their backprojection."""
    n = len(volume)
    leaf = volume.clone().requires_grad_()
    # align_corners puts the ends at -1 and 1; the origin is at n // 2 in the map and in the image
    centre = 2.0 * (n // 2) / (n - 1) - 1.0
    inverse = rotations.transpose(1, 2)
    offset = centre - (inverse.sum(2) * centre)
    images = []
    for some in torch.split(torch.cat([inverse, offset[:, :, None]], 2), AT_ONCE):
        grid = functional.affine_grid(some, [len(some), 1, n, n, n], align_corners=True)
        turned = functional.grid_sample(leaf.expand(len(some), 1, n, n, n), grid, align_corners=True)
        part = turned[:, 0].sum(1)
        part.backward(part.detach())
        images.append(part.detach())
    assert leaf.grad is not None
    return torch.cat(images), leaf.grad


def trilinear(volume: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    """Both ways in real space."""
    images = volume_projection.project(volume, rotations)
    return images, volume_projection.backproject(images, rotations, len(volume))


def slices(projector: SliceProjector) -> Round:
    """Both ways by Fourier slices, with one set of positions."""

    def both(volume: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
        views = projector.views(rotations)
        images = projector.images(projector.slices(projector.transform(volume), views), views)
        back = projector.insert(projector.coefficients(images, views), views)
        return images, projector.transform_adjoint(back)

    return both


def blobs(size: int, width: float, rng: np.random.Generator) -> tuple[Tensor, np.ndarray]:
    """A map of ten Gaussians of the same mass within 0.3 of the box of its centre, and where they are."""
    centres = rng.normal(size=(10, 3))
    centres *= 0.3 * size * rng.uniform(0.2, 1.0, (10, 1)) / np.linalg.norm(centres, axis=1, keepdims=True)
    z, y, x = np.mgrid[:size, :size, :size] - size // 2
    squared = ((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 for a, b, c in centres)
    volume = sum(np.exp(-0.5 * s / width**2) for s in squared) / (2 * np.pi * width**2) ** 1.5
    return torch.tensor(volume, dtype=torch.float32), centres


def closed_form(size: int, width: float, centres: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Its projections."""
    y, x = np.mgrid[:size, :size] - size // 2
    images = []
    for seen in centres @ rotations.transpose(0, 2, 1):
        squared = ((x - a) ** 2 + (y - b) ** 2 for a, b, _ in seen)
        images.append(sum(np.exp(-0.5 * s / width**2) for s in squared) / (2 * np.pi * width**2))
    return np.stack(images)


def milliseconds(work: Callable[[], object], device: str) -> float:
    """Wall time of one call."""
    if device != "cpu":
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    """Print the tables; with ``--json`` also write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=88)
    parser.add_argument("--views", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--padding", type=float, default=PADDING)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    size, device = options.size, options.device
    projector = SliceProjector(size, padding=options.padding, device=device)
    contenders: dict[str, Round] = {
        "(a) grid_sample + autograd": grid_sample,
        "(b) volume_projection": trilinear,
        f"(c) fourier_slice, padding {options.padding}": slices(projector),
    }
    print(
        f"{size}³ voxels, {options.threads} threads, {device}; forward and adjoint, ms of {options.repeats}"
    )
    rows = []
    for views in options.views:
        rng = np.random.default_rng(views)
        found: dict[str, list[float]] = {name: [] for name in contenders}
        volume = blobs(size, 2.0, rng)[0].to(device)
        for repeat in range(-1, options.repeats):  # the first is to warm up
            turns = torch.tensor(Rotation.random(views, rng=rng).as_matrix(), dtype=torch.float32)
            turns = turns.to(device)
            for name, work in contenders.items():
                ms = milliseconds(partial(work, volume, turns), device)
                found[name] += [ms] if repeat >= 0 else []
        first = np.array(next(iter(found.values())))
        for name, times in found.items():
            ratio = first / np.array(times)
            print(
                f"{views:>4} views  {name:<32} best {min(times):8.1f}  median {np.median(times):8.1f}"
                f"  ({min(times):.1f} to {max(times):.1f})   (a) / this: of the bests"
                f" {first.min() / min(times):.2f}, paired median {np.median(ratio):.2f}"
                f" ({ratio.min():.2f} to {ratio.max():.2f})",
                flush=True,
            )
            rows.append({"views": views, "contender": name, "ms": times})
    errors = []
    print("relative error of 8 projections of blobs; and |1 - <f V, r> / <V, f^T r>| with r = f V")
    for width in (1.5, 2.0, 3.0):
        rng = np.random.default_rng(0)
        volume, centres = blobs(size, width, rng)
        turns = Rotation.random(8, rng=rng).as_matrix()
        truth = closed_form(size, width, centres, turns)
        for name, work in contenders.items():
            images, back = work(volume.to(device), torch.tensor(turns, dtype=torch.float32).to(device))
            error = float(np.linalg.norm(images.cpu().numpy() - truth) / np.linalg.norm(truth))
            adjoint = float((images.double() ** 2).sum() / (volume.to(device).double() * back).sum())
            print(f"  width {width} px  {name:<32} {error:.1e}   {abs(1 - adjoint):.0e}")
            errors.append({"width_px": width, "contender": name, "error": error})
    if options.json:
        report = {"size": size, "threads": options.threads, "device": device, "times": rows, "errors": errors}
        options.json.write_text(json.dumps(report))


if __name__ == "__main__":
    main()
