"""What is this file? Recognised by content, described in a few lines, cheaply.

The window shows the answer as soon as a file is dropped; the command line prints it. Suffixes only
break ties: a stack of images and a map can be the same bytes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from engine.errors import InputError, SpecError
from engine.io import class_averages, class_star, cryosparc, eman, spider, weights_header
from engine.io.ensemble import read_ensemble
from engine.io.mrc import read_header, refuse_unusable_map
from engine.io.mrc_header import HEADER_BYTES, MrcHeader, kind_of, looks_like_mrc
from engine.io.pixel_size import PixelSizeError, check_given
from engine.io.point_images import point_sets
from engine.io.points import looks_like_points, npz_shapes, read_points
from engine.io.star import looks_like_star, read_poses
from engine.io.streams import check_file, head, is_gzipped, read_text, refuse_foreign
from engine.io.structure import looks_like_structure, read_structure
from engine.specs.codec import load_spec
from engine.specs.job import TrainPriorSpec
from engine.specs.known_poses import KnownPosesSpec
from engine.specs.sds import SdsSpec, TrainDenoiserSpec

Kind = Literal[
    "structure",
    "volume",
    "images",
    "class_averages",
    "poses",
    "points2d",
    "points3d",
    "clouds",
    "prior",
    "image_denoiser",
    "spec",
    "ensemble",
]
_SPEC_KIND = re.compile(
    r"(?:^|[{,])\s*[\"']?kind[\"']?\s*[=:]\s*[\"'](dps|train_prior|sds|train_denoiser|known_poses)[\"']",
    re.MULTILINE,
)
_READABLE = (
    "Verglas reads PDB, mmCIF, MRC, MAP, CCP4, MRCS, STAR, CSV, npz, class averages of cryoSPARC, EMAN2 and "
    "SPIDER, and its own files."
)


@dataclass(frozen=True)
class FileSummary:
    """What a file is, for people.

    Attributes
    ----------
    path : the file.
    kind : what it can be used as.
    title : one short phrase, e.g. ``Density map``.
    lines : facts (sizes with units), one each.
    notes : what was assumed or dropped, one sentence each.
    needs_pixel_size : whether the file can't be used until its pixel or voxel size is given.
    """

    path: Path
    kind: Kind
    title: str
    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()
    needs_pixel_size: bool = False


def summarise(path: str | Path, *, pixel_size_A: float | None = None) -> FileSummary:
    """Recognise and describe a file.

    Parameters
    ----------
    path : any file that Verglas reads, or a folder of single images.
    pixel_size_A : replaces what the file says.

    Returns
    -------
    FileSummary
        Maps and stacks are described from their headers alone; a full read can still find damaged
        or constant data.

    Raises
    ------
    InputError
        If the file can't be read, is damaged, or is nothing that Verglas reads.
    """
    if os.path.isdir(path):  # False for impossible names, where Path.is_dir may raise
        check_given(pixel_size_A, Path(path))
        return _averages(Path(path), pixel_size_A)
    path = check_file(path)
    check_given(pixel_size_A, path)
    start = head(path, 4096)
    if (
        spider.looks_like_spider(start)
        or start.startswith((cryosparc.NPY_MAGIC, eman.HDF_MAGIC))
        or eman.is_list(start)
    ):
        return _averages(path, pixel_size_A)
    if looks_like_mrc(start[:HEADER_BYTES]):
        return _mrc(path, pixel_size_A)
    if start.startswith(b"PK\x03\x04"):
        return _archive(path, pixel_size_A)
    if weights_header.looks_like_safetensors(start):
        return _prior(path)
    refuse_foreign(start, path)
    if b"\x00" in start:
        raise InputError(
            "This is a binary file of a kind that Verglas doesn't know.",
            _READABLE,
            path,
        )
    return _text(path, pixel_size_A)


def _mrc(path: Path, given_A: float | None) -> FileSummary:
    header = read_header(path)
    _check_length(path, header)
    kind, why = kind_of(header, path)
    spacing = (given_A,) * 3 if given_A is not None else header.spacing_A
    counts = tuple(header.shape[2 - header.axes.index(a)] for a in range(3))
    notes = list(header.notes)
    if header.spacing_problem and given_A is None:
        notes.append(header.spacing_problem)
    if given_A is None and header.spacing_A == (1.0, 1.0, 1.0):
        notes.append("Exactly 1 Å is what many programs write when they don't know the pixel size: check it.")
    known = bool(spacing[0])
    values = {
        "i1": "8-bit",
        "u1": "8-bit",
        "i2": "16-bit",
        "u2": "16-bit",
        "f2": "16-bit float",
        "f4": "32-bit float",
    }
    stored = f"Stored as {values.get(header.dtype.str[1:], header.dtype.name)} values"
    if kind == "images":
        count = "1 image" if counts[2] == 1 else f"{counts[2]:,} images"
        size = (
            f"Pixel size {spacing[0]:.4g} Å, box {spacing[0] * counts[0]:.4g} Å"
            if known
            else "Pixel size unknown"
        )
        lines = (f"{count} of {counts[0]} × {counts[1]} pixels", size, stored)
        if counts[0] == counts[1] == counts[2] or header.ispg == 1:
            notes.append(f"Taken for images because {why}.")
        return FileSummary(path, "images", "Image stack", lines, tuple(notes), not known)
    refuse_unusable_map(header, path)
    if header.ispg != 1:
        notes.append(f"The header calls itself a stack (ISPG {header.ispg}); taken for a map because {why}.")
    box = " × ".join(f"{s * n:.4g}" for s, n in zip(spacing, counts, strict=True))
    cubic = known and max(spacing) - min(spacing) < 1e-3 * max(spacing)
    shown = f"{spacing[0]:.4g}" if cubic else " × ".join(f"{s:.4g}" for s in spacing)
    size = f"Voxel size {shown} Å, box {box} Å" if known else "Voxel size unknown"
    return FileSummary(
        path,
        "volume",
        "Density map",
        (" × ".join(map(str, counts)) + " voxels", size, stored),
        tuple(notes),
        not known,
    )


def _averages(path: Path, given_A: float | None) -> FileSummary:
    """Class averages of other programs, and tables that name images without poses."""
    found = class_averages.describe(path)
    size = given_A or found.pixel_size_A
    count = "1 image" if found.count == 1 else f"{found.count:,} images"
    if found.shape is not None:
        count += f" of {found.shape[1]} × {found.shape[0]} pixels"
    known = f"Pixel size {size:.4g} Å" if size else "Pixel size unknown"
    if size and found.shape is not None:
        known += f", box {size * found.shape[1]:.4g} Å"
    return FileSummary(
        path, "class_averages", found.title, (count, known, *found.lines), found.notes, not size
    )


def _check_length(path: Path, header: MrcHeader) -> None:
    """A plain file that is shorter than its header says is refused before anyone waits for it."""
    present = path.stat().st_size - HEADER_BYTES
    if not is_gzipped(path) and present < header.data_bytes:
        raise InputError(
            f"The file ends early: {max(present, 0):,} of {header.data_bytes:,} bytes of data are there.",
            "Copy or download it again.",
            path,
        )


def _archive(path: Path, given_A: float | None) -> FileSummary:
    shapes = npz_shapes(path)
    if "points_A" in shapes and "format" in shapes:
        ensemble = read_ensemble(path)
        count, points, _ = ensemble.points_A.shape
        how = "posterior samples" if ensemble.kind == "posterior" else "optima"
        lines = (f"{count} {how} of {points:,} points", f"Scale {ensemble.frame.scale_A:.4g} Å")
        return FileSummary(path, "ensemble", "Reconstruction", lines)
    shape = shapes.get("points", ((), ""))[0]
    if len(shape) == 3 and shape[2] == 3:
        title = "Point clouds for training or measuring"
        return FileSummary(path, "clouds", title, (f"{shape[0]:,} clouds of {shape[1]:,} points",))
    if point_sets(path):
        return _averages(path, given_A)
    return _points(path)


def _points(path: Path) -> FileSummary:
    cloud = read_points(path)
    count, dimensions = cloud.points_A.shape
    extent = " × ".join(f"{e:.4g}" for e in np.ptp(cloud.points_A, axis=0))
    lines = [
        f"{count:,} points, {'weighted' if cloud.weights is not None else 'equal weights'}",
        f"Extent {extent} Å",
    ]
    if dimensions == 2:
        return FileSummary(path, "points2d", "2D points", tuple(lines), ("Coordinates are taken as Å.",))
    return FileSummary(path, "points3d", "3D points", tuple(lines), ("Coordinates are taken as Å.",))


def _prior(path: Path) -> FileSummary:
    """A safetensors file, from its JSON header alone."""
    header = weights_header.read_header(path)
    if header.form == weights_header.IMAGE_DENOISER_FORMAT:
        lines = weights_header.image_denoiser_lines(header)
        return FileSummary(path, "image_denoiser", "2D denoiser (trained weights)", lines)
    facts = [f"{header.parameters:,} parameters"]
    architecture = str(header.card.get("architecture", ""))
    if architecture:
        facts.append(f"Architecture: {architecture}, trained on clouds of {header.card.get('points')} points")
    return FileSummary(path, "prior", "Prior (trained weights)", tuple(facts))


def _text(path: Path, pixel_size_A: float | None) -> FileSummary:
    text = read_text(path)
    if looks_like_star(text):
        if class_star.names_images_without_poses(text):
            return _averages(path, pixel_size_A)
        return _poses(path, pixel_size_A)
    if looks_like_structure(text):
        return _structure(path)
    if _SPEC_KIND.search(text):
        return _spec(path)
    if looks_like_points(text):
        return _points(path)
    if re.search(r"^\s*data_", text, re.MULTILINE):
        raise InputError(
            "This is a STAR or CIF file without poses and without atoms.",
            "Give the particles' STAR file of a 3D refinement, or the model's mmCIF file.",
            path,
        )
    raise InputError(
        "This text is nothing that Verglas knows.",
        _READABLE,
        path,
    )


def _poses(path: Path, pixel_size_A: float | None) -> FileSummary:
    needed = False
    notes: tuple[str, ...] = ()
    try:
        poses = read_poses(path, pixel_size_A=pixel_size_A)
    except PixelSizeError as exc:
        poses = read_poses(path, pixel_size_A=1.0)
        needed, notes = True, (exc.problem,)
    size = (
        f"Pixel size {poses.pixel_size_A:.4g} Å"
        if poses.pixel_size_A and not needed
        else "Pixel size unknown"
    )
    stacks = list(dict.fromkeys(f for f in poses.image_files if f))
    lines = [f"{len(poses.rotations):,} poses", size]
    if stacks:
        lines.append(
            "Images in " + ", ".join(stacks[:3]) + (f" and {len(stacks) - 3} more" if len(stacks) > 3 else "")
        )
    largest = float(np.linalg.norm(poses.shifts_A, axis=1).max())
    if not needed:
        lines.append(f"Shifts up to {largest:.3g} Å")
        notes = poses.notes
    return FileSummary(path, "poses", "Poses (RELION STAR)", tuple(lines), notes, needed)


def _structure(path: Path) -> FileSummary:
    structure = read_structure(path)
    names = structure.chain_names
    extent = " × ".join(f"{e:.4g}" for e in np.ptp(structure.coords_A, axis=0))
    mass = float(structure.masses_Da.sum()) / 1000
    lines = (
        f"{len(structure.coords_A):,} heavy atoms, {mass:,.0f} kDa"
        if mass >= 10
        else f"{len(structure.coords_A):,} heavy atoms",
        f"{len(names)} chain{'s' if len(names) > 1 else ''}: "
        + ", ".join(names[:30])
        + (" ..." if len(names) > 30 else ""),
        f"Extent {extent} Å",
    )
    return FileSummary(path, "structure", f"Structure {structure.name}", lines, structure.notes)


def _spec(path: Path) -> FileSummary:
    try:
        spec = load_spec(path)
    except SpecError as exc:
        raise InputError(exc.problem, exc.advice, path) from exc
    if isinstance(spec, TrainPriorSpec):
        lines = [f"Training of a prior on {Path(spec.clouds).name}", f"Up to {spec.hours:g} h"]
    elif isinstance(spec, TrainDenoiserSpec):
        lines = [f"Training of a denoiser on {Path(spec.averages.file).name}", f"Up to {spec.minutes:g} min"]
    elif isinstance(spec, SdsSpec):
        what = "A consensus volume" if spec.volumes == "one" else "One volume per class average"
        lines = [f"{what} from {Path(spec.averages.file).name}", f"Symmetry {spec.symmetry}"]
    elif isinstance(spec, KnownPosesSpec):
        lines = [
            f"A volume at known poses from {Path(spec.images.poses).name}",
            f"Method {spec.method.kind}, symmetry {spec.symmetry}",
        ]
    else:
        count = len(spec.observations)
        lines = [
            f"Reconstruction from {count} observation{'' if count == 1 else 's'}",
            f"{spec.samples} sample{'' if spec.samples == 1 else 's'} of {spec.points} points",
        ]
    return FileSummary(path, "spec", spec.title or "Run description", tuple(lines))
