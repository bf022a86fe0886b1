"""What the window says about a run at known poses: what it will do, and what its methods are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.coverage import MISSING, Coverage
from engine.specs.known_poses import ASKS_DENOISER, FEWEST_FOR_POSES, KnownPosesSpec, copies

if TYPE_CHECKING:
    from app.posed_files import LibraryLook, PosedLook

MOST_APART = 2.0  # widths of images and library: the same particle fills both
ROLES = {
    "poses": "poses", "images": "image stack", "library": "library", "start": "first map",
    "truth": "reference",
}  # fmt: skip
METHODS = {
    "denoised_views": "Denoised views",
    "ipsm": "Inline prior (IPSM)",
    "sds": "Score distillation (SDS)",
    "total_variation": "Total variation",
    "data": "Data alone, in a mask",
    "wiener": "Least squares alone",
}
"""Kinds of methods as the form offers them, what is likeliest wanted first."""

DENOISERS = {
    "closed_form": "Closed form (no training)",
    "trained": "Trained denoiser…",
    "gaussian": "Power spectrum alone (control)",
}
REPRESENTATIONS = {"voxels": "Voxels", "gaussians": "3D Gaussians"}
_HOW = {
    "denoised_views": "denoised views",
    "ipsm": "inline-prior guided score matching",
    "sds": "score distillation",
    "total_variation": "least squares of the smallest total variation",
    "data": "least squares inside a mask",
    "wiener": "regularised least squares",
}


def sentence(spec: KnownPosesSpec, look: PosedLook | None, library: LibraryLook | None) -> str:
    """What Run will do.

    Parameters
    ----------
    look, library : what the files turned out to be, where that is known.
    """
    count = "the images" if look is None or not look.count else _counted(look.count, "image")
    text = f"Makes one volume from {count} by {_HOW[spec.method.kind]}"
    steps, views = getattr(spec.method, "steps", 0), getattr(spec.method, "views", 0)
    if spec.method.kind in ASKS_DENOISER:
        text += f": {steps} steps of {views} random views, with {_denoiser(spec, library)}"
    elif steps:
        text += f", {_counted(steps, 'step')}"
    if spec.representation.kind == "gaussians":
        text += f", as {spec.representation.count:,} Gaussians to begin with"
    if spec.symmetry != "C1":
        text += f", symmetry {spec.symmetry}"
    if spec.refinement.rounds:
        text += f"; poses are searched for again in {_counted(spec.refinement.rounds, 'round')}"
    return text + "."


def too_few(spec: KnownPosesSpec, images: int) -> str:
    """Why poses of so few images can't be refined, in words; empty if they can, or needn't."""
    if not spec.refinement.rounds or images * copies(spec.symmetry) >= FEWEST_FOR_POSES:
        return ""
    return (
        f"Poses of {_counted(images, 'image')} can't be refined: in a map of so few others, wrong poses fit "
        f"as well. Set “Refine poses” to 0, or give {FEWEST_FOR_POSES} (copies by symmetry count)."
    )


def sizes_differ(look: PosedLook | None, library: LibraryLook | None) -> str:
    """What is odd about the sizes of images and library, in words; empty if nothing is."""
    if look is None or library is None or not (look.count and library.width_A):
        return ""
    width = look.side * look.pixel_size_A
    if 1 / MOST_APART < library.width_A / width < MOST_APART:
        return ""
    return (
        f"Its images are {library.width_A:.0f} Å wide, those with poses {width:.0f} Å: check its pixel size."
    )


def unmeasured(coverage: Coverage | None) -> str:
    """How much of Fourier space no image shows, in words; empty where that is little, or not known."""
    if coverage is None or not coverage.views or coverage.fourier >= MISSING:
        return ""
    return (
        f"{100 * (1 - coverage.fourier):.0f} % of the directions of Fourier space lie in none of the images."
    )


def _denoiser(spec: KnownPosesSpec, library: LibraryLook | None) -> str:
    if spec.denoiser.kind == "trained":
        return f"the denoiser {Path(spec.denoiser.weights).name}"
    source = "the images themselves"
    if spec.library is not None:
        named = library is not None and bool(library.count)
        count = _counted(library.count, "class average") if named and library is not None else "the images"
        source = f"{count} of {Path(spec.library.file).name}"
    if spec.denoiser.kind == "gaussian":
        return f"the power spectrum of {source} alone"
    return f"the closed-form denoiser of {source}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
