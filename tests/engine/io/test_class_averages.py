from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from engine.errors import InputError
from engine.io.averages import export_selection, prepare
from engine.io.class_averages import READABLE, describe, read_class_averages
from engine.io.formats import summarise
from engine.io.mrc import write_images
from engine.io.pixel_size import PixelSizeError
from engine.specs.sds import ClassAveragesInput
from engine.types import ImageStack
from tests.engine.io.average_files import as_averages, views
from tests.engine.io.test_mrc import mrc_bytes
from tests.engine.io.test_star import ANGLES, OPTICS, save, table

IMAGES = views(6, 16)
COLUMNS = ("rlnReferenceImage", "rlnClassDistribution", "rlnEstimatedResolution")
ROWS = (
    "000002@Class2D/job012/run_classes.mrcs 0.75 9.5",
    "000005@Class2D/job012/run_classes.mrcs 0.25 999.0",
)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["a.mrcs", "a.mrc", "a.mrcs.gz"])
def test_stacks_are_read_as_stored(tmp_path: Path, name: str, sign: int) -> None:
    write_images(tmp_path / name, ImageStack(sign * IMAGES, 2.5))
    found = read_class_averages(tmp_path / name)
    np.testing.assert_array_equal(found.images, sign * IMAGES)
    assert found.pixel_size_A == 2.5
    assert found.notes == ()
    np.testing.assert_array_equal(found.indices, np.arange(6))


@pytest.mark.parametrize("cell", [(0, 0, 0), (1e9, 1e9, 1e9)])
def test_a_missing_pixel_size_is_asked_for_when_preparing(tmp_path: Path, cell: tuple[float, ...]) -> None:
    path = tmp_path / "a.mrcs"
    path.write_bytes(mrc_bytes(views(4, 32), ispg=0, cella=cell))
    found = read_class_averages(path)
    assert found.pixel_size_A == 0
    assert any("give it" in n for n in found.notes)
    with pytest.raises(PixelSizeError, match="pixel size"):
        prepare(found, ClassAveragesInput(file=str(path)))
    assert prepare(found, ClassAveragesInput(file=str(path), pixel_size_A=3.0)).stack.pixel_size_A == 3.0
    given = read_class_averages(path, pixel_size_A=3.0)
    assert given.pixel_size_A == 3.0
    assert not any("give it" in n for n in given.notes)
    with pytest.raises(InputError, match="can't be right"):
        read_class_averages(path, pixel_size_A=1e9)


@pytest.mark.parametrize("packed", [False, True])
def test_relion_s_2d_classes(tmp_path: Path, packed: bool) -> None:
    write_images(tmp_path / "run_classes.mrcs", ImageStack(IMAGES, 2.0))
    general = (
        "\ndata_model_general\n\n_rlnReferenceDimensionality 2\n_rlnPixelSize 3.540000\n_rlnNrClasses 2\n"
    )
    groups = table("model_groups", ("rlnGroupNumber", "rlnGroupNrParticles"), "1 300", "2 100")
    text = general + table("model_classes", COLUMNS, *ROWS) + groups
    path = tmp_path / "run_it025_model.star"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    found = read_class_averages(path)
    np.testing.assert_array_equal(found.images, IMAGES[[1, 4]])
    np.testing.assert_array_equal(found.indices, [1, 4])
    assert found.pixel_size_A == 3.54
    np.testing.assert_allclose(found.counts, [300, 100])
    np.testing.assert_array_equal(found.resolutions_A, [9.5, np.nan])
    summary = summarise(path)
    assert (summary.kind, summary.needs_pixel_size) == ("class_averages", False)
    assert summary.lines == (
        "2 images of 16 × 16 pixels",
        "Pixel size 3.54 Å, box 56.64 Å",
        "Images in Class2D/job012/run_classes.mrcs",
        "400 particles in these classes",
    )


def test_shares_are_kept_where_the_number_is_not_known(tmp_path: Path) -> None:
    project = tmp_path / "Class2D" / "job012"
    project.mkdir(parents=True)
    write_images(project / "run_classes.mrcs", ImageStack(IMAGES, 2.0))
    (tmp_path / "Select").mkdir()
    path = save(tmp_path / "Select" / "class_averages.star", table("", COLUMNS, *ROWS))
    found = read_class_averages(path)  # the stack is found from the project's folder
    np.testing.assert_allclose(found.counts, [0.75, 0.25])
    assert any("share" in n for n in found.notes)
    assert found.pixel_size_A == 2.0
    assert found.files[0] == str((project / "run_classes.mrcs").resolve())


