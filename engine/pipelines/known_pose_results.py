"""What a known-pose run leaves: maps in the frame of the poses, coverage, poses, and how good it all is."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.conventions import image_centre
from engine.errors import InputError
from engine.io.image_resampling import shifted
from engine.io.json_files import write_json
from engine.io.pose_table import make_table, write_poses
from engine.io.pseudo_atoms import FILE_NAME, write_gaussians
from engine.io.volumes import (
    CONSENSUS,
    FOURIER_COVERAGE,
    LEAST_SQUARES,
    METRICS,
    PRIOR_FRACTION,
    REFERENCE,
    write_map,
    write_projections,
)
from engine.metrics.volumes import volume_fsc
from engine.numerics.fourier import fsc
from engine.numerics.regrid import frame_origin, same_origin
from engine.pipelines.known_pose_setting import KnownPoseSetting
from engine.reconstruction.coverage import FourierCoverage, fourier_coverage
from engine.reconstruction.models import SplatModel
from engine.types import Volume


def _offset_px(setting: KnownPoseSetting) -> NDArray[np.float64]:
    return np.asarray(setting.prepared.centre_A / setting.pixel_size_A, np.float64)


def _moved(density: NDArray[np.floating], by_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """A map whose content is moved by (x, y, z) pixels, exactly for band-limited maps, cyclically."""
    if not np.abs(by_px).max() > 1e-6:
        return np.asarray(density, np.float32)
    moved = shifted(np.asarray(density, np.float32), np.tile(by_px[:2], (len(density), 1)))
    swapped = shifted(
        np.ascontiguousarray(moved.transpose(1, 0, 2)), np.tile([0.0, by_px[2]], (len(moved), 1))
    )
    return np.ascontiguousarray(swapped.transpose(1, 0, 2))


def to_poses(setting: KnownPoseSetting, volume: Tensor) -> NDArray[np.float32]:
    """A map of the problem's frame in the frame of the poses."""
    return _moved(volume.cpu().numpy(), _offset_px(setting))


def on_run_grid(
    setting: KnownPoseSetting, volume: Volume, path: str, *, centred: bool = False
) -> NDArray[np.float32]:
    """A map of the frame of the poses on the run's grid.

    Parameters
    ----------
    path : of the map, to name it.
    centred : in the problem's frame, the particle's centre in the middle, instead of in that of the poses.
    """
    if not all(size > 0 for size in volume.voxel_size_A):
        if volume.density.shape[0] != setting.posed.images.shape[1]:
            raise InputError("The map's voxel size is not known.", "Give it, or repair its header.", path)
        setting.context.notice(f"{Path(path).name} doesn't say its voxel size: the images' was taken.")
        volume = replace(volume, voxel_size_A=(setting.posed.pixel_size_A,) * 3)
    origin = frame_origin(volume)
    middle = np.array([image_centre(n) for n in volume.density.shape])
    if np.abs(origin - middle).max() > 0.5:
        setting.context.notice(
            f"The header of {Path(path).name} puts the origin of its frame at voxel "
            f"{', '.join(f'{v:.1f}' for v in origin[::-1])} (x, y, z; the middle is "
            f"{', '.join(str(v) for v in middle[::-1])}); so it was taken."
        )
    about = setting.prepared.centre_A if centred else np.zeros(3)
    return same_origin(volume, setting.box, setting.pixel_size_A, about)


def write_least_squares(setting: KnownPoseSetting, baseline: Tensor) -> None:
    """``least_squares.mrc``, before anything that takes long."""
    write_map(setting.folder / LEAST_SQUARES, to_poses(setting, baseline), setting.pixel_size_A)
    setting.context.result(Path(LEAST_SQUARES).stem, setting.folder / LEAST_SQUARES)


