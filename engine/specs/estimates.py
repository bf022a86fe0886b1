"""How long a run will take and how much memory it wants, before it begins. Torch-free, pure functions.

The constants are seconds on the computer they were measured on (two cores of a server processor) while it
did nothing else. Another computer is compared with it by :data:`REFERENCE_S`, two small pieces of numpy that
the caller times; finished runs correct what is left (:func:`corrected`). Times on GPUs were not measured:
there only finished runs tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from engine.specs.job import DpsSpec, JobSpec, TrainPriorSpec
from engine.specs.known_poses import ASKS_DENOISER, KnownPosesSpec, copies
from engine.specs.samplers import Annealed
from engine.specs.sds import FEWEST_FOR_MOTION, SdsSpec, TrainDenoiserSpec

REFERENCE_S = {"transforms": 7.2e-3, "pairs": 8.8e-4}
"""Best times on it: 24 transforms of 128² pixels; exp of the squared distances of 1024² pairs of points."""

REFERENCE_CORES = 2
LOW, HIGH = 0.65, 1.6
"""The range around an estimate that no finished run supports."""

_RUNS_THAT_TELL = 3
_CORE_GAIN = 0.7
_MOST_CORES = 16
_MOST_CROWDED = 6.0
_MB, _F32 = 1_000_000, 4
SAMPLES_TOGETHER = 16  # of an ensemble, where the spec leaves it open

# ---- points: seconds for 1024 points, and how they grow with the number of points ----------------
_LOADING = 2.0
_VIEW, _VIEW_POWER = 0.006, 1.4
_NETWORK, _NETWORK_POWER = 0.138, 2.0
_FINE_STEPS, _FINE_VIEW, _FINE_MATCH = 4, 0.4, 0.017
_MAP = 1.5  # 64 voxels a side
_GRADIENT = 3.0  # times a network's answer, with its gradient
# ---- volumes: seconds for one image at a box of 40 -----------------------------------------------
_START, _START_IMAGE, _START_SYMMETRY, _PAIR = 0.2, 0.032, 1.1, 0.11
_EXPLORED, _MANY, _ALL_PAIRS, _PIVOTS = 0.72, 40, 32, 8
_ROUND_IMAGE, _LOCAL_IMAGE, _HALF_ROUNDS, _FEWEST_FOR_HALVES = 0.007, 0.041, 4, 8
_MOTION_IMAGE, _LEFT_OUT = 0.35, 60
_VIEW_OF_VOLUME, _FIT_IMAGE = 0.0006, 0.01
_LEAST_SQUARES, _STEP_OF_VOLUME = 2.0, 0.02
_OTHERS_STEPS, _FOLDS, _ENOUGH_IMAGES, _FIND_IMAGE = 30, 8, 27, 0.1
_NOTHING_MORE, _READ_IMAGE = 1.0, 0.045
_UNSURE = 6.0
"""How much longer poses take to find when no pose is much better than the next: up to eight are followed."""
# ---- trainings: what is added to the time asked for ----------------------------------------------
_OVERHEAD = {"small": 8.0, "paper": 40.0, "ribosome": 50.0}
_BYTES_PER_PIXEL = {"small": 4_600, "paper": 20_000, "ribosome": 26_000}
_PRIOR_OVERHEAD = 40.0
_CLOUD_BUILD = 1.5  # seconds for each structure


@dataclass(frozen=True)
class Facts:
    """What is known about the inputs; 0 for what isn't.

    Attributes
    ----------
    images, box : class averages used, and their working box, px.
    views, others : projections, and other pieces of evidence.
    structures : from which clouds are built first.
    cloud_points : points of the training clouds.
    """

    images: int = 0
    box: int = 0
    views: int = 0
    others: int = 0
    structures: int = 0
    cloud_points: int = 1024


@dataclass(frozen=True)
class Machine:
    """The computer that runs.

    Attributes
    ----------
    speed : of one core, in units of the reference computer's.
    cores : that a run may use.
    memory, free : bytes of main memory; 0 if unknown.
    gpu : name of the GPU that ``auto`` would take; empty for none.
    gpu_free : bytes of its memory that are free; 0 if unknown.
    busy : share of the processor that other programs take now.
    load : programs that want a core, for each core; mean of the last minute.
    """

    speed: float = 1.0
    cores: int = REFERENCE_CORES
    memory: int = 0
    free: int = 0
    gpu: str = ""
    gpu_free: int = 0
    busy: float = 0.0
    load: float = 0.0

    def on_gpu(self, spec: JobSpec) -> bool:
        """Whether the run would compute on a GPU."""
        return spec.device in ("cuda", "mps") or (spec.device == "auto" and bool(self.gpu))


@dataclass(frozen=True)
class Estimate:
    """What a run will cost.

    Attributes
    ----------
    low, high : seconds; both 0 where nobody knows.
    memory : bytes of main memory at most.
    gpu_memory : bytes on the GPU; 0 without one.
    runs : finished runs of this kind that the time rests on.
    """

    low: float
    high: float
    memory: int
    gpu_memory: int = 0
    runs: int = 0

    @property
    def known(self) -> bool:
        """Whether anything can be said about the time."""
        return self.high > 0


@dataclass(frozen=True)
class Past:
    """A finished run: its kind, whether on a GPU, what :func:`seconds` says of it, what it took."""

    kind: str
    gpu: bool
    predicted: float
    taken: float


def speed_of(taken: dict[str, float]) -> float:
    """Speed of a core from times of the same pieces of work as :data:`REFERENCE_S`; geometric mean."""
    ratios = [REFERENCE_S[name] / taken[name] for name in REFERENCE_S if taken.get(name, 0) > 0]
    if not ratios:
        return 1.0
    return min(20.0, max(0.05, math.exp(sum(map(math.log, ratios)) / len(ratios))))


def estimate(spec: JobSpec, facts: Facts, machine: Machine, past: Sequence[Past] = ()) -> Estimate:
    """Seconds and bytes of a run.

    Parameters
    ----------
    past : finished runs on this computer, in any order; those of the same kind correct the time.
    """
    gpu = machine.on_gpu(spec)
    memory, gpu_memory = bytes_needed(spec, facts)
    # What else runs now may stop at once or go on: only the upper end counts with it.
    crowd = max(1 + min(1.0, max(0.0, machine.busy)), min(_MOST_CROWDED, machine.load))
    found = Estimate(0.0, 0.0, memory, gpu_memory if gpu else 0)
    if isinstance(spec, TrainPriorSpec | TrainDenoiserSpec):
        asked, more = _asked(spec), seconds(spec, facts) - _asked(spec)
        slower = slowness(machine)
        return replace(found, low=asked, high=asked * 1.1 + HIGH * more * max(1.0, slower) * crowd)
    runs = [run for run in past if (run.kind, run.gpu) == (spec.kind, gpu)]
    if gpu and not runs:
        return found
    alone = seconds(spec, facts) * (1.0 if gpu else slowness(machine))
    low, high = corrected(alone, [run for run in runs if run.predicted > 0])
    if isinstance(spec, SdsSpec):
        # Only the images decide how many poses are followed. Runs of others say little about that.
        fixed, poses = _volumes(spec, facts)
        unsure = _UNSURE if len(runs) < _RUNS_THAT_TELL else _UNSURE / 2
        high = max(high, high * (fixed * HIGH + poses * unsure) / ((fixed + poses) * HIGH))
    return replace(found, low=low, high=high * crowd, runs=len(runs))


def corrected(predicted: float, runs: Sequence[Past]) -> tuple[float, float]:
    """The range of seconds around a prediction: by finished runs where there are some.

    The factor is the median of what runs took over what was predicted for them. The range narrows to theirs
    when there are three or more, but never below a quarter either way: no two runs are alike.
    """
    if not runs:
        return predicted * LOW, predicted * HIGH
    ratios = sorted(run.taken / run.predicted for run in runs)
    factor = min(50.0, max(0.002, median(ratios)))
    if len(ratios) < _RUNS_THAT_TELL:
        return predicted * factor * LOW, predicted * factor * HIGH
    low = max(LOW, min(0.8, ratios[len(ratios) // 5] / factor))
    high = min(HIGH, max(1.25, ratios[-1 - len(ratios) // 5] / factor))
    return predicted * factor * low, predicted * factor * high


def seconds(spec: JobSpec, facts: Facts) -> float:
    """Seconds on the reference computer while it does nothing else."""
    if isinstance(spec, DpsSpec):
        return _points(spec, facts)
    if isinstance(spec, SdsSpec):
        return sum(_volumes(spec, facts))
    if isinstance(spec, KnownPosesSpec):
        return _known_poses(spec, facts)
    if isinstance(spec, TrainDenoiserSpec):
        return _asked(spec) + _OVERHEAD[spec.architecture]
    return _asked(spec) + _PRIOR_OVERHEAD + facts.structures * _CLOUD_BUILD


def slowness(machine: Machine) -> float:
    """Seconds on a machine for one on the reference computer."""
    cores = min(max(1, machine.cores), _MOST_CORES)
    return 1 / (machine.speed * math.pow(cores / REFERENCE_CORES, _CORE_GAIN))


def _asked(spec: TrainPriorSpec | TrainDenoiserSpec) -> float:
    return float(spec.hours * 3600 if isinstance(spec, TrainPriorSpec) else spec.minutes * 60)


def _points(spec: DpsSpec, facts: Facts) -> float:
    sampler, size = spec.sampler, spec.points / 1024
    evidence = (facts.views + 0.5 * facts.others) * _VIEW * math.pow(size, _VIEW_POWER)
    network = _NETWORK * math.pow(size, _NETWORK_POWER) if spec.prior.kind == "network" else 0.002
    if isinstance(sampler, Annealed):
        calls = 1 if sampler.kind == "proximal" else sampler.calls
        step = evidence * sampler.rounds + network * _below(sampler) * calls
    elif sampler.kind == "algorithm1":
        step = 2 * evidence + _GRADIENT * network
    elif sampler.kind == "maximum_likelihood":
        step = evidence * sampler.restarts
    else:
        step = network * (2 if sampler.method == "ode" else 1)
    seconds = _LOADING + spec.samples * sampler.steps * (step + 0.002)
    if spec.fine_points:
        parts = spec.fine_points / spec.points
        seconds += facts.views * _FINE_VIEW
        seconds += spec.samples * _FINE_STEPS * parts * (network + facts.views * _FINE_MATCH * size)
    images = any(o.kind == "projection_images" for o in spec.observations)
    return seconds + (_MAP if spec.density_map and images and spec.samples > 1 else 0.0)


def _below(sampler: Annealed) -> float:
    """Share of the noise levels at which the network is asked."""
    levels = (sampler.sigma_max, sampler.sigma_min, sampler.network_begin)
    high, low, begin = (level ** (1 / sampler.rho) for level in levels)
    return float(min(1.0, max(0.0, (begin - low) / (high - low)))) if high > low else 1.0


def _volumes(spec: SdsSpec, facts: Facts) -> tuple[float, float]:
    """What takes its time whatever the images show, and what poses take that are sure."""
    images, box = facts.images or 50, facts.box or 64
    area = (box / 40) ** 2
    used = images * (_EXPLORED if images >= _MANY else 1.0)
    fixed = _NOTHING_MORE + _READ_IMAGE * images * box / 40 + _pairs(spec.restarts) * _PAIR
    poses = 0.0
    if spec.refine_rounds:
        start = _START + _START_IMAGE * used + (_START_SYMMETRY if spec.symmetry != "C1" else 0.0)
        poses += spec.restarts * start + _refining(images, spec.refine_rounds, area)
        if spec.half_sets and images >= _FEWEST_FOR_HALVES:
            poses += _refining(images, _HALF_ROUNDS, area)
    else:
        fixed += spec.restarts * _distilling(spec, box) + images * _FIT_IMAGE
    if spec.volumes == "each":
        many = len(spec.only) or images
        fixed += many * _distilling(spec, box) + images * _FIT_IMAGE * area
        if spec.start == "consensus" and images >= FEWEST_FOR_MOTION:
            poses += (spec.motion_rounds * images + 2 * min(images, _LEFT_OUT)) * _MOTION_IMAGE
    return fixed, poses


def _refining(images: int, rounds: int, area: float) -> float:
    return images * area * (rounds * _ROUND_IMAGE + _LOCAL_IMAGE)


def _distilling(spec: SdsSpec, box: int) -> float:
    steps = spec.distillation
    views = math.sqrt(steps.views_first * steps.views_last)
    slower = 3.0 if spec.denoiser.kind == "trained" else 1.0
    return float(steps.steps * views * _VIEW_OF_VOLUME * (box / 40) ** 2.2 * slower)


def _known_poses(spec: KnownPosesSpec, facts: Facts) -> float:
    images, larger = facts.images or 6, ((facts.box or 64) / 40) ** 3
    seconds = _NOTHING_MORE + _LEAST_SQUARES * larger
    steps, asked = getattr(spec.method, "steps", 0), 0.0
    if spec.method.kind in ASKS_DENOISER:
        slower = 3.0 if spec.denoiser.kind == "trained" else 1.0
        asked = getattr(spec.method, "views", 0) * slower * (2 if spec.method.kind == "ipsm" else 1)

    def step(views: float) -> float:
        return float(_STEP_OF_VOLUME * larger + views * _VIEW_OF_VOLUME * ((facts.box or 64) / 40) ** 2.2)

    seen = images * copies(spec.symmetry)
    volume = steps * step(seen + asked)
    # images are searched for in maps that they had no part in, an eighth of them at a time
    asks = spec.method.kind == "denoised_views" and seen < _ENOUGH_IMAGES
    others = min(_FOLDS, images) * (volume if asks else _OTHERS_STEPS * step(seen)) + images * _FIND_IMAGE
    return float(seconds + volume + spec.refinement.rounds * others)


def _pairs(starts: int) -> int:
    return starts * (starts - 1) // 2 if starts <= _ALL_PAIRS else starts * _PIVOTS


# ---- memory -------------------------------------------------------------------------------------


def bytes_needed(spec: JobSpec, facts: Facts) -> tuple[int, int]:
    """Bytes of main memory on a CPU, and on a GPU, at most."""
    if isinstance(spec, DpsSpec):
        pairs = _F32 * spec.points**2
        together = min(spec.samples, spec.batch or SAMPLES_TOGETHER)
        arrays = 75 if spec.sampler.kind == "algorithm1" else 18
        evidence = 2 * together * pairs
        return 480 * _MB + arrays * pairs + evidence, 400 * _MB + arrays * pairs * together + evidence
    if isinstance(spec, SdsSpec | KnownPosesSpec):
        images, box = facts.images or 50, facts.box or 64
        maps = 9 * 8 * (2 * box) ** 3
        work = maps + images * box**2 * _F32 * 24
        return 750 * _MB + work, 500 * _MB + work
    if isinstance(spec, TrainDenoiserSpec):
        box, images = facts.box or 64, facts.images or 50
        work = spec.batch * box**2 * _BYTES_PER_PIXEL[spec.architecture] + images * box**2 * _F32 * 4
        return 480 * _MB + work, 300 * _MB + work
    part = -(-spec.batch // spec.accumulate)
    width, layers = spec.width or 128, spec.layers or 6
    pairs = _F32 * facts.cloud_points**2
    many = part * pairs * layers * (1.4 if spec.architecture != "point_e" else 8) * max(1.0, width / 128)
    return 1000 * _MB + int(many), 500 * _MB + int(many)


# ---- words --------------------------------------------------------------------------------------


_UNITS = (
    (90.0, "s", 1.0, 5.0), (600.0, "min", 60.0, 0.5), (5400.0, "min", 60.0, 1.0),
    (172_800.0, "h", 3600.0, 0.5), (math.inf, "days", 86400.0, 0.5),
)  # fmt: skip


def time_words(low: float, high: float) -> str:
    """A range of seconds, e.g. ``20 to 50 s``, ``2 to 4 min`` or ``1.5 to 4 h``."""
    _, unit, length, step = next(row for row in _UNITS if high < row[0] or row is _UNITS[-1])
    first, last = _round(low / length, step), _round(high / length, step)
    return f"{last:g} {unit}" if first >= last else f"{first:g} to {last:g} {unit}"


def _round(value: float, step: float) -> float:
    return max(step, round(value / step) * step)


def size_words(size: int) -> str:
    """Bytes as ``700 MB`` or ``1.2 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 0.95e9 else f"{max(1, round(size / 5e7)) * 50} MB"


def sentence(found: Estimate, machine: Machine) -> str:
    """An estimate in a line, e.g. *About 2 to 4 min on this computer; up to 1.2 GB of memory*."""
    where = "on the GPU" if found.gpu_memory else "on this computer"
    needs = f"up to {size_words(found.memory)} of memory"
    if found.gpu_memory:
        needs = f"about {size_words(found.gpu_memory)} of its memory"
    if not found.known:
        return f"Time {where} ({machine.gpu or 'GPU'}) is not known until a run on it has finished; {needs}."
    return f"About {time_words(found.low, found.high)} {where}; {needs}."
