import numpy as np

from app.scrubber import ScrubberFeature, words_of
from engine.io.frames import FrameFacts, FrameKeeper
from tests.app.conftest import spin
from tests.app.sds_run import body, write_sds
from tests.app.test_compare import feature
from tests.app.test_compare_live import moved, running

__all__ = ["running"]


def test_going_back_through_a_run_and_to_its_result(window, tmp_path):
    folder = write_sds(tmp_path / "run", images=4, box=16)
    keeper = FrameKeeper(folder)
    for step in range(1, 6):
        keeper.map(step * body(16), FrameFacts("map", "", step, 5, 0.1 * step, "start 1 of 4", 4.0))
    window.open_run(folder)
    scrubber = feature(window, ScrubberFeature)
    spin(lambda: scrubber.panel.isVisible() and not window.background.busy)
    maps = window.sds_view.maps
    assert scrubber.panel.slider.maximum() == 5
    scrubber.panel.slider.setValue(2)
    spin(lambda: not window.background.busy)
    np.testing.assert_allclose(maps.control.density.values, 3 * body(16), rtol=1e-2, atol=1e-3)
    assert scrubber.panel.slider.accessibleDescription() == "Start 1 of 4 · step 3 of 5 · σ = 0.3"
    scrubber.panel.end.click()
    spin(lambda: not window.background.busy)
    assert maps.key == "map:Consensus"
    scrubber.play()
    spin(lambda: not scrubber.panel.play.isChecked())
    assert scrubber.panel.slider.value() == 5
    spin(lambda: not window.background.busy)


def test_one_goes_back_while_the_run_goes_on(running):
    window, scrubber = running, feature(running, ScrubberFeature)
    scrubber._grow.setInterval(0)
    keeper, maps, slider = FrameKeeper(window.monitor.folder), window.sds_view.maps, scrubber.panel.slider

    def keep(step):
        keeper.map(step * body(16), FrameFacts("map", "", step, 9, 0.0, "start 1 of 1", 4.0))
        moved(window, "start 1 of 1", step * body(16), step)
        spin(lambda: slider.maximum() == step and not window.background.busy)

    for step in (1, 2, 3):
        keep(step)
    assert scrubber.panel.isVisible()
    assert scrubber.panel.end.text() == "Now"
    slider.setValue(0)
    spin(lambda: not window.background.busy)
    keep(4)
    assert slider.value() == 0  # one stays where one has gone back to
    np.testing.assert_allclose(maps.control.density.values, body(16), rtol=1e-2, atol=1e-3)
    scrubber.panel.end.click()
    keep(5)
    assert slider.value() == 5
    np.testing.assert_allclose(maps.control.density.values, 5 * body(16), rtol=1e-2, atol=1e-3)


def test_the_words_of_a_frame():
    facts = FrameFacts("points", "", 3, 40, 0.25, energies={"a": 4.0, "b": 4.0})
    assert words_of(facts) == "step 3 of 40 · σ = 0.25 · residual 2 Å"
