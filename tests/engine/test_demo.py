"""The demo, made small: everything that it promises is written and can be opened."""

from __future__ import annotations

import json
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest

from engine.commands import demonstration
from engine.io.mrc import read_images, read_volume
from engine.io.star import read_poses
from engine.jobs.run_dir import RunDir
from engine.pipelines import sds_consensus
from engine.priors.checkpoint import load_prior, shipped_prior
from engine.specs.codec import load_spec
from engine.specs.components import GaussianPrior, ProjectionImages
from engine.specs.job import DpsSpec, JobSpec
from engine.specs.samplers import Proximal
from engine.specs.sds import SdsSpec


@pytest.fixture
def small_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer points and steps, fewer atoms to judge by, no network."""
    monkeypatch.setattr(demonstration, "load_spec", lambda path: small(path, tmp_path / "truth.npz"))


def small(path: Path, truth: Path) -> JobSpec:
    spec = load_spec(path)
    if isinstance(spec, SdsSpec):
        averages = spec.averages.model_copy(update={"box": 20, "select": tuple(range(1, 13))})
        return spec.model_copy(update={"averages": averages, "restarts": 2, "refine_rounds": 1})
    assert isinstance(spec, DpsSpec)
    assert isinstance(spec.observations[0], ProjectionImages)
    with np.load(str(spec.truth), allow_pickle=False) as whole:
        np.savez(truth, coords=whole["coords"][::40], z=whole["z"][::40])
    views = spec.observations[0].model_copy(update={"points": 128})
    return spec.model_copy(
        update={
            "observations": (views,),
            "points": 128,
            "samples": 2,
            "sampler": Proximal(steps=5),
            "prior": GaussianPrior(),
            "truth": str(truth),
        }
    )


@pytest.mark.usefixtures("small_demo")
def test_writes_what_it_promises_and_again_over_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    demonstration.run_demo(tmp_path / "out", lambda line: None, "dps")
    told: list[str] = []
    shown = demonstration.run_demo(tmp_path / "out", told.append, "dps")
    out = tmp_path / "out"
    assert RunDir.open(shown).outcome() is not None
    for name in ("ensemble.cif", "ensemble.pdb"):
        models = gemmi.read_structure(str(out / name))
        assert [m.count_atom_sites() for m in models] == [128, 128]
    with mrcfile.open(out / "ensemble.mrc") as density:
        assert float(density.voxel_size.x) > 0
        assert float(np.asarray(density.data).max()) > 0
    assert len((out / "ensemble.csv").read_text().splitlines()) >= 2 * 128
    for name in ("evidence.png", "structures.png", "quality.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    table = (out / "table.txt").read_text()
    assert table.strip() in "\n".join(told)
    for method in ("DPS, shipped prior", "same sampler, no shapes", "maximum likelihood"):
        assert method in table
    assert (out / "mine.txt").read_text() == "keep"


@pytest.mark.usefixtures("small_demo")
def test_class_averages_give_a_map_that_other_programs_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sds_consensus, "START_ROUNDS", 4)
    monkeypatch.setattr(sds_consensus, "START_VIEWS", 60)
    monkeypatch.setattr(sds_consensus, "REFINE_VIEWS", 60)
    out = tmp_path / "out"
    told: list[str] = []
    shown = demonstration.run_demo(out, told.append, "sds")
    assert shown == out / "sds"
    metrics = json.loads((shown / "results" / "metrics.json").read_text())
    # what agrees, between what, and how well: said in the words of the run itself
    for key in ("agreement", "fsc_half", "fsc_truth"):
        assert metrics[key]["sentence"] in "\n".join(told)
    truth = read_volume(load_spec(demonstration.demo_folder() / "averages.toml").truth)
    with mrcfile.open(out / "consensus.mrc") as density:
        assert float(density.voxel_size.x) * density.data.shape[0] == pytest.approx(
            float(truth.voxel_size_A[0]) * truth.density.shape[0], rel=1e-3
        )
    assert len(read_poses(out / "poses.star").rotations) == 12
    for name in ("averages.png", "starts.png", "consensus.png", "fsc.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    for line in (out / "consensus.cxc").read_text().splitlines():
        if line.startswith("open "):
            assert (out / line.split()[1].strip('"')).is_file()


def test_embedded_averages_are_small_and_of_one_scale_with_their_truth() -> None:
    spec = load_spec(demonstration.demo_folder() / "averages.toml")
    assert isinstance(spec, SdsSpec)
    images, truth = read_images(spec.averages.file), read_volume(str(spec.truth))
    assert images.pixel_size_A == pytest.approx(truth.voxel_size_A[0])
    assert Path(spec.averages.file).stat().st_size + Path(str(spec.truth)).stat().st_size < 400_000
    # every projection has the map's mass, up to the noise's mean
    sums = images.images.sum(axis=(1, 2))
    assert sums.std() < 0.05 * sums.mean()


def test_truth_is_never_evidence() -> None:
    averages = load_spec(demonstration.demo_folder() / "averages.toml")
    assert isinstance(averages, SdsSpec)
    assert Path(str(averages.truth)).name not in averages.model_dump_json(exclude={"truth"})
    spec = load_spec(demonstration.demo_folder() / "job.toml")
    assert isinstance(spec, DpsSpec)
    assert spec.truth is not None
    named = spec.model_dump_json(include={"observations"})
    assert Path(spec.truth).name not in named


def test_the_shipped_prior_is_there_and_says_what_it_is() -> None:
    denoiser, card = load_prior(shipped_prior())
    assert card.points == 1024
    assert card.trained["clouds_seen"] > 0
    errors = card.trained["validation_rmse_over_sigma"]
    # below the isotropic Wiener filter, which knows no shapes
    s = card.sigma_data
    assert all(float(e) < s / (s**2 + float(sigma) ** 2) ** 0.5 for sigma, e in errors.items())
    assert denoiser.sigma_data == s
