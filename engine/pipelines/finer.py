"""Finer clouds of a run: several points for one, drawn anew below their distance, from finer evidence."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from engine.events import Progress
from engine.io.atomic import write_text
from engine.io.ensemble import write_ensemble
from engine.io.export import typical_distance_A
from engine.metrics.ensemble import matched
from engine.metrics.rmsd import rmsd_atoms
from engine.numerics.alignment import superpose
from engine.observations.evidence import Evidence, to_observations
from engine.observations.gather import gather
from engine.observations.matched import MatchedPoints
from engine.observations.pose_correction import ViewCorrection
from engine.pipelines.context import RunContext
from engine.pipelines.one_by_one import OneByOne, one_core
from engine.pipelines.trust import stated_sigma
from engine.pipelines.truth import load_truth
from engine.priors.edm import EdmDenoiser
from engine.protocols import Denoiser, Points
from engine.sampling.guidance import ProximalGuidance
from engine.sampling.likelihood import Likelihood
from engine.sampling.matching import match_all
from engine.sampling.schedules import SampleNoise, noise_levels, sample_seeds
from engine.sampling.upsample import InParts, upsample
from engine.specs.components import ObservationSpec, ProjectionImages, Subunit
from engine.specs.job import DpsSpec
from engine.types import Ensemble, Frame

STEPS, HIGHEST, LOWEST, RHO = 4, 0.7, 0.1, 3.0
"""Noise levels, the ends in units of the distance between neighbouring points of the coarse sample."""

APART = 3_000_017  # between the seeds of a run and those of this stage


def fine_evidence(
    spec: DpsSpec, evidence: Sequence[Evidence], corrections: Sequence[ViewCorrection]
) -> list[Evidence]:
    """The run's evidence again, images and parts in as many points as the finer clouds have.

    Parameters
    ----------
    evidence : of the run, as it was used, in the order of the description.
    corrections : of its projections in their order; none where poses were not refined.
    """
    many = spec.fine_points
    again = gather([_finer(o, many // spec.points) for o in spec.observations], many, _silent)
    # parts may have been moved into place since they were read
    read = gather(spec.observations, spec.points, _silent) if any(e.partial for e in evidence) else evidence
    scales = iter([1 + c.scaled_percent / 100 for c in corrections])
    found = []
    for new, old, used in zip(again, read, evidence, strict=True):
        scale = next(scales, 1.0) if len(used.projector) == 2 else 1.0
        points = np.asarray(new.points_A, np.float64) / scale
        if used.partial:
            points = moved_alike(old.points_A, used.points_A, points)
        found.append(replace(used, points_A=points, weights=new.weights))
    return found


def moved_alike(
    before: NDArray[np.floating], after: NDArray[np.floating], points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Points (m, 3) under the rigid motion that takes ``before`` to ``after`` (l, 3); least squares."""
    turn, shift = superpose(before, after)
    return np.asarray(points @ turn.T + shift, np.float64)


def _silent(note: str) -> None:
    """The same was told when the evidence was first read."""


def _finer(observation: ObservationSpec, parts: int) -> ObservationSpec:
    if isinstance(observation, ProjectionImages) or (
        isinstance(observation, Subunit) and observation.points is not None
    ):
        return observation.model_copy(update={"points": (observation.points or 0) * parts})
    return observation


@one_core()
def finer_sample(
    prior: Denoiser,
    observations: Sequence[MatchedPoints],
    coarse: Points,
    parts: int,
    seed: int,
    sigma: float,
    check: Callable[[], None] = lambda: None,
) -> Float[Tensor, "n finer 3"]:
    """One sample (1, parts * points, 3) from one of a coarser run (1, points, 3), normalised coordinates.

    Parameters
    ----------
    prior : of clouds with as many points as the coarse sample; a network sees the finer one in parts.
    observations : made for the finer cloud.
    sigma : stated error of the evidence.
    check : called before every step; may raise.
    """
    cell = typical_distance_A(coarse[0].double().cpu().numpy() * 1e3) / 1e3
    noise = SampleNoise([seed], coarse.device)
    if isinstance(prior, EdmDenoiser):
        alone = OneByOne(prior) if coarse.device.type == "cpu" else prior
        prior = InParts(alone, parts, noise)
    guided = ProximalGuidance(prior, Likelihood(observations, sigma=sigma))
    levels = noise_levels(STEPS, HIGHEST * cell, LOWEST * cell, RHO)
    with torch.no_grad():
        return upsample(guided, coarse, parts, levels, noise, lambda i, t, z: check())


