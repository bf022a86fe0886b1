from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QComboBox

from app.averages_columns import of_averages
from app.averages_files import Thumbnails, thumbnails
from app.panels.gallery import Gallery
from app.panels.gallery_model import SELECTED, GalleryModel
from tests.app.conftest import spin

COUNTS = np.array([5.0, 50.0, 20.0, 1.0])
RESOLUTIONS = np.array([12.0, np.nan, 7.0, 9.0])


@dataclass
class Quality:
    score: np.ndarray
    junk: np.ndarray
    duplicate_of: np.ndarray


QUALITY = Quality(np.array([0.5, 0.9, 0.1, 0.7]), np.array([0, 0, 1, 0], bool), np.array([-1, -1, -1, 1]))


def pictures(count: int, side: int = 16) -> Thumbnails:
    """Image i is a ramp from left to right, steeper with i."""
    ramp = np.linspace(0, 1, side, dtype=np.float32)
    return thumbnails(np.stack([np.tile(ramp * (i + 1), (side, 1)) for i in range(count)]), together=True)


def names(count: int) -> tuple[str, ...]:
    return tuple(str(i + 1) for i in range(count))


@pytest.fixture
def model() -> GalleryModel:
    found = GalleryModel()
    found.set_images(names(4), pictures(4), of_averages(COUNTS, RESOLUTIONS))
    return found


@pytest.fixture
def gallery(qtbot):
    found = Gallery()
    qtbot.addWidget(found)
    found.resize(480, 500)
    found.set_images(names(40), pictures(40))
    found.set_selected(np.ones(40, bool), "Selected 40 of 40")
    found.show()
    spin(lambda: found.view.visualRect(found.model.index(1)).isValid(), 5)
    return found


def grey(model: GalleryModel, row: int) -> np.ndarray:
    image = model.picture(row)
    return np.array([image.pixelColor(x, 3).red() for x in range(image.width())])


def test_images_are_sorted_by_what_is_known(model: GalleryModel) -> None:
    assert [column.key for column in model.columns] == ["particles", "resolution"]
    orders = {}
    for key in ("particles", "resolution", "quality"):
        model.sort_by(key)
        orders[key] = list(model.order)
    assert orders["particles"] == [1, 2, 0, 3]
    assert orders["resolution"] == [2, 3, 0, 1]  # the unknown one is last
    assert orders["quality"] == [0, 1, 2, 3]  # not known yet
    model.set_quality(QUALITY)
    model.sort_by("quality")
    assert list(model.order) == [1, 3, 0, 2]
    for image in range(4):
        assert model.image_of(model.index_of(image)) == image


def test_the_place_of_the_keyboard_follows_its_image(gallery: Gallery) -> None:
    counts = np.arange(40.0)
    gallery.set_images(names(40), pictures(40), of_averages(counts, None))
    gallery.view.setCurrentIndex(gallery.model.index(3))
    gallery.model.sort_by("particles")
    assert gallery.model.image_of(gallery.view.currentIndex()) == 3
    assert gallery.view.currentIndex().row() == 36


def test_captions_marks_and_words_for_screen_readers(model: GalleryModel) -> None:
    model.set_quality(QUALITY)
    model.set_selected(np.array([True, True, False, True]))
    first, junk, twin = model.index(0), model.index(2), model.index(3)
    assert model.lines_of(0) == ("1", "5 · 12 Å")
    assert model.lines_of(1) == ("2", "50")
    assert [model.mark_of(i) for i in (0, 2, 3)] == ["", "junk?", "= 2"]
    assert (first.data(SELECTED), junk.data(SELECTED)) == (True, False)
    words = junk.data(Qt.ItemDataRole.AccessibleTextRole)
    for part in ("Image 3", "left out", "20 particles", "7 Å", "junk"):
        assert part in words
    assert "looks like image 2" in twin.data(Qt.ItemDataRole.AccessibleTextRole)


def test_contrast_changes_grey_values_and_auto_brings_them_back(gallery: Gallery) -> None:
    model = gallery.model
    before = grey(model, 20)
    assert (np.diff(before) >= 0).all()
    assert np.ptp(before) > 50
    gallery._brightness.setValue(50)
    brighter = grey(model, 20)
    assert (brighter >= before).all()
    assert brighter.sum() > before.sum()
    gallery._brightness.setValue(0)
    gallery._contrast.setValue(60)
    assert np.ptp(grey(model, 20)) > np.ptp(before)
    gallery.looking.reset()
    np.testing.assert_array_equal(grey(model, 20), before)


def test_the_prepared_view_shows_prepared_images_and_their_mask(model: GalleryModel) -> None:
    prepared = Thumbnails(np.full((2, 8, 8), 200, np.uint8), np.tile(np.float32([0, 255]), (2, 1)))
    model.set_prepared(prepared, [1, 3], 0.75)
    assert model.mask_of(1) == 0
    model.show_prepared(True)
    assert set(grey(model, 1)) == {200}
    assert model.mask_of(3) == 0.75
    assert model.mask_of(0) == 0  # left out: as it was read
    assert len(grey(model, 0)) == 16
    model.show_prepared(False)
    assert len(grey(model, 1)) == 16


