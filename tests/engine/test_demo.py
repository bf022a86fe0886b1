"""The demo, made small: everything that it promises is written and can be opened."""

from __future__ import annotations

from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest

from engine.commands import demonstration
from engine.jobs.run_dir import RunDir
from engine.priors.checkpoint import load_prior, shipped_prior
from engine.specs.codec import load_spec
from engine.specs.components import GaussianPrior, ProjectionImages, Proximal
from engine.specs.job import DpsSpec, JobSpec


@pytest.fixture
def small_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer points and steps, fewer atoms to judge by, no network."""
    monkeypatch.setattr(demonstration, "load_spec", lambda path: small(path, tmp_path / "truth.npz"))


def small(path: Path, truth: Path) -> JobSpec:
    spec = load_spec(path)
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
    demonstration.run_demo(tmp_path / "out", lambda line: None)
    told: list[str] = []
    shown = demonstration.run_demo(tmp_path / "out", told.append)
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


def test_truth_is_never_evidence() -> None:
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