def write_results(
    setting: KnownPoseSetting, volume: Tensor, baseline: Tensor, truth: Volume | None, metrics: dict[str, Any]
) -> None:
    """Write all of them, ``metrics.json`` last.

    Parameters
    ----------
    volume, baseline : the map and the least-squares map, in the problem's frame.
    truth : to judge by, in the frame of the poses.
    metrics : what is known already.
    """
    folder, pixel, context = setting.folder, setting.pixel_size_A, setting.context
    problem, begun = setting.problem, time.monotonic()
    final, least = to_poses(setting, volume), to_poses(setting, baseline)
    covered = fourier_coverage(volume, problem, 2 * setting.prepared.mask_radius_px)
    maps = {
        CONSENSUS: final,
        LEAST_SQUARES: least,
        PRIOR_FRACTION: to_poses(setting, covered.fraction).clip(0, 1),
    }
    for name, density in maps.items():
        write_map(folder / name, density, pixel)
        context.result(Path(name).stem, folder / name)
    projections = setting.images_of(problem.seen(volume)[:: problem.order])
    correlation = setting.correlation(
        projections, torch.from_numpy(setting.prepared.stack.images).to(projections)
    )
    path = write_projections(folder, projections.cpu().numpy(), pixel)
    context.result("projections", path)
    shifts = problem.shifts_px.cpu().numpy() * pixel - (
        setting.problem.rotations[:, :2].cpu().numpy().astype(np.float64) @ setting.prepared.centre_A
    )
    table = make_table(
        problem.rotations.cpu().numpy().astype(np.float64), shifts, pixel, correlation=correlation
    )
    star, _ = write_poses(folder, table, box=setting.box)
    context.result("poses", star)
    metrics["correlation"] = [round(float(c), 4) for c in correlation]
    metrics["prior_supplied"] = covered.supplied
    coverage = _coverage_record(setting, covered)
    if truth is not None:
        share = covered.share.cpu().numpy()
        _judge(setting, truth, final, least, share, metrics, coverage)
    write_json(folder / FOURIER_COVERAGE, coverage)
    context.result("fourier_coverage", folder / FOURIER_COVERAGE)
    setting.spent("results", begun)
    metrics["seconds"] = {k: round(v, 2) for k, v in setting.seconds.items()}
    write_json(folder / METRICS, metrics)
    context.result("metrics", folder / METRICS)


def _coverage_record(setting: KnownPoseSetting, covered: FourierCoverage) -> dict[str, Any]:
    frequency = np.arange(len(covered.measured)) / (setting.box * setting.pixel_size_A)
    share = float(covered.measured[1:].mean())
    return {
        "frequency_per_A": frequency.tolist(),
        "measured": covered.measured.tolist(),
        "supplied_power": covered.supplied_power.tolist(),
        "views": len(setting.problem.images),
        "symmetry": setting.spec.symmetry,
        "sentence": f"The images measured {share:.0%} of the map's Fourier coefficients, shell by shell; "
        f"{covered.supplied:.0%} of the map's power lies where they did not.",
    }


def _judge(
    setting: KnownPoseSetting,
    truth: Volume,
    final: NDArray[np.float32],
    least: NDArray[np.float32],
    share: NDArray[np.floating],
    metrics: dict[str, Any],
    coverage: dict[str, Any],
) -> None:
    """FSC to the truth, where it lies: nothing is aligned, since poses are known."""
    pixel = setting.pixel_size_A
    reference = on_run_grid(setting, truth, str(setting.spec.truth))
    write_map(setting.folder / REFERENCE, reference, pixel)
    setting.context.result("reference", setting.folder / REFERENCE)
    for key, density in (("fsc_truth", final), ("fsc_truth_least_squares", least)):
        found = volume_fsc(density, reference, pixel, None, against="the reference map")
        metrics[key] = found.as_dict()
    for name, weight in (("measured", share), ("unmeasured", 1 - share)):
        coverage[f"fsc_truth_{name}"] = fsc(final, reference, weight=weight)[1].tolist()


def write_splats(setting: KnownPoseSetting, model: SplatModel) -> None:
    """``gaussians.npz``, in Å in the frame of the poses."""
    path = setting.folder / FILE_NAME
    cloud = model.gaussians.cloud(setting.pixel_size_A)
    write_gaussians(path, replace(cloud, positions_A=cloud.positions_A + setting.prepared.centre_A))
    setting.context.result("gaussians", path)
