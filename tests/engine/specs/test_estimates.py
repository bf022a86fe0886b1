"""Estimates: laws that any sensible one keeps, and words."""

from __future__ import annotations

import pytest

from engine.specs.components import GaussianPrior, ProjectionPoints
from engine.specs.estimates import (
    HIGH,
    LOW,
    REFERENCE_S,
    Facts,
    Machine,
    Past,
    bytes_needed,
    corrected,
    estimate,
    seconds,
    sentence,
    size_words,
    speed_of,
    time_words,
)
from engine.specs.job import DpsSpec, TrainPriorSpec
from engine.specs.known_poses import (
    DataOnly,
    InlinePrior,
    KnownPosesSpec,
    PosedImages,
    PosedSds,
    PoseRefinement,
    Wiener,
)
from engine.specs.memory_fit import what_fits
from engine.specs.presets import DENOISER_PRESETS, PRESETS, SDS_PRESETS
from engine.specs.samplers import Algorithm1, Proximal
from engine.specs.sds import ClassAveragesInput, SdsSpec, TrainDenoiserSpec

VIEW = ProjectionPoints(file="/a.csv", rotation=(1.0, 0.0, 0.0, 0.0))
AVERAGES = ClassAveragesInput(file="/a.mrcs")
THREE = Facts(views=3)
FORTY = Facts(images=40, box=40)


def points(**changes: object) -> DpsSpec:
    return DpsSpec(observations=(VIEW,), **changes)  # type: ignore[arg-type]


def test_more_work_takes_longer() -> None:
    base = seconds(points(), THREE)
    assert seconds(points(samples=10), THREE) > 1.8 * base
    assert seconds(points(points=2048), THREE) > 3 * base
    assert seconds(points(sampler=Proximal(steps=80)), THREE) > 1.8 * base
    assert seconds(points(sampler=Algorithm1()), THREE) > 2 * base
    assert seconds(points(), Facts(views=6)) > base > seconds(points(prior=GaussianPrior()), THREE)
    # four times the points, in parts, at a tenth of the noise levels
    assert 1.2 * base < seconds(points(fine_points=4096), THREE) < 2 * base
    one = SdsSpec(averages=AVERAGES)
    for more in (
        seconds(SdsSpec(averages=AVERAGES, restarts=20), FORTY),
        seconds(SdsSpec(averages=AVERAGES, volumes="each"), FORTY),
        seconds(one, Facts(images=80, box=40)),
        seconds(one, Facts(images=40, box=80)),
    ):
        assert more > 1.2 * seconds(one, FORTY)


def test_known_poses_take_longer_with_copies_steps_and_refinement() -> None:
    def at(facts: Facts = FORTY, **changes: object) -> float:
        return seconds(KnownPosesSpec(images=PosedImages(poses="/a.star"), **changes), facts)  # type: ignore[arg-type]

    base = at()
    assert at(method=Wiener()) < base < at(symmetry="D2") < at(symmetry="O")
    assert at(method=InlinePrior(steps=90)) > at(method=InlinePrior())
    assert at(method=DataOnly()) < at(method=PosedSds(steps=100))
    assert at(Facts(images=40, box=80)) > 4 * base
    # maps of the others, in which a denoiser takes part where they are few
    few = Facts(images=14, box=40)
    assert at(refinement=PoseRefinement(rounds=1)) > 2 * base
    assert at(few, refinement=PoseRefinement(rounds=2)) > 4 * at(few)
    assert at(few, method=Wiener(), refinement=PoseRefinement(rounds=2)) < at(
        few, refinement=PoseRefinement(rounds=2)
    )


@pytest.mark.parametrize("facts", [Facts(), THREE, FORTY])
def test_presets_are_in_order(facts: Facts) -> None:
    taken = [seconds(PRESETS[n].spec((VIEW,)), facts) for n in ("quick look", "standard", "thorough")]
    assert taken == sorted(taken)
    taken = [seconds(SDS_PRESETS[n].spec(AVERAGES), facts) for n in ("quick look", "standard", "thorough")]
    assert taken == sorted(taken)
    minutes = [
        DENOISER_PRESETS[n].settings.get("minutes", 20) for n in ("quick look", "standard", "thorough")
    ]
    assert minutes == sorted(minutes)


def test_measured_runs_are_within_the_range() -> None:
    """Measured with two cores that did little else."""
    machine = Machine(busy=0.3)
    for spec, facts, taken in (
        (points(samples=3), THREE, 20.3),
        (points(samples=3, prior=GaussianPrior()), THREE, 8.7),
        (SdsSpec(averages=AVERAGES, restarts=3, refine_rounds=8), FORTY, 11.2),
    ):
        found = estimate(spec, facts, machine)
        assert found.low < taken < found.high


def test_images_whose_poses_are_unsure_are_within_the_range() -> None:
    """100 class averages of a round particle: measured alone, and beside programs that wanted four cores."""
    spec = SdsSpec(averages=AVERAGES, restarts=2, refine_rounds=4)
    alone = estimate(spec, Facts(100, 64), Machine())
    assert alone.low < 235 < alone.high
    assert estimate(spec, Facts(100, 64), Machine(load=3.0)).high > 609
    # sure poses, here of betagal, take a fraction of that
    found = estimate(SdsSpec(averages=AVERAGES, restarts=4, symmetry="D2"), Facts(16, 64), Machine())
    assert found.low < 23.8 < found.high
    # runs of the user's own narrow the range, but don't foretell other images
    past = [Past("sds", False, 100.0, 100.0)] * 4
    own = estimate(spec, Facts(100, 64), Machine(), past)
    assert alone.low < own.low < own.high < alone.high
    assert own.high > 2 * own.low


