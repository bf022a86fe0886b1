"""Figures show the arrays they are given, in Å, with everything named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.pipelines import sds_figures
from engine.pipelines.figures import save
from tests.engine.sds_run import blob


def test_differences_are_what_the_scaled_projection_leaves(tmp_path: Path) -> None:
    images = np.stack([blob(a).sum(0) for a in (0.0, 0.5, 1.0)])
    images = images - images.mean((1, 2), keepdims=True)
    figure = sds_figures.averages_figure(images, 7 * images, 4.0, correlations=[0.9, np.nan, 0.8])
    save(figure, tmp_path / "f.png")
    axes = np.array(figure.axes[:9]).reshape(3, 3)
    for column in range(3):
        np.testing.assert_allclose(axes[1, column].images[0].get_array(), images[column], atol=1e-5)
        np.testing.assert_allclose(axes[2, column].images[0].get_array(), 0, atol=1e-5)
    assert "r = 0.90" in axes[0, 0].get_title()
    assert "r" not in axes[0, 1].get_title()
    assert axes[2, 0].get_xlabel() == "96 Å"


def test_many_averages_are_thinned_evenly() -> None:
    images = np.zeros((100, 8, 8)) + np.arange(100)[:, None, None]
    figure = sds_figures.averages_figure(images, images, 1.0)
    titles = [ax.get_title() for ax in figure.axes[:10]]
    assert (titles[0], titles[-1], len(titles)) == ("1", "100", 10)


def test_maps_have_their_origin_in_the_middle_and_the_right_axes(tmp_path: Path) -> None:
    density = np.zeros((10, 12, 14), np.float32)
    density[7, 6, 7] = 1.0  # z = +2, y = 0, x = 0 voxels
    figure = sds_figures.map_figure(density, 3.0, level=0.5, title="Map")
    save(figure, tmp_path / "f.png")
    along_y = figure.axes[1]
    assert (along_y.get_xlabel(), along_y.get_ylabel()) == ("x (Å)", "z (Å)")
    left, right, low, high = along_y.images[0].get_extent()
    row, column = np.unravel_index(np.argmax(along_y.images[0].get_array()), (10, 14))
    assert low + (row + 0.5) * 3.0 == pytest.approx(6.0)
    assert left + (column + 0.5) * 3.0 == pytest.approx(0.0)
    assert (right - left, high - low) == pytest.approx((42.0, 30.0))


def test_fsc_names_thresholds_units_and_resolutions(tmp_path: Path) -> None:
    frequency = np.arange(20) / 120
    name = "consensus to truth, no mask"
    curve = 1 / (1 + (frequency / 0.06) ** 4)
    figure = sds_figures.fsc_figure(
        {name: (frequency, curve)},
        resolutions_A={name: {0.5: 16.7, 0.143: None}},
        quartiles={name: (curve - 0.1, curve + 0.1)},
    )
    save(figure, tmp_path / "f.png")
    ax = figure.axes[0]
    texts = {t.get_text() for t in ax.texts}
    assert {"0.5", "0.143"} <= texts
    assert ax.get_xlabel() == "spatial frequency (1/Å)"
    label = figure.legends[0].get_texts()[0].get_text()
    assert label.startswith(name)
    assert "0.5 at 16.7 Å" in label
    assert "0.143" not in label


@pytest.mark.parametrize("count", [2, 14])
def test_tournament_puts_groups_side_by_side(tmp_path: Path, count: int) -> None:
    matrix = np.full((count, count), 0.3)
    matrix[np.ix_([0, count - 1], [0, count - 1])] = 0.95
    np.fill_diagonal(matrix, 1)
    figure = sds_figures.tournament_figure(matrix, [[1, count]], medoid=count, sentence="2 agree")
    save(figure, tmp_path / "f.png")
    ax = figure.axes[0]
    assert ax.get_title() == "2 agree"
    assert [t.get_text() for t in ax.get_xticklabels()[:2]] == ["1", f"{count} ◆"]
    assert ax.images[0].get_array()[0, 1] == pytest.approx(0.95)


@pytest.mark.parametrize("components", [1, 4])
def test_landscape_says_how_much_each_component_explains(tmp_path: Path, components: int) -> None:
    rng = np.random.default_rng(0)
    explained = np.array([0.62, 0.2, 0.1, 0.05])[:components]
    figure = sds_figures.landscape_figure(
        rng.normal(size=(9, components)), explained, colour=np.arange(9.0), colour_label="angle (°)",
        marked={0: "closed"},
    )  # fmt: skip
    save(figure, tmp_path / "f.png")
    assert figure.axes[0].get_xlabel() == "component 1 (62 % of the variance)"
    assert [bar.get_height() for bar in figure.axes[1].patches] == pytest.approx(100 * explained)