def write_finer(
    spec: DpsSpec,
    context: RunContext,
    frame: Frame,
    points_A: NDArray[np.floating],
    evidence: Sequence[Evidence],
    corrections: Sequence[ViewCorrection],
    prior: Denoiser,
) -> None:
    """``results/fine.npz``, an ensemble, and ``fine.json`` about it; nothing unless it was asked for.

    Parameters
    ----------
    points_A : (n, points, 3) samples of the run, each with its points in any order.
    evidence, corrections : see :func:`fine_evidence`.

    Raises
    ------
    Cancelled
        If asked to stop.
    VerglasError
        If the evidence can't be read any more, or a file can't be written.
    """
    if not spec.fine_points or not evidence or spec.sampler.kind == "maximum_likelihood":
        return
    context.emit(Progress(stage="finer evidence", done=0, total=1))
    again = to_observations(fine_evidence(spec, evidence, corrections), frame, spec.fine_points)
    observations = [o.to(context.device) for o in again]
    parts = spec.fine_points // spec.points
    coarse = torch.as_tensor(frame.from_A(points_A), dtype=torch.float32, device=context.device)
    sigma, samples, energies = stated_sigma(spec.sampler), list[Tensor](), list[Tensor]()
    seeds = sample_seeds(spec.seed + APART, len(coarse))
    for i, seed in enumerate(seeds):
        context.emit(Progress(stage="finer clouds", done=i, total=len(seeds)))
        fine = finer_sample(prior, observations, coarse[i : i + 1], parts, seed, sigma, context.check)
        matches = match_all(observations, fine)
        each = [o.energy(fine, m) for o, m in zip(observations, matches, strict=True)]
        samples.append(fine.cpu())
        energies.append(torch.stack(each, dim=1).cpu())
    fine_A = np.asarray(frame.to_A(torch.cat(samples).numpy()), np.float32)
    results = context.folder / "results"
    write_ensemble(
        results / "fine.npz",
        Ensemble(
            points_A=np.asarray(matched(fine_A), np.float32),
            kind="posterior",
            frame=frame,
            energies=torch.cat(energies).numpy().astype(np.float32),
            observation_names=tuple(o.name for o in observations),
            seeds=np.asarray(seeds, dtype=np.int64),
        ),
    )
    context.result("finer ensemble", results / "fine.npz")
    facts: dict[str, Any] = {"schema_version": 1, "points": spec.fine_points, "samples": len(seeds)}
    if spec.truth:
        truth = load_truth(Path(spec.truth), spec.points, seed=spec.seed)
        if truth.atoms_A is not None:
            facts["unaligned"] = {"fine": _distances(fine_A, truth.atoms_A)}
            facts["unaligned"]["coarse"] = _distances(points_A, truth.atoms_A)
    write_text(results / "fine.json", json.dumps(facts, indent=1))


def _distances(points_A: NDArray[np.floating], atoms_A: NDArray[np.floating]) -> dict[str, list[float]]:
    """Per sample, Å: from atoms to nearest points, and from points to nearest atoms, rms."""
    tree = cKDTree(atoms_A)
    return {
        "atoms_to_points_A": [rmsd_atoms(p, atoms_A) for p in points_A],
        "points_to_atoms_A": [float(np.sqrt((tree.query(p)[0] ** 2).mean())) for p in points_A],
    }
