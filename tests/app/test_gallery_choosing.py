"""Order, captions, blocks by mouse and keys, and what is drawn when."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from app.averages_columns import of_averages
from app.averages_files import Thumbnails
from app.panels.gallery import Gallery
from app.panels.gallery_model import SORTED, GalleryModel
from tests.app.conftest import spin
from tests.app.test_gallery import COUNTS, QUALITY, RESOLUTIONS, names, pictures

SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
NONE = Qt.KeyboardModifier.NoModifier
SCORES = np.array([0.25, np.nan, 0.75, 0.5])


@pytest.fixture
def model() -> GalleryModel:
    found = GalleryModel()
    found.set_images(
        names(4), pictures(4), of_averages(COUNTS, RESOLUTIONS, {"rlnClassScore": SCORES, "rlnOdd": COUNTS})
    )
    return found


class Chosen:
    """A gallery with a selection behind it, as the session has."""

    def __init__(self, qtbot, count: int = 40) -> None:
        self.gallery = Gallery()
        qtbot.addWidget(self.gallery)
        self.gallery.resize(640, 700)
        self.gallery.set_images(names(count), pictures(count))
        self.selected = np.ones(count, bool)
        self.gallery.select_wanted.connect(self.select)
        self.gallery.toggle_wanted.connect(lambda i: self.select([i], not self.selected[i]))
        self.previews: list[list[int]] = []
        self.gallery.block_changed.connect(lambda images, _on: self.previews.append(list(images)))
        self.gallery.set_selected(self.selected, "")
        self.gallery.show()
        self.view = self.gallery.view
        spin(lambda: self.view.visualRect(self.gallery.model.index(9)).isValid(), 5)
        self.columns = self.view._columns()

    def select(self, images, on) -> None:
        self.selected = self.selected.copy()
        self.selected[np.asarray(images, int)] = on
        self.gallery.set_selected(self.selected, "")

    def centre(self, row: int) -> QPoint:
        return self.view.visualRect(self.gallery.model.index(row)).center()

    def drag(self, first: int, last: int, modifier=NONE) -> None:
        viewport = self.view.viewport()
        QTest.mousePress(viewport, Qt.MouseButton.LeftButton, modifier, self.centre(first))
        for share in (0.3, 1.0):
            way = self.centre(first) + (self.centre(last) - self.centre(first)) * share
            event_at(viewport, way, modifier)
        QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, modifier, self.centre(last))

    def left_out(self) -> list[int]:
        return np.flatnonzero(~self.selected).tolist()


def event_at(widget, place: QPoint, modifier) -> None:
    from PySide6.QtCore import QEvent, QPointF
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication

    where = QPointF(place)
    left = Qt.MouseButton.LeftButton
    event = QMouseEvent(
        QEvent.Type.MouseMove, where, QPointF(widget.mapToGlobal(place)), left, left, modifier
    )
    QApplication.sendEvent(widget, event)


@pytest.fixture
def chosen(qtbot) -> Chosen:
    return Chosen(qtbot)


def test_the_bars_fit_into_a_small_window(chosen: Chosen) -> None:
    assert chosen.gallery.minimumSizeHint().width() < 530  # of 1280, beside two columns


def test_any_column_sorts_both_ways_and_is_written_below(model: GalleryModel) -> None:
    model.sort_by("rlnClassScore")
    assert list(model.order) == [2, 3, 0, 1]  # best first, unknown last
    assert model.lines_of(2) == ("3", "20 · 7 Å", "0.75")
    assert model.lines_of(1) == ("2", "50", "")
    assert "class score 0.75" in model.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
    model.sort_by("rlnClassScore", descending=False)
    assert list(model.order) == [0, 3, 2, 1]
    model.sort_by("number", descending=True)
    assert list(model.order) == [3, 2, 1, 0]
    assert model.lines_count == 2


def test_captions_are_chosen(model: GalleryModel) -> None:
    model.set_captions(("rlnClassScore", "rlnOdd"))
    assert model.lines_of(2) == ("0.75 · 20",)
    model.set_captions(("number", SORTED))
    model.sort_by("resolution")
    assert model.lines_of(0) == ("1", "12 Å")
    model.set_captions(())
    assert model.lines_of(0) == ()


def test_an_order_waits_for_its_column(model: GalleryModel) -> None:
    model.sort_by("quality")
    assert (model.key, list(model.order)) == ("number", [0, 1, 2, 3])
    model.set_quality(QUALITY)
    assert (model.key, list(model.order)) == ("quality", [1, 3, 0, 2])
    model.set_images(names(3), pictures(3))
    assert (model.key, model.wanted_order) == ("number", ("quality", True))


def test_the_bar_offers_the_columns_and_reverses(chosen: Chosen) -> None:
    gallery = chosen.gallery
    gallery.set_images(names(4), pictures(4), of_averages(COUNTS, RESOLUTIONS, {"rlnClassScore": SCORES}))
    texts = [gallery._sort.itemText(i) for i in range(gallery._sort.count())]
    assert texts == [f"Sorted by {w}" for w in ("number", "particles", "resolution", "class score")]
    gallery._sort.setCurrentIndex(3)
    gallery._sort.activated.emit(3)
    assert list(gallery.model.order) == [2, 3, 0, 1]
    gallery.choosing.direction.click()
    assert list(gallery.model.order) == [0, 3, 2, 1]
    assert "Smallest first" in gallery.choosing.direction.toolTip()
    by_text = {a.text().replace("&", ""): a for a in gallery.choosing.captions.menu().actions()}
    by_text["Number"].trigger()
    assert gallery.model.lines_of(2) == ("20 · 7 Å", "0.75")
    by_text["Same greys for all images"].trigger()
    assert gallery.model.common_greys


def test_equal_values_are_equal_greys_only_if_wanted(qtbot) -> None:
    from app.averages_files import thumbnails

    ramp = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (16, 1))
    gallery = Gallery()
    qtbot.addWidget(gallery)
    gallery.set_images(names(2), thumbnails(np.stack([ramp, 0.25 * ramp])))

    def brightest(image: int) -> int:
        return gallery.model.picture(image).pixelColor(15, 3).red()

    assert brightest(1) == 255
    gallery.use_common_greys(True)
    assert brightest(1) < 128 < brightest(0)


def test_a_rubber_band_treats_its_block_as_its_first_image(chosen: Chosen) -> None:
    wide = chosen.columns
    block = [0, 1, 2, wide, wide + 1, wide + 2]
    chosen.drag(0, wide + 2)
    assert chosen.left_out() == block
    assert chosen.previews[-2:] == [block, []]  # shown while it was drawn
    chosen.drag(wide + 2, wide)  # in any direction
    assert chosen.left_out() == [0, 1, 2]
    chosen.drag(0, 0)
    assert chosen.left_out() == [1, 2]  # a click


def test_shift_adds_and_ctrl_leaves_out(chosen: Chosen) -> None:
    chosen.select([1, 3], False)
    chosen.drag(0, 3, SHIFT)
    assert chosen.left_out() == []
    chosen.select([0], False)
    chosen.drag(0, 2, CTRL)
    assert chosen.left_out() == [0, 1, 2]


def test_escape_gives_the_band_up_and_a_locked_gallery_ignores_it(chosen: Chosen) -> None:
    viewport = chosen.view.viewport()
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, NONE, chosen.centre(0))
    event_at(viewport, chosen.centre(2), NONE)
    assert chosen.previews[-1] == [0, 1, 2]
    QTest.keyClick(chosen.view, Qt.Key.Key_Escape)
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, NONE, chosen.centre(2))
    assert chosen.left_out() == []
    chosen.gallery.set_enabled(False)
    chosen.drag(0, 2)
    assert chosen.left_out() == []


def test_a_band_scrolls_at_the_edge(qtbot) -> None:
    chosen = Chosen(qtbot, 400)
    viewport = chosen.view.viewport()
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, NONE, chosen.centre(0))
    event_at(viewport, QPoint(chosen.centre(0).x(), viewport.height() + 400), NONE)
    spin(lambda: chosen.view.verticalScrollBar().value() > 300, 5)
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, NONE, QPoint(5, viewport.height() - 1))
    out = chosen.left_out()
    assert out[:2] == [0, chosen.columns]
    assert out[-1] > viewport.height() // chosen.view.gridSize().height() * chosen.columns
    assert not chosen.view._scrolling.isActive()


def test_keys_span_a_block_and_say_what_becomes_of_it(chosen: Chosen) -> None:
    view, wide = chosen.view, chosen.columns
    view.setCurrentIndex(chosen.gallery.model.index(1))
    view.setFocus()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Down):
        QTest.keyClick(view, key, SHIFT)
    block = [1, 2, wide + 1, wide + 2]
    assert chosen.previews[-1] == block
    QTest.keyClick(view, Qt.Key.Key_Delete)
    assert chosen.left_out() == block
    QTest.keyClick(view, Qt.Key.Key_Plus)  # without a block: the current image
    assert chosen.left_out() == [1, 2, wide + 1]
    QTest.keyClick(view, Qt.Key.Key_Left, SHIFT)
    QTest.keyClick(view, Qt.Key.Key_Right)  # without Shift the block is given up
    assert chosen.previews[-1] == []
    QTest.keyClick(view, Qt.Key.Key_Up, SHIFT)
    QTest.keyClick(view, Qt.Key.Key_Space)  # as the first image of the block
    assert chosen.left_out() == [1, wide + 1]


def test_only_what_changed_is_told(chosen: Chosen) -> None:
    told: list[tuple[int, int]] = []
    chosen.gallery.model.dataChanged.connect(lambda a, b, *_: told.append((a.row(), b.row())))
    chosen.select([3, 4, 9], False)
    assert told == [(3, 4), (9, 9)]
    told.clear()
    chosen.select(range(0, 40), False)
    assert told == [(0, 2), (5, 8), (10, 39)]
    told.clear()
    chosen.gallery._contrast.setValue(30)
    assert not told  # greys are no state that screen readers tell


def test_new_pictures_are_made_a_few_at_a_time(qtbot) -> None:
    gallery = Gallery()
    qtbot.addWidget(gallery)
    gallery.resize(640, 700)
    gallery.view.delegate.budget_s = 0.0  # one a frame
    pixels = np.random.default_rng(0).integers(0, 256, (400, 32, 32), np.uint8)
    gallery.set_images(names(400), Thumbnails(pixels, np.tile(np.float32([10, 245]), (400, 1))))
    kept = gallery.view.delegate.kept
    gallery.show()
    spin(lambda: len(kept) > 0, 5)
    assert len(kept) < 5
    spin(lambda: len(kept) >= 15, 5)  # by themselves
    gallery.view.delegate.budget_s = 1.0
    gallery.view.viewport().repaint()
    drawn = {image: cell for image, (_, cell) in kept.items()}
    gallery.view.viewport().repaint()
    assert all(kept[image][1] is cell for image, cell in drawn.items())


def test_kept_pictures_are_bounded(chosen: Chosen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.panels.gallery_cells.KEPT_BYTES", 0)
    view = chosen.view
    chosen.gallery.set_images(names(400), pictures(400, 4))
    view.delegate.budget_s = 1.0
    view.set_side(60)
    for place in range(0, view.verticalScrollBar().maximum(), 300):
        view.verticalScrollBar().setValue(place)
        view.viewport().repaint()
    assert len(view.delegate.kept) <= 64
