"""Images and poses of a run, read for comparing them with what is shown. For threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.run_files import StoredRun
from app.sds_files import SdsRun
from app.surfaces import Density
from app.view_fits import Fits, Floats, Images, Views, cloud_model, compare, map_model
from engine.conventions import image_centre
from engine.errors import InputError, VerglasError
from engine.io.hand import flipped, mirrored_rotations

SIDE = 96  # pixels: larger projections are resampled to be compared
POINTS_BOX = 64
_MARGIN = 1.3
DPS_NOUN = "view"


def load_views(run: StoredRun) -> Views | None:
    """What a run was made from, with poses; None if it has neither class averages nor projections.

    Raises
    ------
    VerglasError
        If a file can't be used any more.
    """
    if run.sds is not None:
        views = _of_averages(run.sds, str(getattr(run.spec, "symmetry", "") or ""))
        mirror = run.sds.flipped
    else:
        views = _of_projections(run) if run.kind == "dps" and run.spec is not None else None
        mirror = run.folder.is_dir() and flipped(run.folder)
    if views is None or not mirror:
        return views
    # The poses flip with what they look at: the images stay.
    return replace(views, rotations=mirrored_rotations(np.asarray(views.rotations, np.float64)))


def energies_A(run: StoredRun, names: tuple[str, ...], sample: int | None) -> Floats:
    """(n,) how far matched points lie apart, root mean square, Å; NaN where the run doesn't say.

    Parameters
    ----------
    names : of the views, as the run names them.
    sample : counted from 0; None averages over all.
    """
    if run.ensemble is None:  # energies are in units of a frame that an unfinished run doesn't tell
        return np.full(len(names), np.nan)
    table, scale = run.ensemble.energies, run.ensemble.frame.scale_A
    values = table.mean(axis=0) if sample is None or sample >= len(table) else table[sample]
    by_name = dict(zip(run.ensemble.observation_names, map(float, values), strict=True))
    return np.array([scale * np.sqrt(by_name[n]) if by_name.get(n, -1.0) >= 0 else np.nan for n in names])


def paths_of(run: StoredRun, source: int) -> tuple[Path, ...]:
    """Files of a piece of evidence of a run, in the order of the window's rows."""
    observation = run.spec.observations[source]  # type: ignore[union-attr]
    named = [getattr(observation, name, "") for name in ("images", "poses", "file")]
    return tuple(Path(p).absolute() for p in named if p)


def compare_map(views: Views, density: Density) -> Fits:
    """All images against a map."""
    name = density.name or "the map"
    return compare(views, map_model(density.values, density.voxel_A, name[:1].lower() + name[1:]))


def compare_cloud(views: Views, points_A: Any, name: str) -> Fits:
    """All images against clouds (samples, points, 3) together."""
    return compare(views, cloud_model(points_A, float(views.pixel_A.min()), name))


def _of_averages(sds: SdsRun, symmetry: str) -> Views | None:
    from engine.io.json_files import read_json
    from engine.io.pose_table import CSV_NAME, read_poses
    from engine.io.volumes import AVERAGES

    path = sds.results / CSV_NAME
    if sds.prepared is None or not path.is_file() or not sds.pixel_size_A:
        return None
    table = read_poses(sds.results)
    count, box, noun = len(sds.prepared), sds.prepared.shape[-1], sds.noun
    if len(table.poses.rotations) != count:
        return None
    try:
        radius = float(read_json(sds.results / AVERAGES).get("mask_radius_px") or 0.5 * box)
    except (VerglasError, TypeError, ValueError):
        radius = 0.5 * box
    rows = [int(e.get("row") or i) for i, e in enumerate(sds.averages, 1)] or list(range(1, count + 1))
    if len(rows) != count:
        rows = list(range(1, count + 1))
    return Views(
        noun,
        sds.prepared,
        table.poses.rotations,
        table.poses.shifts_A / sds.pixel_size_A,
        np.full(count, sds.pixel_size_A),
        min(radius, 0.5 * box),
        np.array(rows, np.intp),
        table.confidence,
        names=tuple(f"{noun.capitalize()} {i}" for i in range(1, count + 1)),
        symmetry="" if symmetry.upper() in ("", "C1") else symmetry.upper(),
    )


