"""What the user should know before a run: each a sentence with its reason and what to do. Pure functions.

None of these stops a run; what does is for the sessions' ``missing``. All rules stand here, so that they can
be read, tested and translated in one place.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.specs.estimates import Estimate, Facts, Machine, size_words, time_words
from engine.specs.job import DpsSpec, JobSpec, TrainPriorSpec
from engine.specs.known_poses import ASKS_DENOISER, KnownPosesSpec
from engine.specs.memory_fit import what_fits
from engine.specs.sds import FEWEST_FOR_MOTION, SdsSpec, TrainDenoiserSpec

PARALLEL_DEG = 20.0
"""Views whose directions all lie this near to one axis say little about depth."""

LONG_S = 1800.0
FEW_FOR_HALVES, FEWEST_FOR_HALVES = 20, 8
FEW_FOR_DENOISER, FEW_CLOUDS = 20, 200
FEW_FOR_LIBRARY = 10
FEWEST_VOXELS = 8
_SIZES_DIFFER = 0.005


@dataclass(frozen=True)
class Caution:
    """Something to know before Run.

    Attributes
    ----------
    key : names the rule.
    text : a short sentence.
    why : the reason.
    advice : what to do about it.
    """

    key: str
    text: str
    why: str
    advice: str


@dataclass(frozen=True)
class Seen:
    """What the files say that the rules look at; empty or 0 for what isn't known.

    Attributes
    ----------
    rotations : (n, 3, 3) of the projections used, ``x_view = R x``.
    pixel_sizes : (file, Å by the images, Å by their STAR file) where both say it.
    map_shapes : (file, voxels along the shortest side, Å per voxel) of low-resolution maps.
    side, pixel_size_A : of the class averages as in their file.
    finest_A : the best resolution that the files claim for a class average, Å.
    prior_points : points of the clouds that the prior has learnt.
    clouds : to train a prior on.
    coverage : what is wrong with the directions of the selected class averages, in words.
    """

    rotations: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3, 3)))
    pixel_sizes: tuple[tuple[str, float, float], ...] = ()
    map_shapes: tuple[tuple[str, int, float], ...] = ()
    side: int = 0
    pixel_size_A: float = 0.0
    finest_A: float = 0.0
    prior_points: int = 0
    clouds: int = 0
    coverage: str = ""


def cautions(
    spec: JobSpec,
    seen: Seen,
    facts: Facts,
    machine: Machine,
    cost: Estimate,
    quick: Estimate | None = None,
) -> list[Caution]:
    """Everything to know before a run, the gravest first.

    Parameters
    ----------
    quick : what the preset Quick look of this run would cost.
    """
    found = _about_the_machine(spec, facts, machine, cost, quick)
    if isinstance(spec, DpsSpec):
        found = _of_points(spec, seen) + found
    elif isinstance(spec, KnownPosesSpec):
        found = _of_known_poses(spec, seen, facts) + found
    elif isinstance(spec, SdsSpec):
        found = _of_volumes(spec, seen, facts) + found
    elif isinstance(spec, TrainDenoiserSpec):
        found = _of_denoiser(spec, seen, facts) + found
    else:
        found = _of_prior(spec, seen) + found
    return found


# ---- points -------------------------------------------------------------------------------------


def spread_of_views_deg(rotations: NDArray[np.float64]) -> float:
    """Largest angle between a view's direction and the axis that all lie nearest to, degrees.

    A direction and its opposite are one view of the object. 0 for fewer than two views.
    """
    if len(rotations) < 2:
        return 0.0
    seen_along = np.asarray(rotations, np.float64)[:, 2, :]
    axis = np.linalg.eigh(seen_along.T @ seen_along)[1][:, -1]
    return float(np.degrees(np.arccos(np.clip(np.abs(seen_along @ axis).min(), 0, 1))))


def _of_points(spec: DpsSpec, seen: Seen) -> list[Caution]:
    found: list[Caution] = []
    for name, ours, theirs in seen.pixel_sizes:
        if ours > 0 and theirs > 0 and abs(ours / theirs - 1) > _SIZES_DIFFER:
            found.append(Caution(
                "pixel size",
                f"{name}: the images say {ours:.4g} Å per pixel, their STAR file {theirs:.4g} Å.",
                "One of them is wrong, or the images were binned after the poses were found. The size of the "
                "result and all shifts follow the pixel size.",
                "Enter the right pixel size in the settings of the projections.",
            ))  # fmt: skip
    others = any(o.kind in ("coarse_map", "coarse_points", "subunit") for o in spec.observations)
    views = len(seen.rotations)
    if spec.sampler.kind != "unconditional" and views and not others:
        spread = spread_of_views_deg(seen.rotations)
        if views == 1:
            found.append(Caution(
                "one view", "One projection says nothing about depth.",
                "Along the direction of view, the result is what the prior believes.",
                "Add a projection from another side, a low-resolution map or a known part.",
            ))  # fmt: skip
        elif spread <= PARALLEL_DEG:
            found.append(Caution(
                "parallel views", f"All {views} views lie within {max(1, round(spread))}° of one direction.",
                "Views that are nearly parallel show the same thing: along that direction the evidence "
                "says nothing.",
                "Choose views from different sides, or add a low-resolution map.",
            ))  # fmt: skip
    for name, voxels, size in seen.map_shapes:
        if 0 < voxels < FEWEST_VOXELS:
            found.append(Caution(
                "coarse map", f"{name} is only {voxels} voxels wide ({size:.3g} Å each).",
                "Fewer than eight voxels hardly tell a shape from a ball.",
                "Use a map on a finer grid, if there is one.",
            ))  # fmt: skip
    if spec.prior.kind == "network" and seen.prior_points and spec.points > seen.prior_points:
        found.append(Caution(
            "size of clouds",
            f"The prior has learnt clouds of {seen.prior_points} points, not of {spec.points}.",
            "Nobody has measured how well it does with more points than it has seen.",
            f"Use {seen.prior_points} points, or train a prior on larger clouds.",
        ))  # fmt: skip
    if spec.samples == 1 and spec.sampler.kind != "maximum_likelihood":
        found.append(Caution(
            "one sample", "One sample has no spread.",
            "How sure the result is shows only where several samples differ.",
            "Draw at least five.",
        ))  # fmt: skip
    return found


# ---- volumes ------------------------------------------------------------------------------------


def _of_volumes(spec: SdsSpec, seen: Seen, facts: Facts) -> list[Caution]:
    found: list[Caution] = []
    if seen.coverage:
        found.append(Caution(
            "view coverage", seen.coverage,
            "A map holds only what some image shows; no method can see the rest.",
            "Select images that look from elsewhere: the map of directions below the images shows where "
            "none do.",
        ))  # fmt: skip
    count = facts.images
    if (
        spec.volumes == "each"
        and spec.start == "consensus"
        and spec.motion_rounds
        and 0 < count < FEWEST_FOR_MOTION
    ):
        found.append(Caution(
            "few for motion", f"{count} class averages are too few to tell how they move.",
            f"Fewer than {FEWEST_FOR_MOTION} don't tell motion from errors of poses, so each volume starts "
            "from the consensus.",
            "Use more class averages, or one consensus volume.",
        ))  # fmt: skip
    if spec.half_sets and spec.refine_rounds and 0 < count < FEW_FOR_HALVES:
        few = count < FEWEST_FOR_HALVES
        found.append(Caution(
            "half sets",
            f"{count} class averages are too few for half sets." if few
            else f"The FSC of half sets of {count // 2} images will say little.",
            "No FSC will be computed." if few
            else "Halves of so few images differ by their views, and both start from the consensus.",
            "Judge the map by the agreement of its starts, or by a reference.",
        ))  # fmt: skip
    if spec.symmetry != "C1":
        found.append(Caution(
            "symmetry", f"{spec.symmetry} is imposed.",
            "A map shows the symmetry that it was told, whether the particle has it or not.",
            "Make sure by a run with C1, unless other evidence tells it.",
        ))  # fmt: skip
    if spec.restarts == 1 and spec.start != "nothing":
        found.append(Caution(
            "one start", "With one start, nothing tells whether another would agree.",
            "A wrong map can fit the images as well as a right one; wrong ones differ from each other.",
            "Use at least five independent starts.",
        ))  # fmt: skip
    return found + _of_the_box(seen, facts)


def _of_the_box(seen: Seen, facts: Facts) -> list[Caution]:
    if not (seen.side and facts.box and seen.pixel_size_A):
        return []
    found: list[Caution] = []
    if facts.box > seen.side:
        found.append(Caution(
            "large box", f"The working box of {facts.box} px is larger than the images of {seen.side} px.",
            "More pixels than the images have add no detail, only time.",
            f"Set the box to {seen.side} px or less, or leave it at automatic.",
        ))  # fmt: skip
    finest = 2 * seen.pixel_size_A * max(1.0, seen.side / facts.box)
    if seen.finest_A and seen.finest_A < 0.95 * finest:
        wanted = 2 * int(np.ceil(seen.side * seen.pixel_size_A / seen.finest_A))
        found.append(Caution(
            "Nyquist", f"A box of {facts.box} px holds detail down to {finest:.2g} Å only.",
            f"The file claims {seen.finest_A:.2g} Å for its best class average; pixels must be half of that.",
            f"Set the working box to {min(wanted, seen.side)} px, if that much detail is wanted.",
        ))  # fmt: skip
    return found


# ---- known poses --------------------------------------------------------------------------------


def _of_known_poses(spec: KnownPosesSpec, seen: Seen, facts: Facts) -> list[Caution]:
    found: list[Caution] = []
    asks, views = spec.method.kind in ASKS_DENOISER, len(seen.rotations)
    if views >= 2 and spread_of_views_deg(seen.rotations) <= PARALLEL_DEG and spec.symmetry == "C1":
        found.append(Caution(
            "parallel views", f"All {views} views lie near one direction.",
            "Views that are nearly parallel show the same thing: along that direction nothing was measured.",
            "Add images from other sides. The tab Coverage shows afterwards what the prior supplied.",
        ))  # fmt: skip
    elif seen.coverage:
        found.append(Caution(
            "coverage", seen.coverage,
            "What no image shows comes from the denoiser, or stays empty where none is asked.",
            "Add images from other sides, or colour the result by the share from the prior (C).",
        ))  # fmt: skip
    if (
        asks
        and spec.denoiser.kind != "trained"
        and spec.library is None
        and 0 < facts.images < FEW_FOR_LIBRARY
    ):
        found.append(Caution(
            "no library", f"The denoiser is made of the {facts.images} images alone.",
            "It then knows hardly more than they show, and little of how the particle looks from elsewhere.",
            "Add class averages of such particles as a library, or use a trained denoiser.",
        ))  # fmt: skip
    if spec.symmetry != "C1":
        found.append(Caution(
            "symmetry", f"{spec.symmetry} is imposed, about the axes of the poses' frame.",
            "If the poses don't follow these axes, copies of the particle are laid over each other wrongly.",
            "Make sure by a run with C1.",
        ))  # fmt: skip
    return found + _of_the_box(seen, facts)


# ---- trainings ----------------------------------------------------------------------------------


def _of_denoiser(spec: TrainDenoiserSpec, seen: Seen, facts: Facts) -> list[Caution]:
    found = _of_the_box(seen, facts)
    if 0 < facts.images < FEW_FOR_DENOISER:
        found.insert(0, Caution(
            "few to learn from", f"{facts.images} class averages are few to learn from.",
            "A network learns so few by heart; the closed form knows them exactly, without training.",
            "Use the closed form, or train on more class averages.",
        ))  # fmt: skip
    return found


def _of_prior(spec: TrainPriorSpec, seen: Seen) -> list[Caution]:
    found: list[Caution] = []
    if 0 < seen.clouds < FEW_CLOUDS and not spec.start_from:
        found.append(Caution(
            "few to learn from", f"{seen.clouds} shapes are few to learn from.",
            "A prior of so few knows these shapes, and hardly others.",
            "Start from the shipped prior, or give more structures.",
        ))  # fmt: skip
    if spec.min_points > seen_points(seen):
        found.append(Caution(
            "fewest points", f"Clouds can't be thinned to {spec.min_points} points: they have fewer.",
            "All points of each cloud are used instead.",
            "Lower “Fewest points”.",
        ))  # fmt: skip
    return found


def seen_points(seen: Seen) -> float:
    """Points of the training clouds; infinity where they are not known."""
    return seen.prior_points or float("inf")


# ---- the machine --------------------------------------------------------------------------------


def _about_the_machine(
    spec: JobSpec, facts: Facts, machine: Machine, cost: Estimate, quick: Estimate | None
) -> list[Caution]:
    found: list[Caution] = []
    on_gpu = machine.on_gpu(spec)
    if spec.device == "cuda" and not machine.gpu:
        found.append(Caution(
            "no GPU", "No NVIDIA GPU was found on this computer.",
            "The run was told to compute on one, and will fail without.",
            "Set the device to “auto” or “cpu”, or run it elsewhere.",
        ))  # fmt: skip
    if not on_gpu and machine.free and cost.memory > machine.free:
        found.append(Caution(
            "memory",
            f"It needs up to {size_words(cost.memory)} of memory; {size_words(machine.free)} are free.",
            "A computer without free memory slows down to a crawl, or stops the run.",
            f"Close other programs, or {_smaller(spec, facts, machine.free, on_gpu=False)}.",
        ))  # fmt: skip
    if on_gpu and machine.gpu_free and cost.gpu_memory > machine.gpu_free:
        found.append(Caution(
            "memory",
            f"It needs about {size_words(cost.gpu_memory)} on the GPU; "
            f"{size_words(machine.gpu_free)} are free.",
            "The run stops when the GPU has no memory left.",
            "Close other programs that use the GPU, or "
            f"{_smaller(spec, facts, machine.gpu_free, on_gpu=True)}.",
        ))  # fmt: skip
    training = isinstance(spec, TrainPriorSpec | TrainDenoiserSpec)
    if not on_gpu and not training and cost.low > LONG_S:
        then = f" Quick look takes {time_words(quick.low, quick.high)}." if quick and quick.known else ""
        found.append(Caution(
            "long", f"About {time_words(cost.low, cost.high)} without a GPU.{then}",
            "A mistake in the inputs shows as well in a short run.",
            "Choose the preset Quick look first.",
        ))  # fmt: skip
    if isinstance(spec, TrainDenoiserSpec) and spec.architecture != "small" and not on_gpu:
        found.append(Caution(
            "large network", f"The network “{spec.architecture}” wants a GPU.",
            "On a processor it sees a few images in a minute and learns little.",
            "Choose “small”.",
        ))  # fmt: skip
    if isinstance(spec, TrainPriorSpec) and spec.architecture == "point_e" and not on_gpu:
        found.append(Caution(
            "large network", "The Point-E transformer wants a GPU.",
            "On a processor it learns least of all networks in an hour.", "Choose “equivariant”.",
        ))  # fmt: skip
    return found


def _smaller(spec: JobSpec, facts: Facts, room: int, *, on_gpu: bool) -> str:
    fits = what_fits(spec, facts, room, on_gpu=on_gpu)
    if fits:
        return f"set {fits}: that would fit"
    if isinstance(spec, DpsSpec):
        return "draw fewer points" if spec.sampler.kind != "algorithm1" else "use the proximal sampler"
    if isinstance(spec, SdsSpec | KnownPosesSpec):
        return "choose a smaller working box"
    return "use a smaller batch"
