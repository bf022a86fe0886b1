"""The card of the two hands: numbers for each, and flipping from it."""

import numpy as np
import pytest

from app.forensics_files import compare_map, load_views
from app.hand import Hand, is_flipped
from app.hand_evidence import MIRROR, NEITHER, THIS, Clue, clues, fits_of, mirrored, verdict
from app.run_files import load_run
from app.surfaces import Density
from engine.io.hand import set_flipped
from engine.io.volumes import write_map
from tests.app.conftest import spin
from tests.app.sds_run import body, write_sds
from tests.app.test_compare import feature, opened


def test_a_known_shape_tells_and_a_symmetric_one_does_not():
    shape = Density(body(24), 4.0)
    own, other = fits_of(Density(body(24), 4.0), shape)
    assert own > 0.99
    assert own - other > 0.02
    ball = np.exp(-sum(x**2 for x in np.indices((24,) * 3) - 12) / 30).astype(np.float32)
    own, other = fits_of(Density(ball, 4.0), Density(ball, 4.0))
    assert abs(own - other) < 0.01


def test_views_at_unknown_poses_fit_both_hands_also_after_a_flip(tmp_path):
    folder = write_sds(tmp_path / "run", images=5, box=20)
    plain = clues(load_run(folder))
    assert [(c.source, c.says) for c in plain] == [("Class averages", NEITHER)]
    assert float(plain[0].this) == pytest.approx(float(plain[0].mirror), abs=0.01)
    assert "can't tell" in plain[0].words
    assert verdict(plain) == "Nothing that was given tells this hand from its mirror image."
    run = load_run(folder)
    before = compare_map(load_views(run), run.sds.consensus).correlation
    set_flipped(folder, True)
    run = load_run(folder)
    after = compare_map(load_views(run), run.sds.consensus).correlation
    np.testing.assert_allclose(after, before, atol=0.02)  # poses flip with the map


def test_the_reference_says_which_hand_and_the_card_flips_it(window, tmp_path):
    folder = write_sds(tmp_path / "run", images=4, box=24)
    run = load_run(folder)
    truth = tmp_path / "truth.mrc"
    write_map(truth, mirrored(run.sds.consensus).values, 4.0)
    spec = folder / "spec.json"
    text = spec.read_text()
    assert '"truth": null' in text
    spec.write_text(text.replace('"truth": null', f'"truth": "{truth}"'))
    opened(window, folder)
    hand = feature(window, Hand)
    hand.card.toggle()
    spin(lambda: not window.background.busy)
    page = hand.card.page
    assert window.viewer.page == "hand"
    assert [t.title for t in page.tiles.tiles] == ["This hand", "Mirror image"]
    this, other = (place.surface.vertices for place in page.tiles._places)
    np.testing.assert_allclose(this * (1, 1, -1), other)
    assert "The mirror image fits the reference better: flip the hand." in page.verdict.text()
    assert "Speaks for the mirror image." in page.said()
    page.tiles.turn(0, 25, 5)
    assert page.tiles.camera(0) == page.tiles.camera(1)
    page.flip.click()
    spin(lambda: is_flipped(window.run_view.stored) and not window.background.busy)
    assert window.viewer.page == "hand"
    assert page.state.text() == "This hand: mirror image of what was computed"
    assert page.verdict.text() == "The hand that is shown is that of the reference."
    window.history.undo()
    spin(lambda: not is_flipped(window.run_view.stored) and not window.background.busy)
    assert "flip the hand" in page.verdict.text()
    hand.card.toggle()
    assert window.viewer.page == "volume"


def test_evidence_that_disagrees_is_said_so():
    found = [Clue("Coarse map", "", "", THIS, ""), Clue("Reference", "", "", MIRROR, "")]
    assert "disagree about the hand (the coarse map and the reference)" in verdict(found)
