"""Judge a prior: draw from it, and tell its samples from real clouds if you can.

Everything that takes long is kept in the folder's ``parts`` while it goes on, under names made of what
it was computed from; the same question is never computed twice, and a killed evaluation goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError, PriorError, SpecError
from engine.events import Event, Notice
from engine.io.clouds import CloudSet, read_clouds
from engine.io.json_files import write_json
from engine.io.npz_results import write_arrays
from engine.metrics import prior_quality as quality
from engine.metrics.nearest_training import ALIGNED, BINS, CANDIDATES, memorisation, shape_descriptor
from engine.numerics.devices import choose_device
from engine.numerics.rotations import random_rotations
from engine.pipelines.kept_rows import kept_rows, key_of
from engine.pipelines.prior_figures import (
    Closest,
    nearest_figure,
    samples_figure,
    save_both,
    statistics_figure,
)
from engine.pipelines.prior_report import DEFINITIONS, compared_statistics
from engine.pipelines.prior_rows import descriptors, draws, nearest_rows, pair_rows
from engine.pipelines.worker_pool import Workers
from engine.priors.checkpoint import load_prior, sha256
from engine.sampling.schedules import sample_seeds
from engine.specs.samplers import Unconditional

Emit = Callable[[Event], None]
Array = NDArray[np.float64]
FORMAT = "verglas-prior-quality-1"
REPORT, SAMPLES = "quality.json", "samples.npz"
FEWEST = 4
_GPU_BATCH = 16
_CLOSEST_SHOWN = 3


@dataclass(frozen=True)
class PriorQuestion:
    """What is judged against what.

    Attributes
    ----------
    against : clouds that were not trained on.
    prior : weights; None where ``samples_file`` has clouds to be judged instead.
    train : clouds that were trained on, for the row beside the samples and for memorisation.
    samples : how many to draw, or at most to take from ``samples_file``.
    steps : noise levels of the unconditional sampler.
    method : ``stochastic``, the paper's, or ``ode``; see :class:`engine.specs.samplers.Unconditional`.
    emd_points : to how many points clouds are thinned for the Earth Mover's distance.
    workers : processes of one thread each; 1 computes in this process.
    """

    against: Path
    prior: Path | None = None
    samples_file: Path | None = None
    train: Path | None = None
    samples: int = 200
    steps: int = 100
    method: Literal["stochastic", "ode"] = "stochastic"
    emd_points: int = 128
    seed: int = 0
    workers: int = 1
    device: str = "auto"


def evaluate_prior(question: PriorQuestion, out: Path, emit: Emit) -> dict[str, Any]:
    """Answer a question about a prior; the report, which is also ``out/quality.json``.

    Writes ``samples.npz``, ``samples``, ``statistics`` and, given training clouds,
    ``nearest_training``, each as PNG and SVG.

    Raises
    ------
    SpecError
        If the question contradicts itself.
    InputError, PriorError
        If a file can't be used, holds too few clouds, or clouds of another number of points.
    """
    _check(question)
    begin = time.monotonic()
    references = read_clouds(question.against)
    _enough(references, question.against)
    train = None if question.train is None else read_clouds(question.train)
    if train is not None and question.train is not None:
        _enough(train, question.train)
        _same_points(train, references, question.train)
    with Workers(question.workers) as workers:
        work = _Work(question, out, emit, workers)
        samples, origin = work.samples(references)
        report: dict[str, Any] = {
            "format": FORMAT,
            **origin,
            "samples": len(samples),
            "seed": question.seed,
            "against": _file(question.against, references),
            "train": None if train is None or question.train is None else _file(question.train, train),
            "emd_points": min(question.emd_points, references.points.shape[1]),
            "definitions": DEFINITIONS,
        }
        report |= work.compare(samples, references, train)
    report["seconds"] = round(time.monotonic() - begin, 1)
    write_json(out / REPORT, report)
    return report


def _check(question: PriorQuestion) -> None:
    if (question.prior is None) == (question.samples_file is None):
        raise SpecError("Give either a prior or a file of samples.", "Use `--prior` or `--samples-file`.")
    if question.samples < FEWEST:
        raise SpecError(f"{question.samples} samples say nothing.", f"Give at least {FEWEST}, better 200.")


def _enough(clouds: CloudSet, path: Path) -> None:
    if len(clouds.points) < FEWEST:
        raise InputError(
            f"The file holds {len(clouds.points)} clouds; at least {FEWEST} are needed, better 200.",
            "Give a file with more clouds.",
            path,
        )


def _same_points(clouds: CloudSet, references: CloudSet, path: Path) -> None:
    have, need = clouds.points.shape[1], references.points.shape[1]
    if have != need:
        raise InputError(
            f"Its clouds have {have} points, the references {need}: distances would differ for that alone.",
            "Build both with the same number of points.",
            path,
        )


def _file(path: Path, clouds: CloudSet) -> dict[str, Any]:
    n, points = clouds.points.shape[:2]
    return {"file": path.name, "sha256": sha256(path), "clouds": n, "points": points}


class _Work:
    """The steps of an evaluation, with what all of them need."""

    def __init__(self, question: PriorQuestion, out: Path, emit: Emit, workers: Workers) -> None:
        self.question, self.out, self.emit, self.workers = question, out, emit, workers

    def _kept(self, name: str, key: str, shape: tuple[int, ...], make: Any, **more: Any) -> Array:
        path = self.out / "parts" / f"{name}-{key}.npy"
        found = kept_rows(path, shape, make, workers=self.workers, emit=self.emit, **more)
        return np.asarray(found, np.float64)

    # ---- samples ----

    def samples(self, references: CloudSet) -> tuple[Array, dict[str, Any]]:
        """Samples (n, points, 3) in the file's or the prior's units, and where they come from."""
        q = self.question
        if q.samples_file is not None:
            given = read_clouds(q.samples_file)
            _enough(given, q.samples_file)
            _same_points(given, references, q.samples_file)
            return given.points[: q.samples].astype(np.float64), {
                "samples_file": _file(q.samples_file, given)
            }
        assert q.prior is not None
        _, card = load_prior(q.prior)
        points = references.points.shape[1]
        if card.points != points:
            raise PriorError(
                f"The prior makes clouds of {card.points} points, the references have {points}.",
                "Give references with the prior's number of points.",
                q.prior,
            )
        spacing = 7.0 if q.method == "ode" else 3.0
        sampler = Unconditional(method=q.method, steps=q.steps, rho=spacing)
        device = choose_device(q.device)
        for warning in device.warnings:
            self.emit(Notice("warning", warning))
        digest = sha256(q.prior)
        drawn = self._kept(
            "samples",
            key_of(digest, sampler.model_dump(), points, q.seed),
            (q.samples, points, 3),
            partial(draws, q.prior, sampler, points, sample_seeds(q.seed, q.samples), str(device.device)),
            stage="samples",
            batch=1 if device.device.type == "cpu" else _GPU_BATCH,
            dtype=np.float32,
            flush_s=0.0,
        )
        names = np.asarray([f"sample {i + 1}" for i in range(len(drawn))])
        write_arrays(self.out / SAMPLES, {"points": drawn.astype(np.float32), "name": names})
        return drawn, {
            "prior": {"file": q.prior.name, "sha256": digest, "card": _card(card)},
            "sampler": sampler.model_dump(),
            "device": device.words,
        }

    # ---- comparison ----

    def compare(self, samples: Array, references: CloudSet, train: CloudSet | None) -> dict[str, Any]:
        """Table, statistics and memorisation; writes the figures."""
        real = references.points.astype(np.float64)
        rng = np.random.default_rng(self.question.seed)
        count = min(len(samples), len(real))
        if len(samples) != len(real):
            self.emit(
                Notice(
                    "info",
                    f"1-NNA, COV and MMD compare sets of equal size: {count} of {len(samples)} samples with "
                    f"{count} of {len(real)} references, drawn by the seed.",
                )
            )
        chosen = np.sort(rng.permutation(len(real))[:count])
        sets = {"samples": samples[:count]}
        every: dict[str, Array] = {"samples": samples, "references": real}
        if train is not None:
            picked = np.sort(rng.permutation(len(train.points))[:count])
            clouds = train.points[picked].astype(np.float64)
            sets["training"] = clouds
            sets["training_turned"] = clouds @ random_rotations(len(clouds), rng)
            every["training"] = clouds
        table, nearest_reference = self._table(sets, real[chosen])
        values = {name: quality.shape_statistics(clouds) for name, clouds in every.items()}
        memory = None if train is None else self._memory(samples, references, train)
        shown = [int(i) for i in chosen[nearest_reference]]
        self._draw_figures(samples, real, shown, values, memory)
        return {
            "compared": count,
            "table": table,
            "statistics": compared_statistics(values),
            "memorisation": None if memory is None else memory.report,
        }

    def _table(self, sets: dict[str, Array], real: Array) -> tuple[dict[str, Any], NDArray[np.int64]]:
        few = min(self.question.emd_points, real.shape[1])
        table: dict[str, Any] = {name: {} for name in sets}
        nearest: Any = None
        for measure, kind, words in (
            ("chamfer", quality.ChamferDistances, "Chamfer"),
            ("emd", quality.EarthMoversDistances, "Earth Mover's"),
        ):
            thin = (lambda x: x) if measure == "chamfer" else partial(quality.farthest_points, count=few)
            reference = thin(real)
            within_reference = self._pairs(kind, reference, None, f"{words}, references")
            for name, clouds in sets.items():
                own = thin(clouds)
                between = self._pairs(kind, own, reference, f"{words}, {_WORDS[name]} to references")
                within = self._pairs(kind, own, None, f"{words}, {_WORDS[name]}")
                row = quality.table_row(within, between, within_reference, seed=self.question.seed)
                table[name][measure] = {k: vars(v) for k, v in row.items()}
                if measure == "chamfer" and name == "samples":
                    nearest = between.argmin(1)
        return table, nearest

    def _pairs(self, kind: Any, a: Array, b: Array | None, stage: str) -> Array:
        """Distances (n, m) between two sets, or (n, n) within one."""
        n, m = len(a), len(a if b is None else b)
        found = self._kept(
            "pairs",
            key_of(kind.__name__, a, b if b is not None else "itself"),
            (n, m),
            partial(pair_rows, kind, a, b),
            stage=stage,
            cost=None if b is not None else range(n, 0, -1),
        )
        return found if b is not None else np.asarray(found + found.T)

    # ---- memorisation ----

    def _memory(self, samples: Array, references: CloudSet, train: CloudSet) -> _Memory:
        described = self._kept(
            "descriptors",
            key_of("descriptors", BINS, train.points),
            (len(train.points), len(shape_descriptor(train.points[0].astype(np.float64)))),
            partial(descriptors, train.points),
            stage="training clouds described",
            batch=16,
        )

        def nearest(clouds: Array, stage: str) -> Array:
            return self._kept(
                "nearest",
                key_of("nearest", CANDIDATES, ALIGNED, clouds, train.points),
                (len(clouds), 14),
                partial(nearest_rows, clouds, train.points, described),
                stage=stage,
            )

        seen = nearest(samples, "nearest training clouds of samples")
        unseen = nearest(references.points.astype(np.float64), "nearest training clouds of references")
        return _Memory(samples, train, seen, unseen, self.question.seed)

    def _draw_figures(
        self, samples: Array, real: Array, nearest: list[int], values: Any, memory: _Memory | None
    ) -> None:
        closest = None if memory is None else memory.samples
        save_both(samples_figure(samples, real, nearest, closest), self.out / "samples")
        save_both(statistics_figure(values), self.out / "statistics")
        if memory is not None:
            save_both(
                nearest_figure(memory.samples, memory.references, memory.report["threshold"], memory.closest),
                self.out / "nearest_training",
            )


_WORDS = {"samples": "samples", "training": "training clouds", "training_turned": "turned training clouds"}


class _Memory:
    """Nearest training clouds of samples and of references; rows are index, distance, rotation, shift."""

    def __init__(self, clouds: Array, train: CloudSet, seen: Array, unseen: Array, seed: int) -> None:
        self.samples, self.references = seen[:, 1], unseen[:, 1]
        found = memorisation(self.samples, self.references, seed=seed)
        distance, p = quality.ks_distance(self.samples, self.references)
        self.report: dict[str, Any] = {
            **vars(found),
            "median_samples": float(np.median(self.samples)),
            "median_references": float(np.median(self.references)),
            "ks_distance": distance,
            "ks_p_value": p,
            "samples": _listed(seen, train),
            "references": _listed(unseen, train),
        }
        self.closest = [
            Closest(
                clouds[i],
                train.points[int(seen[i, 0])].astype(np.float64),
                seen[i, 2:11].reshape(3, 3),
                seen[i, 11:],
                f"sample {i + 1}",
                train.names[int(seen[i, 0])],
                float(seen[i, 1]),
            )
            for i in np.argsort(self.samples, kind="stable")[:_CLOSEST_SHOWN]
        ]


def _listed(rows: Array, train: CloudSet) -> list[dict[str, Any]]:
    return [{"nearest": train.names[int(r[0])], "distance": round(float(r[1]), 5)} for r in rows]


def _card(card: Any) -> dict[str, Any]:
    return {"architecture": card.architecture, "options": card.options, "trained": card.trained}
