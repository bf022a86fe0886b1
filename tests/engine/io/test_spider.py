from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.class_averages import read_class_averages
from engine.io.formats import summarise
from engine.io.mrc import read_images as read_mrc
from engine.io.spider import looks_like_spider, read_header, read_images
from tests.engine.io.average_files import spider_bytes, views
from tests.engine.io.test_mrc import bumpy, mrc_bytes

IMAGES = views(3, 20)[:, :, :18]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stack", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_values_come_back_in_either_byte_order(tmp_path: Path, order: str, stack: bool, packed: bool) -> None:
    content = spider_bytes(IMAGES, order=order, stack=stack)
    path = tmp_path / "a.spi"
    path.write_bytes(gzip.compress(content) if packed else content)
    images, size, notes = read_images(path)
    np.testing.assert_array_equal(images, IMAGES if stack else IMAGES[:1])
    assert size == 0
    assert "pixel size" in notes[0]
    assert read_header(path).order == order


@pytest.mark.parametrize(("word", "size"), [(0.0, 0.0), (1.0, 0.0), (2.68, 2.68), (1e9, 0.0), (-2.0, 0.0)])
def test_pixel_size_of_the_header_is_believed_where_it_can_be(
    tmp_path: Path, word: float, size: float
) -> None:
    (tmp_path / "a.spi").write_bytes(spider_bytes(IMAGES, w38=word))
    assert read_images(tmp_path / "a.spi")[1] == pytest.approx(size)


@pytest.mark.parametrize("columns", [1, 7, 32, 64, 128, 256, 300, 1024])
@pytest.mark.parametrize("order", ["<", ">"])
def test_recognised_whatever_the_size_and_told_from_mrc(tmp_path: Path, columns: int, order: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(spider_bytes(np.ones((1, 5, columns), np.float32), order=order))
    assert looks_like_spider(path.read_bytes()[:4096])
    assert summarise(path).kind == "class_averages"
    with pytest.raises(InputError):
        read_mrc(path)
    assert not looks_like_spider(mrc_bytes(bumpy((3, 8, 8)))[:4096])


def test_a_folder_is_read_in_natural_order_and_other_files_are_left_alone(tmp_path: Path) -> None:
    for i in range(11):
        (tmp_path / f"{i}.spi").write_bytes(spider_bytes(np.full((1, 6, 6), i, np.float32)))
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "gone.spi").symlink_to(tmp_path / "nowhere")
    found = read_class_averages(tmp_path)
    np.testing.assert_array_equal(found.images[:, 0, 0], np.arange(11))
    assert [Path(f).name for f in found.files] == [f"{i}.spi" for i in range(11)]
    summary = summarise(tmp_path)
    assert (summary.kind, summary.needs_pixel_size) == ("class_averages", True)
    assert summary.lines[0] == "11 images of 6 × 6 pixels"


GOOD = spider_bytes(IMAGES, stack=True)
BAD = {
    "cut in the header": (GOOD[:700], "700 bytes"),
    "cut in the data": (GOOD[:-3], "ends early"),
    "a volume": (spider_bytes(IMAGES, w5=3.0, w1=3.0), "volume"),
    "a Fourier transform": (spider_bytes(IMAGES, w5=-11.0), "Fourier"),
    "a million images": (spider_bytes(IMAGES, stack=True, w26=1e6 * 1000), "claims"),
    "rows by the million": (spider_bytes(IMAGES, w2=1e8), "claims"),
    "NaN": (GOOD[:-4] + np.float32(np.nan).tobytes(), "not finite"),
    "records that don't fit": (spider_bytes(IMAGES, w23=5.0), "not a SPIDER"),
    "gigabytes in gzip": (gzip.compress(spider_bytes(IMAGES, stack=True, w26=900_000)), "ends early"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_files_are_input_errors(tmp_path: Path, name: str) -> None:
    content, word = BAD[name]
    path = tmp_path / "a.spi"
    path.write_bytes(content)
    with pytest.raises(InputError, match=word) as caught:
        read_images(path)
    assert caught.value.path == path
