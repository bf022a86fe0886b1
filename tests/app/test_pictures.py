"""Pictures in any size: what the files hold, read back."""

import numpy as np
import pytest
from PIL import Image

from app.compare import Compare
from app.panels.picture_dialog import PictureDialog, PictureWish
from app.pictures import named
from app.viewers import large
from tests.app.conftest import spin
from tests.app.sds_run import write_sds
from tests.app.test_compare import feature, opened


def saved(window, path, wish, monkeypatch):
    """The picture as it comes out of the command, and its pixels."""
    monkeypatch.setattr(window.dialogs, "picture", lambda *_a: wish)
    monkeypatch.setattr(window.dialogs, "save_as", lambda *_a: path)
    window.saving.save_screenshot()
    spin(lambda: path.exists() and not window.background.busy)
    with Image.open(path) as image:
        image.load()
        return image, np.asarray(image.convert("RGBA")).astype(int)


def extent(pixels):
    """(left, right, top, bottom) of what isn't ground, as shares of the picture."""
    rows, columns = np.nonzero((np.abs(pixels - pixels[0, 0]) > 12).any(-1))
    height, width = pixels.shape[:2]
    return columns.min() / width, columns.max() / width, rows.min() / height, rows.max() / height


@pytest.fixture
def clouds(window):
    rng = np.random.default_rng(0)
    window.viewer.set_samples(2)
    window.viewer.points.set_points((rng.normal(size=(2, 400, 3)) * (40, 30, 20)).astype(np.float32))
    window.viewer.set_theme(window.viewer.points.theme)
    return window


@pytest.mark.parametrize("size", [(900, 700), (640, 1200), (1500, 400)])
def test_clouds_in_any_shape_fill_the_shorter_side(clouds, tmp_path, monkeypatch, size):
    wish = PictureWish(*size, transparent=True, bar=False, words=False)
    image, pixels = saved(clouds, tmp_path / "points.png", wish, monkeypatch)
    assert image.size == size
    assert round(image.info["dpi"][0]) == 300
    alpha = pixels[..., 3]
    assert set(np.unique(alpha)) <= set(range(256))
    assert alpha[0, 0] == alpha[-1, -1] == 0
    assert alpha.max() == 255
    assert 0.03 < (alpha > 0).mean() < 0.6
    left, right, top, bottom = extent(pixels)
    assert abs((left + right) / 2 - 0.5) < 0.15
    assert abs((top + bottom) / 2 - 0.5) < 0.15
    shorter = (bottom - top) if size[0] > size[1] else (right - left)
    assert shorter > 0.5


def test_bar_and_words_can_be_left_out(clouds, tmp_path, monkeypatch):
    pictures = [
        saved(clouds, tmp_path / f"{bar}{words}.png", PictureWish(500, 400, True, bar, words), monkeypatch)[1]
        for bar, words in ((False, False), (True, False), (True, True))
    ]
    drawn = [int((p[..., 3] > 0).sum()) for p in pictures]
    assert drawn[0] < drawn[1] < drawn[2]
    corner = pictures[1][340:, :200]  # of the scale bar
    assert (corner[..., 3] == 255).any()
    assert (clouds.viewer.points.overlay.state.scale_bar) is True


def test_surface_slices_and_tiles(window, tmp_path, monkeypatch):
    opened(window, write_sds(tmp_path / "run", images=4, box=16))
    window.viewer.volume.set_kind("surface")
    wish = PictureWish(700, 500, transparent=True)
    _, pixels = saved(window, tmp_path / "surface.png", wish, monkeypatch)
    assert pixels[0, 0, 3] == 0
    assert pixels[240:260, 340:360, 3].max() == 255
    _, solid = saved(window, tmp_path / "solid.png", PictureWish(700, 500), monkeypatch)
    assert (solid[..., 3] == 255).all()
    window.viewer.volume.set_kind("slices")
    image, pixels = saved(window, tmp_path / "slices.png", PictureWish(900, 300, True), monkeypatch)
    assert image.size == (900, 300)
    assert pixels[150, 2, 3] in (0, 255)
    assert (pixels[..., 3] == 255).mean() > 0.9
    feature(window, Compare).toggle()
    spin(lambda: not window.background.busy)
    _, pixels = saved(window, tmp_path / "tiles.png", PictureWish(800, 600, True, False, False), monkeypatch)
    alpha = pixels[..., 3]
    assert alpha[0, 0] == 0
    quarters = [alpha[a : a + 300, b : b + 400].max() for a in (0, 300) for b in (0, 400)]
    assert quarters == [255] * 4


def test_what_opengl_cant_draw_is_refused_in_words(clouds, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(clouds.dialogs, "problem", lambda _title, text: said.append(text))
    monkeypatch.setattr(large, "largest_side", lambda: 2000)
    clouds.saving.save_picture(PictureWish(3000, 500), tmp_path / "a.png")
    assert "no more than 2,000 pixels along a side" in said[0]
    monkeypatch.setattr(large.gl, "glGetParameter", lambda _name: (1.0, 8.0))
    clouds.saving.save_picture(PictureWish(1800, 1200), tmp_path / "a.png")
    assert "points of at most 8 pixels" in said[1]
    assert not (tmp_path / "a.png").exists()


def test_the_dialog_says_how_large_it_is_in_print(qapp):
    dialog = PictureDialog(600, 400, 4096, PictureWish(1, 1, True, False, True))
    assert (dialog.width_.value(), dialog.height_.value()) == (1200, 800)
    assert dialog.printed.text() == "Printed at 300 dpi: 10.2 × 6.8 cm"
    dialog.width_.setValue(3000)
    assert dialog.height_.value() == 2000
    dialog.keep.setChecked(False)
    dialog.height_.setValue(64)
    assert dialog.wish() == PictureWish(3000, 64, True, False, True)
    assert dialog.width_.maximum() == 4096
    dialog.deleteLater()


def test_names_say_what_a_file_is(tmp_path):
    assert named(tmp_path / "fig.1").name == "fig.1.png"
    assert named(tmp_path / "a.JPG").name == "a.JPG"
