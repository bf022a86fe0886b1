from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import InputError
from engine.io.class_averages import read_class_averages
from engine.io.eman import read_images, read_list
from engine.io.formats import summarise
from engine.io.mrc import read_volume, write_images
from engine.types import ImageStack
from tests.engine.io.average_files import views, write_eman

IMAGES = views(12, 16)


def attributes(count: int, size: float) -> list[dict[str, object]]:
    return [{"apix_x": np.float32([size]), "ptcl_repr": np.int32([10 * i])} for i in range(count)]


def test_images_in_order_with_counts_and_pixel_size(tmp_path: Path) -> None:
    path = write_eman(tmp_path / "classes.hdf", IMAGES, attributes(12, 2.68))
    found = read_class_averages(path)
    np.testing.assert_array_equal(found.images, IMAGES)  # 10 and 11 come after 9
    assert found.pixel_size_A == 2.68
    assert found.counts is not None
    np.testing.assert_array_equal(found.counts, 10 * np.arange(12))
    assert found.notes == ()
    summary = summarise(path)
    assert (summary.kind, summary.lines[0]) == ("class_averages", "12 images of 16 × 16 pixels")


@pytest.mark.parametrize("size", [1.0, 0.0, -1.0, float("nan"), 1e9])
def test_one_angstrom_and_nonsense_mean_unknown(tmp_path: Path, size: float) -> None:
    path = write_eman(tmp_path / "a.hdf", IMAGES, attributes(12, size))
    assert read_images(path).pixel_size_A == 0
    assert summarise(path).needs_pixel_size
    assert not summarise(path, pixel_size_A=1.0).needs_pixel_size
    assert read_class_averages(path, pixel_size_A=1.0).pixel_size_A == 1.0


def test_reduced_bits_are_expanded(tmp_path: Path) -> None:
    low, high, bits = float(IMAGES.min()), float(IMAGES.max()), 8
    stored = np.rint((IMAGES - low) / (high - low) * (2**bits - 1)).astype(np.uint8)
    marks = {"stored_renderbits": bits, "stored_rendermin": low, "stored_rendermax": high}
    path = write_eman(tmp_path / "a.hdf", stored, [marks] * 12)
    np.testing.assert_allclose(read_images(path).images, IMAGES, atol=0.51 * (high - low) / (2**bits - 1))


@pytest.mark.parametrize("first", ["#LSX\n# comment\n# 30\n", "#LST\n"])
def test_lists_point_into_other_files(tmp_path: Path, first: str) -> None:
    write_eman(tmp_path / "a b.hdf", IMAGES)
    write_images(tmp_path / "c.mrcs", ImageStack(-IMAGES, 2.0))
    (tmp_path / "x.lst").write_text(f'{first}3\tsets/a b.hdf\t{{"score": 1}}\n0\tc.mrcs\n\n11\ta b.hdf\n')
    found = read_class_averages(tmp_path / "x.lst")
    np.testing.assert_array_equal(found.images, np.stack([IMAGES[3], -IMAGES[0], IMAGES[11]]))
    np.testing.assert_array_equal(found.indices, [3, 0, 11])
    assert summarise(tmp_path / "x.lst").kind == "class_averages"


@pytest.mark.parametrize("text", ["#LSX\nx\ta.hdf\n", "#LSX\n# only\n", "#LSX\n-1\ta.hdf\n", "1\ta.hdf\n"])
def test_bad_lists(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.lst").write_text(text)
    with pytest.raises(InputError):
        read_list(tmp_path / "x.lst")


def other(path: Path, kind: str) -> None:
    if kind == "uneven":
        write_eman(path, [IMAGES[0], IMAGES[0, :8]])  # type: ignore[arg-type]
    elif kind == "volume":
        write_eman(path, IMAGES[None])
    elif kind == "complex":
        write_eman(path, IMAGES.astype(np.complex64))
    elif kind == "NaN":
        write_eman(path, np.where(IMAGES > 1, np.nan, IMAGES))
    elif kind == "sizes":
        write_eman(path, IMAGES, [{"apix_x": 2.0 + i} for i in range(12)])
    elif kind == "text":
        write_eman(path, np.array([["a", "b"]], h5py.string_dtype())[None])
    elif kind == "cut":
        write_eman(path, IMAGES)
        path.write_bytes(path.read_bytes()[:-4000])
    elif kind == "magic alone":
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(3000))
    else:
        with h5py.File(path, "w") as file:
            if kind == "gigabytes":  # allocated late: the file itself is tiny
                file.create_dataset("MDF/images/0/image", (30_000, 30_000), "f4")
            elif kind == "external link":
                write_eman(path.with_name("b.hdf"), IMAGES)
                file["MDF/images/0"] = h5py.ExternalLink("b.hdf", "/MDF/images/0")
            elif kind == "external data":
                path.with_name("raw").write_bytes(IMAGES.tobytes())
                file.create_dataset(
                    "MDF/images/0/image", (16, 16), "f4", external=[(str(path.with_name("raw")), 0, 1024)]
                )
            elif kind == "no pixels":
                file.create_group("MDF/images/0")
            elif kind == "no images":
                file.create_group("MDF/images")
            else:
                file["data"] = IMAGES


BAD = {
    "uneven": "another size", "volume": "volumes", "complex": "real numbers", "NaN": "not finite",
    "sizes": "different pixel sizes", "text": "real numbers", "cut": "damaged", "magic alone": "damaged",
    "gigabytes": "claims more pixels", "external link": "missing", "external data": "other files",
    "no pixels": "missing", "no images": "no images", "of another program": "EMAN2",
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(BAD))
def test_bad_files_are_input_errors(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.hdf"
    other(path, kind)
    with pytest.raises(InputError, match=BAD[kind]) as caught:
        read_class_averages(path)
    assert caught.value.path == path
    with suppress(InputError):
        summarise(path)


def test_random_damage_is_read_or_refused(tmp_path: Path) -> None:
    content = write_eman(tmp_path / "good.hdf", IMAGES[:2], attributes(2, 2.0)).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "a.hdf"
    for _ in range(60):
        damaged = bytearray(content)
        for where in rng.integers(0, len(content), 4):
            damaged[where] = rng.integers(0, 256)
        path.write_bytes(damaged)
        with suppress(InputError):
            read_images(path)


def test_other_readers_say_what_it_is_good_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="class averages only"):
        read_volume(write_eman(tmp_path / "a.hdf", IMAGES))
