"""Slices of maps, and sheets of pictures."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from app.surfaces import (
    Density,
)  # fmt: skip
from app.viewers.picture_grid import PictureGrid, best_columns
from app.viewers.slices import SlicesView

VOXEL_A = 2.0


def test_slices_cut_where_they_say(qtbot) -> None:
    slices = SlicesView()
    qtbot.addWidget(slices)
    values = np.zeros((8, 10, 12), np.float32)
    values[5, 3, 7] = 1.0
    slices.show_density(Density(values, VOXEL_A), (0.0, 1.0))
    assert slices.index == [4, 5, 6]
    assert slices.grey(0).shape == (10, 12)
    assert slices.grey(0).max() == 0
    slices._sliders[0].setValue(5)
    assert slices.grey(0)[3, 7] == 255
    slices._picked(0, 7.5 / 12, 3.5 / 10)  # in the xy picture, y upwards
    assert slices.index == [5, 3, 7]
    assert slices.grey(1)[5, 7] == slices.grey(2)[5, 3] == 255
    assert "x, y, z = +2.0, -4.0, +2.0" in slices._value.text()
    slices.white.setValue(500)
    slices.show_density(Density(0.5 * values, VOXEL_A), (0.0, 1.0))
    assert slices.index == [5, 3, 7]
    assert slices.grey(0)[3, 7] == 255
    slices.reset_view()
    assert slices.index == [4, 5, 6]


def test_axes_of_slices_point_up_and_right(qtbot) -> None:
    slices = SlicesView()
    qtbot.addWidget(slices)
    slices.resize(600, 600)
    slices.show()
    values = np.zeros((9, 9, 9), np.float32)
    values[4, 8, 8] = 1.0
    slices.show_density(Density(values, VOXEL_A), (0.0, 1.0))
    picture: QImage = slices._pictures[0]._image
    assert picture.pixelColor(8, 0).lightness() == 255


def test_pictures_use_the_room(qtbot) -> None:
    assert best_columns(12, 400, 300, 0)[0] == 4
    assert best_columns(3, 900, 100, 0)[0] == 3
    grid, clicked = PictureGrid(), []
    qtbot.addWidget(grid)
    grid.resize(400, 300)
    grid.clicked.connect(clicked.append)
    grid.set_images(np.random.default_rng(0).normal(size=(6, 8, 8)), [str(i) for i in range(6)])
    boxes = grid.boxes()
    assert len(boxes) == grid.count == 6
    assert all(grid.rect().contains(box.toAlignedRect()) for box in boxes)
    qtbot.mouseClick(grid, Qt.MouseButton.LeftButton, pos=boxes[4].center().toPoint())
    assert clicked == [4]
