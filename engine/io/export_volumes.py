"""Results of score distillation for other programs: maps, poses with images, ChimeraX, tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine import conventions
from engine.errors import InputError, RunError
from engine.io import star
from engine.io.atomic import write_text
from engine.io.chimerax import morph_file, volumes_file
from engine.io.landscape_file import Landscape
from engine.io.mrc import write_images, write_volume
from engine.io.pseudo_atoms import FILE_NAME, export_pseudo_atoms
from engine.io.volumes import PREPARED, SdsResults
from engine.types import ImageStack, Poses

FORMATS: dict[str, tuple[str, str]] = {
    "mrc": (".mrc", "The consensus map, one volume, or all volumes into a folder."),
    "star": (".star", "Poses and class averages: a RELION 3.1 STAR file and an MRCS stack beside it."),
    "cxc": (
        ".cxc",
        "ChimeraX command files, with the maps: consensus coloured by motion, volumes as a series.",
    ),
    "csv": (".csv", "A table with one row per class average: pose, confidence, place in the landscape."),
    "mmcif": (".cif", "Pseudo-atoms: the 3D Gaussians that a volume at known poses is made of."),
}
"""Name -> (suffix, one-line description)."""

Which = Literal["consensus", "all"] | Sequence[int]
LONGEST_SERIES = 40
"""Volumes that a command file plays, unless they are named; more would fill a laptop's memory."""
LONGEST_MORPH = 8


def export_volumes(
    run_folder: str | Path,
    path: str | Path,
    format: str,  # noqa: A002 - the word of the command line
    *,
    which: Which | None = None,
) -> list[Path]:
    """Write results of a run for another program.

    Parameters
    ----------
    run_folder : run directory of score distillation, finished or not.
    path : the file to write. For ``mrc`` with several volumes a folder; other files go beside it, named
        after it.
    format : a key of :data:`FORMATS`.
    which : ``consensus``, ``all`` volumes, or class averages counted from 1. None: the consensus for
        ``mrc``, all that there are for the others.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If the format is unknown, a result is damaged, or a class average has no volume or pose.
    RunError
        If the run has not got far enough.
    VerglasError
        If a file can't be written.
    """
    writers: dict[str, Callable[[SdsResults, Path, Which | None], list[Path]]] = {
        "mrc": _mrc, "star": _star, "cxc": _cxc, "csv": _csv, "mmcif": _pseudo_atoms,
    }  # fmt: skip
    path = Path(path)
    if format not in writers:
        raise InputError(f"Unknown export format {format!r}.", f"Use one of {', '.join(FORMATS)}.", path)
    return writers[format](SdsResults(run_folder, in_hand=True), path, which)


def contour_level(density: NDArray[np.float32]) -> float:
    """The level that best parts the voxels into two groups, particle and surroundings (Otsu 1979).

    Between the groups' means their variance is largest; from a histogram of 512 bins.
    """
    counts, edges = np.histogram(density, 512)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    sums = np.cumsum(counts * middles)
    gap = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(edges[1 + int(np.argmax(below * above * gap**2))])


def _images(results: SdsResults, which: Which | None) -> list[int]:
    """Class averages, counted from 1, whose volumes are asked for: checked to be there, in order."""
    there = list(results.volumes())
    if which is None or which == "all":
        return there
    if isinstance(which, str):
        return []
    missing = [image for image in which if image not in there]
    if missing:
        shown = ", ".join(str(image) for image in missing[:5])
        raise InputError(
            f"There is no volume of class average {shown}.",
            f"There are {_ranges(there)}." if there else "The run made none: `volumes` was `one`.",
            results.folder / "volumes",
        )
    return list(which)


def _ranges(numbers: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs)