@pytest.mark.parametrize("angles", [ANGLES, ANGLES[2:], ()])
def test_particles_of_several_stacks_come_in_the_file_s_order(
    tmp_path: Path, angles: tuple[str, ...]
) -> None:
    write_images(tmp_path / "a.mrcs", ImageStack(IMAGES, 2.0))
    write_images(tmp_path / "b.mrcs", ImageStack(2 * IMAGES, 2.0))
    numbers = "0 " * len(angles)
    rows = [f"{numbers}1 {n}" for n in ("3@b.mrcs", "1@a.mrcs", "6@b.mrcs")]
    path = save(
        tmp_path / "p.star", OPTICS, table("particles", (*angles, "rlnOpticsGroup", "rlnImageName"), *rows)
    )
    found = read_class_averages(path)
    np.testing.assert_array_equal(found.images, np.stack([2 * IMAGES[2], IMAGES[0], 2 * IMAGES[5]]))
    assert found.pixel_size_A == 2.5  # the optics table's
    assert found.counts is None
    assert summarise(path).kind == ("poses" if angles == ANGLES else "class_averages")


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (("7@a.mrcs 1 9",), "image 7"),
        (("1@a.mrcs 1 9", "1@small.mrcs 1 9"), "differ in size"),
        (("1@../a.mrcs/../../etc/passwd 1 9",), "passwd"),
        (("x@a.mrcs 1 9",), "000001@"),
        (("1@a.mrcs x 9",), "rlnClassDistribution"),
    ],
)
def test_classes_that_do_not_fit_their_stack(tmp_path: Path, rows: tuple[str, ...], word: str) -> None:
    write_images(tmp_path / "a.mrcs", ImageStack(IMAGES, 2.0))
    write_images(tmp_path / "small.mrcs", ImageStack(IMAGES[:, :8, :8], 2.0))
    path = save(tmp_path / "c.star", table("", COLUMNS, *rows))
    with pytest.raises(InputError, match=word) as caught:
        read_class_averages(path)
    assert caught.value.path == path


def test_more_images_than_fit_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    write_images(tmp_path / "a.mrcs", ImageStack(views(1, 256), 2.0))
    path = save(tmp_path / "p.star", table("particles", ("rlnImageName",), *["1@a.mrcs"] * 20_000))
    with pytest.raises(InputError, match="20,000 images"):
        read_class_averages(path)


@pytest.mark.parametrize("together", [False, True])
def test_sets_of_2d_points_become_images(tmp_path: Path, together: bool) -> None:
    rng = np.random.default_rng(0)
    sets = {str(i): rng.normal((70, 60), (12, 6), (400, 2)) for i in range(11)}
    sets["10"] = sets["10"] + [9.0, 0.0]
    path = tmp_path / "p.npz"
    if together:
        np.savez(path, points=np.stack(list(sets.values())))
    else:
        np.savez(path, **dict(reversed(sets.items())))
    found = read_class_averages(path)
    assert found.images.shape[0] == 11
    assert found.images.shape[1] == found.images.shape[2]
    assert found.pixel_size_A == 0
    # Centres of mass keep their distance: x is the second axis, and all are drawn in one frame.
    y, x = np.array([center_of_mass(i.astype(float)) for i in found.images]).T
    mean = np.array([s.mean(axis=0) for s in sets.values()])
    np.testing.assert_allclose(x - x[0], mean[:, 0] - mean[0, 0], atol=0.05)
    np.testing.assert_allclose(y - y[0], mean[:, 1] - mean[0, 1], atol=0.05)
    np.testing.assert_allclose(found.images.sum(axis=(1, 2)), 400, rtol=1e-3)
    assert summarise(path).kind == "class_averages"


def test_describing_takes_no_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.star"
    save(path, table("", COLUMNS, *ROWS))
    summary = describe(path)
    assert (summary.count, summary.shape) == (2, None)
    assert any("run_classes.mrcs" in note for note in summary.notes)


def test_an_empty_folder_and_an_unknown_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder"):
        read_class_averages(tmp_path)
    (tmp_path / "x.txt").write_text("hello\n")
    with pytest.raises(InputError) as caught:
        read_class_averages(tmp_path / "x.txt")
    assert READABLE in caught.value.advice


@pytest.mark.parametrize("counts", [None, np.array([10.0, 0, 30, 40, 50, 70]), np.full(6, 1 / 6)])
def test_an_exported_selection_reads_back(tmp_path: Path, counts: np.ndarray | None) -> None:
    resolutions = np.array([8.0, 9, np.nan, 10, 11, 12])
    averages = as_averages(IMAGES, 2.68, counts=counts, resolutions_A=resolutions)
    star, stack = export_selection(averages, [4, 0, 2], tmp_path / "chosen.star")
    assert (star.name, stack.name) == ("chosen.star", "chosen.mrcs")
    again = read_class_averages(star)
    np.testing.assert_array_equal(again.images, IMAGES[[4, 0, 2]])
    assert again.pixel_size_A == pytest.approx(2.68, rel=1e-6)
    np.testing.assert_allclose(again.resolutions_A, resolutions[[4, 0, 2]])
    if counts is None:
        assert again.counts is None
    else:
        np.testing.assert_allclose(again.counts, counts[[4, 0, 2]], rtol=1e-5)
    one, _ = export_selection(averages, [1], tmp_path / "one.star")
    np.testing.assert_array_equal(read_class_averages(one).images, IMAGES[[1]])
    for rows in ([], [6], [-1]):
        with pytest.raises(InputError):
            export_selection(averages, rows, tmp_path / "none.star")
