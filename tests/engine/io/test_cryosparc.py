from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.class_averages import read_class_averages
from engine.io.cryosparc import read_dataset, read_references
from engine.io.formats import summarise
from engine.io.mrc import write_images
from engine.io.star import read_poses
from engine.types import ImageStack
from tests.engine.io.average_files import cs_bytes, views

IMAGES = views(5, 16)
STACK = "J5/J5_020_class_averages.mrc"


def job(folder: Path, **columns: object) -> Path:
    """A 2D classification: its averages without the second class, in another order."""
    write_images(folder / Path(STACK).name, ImageStack(IMAGES, 2.5))
    path = folder / "J5_020_class_averages.cs"
    path.write_bytes(cs_bytes([STACK] * 4, [4, 0, 2, 3], **columns))
    return path


def test_images_pixel_size_and_resolutions_are_the_dataset_s(tmp_path: Path) -> None:
    path = job(
        tmp_path, blob_psize_A=np.full(4, 1.345, "<f4"), blob_res_A=np.array([8, 9, np.inf, 7.5], "<f4")
    )
    found = read_class_averages(path)
    np.testing.assert_array_equal(found.images, IMAGES[[4, 0, 2, 3]])
    assert found.pixel_size_A == 1.345
    assert found.resolutions_A is not None
    np.testing.assert_array_equal(found.resolutions_A, [8, 9, np.nan, 7.5])
    assert found.counts is None
    assert {Path(f) for f in found.files} == {tmp_path.resolve() / Path(STACK).name}
    summary = summarise(path)
    assert (summary.kind, summary.needs_pixel_size) == ("class_averages", False)
    assert summary.lines[:2] == ("4 images of 16 × 16 pixels", "Pixel size 1.345 Å, box 21.52 Å")


def test_particles_are_counted_where_the_job_s_dataset_lies_beside(tmp_path: Path) -> None:
    path = job(tmp_path)
    classes = np.repeat(np.arange(5, dtype="<u4"), [5, 1, 0, 7, 3])
    particles = cs_bytes(["p.mrc"] * 16, range(16), alignments2D_class=classes)
    (tmp_path / "J5_020_particles.cs").write_bytes(particles)
    found = read_class_averages(path)
    assert found.counts is not None
    np.testing.assert_array_equal(found.counts, [3, 5, 0, 7])
    assert found.pixel_size_A == 2.5  # the stack's, since the dataset doesn't say


def test_gzipped_and_exported_names(tmp_path: Path) -> None:
    write_images(tmp_path / "a.mrc", ImageStack(IMAGES, 2.5))
    (tmp_path / "x.cs").write_bytes(gzip.compress(cs_bytes([">J1/imported/a.mrc"], [3])))
    np.testing.assert_array_equal(read_class_averages(tmp_path / "x.cs").images, IMAGES[[3]])


@pytest.mark.parametrize("name", ["../secret.mrc", "/etc/passwd", "..", "a/../../secret.mrc", "", ">"])
def test_names_never_lead_out_of_the_project(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "project"
    inner.mkdir()
    write_images(tmp_path / "secret.mrc", ImageStack(IMAGES, 2.5))
    (inner / "x.cs").write_bytes(cs_bytes([name, "b"], [0, 0]))
    with pytest.raises(InputError, match="names"):
        read_class_averages(inner / "x.cs")
    write_images(inner / "secret.mrc", ImageStack(2 * IMAGES, 2.5))
    if name.endswith("secret.mrc"):
        (inner / "x.cs").write_bytes(cs_bytes([name], [0]))
        np.testing.assert_array_equal(read_class_averages(inner / "x.cs").images, 2 * IMAGES[:1])


def test_a_missing_stack_is_named_and_still_described(tmp_path: Path) -> None:
    path = tmp_path / "x.cs"
    path.write_bytes(cs_bytes(["J7/gone.mrc"] * 3, [0, 1, 2], blob_psize_A=np.full(3, 2.0, "<f4")))
    with pytest.raises(InputError, match="gone.mrc"):
        read_class_averages(path)
    summary = summarise(path)
    assert summary.kind == "class_averages"
    assert any("gone.mrc" in note for note in summary.notes)


def plain(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


GOOD = cs_bytes(["a.mrc"] * 3, [0, 1, 2])
BAD = {
    "compressed": (b"\x95CSDAT" + bytes(200), "compressed"),
    "cut": (GOOD[:-1], "ends early"),
    "cut in the header": (GOOD[:40], "damaged"),
    "objects": (plain(np.array([("a", 1)], [("blob/path", "O"), ("blob/idx", "<u4")])), "objects"),
    "a pickled array": (plain(np.array([{}, None], dtype=object)), "objects"),
    "plain array": (plain(np.zeros((4, 3))), "not a cryoSPARC dataset"),
    "no records": (cs_bytes([], []), "no records"),
    "no images": (plain(np.zeros(3, [("uid", "<u8"), ("ctf/df1_A", "<f4")])), "names no images"),
    "numbers for paths": (plain(np.zeros(3, [("blob/path", "<f4"), ("blob/idx", "<u4")])), "wrong kind"),
    "negative index": (
        plain(np.array([(b"a", -1)], [("blob/path", "S3"), ("blob/idx", "<i4")])),
        "impossible",
    ),
    "two pixel sizes": (
        cs_bytes(["a.mrc"] * 2, [0, 1], blob_psize_A=np.array([1.0, 2.0], "<f4")),
        "different pixel sizes",
    ),
    "a thousand million records": (GOOD.replace(b"(3,), }        ", b"(999999999,), }"), "claims"),
    "header of gigabytes": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 100, "damaged"),
    "not a dataset": (b"\x00" * 300, "This is"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_files_are_input_errors(tmp_path: Path, name: str) -> None:
    content, word = BAD[name]
    path = tmp_path / "x.cs"
    path.write_bytes(content)
    for read in (read_references, read_class_averages, summarise):
        with pytest.raises(InputError, match=word) as caught:
            read(path)
        assert caught.value.path == path
        assert caught.value.advice.endswith(".")


def test_read_dataset_gives_what_numpy_gives(tmp_path: Path) -> None:
    (tmp_path / "x.cs").write_bytes(GOOD)
    np.testing.assert_array_equal(read_dataset(tmp_path / "x.cs"), np.load(io.BytesIO(GOOD)))


def test_poses_are_not_read_from_datasets(tmp_path: Path) -> None:
    (tmp_path / "x.cs").write_bytes(GOOD)
    with pytest.raises(InputError, match="class averages only"):
        read_poses(tmp_path / "x.cs")
