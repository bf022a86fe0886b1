"""Are our Euler angles, axes and signs RELION's? Ask images that RELION made.

``python -m tests.benchmarks.conventions --data DIR`` (or ``VERGLAS_DATA``) re-projects
``maps/ribosome70S_65px`` at the poses of ``particles/rln_proj_65.star`` with Verglas's readers,
conventions and projector and compares with the stack that ``relion_project`` wrote.

Finding: with one shift of one pixel in x and y, common to all five, every correlation is above
0.99; without it 0.83 to 0.90. The shift belongs to RELION's *images of odd boxes*, neither to the
map nor to our rotations:

* The measured displacements, to a fraction of a pixel, are fitted by ``s + (R_i d)_xy`` with one
  image shift s and one map offset d. An offset of the map would turn with the pose; the fit gives
  s = (1, 1) and d = 0.
* The MRC headers carry no origin and no nstart, the STAR's origins are 0: nothing there asks for it.
* relion_project (RELION 3 and 4, src/apps/project.cpp) ends with ``CenterFFT(img, false)``, a cyclic
  move by ``-(n // 2)``. That is ``ifftshift``; it takes the FFT's index 0 to ``n - n // 2``, which is
  ``n // 2`` in an even box and one more in an odd one. The map is safe because it is turned in a box
  padded to an even size, about voxel n // 2 (Xmipp's first index ``-(int)(n / 2)``).

:func:`engine.conventions.relion_image_centre` states it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.conventions import image_centre, relion_image_centre
from engine.forward.volume_projection import project
from engine.io.mrc import read_images, read_volume
from engine.io.star import read_poses

ACCEPTED = 0.98
MAP = "maps/ribosome70S_65px.mrc.gz"
POSES = "particles/rln_proj_65.star"
STACK = "particles/rln_proj_65.mrcs"


def correlations(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pearson correlation (n,) of two stacks (n, y, x), over all pixels."""
    a, b = (np.asarray(s, float).reshape(len(s), -1) for s in (a, b))
    a, b = (s - s.mean(axis=1, keepdims=True) for s in (a, b))
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


