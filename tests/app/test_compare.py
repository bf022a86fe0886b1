import numpy as np

from app.compare import Compare
from app.compare_level import share_at
from app.hand import SUBUNIT, Hand, is_flipped, why_not
from app.hand_evidence import THIS, clues, verdict
from app.run_files import StoredRun
from engine.io.hand import mirrored_density
from engine.specs.components import Subunit
from engine.types import Ensemble, Frame
from tests.app.conftest import spin
from tests.app.sds_run import write_sds


def feature(window, kind):
    getattr(window.features, "make_all", lambda: None)()
    return next(f for f in window.features._all if isinstance(f, kind))


def opened(window, folder):
    window.open_run(folder)
    spin(lambda: window.run_view.stored is not None and not window.background.busy)


def test_starts_side_by_side_turn_together_and_share_a_level(window, tmp_path):
    opened(window, write_sds(tmp_path / "run", images=4, box=16))
    compare = feature(window, Compare)
    compare.toggle()
    spin(lambda: not window.background.busy)
    tiles = compare.page.tiles
    assert window.viewer.page == "compare"
    assert [t.title for t in tiles.tiles] == ["Start 1", "Start 2", "Start 3", "Start 4"]
    assert [t.badge for t in tiles.tiles] == ["3 of 4 agree"] * 3 + ["stands alone"]
    assert "correlate by 0.85 or more after alignment" in tiles.tiles[0].tip
    tiles.turn(1, 30, 10)
    assert tiles.camera(0) == tiles.camera(3)
    compare.page.linked.setChecked(False)
    tiles.turn(1, 30, 10)
    assert tiles.camera(0) != tiles.camera(1)
    before = [len(p.surface.faces) for p in tiles._places]
    assert all(before)
    compare.page.level.setValue(150)
    spin(lambda: not window.background.busy)
    assert share_at(150) < share_at(80)
    # One tile alone keeps the others' level.
    tiles.mark(2)
    compare.page.alone.setChecked(True)
    compare.page.level.setValue(20)
    assert list(compare.places) == [tiles.tiles[2].key]
    tiles.captions.double_clicked.emit(1)
    assert tiles.box(0).isEmpty()
    assert not tiles.box(1).isEmpty()
    spin(lambda: not window.background.busy)
    compare.toggle()
    assert window.viewer.page == "volume"


def test_flipping_the_hand_flips_what_is_shown_and_is_undone(window, tmp_path):
    folder = write_sds(tmp_path / "run", images=4, box=16)
    opened(window, folder)
    before = window.run_view.stored
    feature(window, Hand).flip()
    spin(lambda: is_flipped(window.run_view.stored))
    flipped = window.run_view.stored
    np.testing.assert_array_equal(flipped.sds.consensus.values, mirrored_density(before.sds.consensus.values))
    spin(lambda: not window.background.busy)
    shown = window.sds_view.maps.control.density
    np.testing.assert_array_equal(shown.values, flipped.sds.consensus.values)
    window.history.undo()
    spin(lambda: not is_flipped(window.run_view.stored))
    window.history.redo()
    spin(lambda: is_flipped(window.run_view.stored))
    spin(lambda: not window.background.busy)
    opened(window, folder)
    assert is_flipped(window.run_view.stored)


def test_a_known_part_fixes_the_hand(tmp_path):
    class Spec:
        kind = "dps"
        observations = (Subunit(file="part.pdb"),)

    ensemble = Ensemble(
        np.zeros((1, 2, 3), np.float32), "posterior", Frame((0, 0, 0), 1.0), np.zeros((1, 0), np.float32), (),
        np.arange(1),
    )  # fmt: skip
    run = StoredRun(tmp_path, Spec(), ensemble=ensemble)
    assert why_not(run) == SUBUNIT
    found = clues(run)
    assert [(c.source, c.says) for c in found] == [("Known part", THIS)]
    assert verdict(found) == "The hand that is shown is that of the known part."
    assert why_not(None)
