from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from app import sds_session
from app.averages_session import AveragesSession
from app.denoiser_card import read_card
from app.sds_session import SdsSession
from app.training_session import TrainingSession
from engine.errors import InputError
from engine.io.weights_header import IMAGE_DENOISER_FORMAT
from engine.specs.codec import dump_toml, load_spec
from engine.specs.presets import SDS_PRESETS
from engine.specs.sds import SdsSpec, TrainDenoiserSpec
from tests.app import averages_phantom, phantom
from tests.app.conftest import ImmediateBackground


def write_weights(path: Path, box: int = 0, pixel_size_A: float = 4.0, mask_A: float = 120.0) -> Path:
    """Weights of nothing, with the card of a 2D denoiser; of something else without a box."""
    card = {"box": box, "pixel_size_A": pixel_size_A, "mask_radius_px": mask_A / 2 / pixel_size_A}
    metadata = {"format": IMAGE_DENOISER_FORMAT if box else "other", "card": json.dumps(card)}
    save_file({"w": np.zeros(3, np.float32)}, str(path), metadata=metadata)
    return path


@pytest.fixture
def averages(tmp_path: Path) -> AveragesSession:
    session = AveragesSession(ImmediateBackground())
    session.open(averages_phantom.write_stack(tmp_path, 4))
    return session


@pytest.fixture
def sds(averages: AveragesSession) -> SdsSession:
    return SdsSession(averages, ImmediateBackground())


def test_class_averages_alone_are_enough(sds: SdsSession, tmp_path: Path) -> None:
    assert sds.missing() == ""
    assert sds.spec() == SdsSpec(averages={"file": str(tmp_path / "averages.mrcs")})
    assert "one volume from 4 class averages at 48 px" in sds.sentence()
    assert "without training" in sds.sentence()
    sds.averages.close()
    assert sds.missing() == "Add class averages first."
    sds.averages.open(averages_phantom.write_stack(tmp_path, 4))
    sds.set_settings({"volumes": "each", "symmetry": "D2"})
    assert "symmetry D2" in sds.sentence()
    assert "for each of them" in sds.sentence()
    sds.set_settings({"start": "nothing"})
    assert sds.sentence().startswith("Makes a volume for each of 4 class averages")


def test_motion_is_only_spoken_of_where_it_will_be_looked_for(
    sds: SdsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    sds.set_settings({"volumes": "each", "motion_rounds": 2})
    assert "similar conformations" not in sds.sentence()
    monkeypatch.setattr(sds_session, "FEWEST_FOR_MOTION", 4)
    assert "2 rounds that tell which of them show similar conformations" in sds.sentence()
    sds.set_settings({"motion_rounds": 0})
    assert "similar conformations" not in sds.sentence()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"symmetry": "D1"}, "no point group"),
        ({"volumes": "each", "refine_rounds": 0}, "refine_rounds"),
        ({"restarts": 0}, "Independent starts"),
    ],
)
def test_what_does_not_fit_is_said_in_words(sds: SdsSession, values: dict, words: str) -> None:
    sds.set_settings(values)
    assert words in sds.missing()
    assert "Value error" not in sds.missing()
    assert sds.sentence() == ""


def test_settings_that_cannot_be_read_stop_the_run(sds: SdsSession) -> None:
    sds.set_settings({}, "Seed: needs a whole number.")
    assert sds.missing() == "Seed: needs a whole number."


@pytest.mark.parametrize("name", SDS_PRESETS)
def test_presets_keep_images_symmetry_and_reference(sds: SdsSession, tmp_path: Path, name: str) -> None:
    weights = write_weights(
        tmp_path / "w.safetensors", box=48, mask_A=sds.averages.shown.prepared.mask_radius_px * 8
    )
    sds.averages.toggle(0)
    sds.set_settings({"symmetry": "C3", "seed": 5, "title": "mine"})
    sds.set_truth(phantom.write_map(tmp_path / "map.mrc"))
    sds.apply_preset(name)
    if SDS_PRESETS[name].trained:
        assert "trained denoiser" in sds.missing()
        sds.use_weights(weights)
    assert sds.missing() == ""
    changes = {"symmetry": "C3", "seed": 5, "title": "mine", "truth": str(tmp_path / "map.mrc")}
    averages = sds.averages.spec()
    assert averages.select == (2, 3, 4)
    assert sds.spec() == SDS_PRESETS[name].spec(averages, weights=str(weights), **changes)
    assert sds.averages.box == (SDS_PRESETS[name].box or 48)