def displacement(image: NDArray[np.floating], reference: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far (x, y) in pixels ``image`` lies from ``reference``: correlation peak, refined 1/100 px."""
    cross = np.fft.fft2(image) * np.conj(np.fft.fft2(reference))
    n = image.shape[0]
    frequency = np.fft.fftfreq(n)
    best = np.zeros(2)
    for span, step in ((3.0, 0.5), (0.5, 0.05), (0.05, 0.005)):
        offsets = np.arange(-span, span + step / 2, step)
        phase_x = np.exp(2j * np.pi * np.outer(best[0] + offsets, frequency))
        phase_y = np.exp(2j * np.pi * np.outer(best[1] + offsets, frequency))
        surface = (phase_y @ cross @ phase_x.T).real
        row, column = np.unravel_index(surface.argmax(), surface.shape)
        best = best + [offsets[column], offsets[row]]
    return best


def fit_shift_and_map_offset(
    moved: NDArray[np.float64], rotations: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Least squares of ``moved_i = s + (R_i d)_xy``: s (x, y), d (x, y, z) and the RMS residual."""
    design = np.concatenate(
        [np.tile(np.eye(2), (len(rotations), 1, 1)), rotations[:, :2, :]], axis=2
    ).reshape(-1, 5)
    solution, *_ = np.linalg.lstsq(design, moved.reshape(-1), rcond=None)
    residual = float(np.sqrt(np.mean((design @ solution - moved.reshape(-1)) ** 2)))
    return solution[:2], solution[2:], residual


def measure(data: Path) -> dict[str, object]:
    """All figures of the comparison, JSON-able."""
    volume = read_volume(data / MAP, voxel_size_A=1.0).density
    stack = read_images(data / STACK, pixel_size_A=1.0, contrast="white").images
    poses = read_poses(data / POSES, pixel_size_A=1.0)
    rotations = torch.from_numpy(np.asarray(poses.rotations, np.float32))
    shifts = np.asarray(poses.shifts_A, np.float32)
    stack = stack[poses.image_indices]

    def projected(extra: tuple[float, float]) -> NDArray[np.float32]:
        moved = torch.from_numpy(shifts + np.asarray(extra, np.float32))
        return project(torch.from_numpy(volume), rotations, shifts_px=moved).numpy()

    table = {
        (dx, dy): correlations(stack, projected((dx, dy)))
        for dx, dy in itertools.product(range(-2, 3), repeat=2)
    }
    best = max(table, key=lambda key: table[key].min())
    plain = projected((0, 0))
    moved = np.array([displacement(i, p) for i, p in zip(stack, plain, strict=True)])
    shift, offset, residual = fit_shift_and_map_offset(moved, np.asarray(poses.rotations, float))
    mirrored = correlations(stack, projected(best)[:, :, ::-1])
    inverse = project(
        torch.from_numpy(volume), rotations.transpose(1, 2), shifts_px=torch.full((len(stack), 2), 1.0)
    ).numpy()
    n = volume.shape[0]
    return {
        "box": n,
        "centre_of_ours": image_centre(n),
        "centre_of_relion_images": relion_image_centre(n),
        "no_shift": table[0, 0].tolist(),
        "common_shift_xy": list(best),
        "after_common_shift": table[best].tolist(),
        "worst_by_shift": {f"{dx:+d},{dy:+d}": float(v.min()) for (dx, dy), v in table.items()},
        "displacements_xy": moved.tolist(),
        "fitted_image_shift_xy": shift.tolist(),
        "fitted_map_offset_xyz": offset.tolist(),
        "fit_residual_px": residual,
        "control_mirrored": mirrored.tolist(),
        "control_transposed_rotations": correlations(stack, inverse).tolist(),
        "accepted": bool(table[best].min() >= ACCEPTED),
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison; 0 when it is accepted, 1 when not, 0 with a line when there is no data."""
    parser = argparse.ArgumentParser(description="Compare projections with RELION's.")
    parser.add_argument(
        "--data", default=os.environ.get("VERGLAS_DATA"), help="data folder (or VERGLAS_DATA)"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    say = sys.stdout.write
    if not options.data or not (Path(options.data) / STACK).exists():
        say("SKIPPED: no data folder; give --data DIR or set VERGLAS_DATA.\n")
        return 0
    figures = measure(Path(options.data))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))

    def row(name: str) -> str:
        return "  ".join(f"{v:.4f}" for v in figures[name])  # type: ignore[attr-defined]

    say("Lowest of the five correlations at every common shift (rows y, columns x, pixels)\n        ")
    say("".join(f"{dx:>+8d}" for dx in range(-2, 3)) + "\n")
    for dy in range(-2, 3):
        cells = (figures["worst_by_shift"][f"{dx:+d},{dy:+d}"] for dx in range(-2, 3))  # type: ignore[index]
        say(f"{dy:>+8d}" + "".join(f"{v:8.3f}" for v in cells) + "\n")
    say(f"\nNo shift:                      {row('no_shift')}\n")
    say(f"Common shift {figures['common_shift_xy']} (x, y):   {row('after_common_shift')}\n")
    say(f"Control, images mirrored:      {row('control_mirrored')}\n")
    say(f"Control, R transposed:         {row('control_transposed_rotations')}\n\n")
    image = np.round(figures["fitted_image_shift_xy"], 3)  # type: ignore[call-overload]
    offset = np.round(figures["fitted_map_offset_xyz"], 3)  # type: ignore[call-overload]
    say(f"Displacements fitted by s + (R d)_xy: image shift s = {image}, map offset d = {offset} px, ")
    say(f"residual {figures['fit_residual_px']:.3f} px.\n")
    say(
        f"The shift is RELION's image origin in an odd box: index n - n//2 = "
        f"{figures['centre_of_relion_images']} of {figures['box']} instead of n//2 = "
        f"{figures['centre_of_ours']} (CenterFFT moves by -(n//2)). The map is not offset.\n"
    )
    say(f"\n{'ACCEPTED' if figures['accepted'] else 'NOT ACCEPTED'}: all five must reach {ACCEPTED}.\n")
    return 0 if figures["accepted"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
