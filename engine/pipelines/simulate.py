"""Evidence from a known structure: what a user would have, made where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError, SpecError
from engine.forward.gaussians import splat_image, splat_volume
from engine.io.atomic import atomic_path, write_text
from engine.io.mrc import write_images, write_volume
from engine.io.points import write_points
from engine.io.star import read_poses, write_poses
from engine.io.structure import read_structure
from engine.numerics.mixtures import kmeans_points
from engine.numerics.rotations import random_rotations
from engine.specs.codec import to_toml_text
from engine.specs.components import CoarseMap, CoarsePoints, ObservationSpec, ProjectionImages, Subunit
from engine.specs.job import DpsSpec
from engine.types import ImageStack, Poses, Structure, Volume

MARGIN = 1.25  # half-width of an automatic box over the structure's largest radius
PIXELS_PER_RESOLUTION = 3.0


def _poses(
    path: str | Path | None, views: int, seed: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Rotations and shifts, given or uniformly random."""
    if path is None:
        return random_rotations(views, np.random.default_rng(seed)), np.zeros((views, 2))
    given = read_poses(path, pixel_size_A=None)
    if len(given.rotations) < views:
        raise InputError(
            f"The file has {len(given.rotations)} poses, {views} views were asked for.", "", path
        )
    return given.rotations[:views], given.shifts_A[:views]


def fitting_grid(
    structure: Structure,
    centre: NDArray[np.floating],
    box: int | None,
    pixel_size_A: float | None,
    resolution_A: float,
) -> tuple[int, float]:
    """Box and pixel size; what is not given is chosen so that the structure fits in any view."""
    radius = float(np.linalg.norm(structure.coords_A - centre, axis=1).max())
    if pixel_size_A is None:
        pixel_size_A = resolution_A / PIXELS_PER_RESOLUTION if box is None else 2 * MARGIN * radius / box
    if box is None:
        box = max(16, 2 * int(np.ceil(MARGIN * radius / pixel_size_A)))
    if box > 2048:
        raise SpecError(
            f"The images would be {box} pixels wide.", "Choose a coarser resolution or pixel size."
        )
    if box * pixel_size_A < 2 * radius:
        raise SpecError(
            f"The structure is up to {2 * radius:.0f} Å wide, the box only {box * pixel_size_A:.0f} Å.",
            f"Use at least {int(np.ceil(2 * MARGIN * radius / pixel_size_A))} pixels, or larger ones.",
        )
    return box, pixel_size_A


def _write_moved(
    source: Path, target: Path, centre: NDArray[np.floating], chains: Sequence[str] = ()
) -> None:
    """The deposited file again as mmCIF, ``centre`` moved to the origin, other chains left out."""
    model_file = gemmi.read_structure(str(source))
    for number, model in enumerate(model_file, start=1):
        unwanted = {c.name for c in model if c.name not in chains and f"{number}:{c.name}" not in chains}
        for name in unwanted if chains else ():
            model.remove_chain(name)
        for row in model.all():
            row.atom.pos -= gemmi.Position(*(float(c) for c in centre))
    model_file.remove_empty_chains()
    # A crystal's cell has no meaning for a structure that was moved.
    model_file.cell = gemmi.UnitCell()
    with atomic_path(target) as temporary:
        model_file.make_mmcif_document().write_file(str(temporary))