def _mrc(results: SdsResults, path: Path, which: Which | None) -> list[Path]:
    if which is None or which == "consensus":
        write_volume(path, results.consensus())
        return [path]
    images = _images(results, which)
    if not images:
        raise RunError("The run has no volumes of class averages.", "Export the consensus.", results.folder)
    if len(images) == 1 and which != "all":
        write_volume(path, results.volume(images[0]))
        return [path]
    folder = path.with_suffix("") if path.suffix in (".mrc", ".map") else path
    if folder.is_file():
        raise InputError(
            "There is a file of this name, but a folder is needed.", "Give another name.", folder
        )
    written = []
    for image in images:
        write_volume(folder / f"volume_{image:04d}.mrc", results.volume(image))
        written.append(folder / f"volume_{image:04d}.mrc")
    return written


def _rows(results: SdsResults, which: Which | None, count: int) -> NDArray[np.int64]:
    """Rows of the poses, counted from 0, that are asked for."""
    if which is None or isinstance(which, str):
        return np.arange(count)
    rows = np.array(list(which), np.int64) - 1
    if not len(rows) or rows.min() < 0 or rows.max() >= count:
        raise InputError(
            f"There are poses of class averages 1 to {count}.", "Choose among them.", results.folder
        )
    return rows


def _star(results: SdsResults, path: Path, which: Which | None) -> list[Path]:
    table, stack, counts = results.poses(), results.prepared(), results.counts()
    rows = _rows(results, which, len(table.poses.rotations))
    indices = table.poses.image_indices[rows]
    if int(indices.max()) >= len(stack.images):
        raise InputError("The poses name images that aren't there.", "Run again.", results.folder / PREPARED)
    if counts is not None and len(counts) != len(stack.images):
        raise InputError("Counts and images differ in number.", "Run again.", results.folder)
    stack_path = path.with_suffix(".mrcs")
    if stack_path == path:
        raise InputError("The STAR file needs a name of its own.", "Let it end in .star.", path)
    poses = Poses(
        rotations=table.poses.rotations[rows],
        shifts_A=table.poses.shifts_A[rows],
        image_files=(stack_path.name,) * len(rows),
        image_indices=np.arange(len(rows), dtype=np.int32),
        pixel_size_A=stack.pixel_size_A,
    )
    columns: dict[str, NDArray[Any]] = {}
    if np.isfinite(table.confidence[rows]).all():
        columns["rlnMaxValueProbDistribution"] = table.confidence[rows]
    if counts is not None:
        columns["rlnGroupNrParticles"] = np.rint(counts[indices]).astype(np.int64)
    # The images first: a STAR file never names what isn't there.
    write_images(stack_path, ImageStack(stack.images[indices], stack.pixel_size_A))
    star.write_poses(path, poses, box=stack.images.shape[-1], columns=columns)
    return [path, stack_path]


def _cxc(results: SdsResults, path: Path, which: Which | None) -> list[Path]:
    consensus_path = path.with_suffix(".mrc")
    if path == consensus_path:
        raise InputError("A command file needs a name of its own.", "Let it end in .cxc.", path)
    consensus = results.consensus()
    level = contour_level(consensus.density)
    write_volume(consensus_path, consensus)
    written = [consensus_path]
    lines: dict[str, Any] = {"consensus_name": consensus_path.name, "level": level}
    landscape = results.landscape()
    if landscape is not None and landscape.motion.shape == consensus.density.shape:
        motion_path = path.with_name(f"{path.stem}_motion.mrc")
        write_volume(motion_path, replace(consensus, density=landscape.motion))
        written.append(motion_path)
        seen = landscape.motion[consensus.density > level]
        lines |= {"motion_name": motion_path.name, "motion_range": _range(seen)}
    fraction = results.prior_fraction()
    if fraction is not None:
        fraction_path = path.with_name(f"{path.stem}_prior.mrc")
        write_volume(fraction_path, fraction)
        written.append(fraction_path)
        lines |= {
            "motion_name": fraction_path.name, "motion_range": (0.0, 1.0),
            "title": "Volume from images at known poses",
            "colour": "Colour: share that no image measured. Grey was measured, orange comes from the prior.",
            "palette": "lightgray:darkorange",
        }  # fmt: skip
    images, order = _in_order(_images(results, which), landscape)
    if which is None or which == "all":
        images = _spread_out(images, LONGEST_SERIES)
    if len(images) > 1:
        folder = path.with_name(f"{path.stem}_volumes")
        for old in folder.glob("*_image_*.mrc") if folder.is_dir() else ():
            old.unlink()  # of an earlier export, which would play along
        names = []
        for place, image in enumerate(images, start=1):
            name = f"{place:04d}_image_{image:04d}.mrc"
            write_volume(folder / name, results.volume(image))
            written.append(folder / name)
            names.append(f"{folder.name}/{name}")
        middle = results.volume(images[len(images) // 2]).density
        lines |= {
            "series_pattern": f"{folder.name}/*.mrc",
            "series_names": [f"class average {image}" for image in images],
            "series_level": contour_level(middle),
            "order": order,
        }
        morph_path = path.with_name(f"{path.stem}_morph.cxc")
        write_text(morph_path, morph_file(_spread_out(names, LONGEST_MORPH), level=contour_level(middle)))
        written.append(morph_path)
    write_text(path, volumes_file(**lines))
    return [path, *written]


def _range(values: NDArray[np.float32]) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (5, 95)))
    return (low, high) if high > low else (low, low + 1.0)


