"""A volume at known poses being prepared: what is missing, what it says, what undo and files do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app import known_poses_state
from app.coverage import Coverage
from app.known_poses_session import FILES_WANTED, NO_DENOISER, KnownPosesSession
from app.known_poses_words import sizes_differ, unmeasured
from app.posed_files import PosedLook, has_poses, kind_at_known_poses, look_at_images, look_at_library
from engine.specs.known_poses import (
    GaussianImages,
    GaussianSplats,
    InlinePrior,
    KnownPosesSpec,
    PosedImages,
    PoseRefinement,
    Wiener,
)
from engine.specs.sds import ClassAveragesInput, TrainedDenoiser
from tests.app import averages_phantom, known_poses_run
from tests.app.conftest import ImmediateBackground
from tests.app.test_sds_session import write_weights


@pytest.fixture
def background() -> ImmediateBackground:
    return ImmediateBackground()


@pytest.fixture
def session(background: ImmediateBackground) -> KnownPosesSession:
    return KnownPosesSession(background)


@pytest.fixture
def posed(tmp_path: Path) -> Path:
    return known_poses_run.write_posed(tmp_path, images=4, box=24)


def test_says_what_is_missing_step_by_step(
    session: KnownPosesSession, background: ImmediateBackground, posed: Path
) -> None:
    assert session.missing() == FILES_WANTED
    assert session.sentence() == ""
    background.held = []
    session.set_file("poses", posed)
    assert session.missing() == "posed.star is being read."
    for work in background.held:
        work()
    background.held = None
    assert session.missing() == ""
    assert session.look is not None
    assert session.look.sentence == "4 images of 24 × 24 pixels, 4 Å each"
    np.testing.assert_allclose(session.look.rotations, known_poses_run.rotations_of(4), atol=1e-6)
    assert len(session.look.pictures.pixels) == 4
    session.set_part("denoiser", {"kind": "trained", "weights": ""})
    assert session.missing() == NO_DENOISER
    session.set_part("method", Wiener().model_dump())
    assert session.missing() == ""  # which asks no denoiser
    session.set_part("refinement", {}, "Refine poses: Must be at least 0.")
    assert session.missing() == "Refine poses: Must be at least 0."


def test_problems_name_the_file(session: KnownPosesSession, tmp_path: Path) -> None:
    (tmp_path / "lost.star").write_text("data_\n\nloop_\n_rlnVoltage #1\n300\n")
    session.set_file("poses", tmp_path / "lost.star")
    assert "lost.star" in session.missing()
    session.set_file("poses", tmp_path / "nothing here.star")
    assert "nothing here.star" in session.missing()
    assert "moved.hdf" in look_at_library(tmp_path / "moved.hdf").problem


def test_the_description_holds_what_was_given_and_comes_back(
    session: KnownPosesSession, posed: Path, tmp_path: Path
) -> None:
    library = averages_phantom.write_stack(tmp_path, 5)
    spec = KnownPosesSpec(
        images=PosedImages(poses=str(posed), select=(1, 3), box=20, equal_contrast=True),
        method=InlinePrior(steps=9, eta_r=0.3),
        denoiser=GaussianImages(),
        library=ClassAveragesInput(file=str(library), pixel_size_A=3.0),
        representation=GaussianSplats(count=200, most=300),
        refinement=PoseRefinement(rounds=2),
        symmetry="T", seed=4, title="two", truth=str(tmp_path / "truth.mrc"), start=str(tmp_path / "s.mrc"),
    )  # fmt: skip
    session.load(spec)
    assert session.spec() == spec
    assert session.missing() == ""
    text = session.sentence()
    for part in ("2 images", "inline-prior", "9 steps of 12 random views", "power spectrum of 5 class",
                 "200 Gaussians", "symmetry T", "2 rounds"):  # fmt: skip
        assert part in text
    session.load(KnownPosesSpec(images=PosedImages(poses=str(posed))))
    assert session.spec() == KnownPosesSpec(images=PosedImages(poses=str(posed)))


def test_gaussians_wait_for_a_method_that_moves_them(session: KnownPosesSession, posed: Path) -> None:
    session.set_file("poses", posed)
    session.set_part("representation", GaussianSplats(count=99).model_dump())
    assert session.spec().representation.kind == "voxels"
    session.set_part("method", InlinePrior().model_dump())
    assert session.spec().representation == GaussianSplats(count=99)


def test_poses_of_few_images_are_not_refined(session: KnownPosesSession, posed: Path) -> None:
    session.set_file("poses", posed)
    session.set_part("refinement", PoseRefinement(rounds=1).model_dump())
    assert "4 images can't be refined" in session.missing()
    session.set_settings({"symmetry": "D2"})  # four copies of each
    assert session.missing() == ""


def test_presets_set_the_method_alone(session: KnownPosesSession, posed: Path) -> None:
    session.set_file("poses", posed)
    session.set_settings({"symmetry": "D2", "seed": 5})
    session.apply_preset("quick look")
    assert session.spec().method == Wiener()
    assert (session.spec().symmetry, session.spec().seed) == ("D2", 5)
    session.apply_preset("paper")
    assert session.spec().method == InlinePrior()


def test_every_change_can_be_taken_back_without_reading_again(
    session: KnownPosesSession, posed: Path, tmp_path: Path
) -> None:
    session.set_file("poses", posed)
    before, looked = session.snapshot(), session.look
    session.set_options({"select": (2,)})
    session.history.seal()
    session.set_part("method", InlinePrior(steps=3).model_dump())
    session.history.seal()
    session.set_file("truth", tmp_path / "truth.mrc")
    session.set_file("poses", tmp_path / "other.star")
    assert "images" not in session.files
    assert session.options["select"] == ()  # rows of another file
    for _ in range(4):
        session.history.undo()
    assert session.snapshot() == before
    assert session.look is looked
    session.history.redo()
    assert session.options["select"] == (2,)
    assert session.look is not None
    assert session.look.count == 1


def test_a_saved_session_comes_back_but_for_files_that_are_gone(
    session: KnownPosesSession, posed: Path, tmp_path: Path, background: ImmediateBackground
) -> None:
    session.set_file("poses", posed)
    session.set_file("truth", tmp_path / "gone.mrc")
    session.set_part("method", InlinePrior(steps=3).model_dump())
    session.set_settings({"symmetry": "C3"})
    state = known_poses_state.capture(session)
    assert set(known_poses_state.files_of(state)) == {str(posed), str(tmp_path / "gone.mrc")}
    other = KnownPosesSession(background)
    known_poses_state.put_back(other, state, {str(tmp_path / "gone.mrc")})
    assert other.spec() == session.spec().model_copy(update={"truth": None})
    spoilt = {"files": 3, "method": {"kind": "magic"}, "settings": {"seed": -1}}
    known_poses_state.put_back(other, spoilt, set())
    assert other.parts["method"]["steps"] == 3
    assert not other.files


def test_trained_denoisers_are_looked_at(session: KnownPosesSession, posed: Path, tmp_path: Path) -> None:
    session.set_file("poses", posed)
    session.use_weights(write_weights(tmp_path / "w.safetensors", box=20, mask_A=60.0))
    assert session.spec().denoiser == TrainedDenoiser(weights=str(tmp_path / "w.safetensors"))
    assert session.missing() == ""
    assert "w.safetensors" in session.sentence()
    session.set_options({"box": 24})
    assert "Set it to 20 px" in session.missing()
    session.use_weights(write_weights(tmp_path / "prior.safetensors"))
    assert "prior.safetensors is no 2D denoiser" in session.missing()


def test_files_are_recognised_by_what_they_hold(posed: Path, tmp_path: Path) -> None:
    assert kind_at_known_poses(posed) == "poses"
    assert kind_at_known_poses(posed.with_suffix(".mrcs")) == "images"
    assert kind_at_known_poses(averages_phantom.write_classes(tmp_path / "c", 3)) == "class_averages"
    run = known_poses_run.write_known_poses(tmp_path / "runs" / "one", images=3, box=20)
    assert has_poses(run)
    assert kind_at_known_poses(run) == "poses"
    dataset = np.zeros(2, [("uid", "u8"), ("alignments3D/pose", "f4", 3)])
    with open(tmp_path / "p.cs", "wb") as handle:
        np.save(handle, dataset)
    assert kind_at_known_poses(tmp_path / "p.cs") == "poses"
    with open(tmp_path / "q.cs", "wb") as handle:
        np.save(handle, dataset[["uid"]])
    assert kind_at_known_poses(tmp_path / "q.cs") == "class_averages"


def test_a_run_gives_its_images_and_poses(tmp_path: Path) -> None:
    run = known_poses_run.write_known_poses(tmp_path / "runs" / "one", images=3, box=20)
    look = look_at_images(PosedImages(poses=str(run)))
    assert look.problem == ""
    assert (look.count, look.side, look.pixel_size_A) == (3, 20, 4.0)
    np.testing.assert_allclose(look.rotations, known_poses_run.rotations_of(3), atol=1e-5)


def test_a_library_without_a_pixel_size_waits_for_it(
    session: KnownPosesSession, posed: Path, tmp_path: Path
) -> None:
    session.set_file("poses", posed)
    session.set_file("library", averages_phantom.write_stack(tmp_path, 3, pixel_size_A=0.0))
    assert "averages.mrcs doesn't say how large a pixel is" in session.missing()
    session.set_library_options({"pixel_size_A": 4.0})
    assert session.missing() == ""
    session.set_library_options({"pixel_size_A": None})
    session.set_part("method", Wiener().model_dump())
    assert session.missing() == ""  # which doesn't use it


def test_a_library_of_another_size_is_doubted(tmp_path: Path) -> None:
    library = look_at_library(averages_phantom.write_stack(tmp_path, 3))
    assert (library.count, library.needs_pixel_size) == (3, False)
    side = library.width_A / 4
    assert sizes_differ(PosedLook(5, round(side), 4.0), library) == ""
    assert "pixel size" in sizes_differ(PosedLook(5, round(side), 1.0), library)
    assert sizes_differ(None, library) == sizes_differ(PosedLook(5, 64, 4.0), None) == ""
    asked = look_at_library(averages_phantom.write_stack(tmp_path, 3, pixel_size_A=0.0))
    assert asked.needs_pixel_size
    assert sizes_differ(PosedLook(5, 64, 4.0), asked) == ""


def test_says_how_much_no_image_shows() -> None:
    assert unmeasured(None) == ""
    assert unmeasured(Coverage(5, 0.2, 0.97, (0.0, 0.0, 1.0), 60.0)) == ""
    assert unmeasured(Coverage(5, 0.2, 0.36, (0.0, 0.0, 1.0), 60.0)).startswith("64 % of the directions")
    assert PosedLook().sentence == ""
    assert PosedLook(5, 65).working_box(0) == 64
    assert PosedLook(5, 48).working_box(0) == 48
