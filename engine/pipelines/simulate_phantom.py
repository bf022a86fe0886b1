"""Class averages whose truth is known: of a phantom that moves, or of a structure that doesn't.

Both make what a user of score distillation would have, clean images with unknown poses, and beside it
what only a test may know: the poses, the parameters of motion and the maps. The run description names
the images alone as its input.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from engine.conventions import volume_origin_A
from engine.errors import SpecError
from engine.forward.gaussians import splat_image, splat_volume
from engine.forward.volume_projection import project
from engine.io.atomic import write_text
from engine.io.mrc import write_images, write_volume
from engine.io.star import write_poses
from engine.io.structure import read_structure
from engine.numerics.rotations import matrix_to_quaternion, random_rotations
from engine.phantoms.box import WIDEST_DEG, box_volume
from engine.phantoms.capsid import capsid_volume
from engine.pipelines.simulate import fitting_grid
from engine.specs.codec import to_toml_text
from engine.specs.known_poses import KnownPosesSpec, PosedImages
from engine.specs.sds import ClassAveragesInput, SdsSpec
from engine.types import ImageStack, Poses, Volume

Phantom = Literal["box", "capsid"]

FEW, KNOWN_POSES = 6, "known_poses.toml"
_MOST_IMAGES = 100_000


@dataclass(frozen=True)
class _Motion:
    """Parameters of motion: their names and what they are in each image."""

    names: tuple[str, ...]
    values: NDArray[np.float64]


def draw_conformations(
    phantom: Phantom, images: int, seed: int
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """A new conformation for each image, uniform in the phantom's parameters.

    Returns
    -------
    names : of the parameters.
    values : (images, parameters), degrees for the box, shares from 0 (open) to 1 for the capsid.
    """
    rng = np.random.default_rng([seed, 2])
    if phantom == "box":
        return ("theta_plus_deg", "theta_minus_deg"), rng.uniform(0, WIDEST_DEG, (images, 2))
    return ("s",), rng.uniform(0, 1, (images, 1))


def phantom_volume(phantom: Phantom, parameters: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """The map (z, y, x) of one conformation, its parameters ordered as in :func:`draw_conformations`."""
    if phantom == "box":
        return box_volume(float(parameters[0]), float(parameters[1]), size)
    return capsid_volume(float(parameters[0]), size)


def simulate_phantom(
    phantom: Phantom,
    out_folder: str | Path,
    *,
    images: int = 300,
    size: int = 88,
    pixel_size_A: float = 3.0,
    noise: float = 0.0,
    seed: int = 0,
    volumes: bool = False,
) -> list[Path]:
    """Images of a phantom: in each another conformation, seen from a uniformly random direction.

    Parameters
    ----------
    phantom : ``box`` or ``capsid``.
    images : how many.
    size : pixels along each side of the images.
    pixel_size_A : Å; a phantom has no size of its own.
    noise : standard deviation of white noise, in units of the signal's standard deviation.
    volumes : also write the map of each image.

    Returns
    -------
    Files written: ``images.mrcs``, ``images.star`` (true poses), ``parameters.csv`` (motion and pose of
    each image), as asked for ``truth/volume_0001.mrc`` and so on, and last ``job.toml``.

    Raises
    ------
    SpecError
        If the number of images or the box isn't possible.
    """
    _check(images, size)
    names, values = draw_conformations(phantom, images, seed)
    rotations = random_rotations(images, np.random.default_rng(seed))
    out, truths = Path(out_folder), list[Path]()
    stack = np.empty((images, size, size), np.float32)
    for i, parameters in enumerate(values):
        density = phantom_volume(phantom, parameters, size)
        view = torch.from_numpy(rotations[i : i + 1]).float()
        stack[i] = project(torch.from_numpy(density), view)[0].numpy()
        if volumes:
            truths.append(_write_map(out / "truth" / f"volume_{i + 1:04d}.mrc", density, pixel_size_A))
    written = _write_images(out, stack, rotations, _Motion(names, values), pixel_size_A, noise, seed)
    spec = SdsSpec(
        title=f"simulated {phantom}",
        averages=ClassAveragesInput(file="images.mrcs", contrast="white"),
        volumes="each",
    )
    write_text(out / "job.toml", to_toml_text(spec))
    return [*written, *truths, out / "job.toml"]


def simulate_averages(
    structure_path: str | Path,
    out_folder: str | Path,
    *,
    images: int,
    box: int | None = None,
    pixel_size_A: float | None = None,
    resolution_A: float = 10.0,
    noise: float = 0.0,
    seed: int = 0,
) -> list[Path]:
    """Images like class averages of one structure, from uniformly random directions.

    Each atom is projected as a Gaussian by itself, so the images know nothing of the projector that a
    reconstruction uses.

    Parameters
    ----------
    images : how many.
    box, pixel_size_A : of the images; None chooses them so that the structure fits.
    resolution_A : of images and map, as ChimeraX's molmap defines it.
    noise : standard deviation of white noise, in units of the signal's standard deviation.

    Returns
    -------
    Files written: ``images.mrcs``, ``images.star`` (true poses), ``parameters.csv`` (poses again),
    ``truth/volume_0001.mrc``, the one map of all images, ``known_poses.toml``, which reconstructs it from the
    first :data:`FEW` of them and their true poses with all as the denoiser's library, and last ``job.toml``,
    which names it as truth.

    Raises
    ------
    InputError, SpecError
        If the structure can't be used, or the box is too small for it.
    """
    _check(images, box or 16)
    structure = read_structure(Path(structure_path))
    mass = structure.masses_Da / structure.masses_Da.sum()
    atoms = structure.coords_A - np.average(structure.coords_A, axis=0, weights=mass)
    box, pixel = fitting_grid(structure, structure.coords_A[0] - atoms[0], box, pixel_size_A, resolution_A)
    rotations = random_rotations(images, np.random.default_rng(seed))
    stack = np.stack(
        [
            splat_image(
                (atoms @ r.T)[:, :2], pixel_size_A=pixel, box=box, resolution_A=resolution_A, weights=mass
            )
            for r in rotations
        ]
    )
    shape = (box, box, box)
    density = splat_volume(
        atoms,
        voxel_size_A=pixel,
        shape=shape,
        origin_A=volume_origin_A(shape, pixel),
        resolution_A=resolution_A,
        weights=mass,
    )
    out = Path(out_folder)
    written = _write_images(out, stack, rotations, _Motion((), np.zeros((images, 0))), pixel, noise, seed)
    truth = _write_map(out / "truth" / "volume_0001.mrc", density, pixel)
    spec = SdsSpec(
        title=f"simulated averages of {structure.name}",
        averages=ClassAveragesInput(file="images.mrcs", contrast="white"),
        truth="truth/volume_0001.mrc",
    )
    write_text(out / "job.toml", to_toml_text(spec))
    few = KnownPosesSpec(
        title=f"{min(images, FEW)} simulated images of {structure.name} at known poses",
        images=PosedImages(
            poses="images.star", select=tuple(range(1, min(images, FEW) + 1)), contrast="white"
        ),
        library=ClassAveragesInput(file="images.mrcs", contrast="white"),
        truth="truth/volume_0001.mrc",
    )
    write_text(out / KNOWN_POSES, to_toml_text(few))
    return [*written, truth, out / KNOWN_POSES, out / "job.toml"]


def _check(images: int, size: int) -> None:
    if not 1 <= images <= _MOST_IMAGES:
        raise SpecError(f"{images} images were asked for.", f"Ask for 1 to {_MOST_IMAGES}.")
    if not 16 <= size <= 1024:
        raise SpecError(f"Images {size} pixels wide can't be made.", "Ask for 16 to 1024 pixels.")


def _write_images(
    out: Path,
    images: NDArray[np.float32],
    rotations: NDArray[np.float64],
    motion: _Motion,
    pixel_size_A: float,
    noise: float,
    seed: int,
) -> list[Path]:
    count = len(images)
    if noise > 0:
        rng = np.random.default_rng([seed, 1])
        images = images + np.float32(noise * images.std()) * rng.standard_normal(images.shape, np.float32)
    write_images(out / "images.mrcs", ImageStack(images, pixel_size_A))
    poses = Poses(
        rotations,
        np.zeros((count, 2)),
        ("images.mrcs",) * count,
        np.arange(count, dtype=np.int32),
        pixel_size_A,
    )
    write_poses(out / "images.star", poses, box=images.shape[-1])
    rows = [",".join(("image", *motion.names, "w", "x", "y", "z"))]
    for i, (values, q) in enumerate(zip(motion.values, matrix_to_quaternion(rotations), strict=True), 1):
        rows.append(",".join((str(i), *(f"{v:.6f}" for v in values), *(f"{c:.8f}" for c in q))))
    write_text(out / "parameters.csv", "\n".join(rows) + "\n")
    return [out / "images.mrcs", out / "images.star", out / "parameters.csv"]


def _write_map(path: Path, density: NDArray[np.float32], voxel_A: float) -> Path:
    nz, ny, nx = density.shape
    write_volume(path, Volume(density, (voxel_A,) * 3, volume_origin_A((nz, ny, nx), voxel_A)))
    return path