def _in_order(images: list[int], landscape: Landscape | None) -> tuple[list[int], str]:
    if landscape is None:
        return images, "In the order of the class averages."
    places = dict(zip(landscape.images.tolist(), landscape.coordinates[:, 0].tolist(), strict=True))
    if not all(image in places for image in images):
        return images, "In the order of the class averages."
    return sorted(images, key=lambda image: places[image]), (
        "In the order of their first coordinate in the landscape, which need not be an order in time."
    )


def _spread_out(items: list[Any], most: int) -> list[Any]:
    if len(items) <= most:
        return items
    return [items[i] for i in np.rint(np.linspace(0, len(items) - 1, most)).astype(int)]


def _csv(results: SdsResults, path: Path, which: Which | None) -> list[Path]:
    table, landscape, volumes = results.poses(), results.landscape(), results.volumes()
    rows = _rows(results, which, len(table.poses.rotations))
    entries = results.averages()["images"]
    angles = conventions.rotation_to_relion(table.poses.rotations)
    places = {} if landscape is None else {int(image): k for k, image in enumerate(landscape.images)}
    axes = 0 if landscape is None else landscape.coordinates.shape[1]
    umap = landscape is not None and landscape.umap is not None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "image", "file", "row", "count", "rot_deg", "tilt_deg", "psi_deg", "shift_x_A", "shift_y_A",
            "confidence", "correlation", "volume_correlation",
            *(f"component_{k}" for k in range(1, axes + 1)), *(("umap_1", "umap_2") if umap else ()),
        ]
    )  # fmt: skip
    for row in rows:
        image = int(table.poses.image_indices[row]) + 1
        entry = entries[image - 1] if image <= len(entries) else {}
        place = places.get(image)
        values: list[Any] = [
            *angles[row], *table.poses.shifts_A[row], table.confidence[row], table.correlation[row],
            volumes.get(image, {}).get("correlation"),
        ]  # fmt: skip
        if landscape is not None:
            values += [None] * axes if place is None else list(landscape.coordinates[place])
            if landscape.umap is not None:
                values += [None, None] if place is None else list(landscape.umap[place])
        known = [entry.get("file"), entry.get("row"), entry.get("count")]
        writer.writerow([image, *("" if v is None else v for v in known), *map(_number, values)])
    write_text(path, text.getvalue())
    return [path]


def _pseudo_atoms(results: SdsResults, path: Path, which: Which | None) -> list[Path]:
    if not results.has(FILE_NAME):
        raise RunError("There is no set of 3D Gaussians.", "Export the volume as `mrc`.", results.folder)
    if results.flipped:
        raise InputError("The Gaussians can't be mirrored.", "Flip the hand back, or export as `mrc`.", path)
    return [export_pseudo_atoms(results.folder / FILE_NAME, path)]


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float | np.number) and np.isfinite(value) else ""