def click(gallery: Gallery, row: int, modifier=Qt.KeyboardModifier.NoModifier) -> None:
    place = gallery.view.visualRect(gallery.model.index(row)).center()
    QTest.mouseClick(gallery.view.viewport(), Qt.MouseButton.LeftButton, modifier, place)


def test_clicks_toggle_and_shift_extends_to_a_range(gallery: Gallery) -> None:
    selected = np.ones(40, bool)
    asked: list[tuple[list[int], bool]] = []

    def select(images, on) -> None:
        asked.append(([int(i) for i in images], on))
        selected[images] = on
        gallery.set_selected(selected.copy(), "")

    gallery.select_wanted.connect(select)
    gallery.toggle_wanted.connect(lambda image: select([image], not selected[image]))
    click(gallery, 1)
    assert asked.pop() == ([1], False)
    click(gallery, 5, Qt.KeyboardModifier.ShiftModifier)
    assert asked.pop() == ([1, 2, 3, 4, 5], False)  # as the first was treated
    click(gallery, 2)
    click(gallery, 2)
    asked.clear()
    # The keyboard does the same.
    gallery.view.setFocus()
    QTest.keyClick(gallery.view, Qt.Key.Key_Right)
    QTest.keyClick(gallery.view, Qt.Key.Key_Space)
    assert asked.pop() == ([3], True)
    QTest.keyClick(gallery.view, Qt.Key.Key_Right)
    QTest.keyClick(gallery.view, Qt.Key.Key_Space, Qt.KeyboardModifier.ShiftModifier)
    assert asked.pop() == ([3, 4], True)
    place = QPoint(gallery.view.viewport().width() - 2, 2)  # beside the images
    QTest.mouseClick(gallery.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert not asked


def test_all_above_and_below_go_by_the_order_shown(gallery: Gallery) -> None:
    asked: list[tuple[list[int], bool]] = []
    gallery.select_wanted.connect(lambda images, on: asked.append(([int(i) for i in images], on)))
    gallery.set_images(names(4), pictures(4), of_averages(COUNTS, RESOLUTIONS))
    gallery.model.sort_by("particles")  # 1, 2, 0, 3
    gallery.view.setCurrentIndex(gallery.model.index(1))
    by_text = {action.text().replace("&", ""): action for action in gallery._select.menu().actions()}
    for text, wanted in {
        "Use this and all above": ([1, 2], True),
        "Use this and all below": ([2, 0, 3], True),
        "Leave out all above this": ([1], False),
        "Leave out all below this": ([0, 3], False),
    }.items():
        by_text[text].trigger()
        assert asked.pop() == wanted
    gallery.view.setCurrentIndex(gallery.model.index(0))
    by_text["Leave out all above this"].trigger()
    assert not asked


def test_a_running_job_locks_the_selection(gallery: Gallery) -> None:
    asked: list[int] = []
    gallery.toggle_wanted.connect(asked.append)
    gallery.set_enabled(False)
    click(gallery, 1)
    assert not asked
    gallery.set_enabled(True)
    click(gallery, 1)
    assert asked == [1]


def test_marks_are_counted_and_offered_to_be_left_out(gallery: Gallery) -> None:
    gallery.set_images(names(4), pictures(4))
    gallery.set_quality(QUALITY)
    gallery.set_selected(np.ones(4, bool), "Selected 4 of 4", marked=2)
    assert gallery._marks.text() == "1 may be junk, 1 repeats another"
    assert gallery._leave_out.isVisible()
    assert [gallery._sort.itemData(i) for i in range(gallery._sort.count())] == ["number", "quality"]
    gallery.set_selected(np.zeros(4, bool), "Selected 0 of 4", marked=0)
    assert not gallery._leave_out.isVisible()


def test_thousands_of_images_are_shown_and_scrolled_at_once(qtbot) -> None:
    gallery = Gallery()
    qtbot.addWidget(gallery)
    gallery.resize(600, 600)
    count = 5000
    pixels = np.random.default_rng(0).integers(0, 256, (count, 64, 64), np.uint8)
    levels = np.tile(np.float32([10, 245]), (count, 1))
    began = time.perf_counter()
    gallery.set_images(names(count), Thumbnails(pixels, levels))
    gallery.show()
    spin(lambda: gallery.view.verticalScrollBar().maximum() > 0, 10)
    bar = gallery.view.verticalScrollBar()
    for share in (0.1, 0.5, 1.0):
        bar.setValue(round(share * bar.maximum()))
        gallery.view.viewport().grab()
    # Only what is seen is drawn: drawing all would take ten times longer.
    assert len(gallery.view.delegate.kept) < 400
    assert time.perf_counter() - began < 5


def test_every_control_has_a_name(gallery: Gallery) -> None:
    for kind in (QAbstractButton, QAbstractSlider, QComboBox):
        for control in gallery.findChildren(kind):
            if control.objectName().startswith("qt_") or control.parent().objectName().startswith("qt_"):
                continue
            assert control.accessibleName() or (isinstance(control, QAbstractButton) and control.text()), (
                control
            )
