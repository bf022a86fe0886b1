"""The window at known poses: what is dropped, the form, a run that is shown, and what follows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication

from app.hand_evidence import THIS, clues
from app.main_window import MainWindow
from app.next_steps import step, steps_for
from app.panels.mode_switch import MODES, ROWS
from app.panels.volume_page import PRIOR
from app.run_files import load_run
from app.run_summary import summary_of
from app.sds_files import load_sds
from app.surfaces import Surface
from engine.errors import RunError
from engine.io.export_volumes import export_volumes
from engine.io.mrc import read_volume
from engine.io.pseudo_atoms import GaussianCloud, write_gaussians
from engine.jobs.run_dir import RunDir
from engine.specs.components import ProjectionImages
from engine.specs.job import DpsSpec
from engine.specs.known_poses import InlinePrior, KnownPosesSpec, PosedImages
from engine.specs.sds import ClassAveragesInput, SdsSpec
from tests.app import averages_phantom, known_poses_run, phantom, sds_run
from tests.app.conftest import ReplayWorker, spin
from tests.app.test_sds_session import write_weights


@pytest.fixture
def workers() -> list[ReplayWorker]:
    return []


@pytest.fixture
def window(settings, workers: list[ReplayWorker], _no_leaks: None) -> Iterator[MainWindow]:
    def make(spec, folder, on_event) -> ReplayWorker:
        workers.append(ReplayWorker(spec, folder, on_event))
        return workers[-1]

    window = MainWindow(settings, make)
    window.features.make_all()
    window.show()
    window.modes.set_mode("known_poses")
    QCoreApplication.processEvents()
    yield window
    window.dialogs.leave_running = lambda: "cancel"
    window.close()
    window.deleteLater()
    QCoreApplication.processEvents()


def drop(window: MainWindow, *paths: Path) -> None:
    window.modes.add_files(paths)
    spin(lambda: not window.background.busy)


def test_each_mode_has_its_button_in_a_grid_without_holes(window: MainWindow) -> None:
    switch = window.modes.switch
    assert sorted(mode for row in ROWS for mode in row) == sorted(MODES)
    widths = {mode: switch.button(mode).width() for mode in MODES}
    assert widths["known_poses"] > 1.8 * widths["dps"]
    assert widths["dps"] == pytest.approx(widths["train_prior"], abs=2)
    window.modes.set_mode("dps")
    assert switch.button("known_poses").shortcut().toString() == "Alt+5"
    switch.button("known_poses").click()
    assert window.modes.mode == "known_poses"


def test_each_file_finds_its_place(window: MainWindow, tmp_path: Path) -> None:
    session, panel = window.modes.known.session, window.modes.known.panel
    drop(window, phantom.write_map(tmp_path / "map.mrc"), known_poses_run.write_posed(tmp_path, box=24))
    assert session.files == {"poses": tmp_path / "posed.star", "truth": tmp_path / "map.mrc"}
    assert panel.cards["poses"].isVisible()
    assert panel.pictures.isVisible()
    assert panel.pictures.count == 5
    spin(lambda: panel.coverage.isVisible())
    assert panel.coverage.words.startswith("5 views cover")
    # a stack beside images that are there is a library; class averages are one anyway
    drop(window, averages_phantom.write_stack(tmp_path, 4))
    assert session.files["library"].name == "averages.mrcs"
    assert session.library is not None
    assert session.library.count == 4
    drop(window, write_weights(tmp_path / "w.safetensors", box=48, mask_A=100.0))
    assert session.spec().denoiser.weights == str(tmp_path / "w.safetensors")
    said = len(window.messages.texts())
    drop(window, phantom.write_structure(tmp_path / "a.pdb"), tmp_path / "lost.mrcs")
    texts = window.messages.texts()[said:]
    assert any("a.pdb is of no use here" in text for text in texts)
    assert any("lost.mrcs" in text for text in texts)
    assert window.modes.known.run_panel.run_button.isEnabled()
    for card in panel.cards.values():
        card._remove.click()
    assert not session.files
    window.history.undo()
    assert "truth" in session.files


def test_poses_and_stack_dropped_together_belong_together(window: MainWindow, tmp_path: Path) -> None:
    star = known_poses_run.write_posed(tmp_path, images=3, box=24)
    stack = (tmp_path / "posed.mrcs").rename(tmp_path / "moved.mrcs")
    drop(window, star)
    assert "posed.mrcs" in window.modes.session.missing()  # which the poses name
    drop(window, stack)
    session = window.modes.known.session
    assert session.files["images"] == stack
    assert window.modes.session.missing() == ""
    session.set_file("poses", None)
    session.set_file("images", None)
    drop(window, stack, star)
    assert session.files == {"poses": star, "images": stack}
    assert session.look is not None
    assert session.look.count == 3


def test_the_form_is_the_method_s(window: MainWindow, tmp_path: Path) -> None:
    drop(window, known_poses_run.write_posed(tmp_path, images=3, box=24))
    panel, session = window.modes.known.run_panel, window.modes.known.session

    def choose(box, key: str) -> None:
        box.setCurrentIndex(box.findData(key))
        box.activated.emit(box.currentIndex())

    choose(panel.method, "wiener")
    assert not panel.denoiser.isVisible()
    assert not panel.representation.isVisible()
    choose(panel.method, "ipsm")
    assert panel.denoiser.isVisible()
    assert panel.method_form.isVisible()
    assert panel.method_form.values_shown()[-1] == "geometry"
    panel.method_form.field("eta_r").setValue(0.4)
    assert session.spec().method == InlinePrior(eta_r=0.4)
    panel.method_form.field("geometry").setValue(0.5)
    assert "geometry" in window.modes.session.missing()
    panel.method_form.field("geometry").setValue(1.0)
    choose(panel.representation, "gaussians")
    assert panel._gaussians.isVisible()
    assert session.spec().representation.kind == "gaussians"
    choose(panel.method, "denoised_views")
    assert session.spec().representation.kind == "voxels"
    choose(panel.denoiser, "gaussian")
    assert session.spec().denoiser.kind == "gaussian"
    spec = session.spec()
    window.modes.set_mode("dps")
    window.modes.load(spec)
    assert window.modes.mode == "known_poses"
    assert session.spec() == spec
    assert panel.denoiser.currentData() == "gaussian"
    panel.presets.chosen.emit("paper")
    panel.preset_chosen.emit("paper")
    assert session.spec().method == InlinePrior()
    window.features["presets"].show()
    assert window.features["presets"]._state_of("known_poses") == ("paper", [])


def test_run_starts_what_is_described(
    window: MainWindow, workers: list[ReplayWorker], tmp_path: Path
) -> None:
    drop(window, known_poses_run.write_posed(tmp_path, images=3, box=24))
    spec = window.modes.known.session.spec()
    window.start_run()
    spin(lambda: len(workers) == 1)
    assert workers[0].spec == spec
    assert not window.modes.known.panel.add_button.isEnabled()


def test_a_finished_run_is_shown_with_what_was_measured(window: MainWindow, tmp_path: Path) -> None:
    folder = known_poses_run.write_known_poses(tmp_path / "runs" / "few", box=32)
    window.modes.set_mode("dps")
    window.open_run(folder)
    panels, page, maps = window.sds_panels, window.viewer.volume, window.sds_view.maps
    spin(lambda: page.volume.drawn() > 100 and panels.coverage.card.words != "")
    assert window.modes.mode == "known_poses"
    shown = [window.tabs.tabText(i) for i in range(window.tabs.count()) if window.tabs.isTabVisible(i)]
    assert shown == ["Results", "Coverage", "Images", "Messages"]
    assert maps.key == "map:Volume"
    assert "37 % of its power" in panels.results._summary.text()
    rows = {row.label: row.value for row in panels.results.rows}
    assert rows["FSC, reference"] == known_poses_run.SENTENCE_TRUTH
    assert "FSC, reference, least squares" in rows
    assert panels.coverage.card.words.startswith("5 views cover")
    assert panels.coverage._words.text() == known_poses_run.SENTENCE
    assert panels.matches._number.prefix() == "Image "
    assert any("hand is that of the poses" in text for text in window.messages.texts())

    # Colour by what the prior supplied: the ramp along z, its ends 0 and 1 whatever the surface holds.
    page.toggle_colouring()
    spin(lambda: page.volume.overlay.state.colour_range is not None and not window.background.busy)
    assert page._colour.currentData() == PRIOR
    assert page.volume.overlay.state.colour_range == (0.0, 1.0)
    assert "prior" in page.volume.overlay.state.colour_title
    grey, orange = page.volume._colours(
        Surface(*[page.volume.fine.vertices] * 3, values=np.array([0.0, 1.0]))
    )
    assert np.ptp(grey) < 0.1
    assert orange[0] > 2 * orange[1] > 2 * orange[2]
    surface = page.volume.fine
    box = 32
    expected = (surface.vertices[:, 2] / known_poses_run.PIXEL_A + box // 2) / (box - 1)
    np.testing.assert_allclose(surface.values, expected, atol=1e-3)

    # Least squares in the same camera, coloured still; plain again.
    scale = page.volume.camera.scale_factor
    page.set_kind("surface")
    page.map_chosen.emit("map:Least squares")
    spin(lambda: maps.key == "map:Least squares" and not window.background.busy)
    spin(lambda: maps.control.current.density.name == "Least squares")
    assert page.volume.camera.scale_factor == scale
    assert page.volume.fine.values is not None
    page.toggle_slices()
    assert page.slices.pixels(0).ndim == 3
    page.toggle_colouring()
    spin(lambda: page.volume.overlay.state.colour_range is None and not window.background.busy)
    assert page.slices.pixels(0).ndim == 2
    page.toggle_slices()


def test_a_run_that_was_cut_off_shows_its_last_picture(window: MainWindow, tmp_path: Path) -> None:
    folder = known_poses_run.write_known_poses(tmp_path / "runs" / "few", box=20, finished=False)
    window.open_run(folder)
    spin(lambda: "not finished" in window.sds_panels.results._summary.text())
    spin(lambda: window.viewer.volume.volume.drawn() > 10)
    assert not window.sds_panels.coverage.plot.isVisible()
    assert not load_run(folder).completed
    assert summary_of(folder).kind == "known_poses"


def test_poses_and_reference_tell_the_hand(tmp_path: Path) -> None:
    run = load_run(known_poses_run.write_known_poses(tmp_path / "runs" / "few", box=24))
    (tmp_path / "runs" / "truth.mrc").unlink()  # the run has its own
    by_source = {clue.source: clue for clue in clues(run)}
    given = by_source["Projections at the poses given"]
    assert given.says == THIS
    assert float(given.this) > float(given.mirror) + 0.02
    assert float(by_source["Reference"].this) > 0.95  # this blob is nearly its own mirror image


def test_images_of_a_run_can_be_left_out_of_the_next(window: MainWindow, tmp_path: Path) -> None:
    folder = known_poses_run.write_known_poses(tmp_path / "runs" / "few", images=4, box=20)
    window.open_run(folder)
    spin(lambda: window.run_view.stored is not None and not window.background.busy)
    spec = window.run_view.stored.spec
    window.modes.known.leave_out(spec, [1, 2, 3, 4], [1, 2])
    spin(lambda: not window.background.busy)
    assert window.modes.known.session.spec() == spec.model_copy(
        update={"images": spec.images.model_copy(update={"select": (1, 4)})}
    )
    window.modes.known.leave_out(spec, [1, 2], [0, 1])
    assert window.modes.known.session.options["select"] == (1, 4)


def test_what_follows_and_what_comes_before(tmp_path: Path) -> None:
    averages = sds_run.write_sds(tmp_path / "sds" / "run", images=6, box=20, starts=2, with_volumes=False)
    spec = RunDir.open(averages).spec()
    assert isinstance(spec, SdsSpec)
    assert "refine_at_poses" in [s.key for s in steps_for(spec, averages)]
    following = step("refine_at_poses").prepare(spec, averages)
    assert isinstance(following, KnownPosesSpec)
    assert following.images.poses == str(averages)
    assert following.library == spec.averages
    assert following.refinement.rounds == 0  # of six images
    with_copies = step("refine_at_poses").prepare(spec.model_copy(update={"symmetry": "D2"}), averages)
    assert with_copies.refinement.rounds > 0
    run = known_poses_run.write_known_poses(tmp_path / "runs" / "few", images=3, box=20)
    own = RunDir.open(run).spec()
    assert [s.key for s in steps_for(own, run)] == ["points_at_poses"]
    points = step("points_at_poses").prepare(own, run)
    assert isinstance(points, DpsSpec)
    assert Path(points.observations[0].poses).is_file()
    with_library = own.model_copy(update={"library": ClassAveragesInput(file="/c.mrcs")})
    assert step("denoiser_of_library").prepare(with_library, run).averages.file == "/c.mrcs"
    # a run of points with a density map can go on as a volume
    dps = DpsSpec(observations=(ProjectionImages(images="/a.mrcs", poses="/a.star", select=(2, 3)),))
    assert "volume_at_poses" not in [s.key for s in steps_for(dps, tmp_path / "dps")]
    (tmp_path / "dps" / "results").mkdir(parents=True)
    (tmp_path / "dps" / "results" / "map.mrc").touch()
    assert "volume_at_poses" in [s.key for s in steps_for(dps, tmp_path / "dps")]
    volume = step("volume_at_poses").prepare(dps, tmp_path / "dps")
    assert volume.images == PosedImages(poses="/a.star", images="/a.mrcs", select=(2, 3))
    assert volume.start.endswith("map.mrc")


def test_a_run_goes_out_to_other_programs(tmp_path: Path) -> None:
    run = known_poses_run.write_known_poses(tmp_path / "runs" / "few", images=3, box=20)
    written = export_volumes(run, tmp_path / "show.cxc", "cxc")
    text = (tmp_path / "show.cxc").read_text()
    assert "known poses" in text
    assert "range 0,1" in text
    (fraction,) = (path for path in written if path.name == "show_prior.mrc")
    np.testing.assert_allclose(
        read_volume(fraction).density, known_poses_run.fraction_of(np.zeros((20, 20, 20)))
    )
    parts = {part.title: part.key for part in summary_of(run).parts}
    assert parts["Volume"] == "map:Volume"
    assert parts["Least squares"] == "map:Least squares"
    assert set(load_sds(run).maps) == {"Volume", "Least squares", "Reference"}


def test_gaussians_go_out_as_pseudo_atoms_where_there_are_some(window: MainWindow, tmp_path: Path) -> None:
    run = known_poses_run.write_known_poses(tmp_path / "runs" / "few", images=3, box=20)
    dialog = window.saving.dialog_for(load_run(run))
    assert "mmcif" not in dialog._formats
    dialog.deleteLater()
    with pytest.raises(RunError, match="no set of 3D Gaussians"):
        export_volumes(run, tmp_path / "a.cif", "mmcif")
    cloud = GaussianCloud(np.zeros((2, 3)), np.ones(2), np.stack([4.0 * np.eye(3)] * 2))
    write_gaussians(run / "results" / "gaussians.npz", cloud)
    dialog = window.saving.dialog_for(load_run(run))
    assert "mmcif" in dialog._formats
    dialog.deleteLater()
    (written,) = export_volumes(run, tmp_path / "a.cif", "mmcif")
    assert written.is_file()
