"""Class averages whose truth is known: phantoms that move, projections of a map, real averages with a map.

Shared by ``sds_accuracy.py`` and ``sds_peers.py``: the options that name a subject, its images as every
method gets them (prepared by Verglas: sign, centre, mask, normalisation, box), and its true maps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.forward.volume_projection import project
from engine.io.averages import PreparedAverages, prepare
from engine.io.class_averages import read_class_averages
from engine.io.mrc import read_volume, write_images
from engine.numerics.regrid import on_grid
from engine.numerics.rotations import random_rotations
from engine.pipelines.simulate_phantom import draw_conformations, phantom_volume, simulate_phantom
from engine.specs.sds import ClassAveragesInput
from engine.types import ImageStack, Volume
from tests.benchmarks.tasks import data_folder

PHANTOM_PIXEL_A = 3.0


@dataclass(frozen=True)
class Subject:
    """Images and what only a test may know about them.

    Attributes
    ----------
    averages : what a run is given.
    prepared : the same images, as every method gets them.
    truth : the true map of the i-th prepared image (from 0), on the grid of the prepared images.
    moves : whether each image has a truth of its own.
    phantom, names, values : its kind, its parameters and what they are in each image (n, parameters).
    """

    name: str
    averages: ClassAveragesInput
    prepared: PreparedAverages
    truth: Callable[[int], NDArray[np.float32]]
    moves: bool = False
    phantom: str = ""
    names: tuple[str, ...] = ()
    values: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def pixel_A(self) -> float:
        return self.prepared.stack.pixel_size_A

    @property
    def box(self) -> int:
        return int(self.prepared.stack.images.shape[-1])

    @property
    def count(self) -> int:
        return len(self.prepared.stack.images)

    def chosen(self, volumes: int) -> list[int]:
        """Images to judge, counted from 1, spread over all; all of them for 0."""
        if volumes <= 0 or volumes >= self.count:
            return list(range(1, self.count + 1))
        return sorted({int(i) + 1 for i in np.linspace(0, self.count - 1, volumes)})


def add_subject(parser: argparse.ArgumentParser) -> None:
    """Options that name a subject."""
    group = parser.add_argument_group("subject", "one of --phantom, --map, or --images FILE with --truth")
    group.add_argument("--phantom", choices=("box", "capsid"))
    group.add_argument("--map", help="random projections of this map, e.g. maps/x.mrc of the data folder")
    group.add_argument("--images", default="100", help="how many to simulate, or a file of class averages")
    group.add_argument("--size", type=int, default=0, help="pixels; default 48 (phantom) or chosen")
    group.add_argument("--seed", type=int, default=7, help="of simulated images, and of every method")
    group.add_argument("--noise", type=float, default=0.0, help="σ of white noise, in σ of the signal")
    group.add_argument("--truth", help="true map of real class averages")
    group.add_argument("--pixel", type=float, help="pixel size of real class averages, Å")
    group.add_argument("--symmetry", default="C1")
    group.add_argument("--data", help="data folder (or VERGLAS_DATA), for paths that don't exist as such")
    parser.add_argument("--volumes", type=int, default=20, help="volumes judged (phantoms); 0 for all")
    parser.add_argument("--out", type=Path, help="folder for images, runs and maps; default beside --json")
    parser.add_argument("--json", required=True, type=Path)


def make_subject(options: argparse.Namespace) -> Subject:
    """The subject that the options name; simulated images are written below ``options.out``."""
    options.out = options.out or options.json.with_suffix("")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.phantom:
        return _phantom(options)
    if options.map:
        return _projections(options)
    if options.images.isdecimal() or not options.truth:
        raise SystemExit("Name a subject: --phantom box, --map MAP, or --images FILE.mrcs --truth MAP.")
    file, truth = _found(options.images, options), read_volume(_found(options.truth, options))
    averages = ClassAveragesInput(file=str(file), pixel_size_A=options.pixel, box=options.size)
    return _with_one_truth(file.name, averages, truth)


def _found(path: str, options: argparse.Namespace) -> Path:
    return Path(path).absolute() if Path(path).exists() else data_folder(options.data).absolute() / path


def _phantom(options: argparse.Namespace) -> Subject:
    count, size = int(options.images), options.size or 48
    pixel = PHANTOM_PIXEL_A * 88 / size  # the same object whatever the box
    simulate_phantom(
        options.phantom, options.out / "images", images=count, size=size, pixel_size_A=pixel,
        noise=options.noise, seed=options.seed,
    )  # fmt: skip
    names, values = draw_conformations(options.phantom, count, options.seed)
    file = options.out / "images" / "images.mrcs"
    averages = ClassAveragesInput(file=str(file.absolute()), contrast="white", box=size)
    prepared = prepare(read_class_averages(file), averages)
    used, target, voxel = prepared.used, prepared.stack.images.shape[-1], prepared.stack.pixel_size_A

    def truth(i: int) -> NDArray[np.float32]:
        density = phantom_volume(options.phantom, values[used[i]], size)
        same = target == size and np.isclose(voxel, pixel)
        return density if same else on_grid(Volume(density, (pixel,) * 3), target, voxel)

    return Subject(options.phantom, averages, prepared, truth, True, options.phantom, names, values[used])


def _projections(options: argparse.Namespace) -> Subject:
    path = _found(options.map, options)
    whole = read_volume(path)
    extent = whole.voxel_size_A[0] * max(whole.density.shape)
    size = options.size or 64
    density = on_grid(whole, size, extent / size)
    rotations = random_rotations(int(options.images), np.random.default_rng(options.seed))
    images = project(torch.from_numpy(density), torch.from_numpy(rotations).float()).numpy()
    if options.noise > 0:
        noise = np.random.default_rng([options.seed, 1]).standard_normal(images.shape, np.float32)
        images = images + np.float32(options.noise * images.std()) * noise
    file = options.out / "images.mrcs"
    write_images(file, ImageStack(images, extent / size))
    averages = ClassAveragesInput(file=str(file.absolute()), contrast="white", box=size)
    return _with_one_truth(f"projections of {path.name}", averages, Volume(density, (extent / size,) * 3))


def _with_one_truth(name: str, averages: ClassAveragesInput, truth: Volume) -> Subject:
    prepared = prepare(
        read_class_averages(averages.file, pixel_size_A=averages.pixel_size_A or None), averages
    )
    voxel = prepared.stack.pixel_size_A
    if not all(s > 0 for s in truth.voxel_size_A):
        truth = replace(truth, voxel_size_A=(voxel,) * 3)
    fixed = on_grid(truth, prepared.stack.images.shape[-1], voxel)
    return Subject(name, averages, prepared, lambda i: fixed)