def test_a_denoiser_must_know_such_images(sds: SdsSession, tmp_path: Path) -> None:
    sds.averages.set_options({"box": 48, "mask_diameter_A": 120.0})
    sds.use_weights(write_weights(tmp_path / "a.safetensors", box=32))
    assert "images of 32 px" in sds.missing()
    sds.use_weights(write_weights(tmp_path / "b.safetensors", box=48, pixel_size_A=5.0))
    assert "pixels of 5 Å" in sds.missing()
    sds.use_weights(write_weights(tmp_path / "c.safetensors", box=48, mask_A=160.0))
    assert "mask of 160 Å" in sds.missing()
    sds.use_weights(write_weights(tmp_path / "d.safetensors", box=48))
    assert sds.missing() == ""
    assert "the denoiser d.safetensors" in sds.sentence()
    sds.use_weights(write_weights(tmp_path / "prior.safetensors"))
    assert "no 2D denoiser" in sds.missing()
    sds.use_weights(tmp_path / "missing.safetensors")
    assert sds.missing()
    sds.set_denoiser({"kind": "closed_form"})
    assert sds.missing() == ""


def test_what_the_user_left_open_follows_the_denoiser(sds: SdsSession, tmp_path: Path) -> None:
    sds.use_weights(write_weights(tmp_path / "w.safetensors", box=32, pixel_size_A=4.0, mask_A=100.0))
    assert sds.missing() == ""
    assert (sds.averages.box, sds.averages.options["mask_diameter_A"]) == (32, 100.0)


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{not json at all", bytes(200), b"\xff" * 64])
def test_damaged_weights_are_a_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError):
        read_card(path)


def test_saved_settings_come_back(sds: SdsSession, tmp_path: Path) -> None:
    sds.averages.select([1], on=False)
    sds.averages.set_options({"box": 32, "contrast": "white"})
    sds.set_settings({"volumes": "each", "only": (1, 3), "symmetry": "C2", "title": "two"})
    sds.set_distillation(sds.distillation | {"steps": 12, "anchor": 0.5})
    sds.set_denoiser({"kind": "closed_form", "angle_step_deg": 9.0, "components": 64, "shift_px": 1.0})
    spec = sds.spec()
    dump_toml(spec, tmp_path / "run.toml")
    averages = AveragesSession(ImmediateBackground())
    other = SdsSession(averages, ImmediateBackground())
    other.load(load_spec(tmp_path / "run.toml"))
    assert other.missing() == ""
    assert other.spec() == spec
    assert list(averages.selected) == [True, False, True, True]


def test_a_training_is_prepared_and_comes_back(averages: AveragesSession, tmp_path: Path) -> None:
    training = TrainingSession(averages)
    assert training.missing() == ""
    training.set_settings({"minutes": 1.0, "batch": 8, "architecture": "paper"})
    training.set_start(str(tmp_path / "before.safetensors"))
    assert "paper network on 4 class averages at 48 px, from before.safetensors" in training.sentence()
    assert "1 minute or" in training.sentence()
    spec = training.spec()
    assert isinstance(spec, TrainDenoiserSpec)
    dump_toml(spec, tmp_path / "training.toml")
    other = TrainingSession(AveragesSession(ImmediateBackground()))
    assert other.missing() == "Add class averages first."
    other.load(load_spec(tmp_path / "training.toml"))
    assert other.spec() == spec
    other.set_settings({"minutes": -1.0})
    assert "Training time" in other.missing()