def _of_projections(run: StoredRun) -> Views | None:
    """Projections of a run of points, all brought to one number of pixels over their own fields of view."""
    parts: list[dict[str, Any]] = []
    for source, observation in enumerate(run.spec.observations):  # type: ignore[union-attr]
        if observation.kind == "projection_images":
            parts.append(_images(observation, source))
        elif observation.kind == "projection_points":
            parts.append(_points(observation, source))
    if not parts:
        return None
    box = min(SIDE, max(part["images"].shape[-1] for part in parts))
    images, shifts, pixels = [], [], []
    for part in parts:
        side = part["images"].shape[-1]
        images.append(_resized(part["images"], box))
        pixels.append(np.full(len(part["images"]), part["pixel_A"] * side / box))
        shifts.append(part["shifts_A"] / pixels[-1][:, None])
    count = sum(map(len, images))
    return Views(
        DPS_NOUN,
        np.concatenate(images),
        np.concatenate([p["rotations"] for p in parts]),
        np.concatenate(shifts),
        np.concatenate(pixels),
        0.48 * box,
        np.concatenate([p["rows"] for p in parts]),
        np.full(count, np.nan),
        tuple(seen for p, size in zip(parts, pixels, strict=True) for seen in _in_pixels(p, float(size[0]))),
        tuple(name for p in parts for name in p["names"]),
        np.concatenate([np.full(len(p["rows"]), p["source"]) for p in parts]),
    )


def _images(spec: Any, source: int) -> dict[str, Any]:
    from engine.io.convention_files import read_posed

    posed, _ = read_posed(
        spec.images, spec.poses, pixel_size_A=spec.pixel_size_A, contrast=spec.contrast, select=spec.select
    )
    rows = np.array(spec.select or range(1, len(posed.images) + 1), np.intp)
    return {
        "images": _standard(_square(posed.images)),
        "rotations": posed.rotations,
        "shifts_A": posed.shifts_A,
        "pixel_A": posed.pixel_A,
        "rows": rows,
        "names": tuple(f"view {row}" for row in rows),
        "points": (None,) * len(rows),
        "source": source,
    }


def _points(spec: Any, source: int) -> dict[str, Any]:
    from scipy.spatial.transform import Rotation

    from engine.io.density import splat_image
    from engine.io.points import read_points

    cloud = read_points(spec.file)
    w, x, y, z = spec.rotation
    shift = np.asarray(spec.shift_A, float)
    points = cloud.points_A[:, :2]
    reach = float(np.abs(points).max()) or 1.0
    pixel = 2 * _MARGIN * reach / POINTS_BOX
    spread = float(np.sqrt(points.var(axis=0).sum()))
    width = max(1.3 * pixel, 1.2 * spread / max(1.0, np.sqrt(len(points))))
    image = splat_image(
        points, pixel_size_A=pixel, box=POINTS_BOX, resolution_A=width * np.pi * np.sqrt(2),
        weights=cloud.weights,
    )  # fmt: skip
    return {
        "images": _standard(image[None]),
        "rotations": Rotation.from_quat([x, y, z, w]).as_matrix()[None],
        "shifts_A": shift[None],
        "pixel_A": pixel,
        "rows": np.ones(1, np.intp),
        "names": (Path(spec.file).stem,),
        "points": (points,),
        "source": source,
    }


def _in_pixels(part: dict[str, Any], pixel_A: float) -> tuple[Floats | None, ...]:
    return tuple(None if p is None else p / pixel_A for p in part["points"])


def _square(images: Images) -> Images:
    side = max(images.shape[1:])
    if images.shape[1] == images.shape[2]:
        return images
    from engine.io.image_resampling import cropped

    level = np.median(images, axis=(1, 2), keepdims=True).astype(np.float32)
    return np.asarray(cropped(images - level, side) + level, np.float32)


def _resized(images: Images, box: int) -> Images:
    from engine.io.image_resampling import resampled

    return resampled(np.ascontiguousarray(images, np.float32), box)


def _standard(images: Images) -> Images:
    """Mean 0 and standard deviation 1 within the inscribed circle."""
    side = images.shape[-1]
    axis = np.arange(side) - image_centre(side)
    inside = np.hypot(axis[:, None], axis[None, :]) <= 0.48 * side
    values = images[:, inside]
    deviation = values.std(axis=1)
    if not len(images) or (deviation <= 0).all():
        raise InputError("The projections are empty.", "Check the stack.")
    scaled = (images - values.mean(axis=1)[:, None, None]) / np.maximum(deviation, 1e-12)[:, None, None]
    return np.asarray(scaled, np.float32)
