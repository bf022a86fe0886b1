"""The methods paragraph of a capsule: what was done, in plain words, with the settings that matter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.jobs.capsule_inputs import file_name
from engine.jobs.capsule_references import WORKS, bibliography
from engine.jobs.capsule_trainings import of_denoiser, of_prior
from engine.specs.components import (
    CoarseMap,
    CoarsePoints,
    ProjectionImages,
    ProjectionPoints,
    Subunit,
)
from engine.specs.job import DpsSpec, JobSpec, TrainPriorSpec
from engine.specs.known_poses import ASKS_DENOISER, KnownPosesSpec
from engine.specs.samplers import Annealed
from engine.specs.sds import SdsSpec

_CITED = re.compile(r"\[@([a-z0-9,@ ]+)\]")


@dataclass(frozen=True)
class Paragraph:
    """Text with short citations, and BibTeX of what it cites."""

    text: str
    bibliography: str


def paragraph(spec: JobSpec, manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> Paragraph:
    """Write the paragraph of a run.

    Parameters
    ----------
    manifest : of the run: versions, device, seed, the prior's hash.
    metrics : of the run, for what it chose itself; may be empty.
    """
    if isinstance(spec, DpsSpec):
        said = _points(spec, manifest, metrics)
    elif isinstance(spec, SdsSpec):
        said = _averages(spec, metrics)
    elif isinstance(spec, KnownPosesSpec):
        said = _known_poses(spec, metrics)
    elif isinstance(spec, TrainPriorSpec):
        said = of_prior(spec, metrics)
    else:
        said = of_denoiser(spec, metrics)
    marked = " ".join([*said, *_software(spec, manifest)])
    keys: list[str] = []

    def short(match: re.Match[str]) -> str:
        found = [key.strip(" @") for key in match[1].split(",")]
        keys.extend(key for key in found if key not in keys)
        return f"({'; '.join(WORKS[key].short for key in found)})"

    text = _CITED.sub(short, marked)
    return Paragraph(text + "\n", bibliography(tuple(keys)))


# ---- kinds of runs --------------------------------------------------------------------------------


def _points(spec: DpsSpec, manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    sampler = spec.sampler
    optimum = sampler.kind == "maximum_likelihood"
    members = "member" if spec.samples == 1 else "members"
    said = [
        f"An ensemble of {spec.samples} {members}, each a cloud of {spec.points:,} points of equal mass, was "
        + ("optimised" if optimum else "drawn")
        + (" from the prior alone." if not spec.observations else f" from {_listed(_evidence(spec))}.")
    ]
    if spec.observations:
        said.append(
            "The misfit of a cloud to a piece of evidence is the mean squared distance between both "
            "after optimal "
            "one-to-one assignment of their points [@mobius2024]; all pieces have equal weight unless said."
        )
    steps = getattr(sampler, "steps", 0)
    names = {
        "proximal": "a proximal posterior sampler in the form of DiffPIR [@zhu2023], which takes exact "
        "likelihood steps "
        "and needs no guidance scale,",
        "split_gibbs": "a split Gibbs sampler (PnP-DM) [@wu2024]",
        "daps": "decoupled annealing posterior sampling (DAPS) [@zhang2024]",
        "algorithm1": "diffusion posterior sampling, Algorithm 1 of [@mobius2024]",
        "unconditional": "the diffusion model alone, without evidence [@mobius2024, @karras2022]",
        "maximum_likelihood": "maximum likelihood without a prior (Adam from a uniform start)",
    }
    said.append(
        f"{'It was found by' if optimum else 'It was drawn with'} {names[sampler.kind]} in {steps} steps."
    )
    if isinstance(sampler, Annealed):
        said.append(
            f"Noise fell from {sampler.sigma_max:g} to {sampler.sigma_min:g} (spacing exponent "
            f"{sampler.rho:g}), the "
            f"stated error of the evidence was {sampler.observation_sigma:g}, both in units of the "
            "frame's scale, and "
            + (
                "views were matched jointly, points whose views disagreed being drawn again."
                if sampler.matching == "joint"
                else "each view was matched by itself."
            )  # fmt: skip
        )
        if sampler.steering:
            said.append(
                f"Samples were steered by their misfit (strength {sampler.steering:g}), so they depend "
                "on each other "
                "and differ less than independent ones."
            )
    if sampler.kind == "algorithm1":
        said.append(
            f"The guidance scale was {sampler.alpha:g}, its stability number at most {sampler.clamp}."
        )
    if not optimum:
        said.append(_prior_words(spec, manifest))
    frame = metrics.get("frame")
    if isinstance(frame, dict) and isinstance(frame.get("scale_A"), int | float):
        said.append(
            "The frame's scale, the largest distance from its centre along an axis, was "
            f"{frame['scale_A']:.1f} Å."
        )
    if spec.refine_poses and any(isinstance(o, ProjectionImages) for o in spec.observations):
        said.append(
            "Small errors of poses, shifts and pixel sizes that contradicted each other were corrected "
            "by common "
            f"lines, assuming a typical error of {spec.pose_error_deg:g}° of the given rotations."
        )
    if spec.control and not optimum and spec.observations:
        said.append(
            f"{spec.control} control clouds, drawn from the same evidence without knowledge of shapes, "
            "show which part "
            "of each point's position the prior supplied."
        )
    if spec.fine_points:
        said.append(f"Points were split to {spec.fine_points:,} and small details drawn again.")
    said.append(
        f"The result was judged against {file_name(spec.truth)}, which was not an input."
        if spec.truth
        else "No reference structure was available, so the accuracy of the result was not measured."
    )
    return said


def _evidence(spec: DpsSpec) -> list[str]:
    found = []
    for item in spec.observations:
        weight = f" with weight {item.weight:g}" if item.weight != 1 else ""
        if isinstance(item, ProjectionImages):
            count = len(item.select)
            some = f"{count} selected projection images" if count else "the projection images"
            words = f"{some} in {file_name(item.images)} at known poses, each represented by "
            f"{item.points:,} points"
        elif isinstance(item, ProjectionPoints):
            words = f"one projection given as points ({file_name(item.file)}) at a known pose"
        elif isinstance(item, CoarseMap):
            words = f"a low-resolution map ({file_name(item.file)}) represented by {item.points} points"
        elif isinstance(item, CoarsePoints):
            words = f"a coarse shape of {item.points} points ({file_name(item.file)})"
        else:
            assert isinstance(item, Subunit)
            place = "at its given place" if item.placement == "given" else "docked into the other evidence"
            words = f"a known part ({file_name(item.file)}) {place}"
        found.append(words + weight)
    return found


def _prior_words(spec: DpsSpec, manifest: Mapping[str, Any]) -> str:
    if spec.prior.kind == "gaussian":
        return (
            "The prior was an isotropic Gaussian for each point, which knows no shapes "
            f"(σ = {spec.prior.sigma:g} of the scale)."
        )
    known = manifest.get("prior")
    known = known if isinstance(known, dict) else {}
    digest = f" (sha256 {str(known['sha256'])[:16]}…)" if known.get("sha256") else ""
    name = file_name(str(known.get("path", "weights")))
    return f"The prior was a denoising diffusion model of point clouds [@karras2022], {name}{digest}."


def _averages(spec: SdsSpec, metrics: Mapping[str, Any]) -> list[str]:
    averages, d = spec.averages, spec.distillation
    chosen = f"{len(averages.select)} selected class averages" if averages.select else "The class averages"
    said = [
        f"{chosen} of {file_name(averages.file)}, whose poses were not known, were "
        + ("centred, " if averages.centre else "")
        + "masked by a circle"
        + (f" of {averages.mask_diameter_A:g} Å" if averages.mask_diameter_A else " that fits the particle")
        + " and normalised"
        + (f", and resampled to {averages.box} pixels." if averages.box else ".")
    ]
    said.append(
        f"{spec.restarts} initial maps were made independently from random poses and compared with each "
        "other "
        "after alignment, mirror images allowed; the map most like the others of the largest agreeing "
        "group went on."
    )
    part = metrics.get("agreement")
    if isinstance(part, dict) and isinstance(part.get("sentence"), str):
        said.append(part["sentence"])
    if spec.refine_rounds:
        said.append(
            f"It was refined in {spec.refine_rounds} rounds of projection matching and regularised "
            "back-projection"
            + (
                f", in the end with {spec.symmetry} symmetry imposed."
                if spec.symmetry != "C1"
                else ", without symmetry."
            )  # fmt: skip
        )
    if spec.half_sets:
        said.append(
            "Two halves of the class averages were refined separately for their Fourier shell "
            "correlation; since class "
            "averages are not independent of each other, it is no gold-standard resolution [@rosenthal2003]."
        )
    if spec.volumes == "each":
        count = f" ({metrics['volumes']} volumes)" if metrics.get("volumes") else ""
        start = "the consensus map" if spec.start == "consensus" else "nothing"
        said.append(
            f"One volume for each class average{count} was made by score distillation "
            "[@randomtomography]: random "
            f"projections are pulled to what {_denoiser_words(spec.denoiser)} takes them for, while the "
            "class average "
            f"itself is matched. Each took {d.steps} steps with {d.views_first} to {d.views_last} random "
            "views, noise "
            f"levels from {d.sigma_first:g} to {d.sigma_last:g} of the images' contrast and step size "
            f"{d.step_size:g}, "
            f"beginning with {start}."
        )
        if spec.motion_rounds:
            said.append(
                "Poses were searched for again among class averages of similar conformation in "
                f"{spec.motion_rounds} "
                f"rounds ({spec.motion_components} components, at most {spec.neighbours} neighbours)."
            )
    said.append(_hand_words())
    said.append(_truth_words(spec.truth))
    return said


def _known_poses(spec: KnownPosesSpec, metrics: Mapping[str, Any]) -> list[str]:
    count = metrics.get("images") or len(spec.images.select) or "The"
    said = [
        f"{count} images at known poses ({file_name(spec.images.poses)}) were reconstructed to one volume."
    ]
    m: Any = spec.method
    said.append(
        {
            "wiener": "The volume is the regularised least-squares solution in Fourier space (Wiener "
            "filter).",
            "data": "The volume is a least-squares fit to the images inside a mask, without knowledge of "
            "shapes.",
            "total_variation": "The volume minimises the misfit to the images plus its total variation.",
            "sds": "The volume was made by score distillation with the images held at their poses "
            "[@randomtomography].",
            "ipsm": "The volume was made by inline-prior guided score matching [@wang2024], carried over to "
            "transmission images.",
            "denoised_views": "The volume was made by annealed consensus of denoised views, a "
            "least-squares problem of "
            "the images and of denoised random views at each of a falling series of noise levels, near "
            "in kind to "
            "2D diffusion priors for 3D inverse problems [@chung2022].",
        }[m.kind]
    )
    settings = ", ".join(
        f"{k} {v:g}" for k, v in m.model_dump(exclude={"kind"}).items() if isinstance(v, int | float)
    )
    if settings:
        said.append(f"Its settings were: {settings.replace('_', ' ')}.")
    if m.kind in ASKS_DENOISER:
        library = (
            f", made of {file_name(spec.library.file)}" if spec.library else ", made of the images themselves"
        )
        if spec.denoiser.kind == "trained":
            library = ""
        said.append(f"Views were denoised by {_denoiser_words(spec.denoiser)}{library}.")
    if spec.representation.kind == "gaussians":
        said.append(
            f"The volume was a sum of at most {spec.representation.most:,} 3D Gaussians [@kerbl2023], "
            "projected in "
            "closed form."
        )
    if spec.start:
        said.append(f"It began with {file_name(spec.start)}.")
    if spec.symmetry != "C1":
        said.append(f"{spec.symmetry} symmetry was imposed.")
    if spec.refinement.rounds:
        said.append(
            f"Poses were searched for again in {spec.refinement.rounds} rounds, within "
            f"{spec.refinement.range_deg:g}° "
            f"and {spec.refinement.range_px:g} pixels."
        )
    noise = metrics.get("noise")
    if isinstance(noise, int | float):
        how = "given as" if spec.noise is not None else "measured as"
        said.append(f"The noise of the images was {how} {noise:.3g} of their contrast.")
    supplied = metrics.get("prior_supplied")
    if isinstance(supplied, int | float):
        said.append(
            f"{100 * supplied:.0f} % of the volume's power lies where no image measured Fourier coefficients."
        )
    said.append(_truth_words(spec.truth))
    return said


# ---- words that several share -----------------------------------------------------------------------


def _denoiser_words(denoiser: Any) -> str:
    if denoiser.kind == "trained":
        return f"a trained denoiser ({file_name(denoiser.weights)})"
    if denoiser.kind == "gaussian":
        return (
            "the closed-form denoiser of a Gaussian with the images' power spectrum, a control without shapes"
        )
    return (
        f"the closed-form denoiser of the images, turned in steps of {denoiser.angle_step_deg:g}° and "
        "mirrored, on "
        f"{denoiser.components} principal components"
    )


def _hand_words() -> str:
    return "Handedness can't be told from projections and was not determined."


def _truth_words(truth: str | None) -> str:
    if truth:
        return f"The result was judged against {file_name(truth)}, which was not an input."
    return "No reference map was available, so the accuracy of the result was not measured."


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _software(spec: JobSpec, manifest: Mapping[str, Any]) -> list[str]:
    packages = manifest.get("packages")
    packages = packages if isinstance(packages, dict) else {}

    def at(name: str) -> str:
        return f" {packages[name]}" if packages.get(name) else ""

    reading = f"gemmi{at('gemmi')} [@wojdyr2022] and mrcfile{at('mrcfile')} [@burnley2017]"
    return [
        f"Computations used Verglas {manifest.get('verglas')}, PyTorch{at('torch')} [@paszke2019], "
        f"NumPy{at('numpy')} [@harris2020], SciPy{at('scipy')} [@virtanen2020], {reading}, on "
        f"{manifest.get('device')}, with random seed {spec.seed}.",
        "The complete run description, inputs or their hashes, and the numbers for repeating the "
        "computation are in "
        "the accompanying capsule.",
    ]