@pytest.mark.parametrize(
    ("spec", "facts", "words"),
    [
        (points(samples=10, points=2048, batch=0), THREE, "a batch of "),
        (points(samples=1, points=4096), THREE, " points"),
        (SdsSpec(averages=AVERAGES), Facts(100, 128), "a working box of "),
        (TrainDenoiserSpec(averages=AVERAGES, architecture="paper"), Facts(100, 96), "a batch of "),
        (TrainPriorSpec(clouds="x", batch=16), Facts(), "accumulate "),
    ],
)
def test_what_would_fit_into_memory_fits(spec, facts: Facts, words: str) -> None:
    needed = bytes_needed(spec, facts)[1]
    assert what_fits(spec, facts, needed * 3 // 4, on_gpu=True).find(words) >= 0
    assert what_fits(spec, facts, 1000, on_gpu=True) == ""
    assert what_fits(spec, facts, 100 * needed, on_gpu=True) != ""  # the smallest change there is


def test_a_faster_computer_takes_less_time() -> None:
    slow, fast = (estimate(points(), THREE, Machine(speed=s)) for s in (1.0, 2.0))
    assert fast.high == pytest.approx(slow.high / 2)
    more = estimate(points(), THREE, Machine(cores=8))
    assert slow.high / 4 < more.high < slow.high / 2
    busy = estimate(points(), THREE, Machine(busy=1.0))
    assert (busy.low, busy.high) == (slow.low, pytest.approx(2 * slow.high))
    crowded = estimate(points(), THREE, Machine(busy=1.0, load=4.0))
    assert (crowded.low, crowded.high) == (slow.low, pytest.approx(4 * slow.high))


def test_finished_runs_correct_the_time() -> None:
    assert corrected(10.0, ()) == (10 * LOW, 10 * HIGH)
    twice = [Past("dps", False, p, 2 * p) for p in (5.0, 10.0, 30.0)]
    low, high = corrected(10.0, twice)
    assert low < 20 < high
    assert high / low < HIGH / LOW
    found = estimate(points(), THREE, Machine(), [*twice, Past("sds", False, 1.0, 900.0)])
    assert found.runs == 3
    assert found.low > estimate(points(), THREE, Machine()).low


def test_nobody_knows_how_long_a_gpu_takes_until_it_has() -> None:
    machine = Machine(gpu="A GPU", gpu_free=10**10)
    found = estimate(points(), THREE, machine)
    assert not found.known
    assert found.gpu_memory > 0
    assert "not known until a run on it has finished" in sentence(found, machine)
    assert estimate(points(device="cpu"), THREE, machine).known
    after = estimate(points(), THREE, machine, [Past("dps", True, 20.0, 2.0)])
    assert after.known
    assert after.high < 20


def test_trainings_take_what_they_were_given() -> None:
    found = estimate(TrainDenoiserSpec(averages=AVERAGES, minutes=20), FORTY, Machine())
    assert found.low == 1200
    assert found.high < 1.3 * 1200
    assert estimate(TrainPriorSpec(clouds="/c", hours=2), Facts(), Machine(), ()).low == 7200


@pytest.mark.parametrize(
    ("spec", "facts", "measured_MB"),
    [
        (points(samples=2), THREE, 525), (points(samples=1, points=2048), THREE, 782),
        (points(samples=2, sampler=Algorithm1()), THREE, 775),
        (SdsSpec(averages=AVERAGES), FORTY, 732), (SdsSpec(averages=AVERAGES), Facts(16, 64), 927),
        (SdsSpec(averages=AVERAGES), Facts(16, 96), 1161), (SdsSpec(averages=AVERAGES), Facts(100, 64), 952),
        (TrainDenoiserSpec(averages=AVERAGES), FORTY, 680),
        (TrainDenoiserSpec(averages=AVERAGES, batch=64), Facts(16, 96), 3136),
        (TrainDenoiserSpec(averages=AVERAGES, batch=8, architecture="paper"), Facts(16, 64), 1188),
        (TrainPriorSpec(clouds="/c"), Facts(), 1268),
    ],
)  # fmt: skip
def test_memory_is_about_what_was_measured(spec, facts: Facts, measured_MB: float) -> None:
    assert bytes_needed(spec, facts)[0] / 1e6 == pytest.approx(measured_MB, rel=0.3)


def test_speed_is_relative_to_the_reference() -> None:
    assert speed_of(REFERENCE_S) == pytest.approx(1)
    assert speed_of({k: v / 3 for k, v in REFERENCE_S.items()}) == pytest.approx(3)
    assert speed_of({}) == 1


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(1, 3, "5 s"), (21, 49, "20 to 50 s"), (100, 250, "1.5 to 4 min"), (700, 1500, "12 to 25 min"),
     (5000, 9000, "1.5 to 2.5 h"), (90_000, 400_000, "1 to 4.5 days")],
)  # fmt: skip
def test_times_are_said_roundly(low: float, high: float, words: str) -> None:
    assert time_words(low, high) == words


def test_sizes_are_said_roundly() -> None:
    assert (size_words(700_000_000), size_words(1_230_000_000)) == ("700 MB", "1.2 GB")
    found = estimate(points(), THREE, Machine())
    assert sentence(found, Machine()).startswith("About ")