def simulate(
    structure_path: str | Path,
    out_folder: str | Path,
    *,
    views: int,
    box: int | None = None,
    pixel_size_A: float | None = None,
    resolution_A: float = 10.0,
    noise: float = 0.0,
    seed: int = 0,
    poses: str | Path | None = None,
    coarse_points: int = 0,
    coarse_map_A: float | None = None,
    subunit_chains: Sequence[str] = (),
) -> list[Path]:
    """Projections, a coarse shape and a known part of a structure, and a run description that uses them.

    Everything is in one frame, whose origin is the structure's centre of mass; images show the
    atoms' masses as Gaussians of the given resolution.

    Parameters
    ----------
    views : projections at uniformly random poses, or at the first rows of ``poses``.
    box, pixel_size_A : of the images; None chooses them so that the structure fits.
    resolution_A : of images, as ChimeraX's molmap defines it.
    noise : standard deviation of white noise, in units of the signal's standard deviation.
    poses : STAR file.
    coarse_points : 3D points that stand for a low-resolution shape; 0 for none.
    coarse_map_A : resolution of a coarse map; None for none.
    subunit_chains : chains that are written as a known part.

    Returns
    -------
    Files written: ``truth.cif``, ``projections.mrcs``, ``projections.star``, as asked for
    ``coarse.csv``, ``coarse.mrc`` and ``subunit.cif``, and last ``job.toml``.

    Raises
    ------
    InputError, SpecError
        If the structure can't be used or the box is too small for it.
    """
    source, out = Path(structure_path), Path(out_folder)
    structure = read_structure(source)
    part = read_structure(source, chains=tuple(subunit_chains)) if subunit_chains else None
    centre = np.average(structure.coords_A, axis=0, weights=structure.masses_Da)
    atoms, mass = structure.coords_A - centre, structure.masses_Da
    written, observations = [out / "truth.cif"], list[ObservationSpec]()
    _write_moved(source, written[0], centre)
    if views:
        box, pixel = fitting_grid(structure, centre, box, pixel_size_A, resolution_A)
        rotations, shifts = _poses(poses, views, seed)
        images = np.stack(
            [
                splat_image(
                    (atoms @ r.T)[:, :2] + s,
                    pixel_size_A=pixel,
                    box=box,
                    resolution_A=resolution_A,
                    weights=mass,
                )
                for r, s in zip(rotations, shifts, strict=True)
            ]
        )
        images += np.random.default_rng([seed, 1]).normal(
            scale=noise * images.std() + 1e-30, size=images.shape
        )
        write_images(out / "projections.mrcs", ImageStack(images.astype(np.float32), pixel))
        known = Poses(
            rotations, shifts, ("projections.mrcs",) * views, np.arange(views, dtype=np.int32), pixel
        )
        write_poses(out / "projections.star", known, box=box)
        written += [out / "projections.mrcs", out / "projections.star"]
        observations.append(ProjectionImages(images="projections.mrcs", poses="projections.star"))
    if coarse_points:
        write_points(out / "coarse.csv", kmeans_points(atoms, coarse_points, seed=seed))
        written.append(out / "coarse.csv")
        observations.append(CoarsePoints(file="coarse.csv"))
    if coarse_map_A is not None:
        written.append(_write_map(out / "coarse.mrc", atoms, mass, coarse_map_A))
        observations.append(CoarseMap(file="coarse.mrc"))
    if part is not None:
        _write_moved(source, out / "subunit.cif", centre, subunit_chains)
        written.append(out / "subunit.cif")
        share = float(part.masses_Da.sum() / mass.sum())
        if share >= 1:
            raise SpecError("The known part is the whole structure.", "Name fewer chains.")
        observations.append(Subunit(file="subunit.cif", mass_fraction=round(share, 4)))
    if not observations:
        raise SpecError("Nothing was asked for.", "Ask for views, a coarse shape or a known part.")
    spec = DpsSpec(title=f"simulated {structure.name}", observations=tuple(observations), truth="truth.cif")
    write_text(out / "job.toml", to_toml_text(spec))
    return [*written, out / "job.toml"]


def _write_map(
    path: Path, atoms: NDArray[np.floating], mass: NDArray[np.floating], resolution_A: float
) -> Path:
    """A density map, the origin at its central voxel."""
    voxel = resolution_A / PIXELS_PER_RESOLUTION
    half = int(np.ceil((np.abs(atoms).max() + 2 * resolution_A) / voxel))
    corner = -half * voxel
    density = splat_volume(
        atoms,
        voxel_size_A=voxel,
        shape=(2 * half,) * 3,
        origin_A=(corner,) * 3,
        resolution_A=resolution_A,
        weights=mass,
    )
    write_volume(path, Volume(density, (voxel,) * 3, (corner,) * 3))
    return path
