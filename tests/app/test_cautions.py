"""Each rule: when it speaks, and when it is silent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from app.cautions import Caution, Seen, cautions, spread_of_views_deg
from engine.specs.components import CoarseMap, ProjectionImages
from engine.specs.estimates import Estimate, Facts, Machine
from engine.specs.job import DpsSpec, JobSpec, TrainPriorSpec
from engine.specs.sds import ClassAveragesInput, SdsSpec, TrainDenoiserSpec

IMAGES = ProjectionImages(images="/a.mrcs", poses="/a.star")
AVERAGES = ClassAveragesInput(file="/a.mrcs")
POINTS = DpsSpec(observations=(IMAGES,))
VOLUME = SdsSpec(averages=AVERAGES)
DENOISER = TrainDenoiserSpec(averages=AVERAGES)
PRIOR = TrainPriorSpec(clouds="/c.npz")
SHORT = Estimate(10, 20, 10**9)
AROUND = Rotation.from_euler("ZYZ", [[0, 0, 0], [0, 90, 0], [90, 90, 0]], degrees=True).as_matrix()
NARROW = Rotation.from_euler("ZYZ", [[0, 0, 0], [10, 12, 0], [90, 172, 0]], degrees=True).as_matrix()


def told(spec: JobSpec, seen: Seen | None = None, facts: Facts | None = None, **more) -> dict[str, Caution]:
    machine = more.pop("machine", Machine(free=10**10))
    cost, quick = more.pop("cost", SHORT), more.pop("quick", None)
    spec = spec.model_copy(update=more)
    found = cautions(spec, seen or Seen(), facts or Facts(), machine, cost, quick)
    assert all(c.text.endswith(".") and c.why.endswith(".") and c.advice.endswith(".") for c in found)
    return {c.key: c for c in found}


def test_sound_runs_are_left_alone() -> None:
    seen = Seen(AROUND, (("a.mrcs", 3.5, 3.5),), (("m.mrc", 40, 4.0),), prior_points=1024)
    assert told(POINTS, seen, Facts(views=3)) == {}
    assert told(VOLUME, Seen(side=100, pixel_size_A=3.5), Facts(images=60, box=64)) == {}
    assert told(DENOISER, Seen(), Facts(images=60, box=64)) == {}
    assert told(PRIOR, Seen(clouds=5000, prior_points=1024)) == {}


def test_how_far_views_are_spread() -> None:
    assert spread_of_views_deg(AROUND) > 45
    assert spread_of_views_deg(NARROW) == pytest.approx(8, abs=6)  # 172° is 8° from the other side
    assert spread_of_views_deg(AROUND[:1]) == 0
    turned = Rotation.random(random_state=3).as_matrix()
    assert spread_of_views_deg(NARROW @ turned) == pytest.approx(spread_of_views_deg(NARROW))


def test_views_that_say_nothing_of_depth() -> None:
    assert "3 views lie within" in told(POINTS, Seen(NARROW))["parallel views"].text
    assert "one view" in told(POINTS, Seen(AROUND[:1]))
    both = POINTS.model_copy(update={"observations": (IMAGES, CoarseMap(file="/m"))})
    assert told(both, Seen(NARROW)) == {}


def test_pixel_sizes_that_differ() -> None:
    found = told(POINTS, Seen(AROUND, (("a.mrcs", 3.54, 1.77),)))["pixel size"]
    assert "3.54 Å" in found.text
    assert "1.77 Å" in found.text
    assert told(POINTS, Seen(AROUND, (("a.mrcs", 3.54, 0.0),))) == {}


@pytest.mark.parametrize(
    ("key", "spec", "seen", "facts", "more"),
    [
        ("coarse map", POINTS, Seen(AROUND, map_shapes=(("m.mrc", 6, 40.0),)), Facts(), {}),
        ("size of clouds", POINTS, Seen(AROUND, prior_points=1024), Facts(), {"points": 2048}),
        ("one sample", POINTS, Seen(AROUND), Facts(), {"samples": 1}),
        ("few for motion", VOLUME, Seen(), Facts(images=30, box=64), {"volumes": "each"}),
        ("half sets", VOLUME, Seen(), Facts(images=12, box=64), {}),
        ("half sets", VOLUME, Seen(), Facts(images=5, box=64), {}),
        ("symmetry", VOLUME, Seen(), Facts(images=60, box=64), {"symmetry": "D2"}),
        ("one start", VOLUME, Seen(), Facts(images=60, box=64), {"restarts": 1}),
        ("large box", VOLUME, Seen(side=64, pixel_size_A=3.5), Facts(images=60, box=96), {}),
        ("Nyquist", VOLUME, Seen(side=180, pixel_size_A=1.8, finest_A=4.0), Facts(images=60, box=64), {}),
        ("few to learn from", DENOISER, Seen(), Facts(images=12, box=64), {}),
        ("large network", DENOISER, Seen(), Facts(images=60, box=64), {"architecture": "paper"}),
        ("few to learn from", PRIOR, Seen(clouds=50), Facts(), {}),
        ("fewest points", PRIOR, Seen(clouds=500, prior_points=128), Facts(), {}),
        ("large network", PRIOR, Seen(clouds=500), Facts(), {"architecture": "point_e"}),
        ("no GPU", POINTS, Seen(AROUND), Facts(), {"device": "cuda"}),
        ("memory", POINTS, Seen(AROUND), Facts(), {"machine": Machine(free=10**8)}),
        ("long", POINTS, Seen(AROUND), Facts(), {"cost": Estimate(7200, 14400, 10**9)}),
    ],
)  # fmt: skip
def test_rule(key: str, spec: JobSpec, seen: Seen, facts: Facts, more: dict[str, object]) -> None:
    assert list(told(spec, seen, facts, **more)) == [key]


def test_a_long_run_is_told_of_the_short_one() -> None:
    found = told(POINTS, Seen(AROUND), cost=Estimate(7200, 14400, 10**9), quick=Estimate(30, 45, 10**9))
    assert "Quick look takes 30 to 45 s." in found["long"].text


def test_the_box_that_is_wanted_is_named() -> None:
    found = told(VOLUME, Seen(side=180, pixel_size_A=1.8, finest_A=4.0), Facts(images=60, box=64))
    assert "162 px" in found["Nyquist"].advice
    assert np.isclose(2 * 180 * 1.8 / 162, 4.0)
