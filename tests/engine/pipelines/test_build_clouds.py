from __future__ import annotations

import csv
import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from engine import cli
from engine.errors import Cancelled, InputError
from engine.io.clouds import read_clouds
from engine.pipelines.build_clouds import build, parts_folder
from engine.specs.clouds import CloudSettings
from tests.engine.pipelines.structure_files import blob, cif_text, entry_header, pdb_text, write_broken

SMALL = CloudSettings(points=64, workers=2)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_of_100_mixed_files_10_of_them_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "structures", tmp_path / "made" / "clouds.npz"
    (folder / "deeper").mkdir(parents=True)
    for i in range(90):
        where = folder / "deeper" if i % 2 else folder
        header = entry_header(f"1A{i:02d}", f"Protein {i}, large") if i % 3 == 0 else ""
        text = pdb_text(blob(i // 2), blob(i // 2) + [8, 0, 0], header=header)
        if i % 4 == 0:
            (where / f"m{i:02d}.pdb").write_text(text)
        elif i % 4 == 1:
            (where / f"m{i:02d}.ent.gz").write_bytes(gzip.compress(text.encode()))
        elif i % 4 == 2:
            (where / f"m{i:02d}.cif").write_text(cif_text(text))
        else:
            (where / f"m{i:02d}.cif.gz").write_bytes(gzip.compress(cif_text(text).encode()))
    broken = write_broken(folder)
    (folder / "notes.txt").write_text("not a structure")
    options = ["--points", "64", "--workers", "2", "--split", "0.8,0.1,0.1", "--licence", "MIT", "--json"]
    code = cli.main(["data", "build", str(folder), "--out", str(out), *options])
    shown_text, told_text = capsys.readouterr()
    shown = json.loads(shown_text or f"no output: {told_text}")
    assert code == cli.FAILED
    assert (shown["clouds"], len(shown["rejected"]), shown["other_files"]) == (90, 10, 1)

    # ten reasons, all different, each in one line of the table
    rejected = rows(out.with_name("clouds.rejected.csv"))
    assert {row["file"] for row in rejected} == broken
    assert {row["kind"] for row in rejected} == {"unreadable"}
    assert len({row["reason"] for row in rejected}) == 10
    assert all("unexpected" not in row["reason"] for row in rejected)

    # clouds as training wants them
    clouds = read_clouds(out)
    points = clouds.points.astype(np.float64)
    assert points.shape == (90, 64, 3)
    assert clouds.points.dtype == np.float16
    np.testing.assert_allclose(np.abs(points).max((1, 2)), 1)
    np.testing.assert_allclose(points.mean(1), 0, atol=1e-3)
    with np.load(out) as archive:
        made = {key: archive[key] for key in archive.files}
    assert set(made) == {"points", "name", "source", "atoms", "scale_A", "rg_A", "cluster", "split"}
    rg = np.sqrt((points**2).sum(2).mean(1)) * clouds.scale_A
    np.testing.assert_allclose(made["rg_A"], rg, rtol=1e-3)
    assert set(made["atoms"].tolist()) == {260}

    # the index says where each comes from
    index = rows(out.with_name("clouds.csv"))
    assert [row["name"] for row in index] == made["name"].tolist()
    by_file = {row["file"]: row for row in index}
    assert by_file["m00.pdb"]["name"] == "1a00"
    assert by_file["m00.pdb"]["title"] == "Protein 0, large"
    assert by_file["m00.pdb"]["sha256"] == hashlib.sha256((folder / "m00.pdb").read_bytes()).hexdigest()
    told = {i: by_file[name] for name in by_file for i in [int(Path(name).name[1:3])]}
    assert {told[i]["source"] for i in range(0, 90, 3)} == {"pdb"}
    assert {told[i]["licence"] for i in range(0, 90, 3)} == {"CC0-1.0"}
    assert {(told[i]["source"], told[i]["licence"]) for i in range(1, 90, 3)} == {("model", "MIT")}
    assert {row["chains"] for row in index} == {"2"}

    # every second file holds the atoms of the one before it: the same cluster, hence the same split
    for i in range(0, 90, 2):
        assert told[i]["cluster"] == told[i + 1]["cluster"]
    splits = {row["cluster"]: {r["split"] for r in index if r["cluster"] == row["cluster"]} for row in index}
    assert all(len(found) == 1 for found in splits.values())
    for name, count in shown["splits"].items():
        own = read_clouds(out.with_name(f"clouds.{name}.npz"))
        assert own.names == tuple(made["name"][made["split"] == name].tolist())
        assert len(own.names) == count > 0
    assert not parts_folder(out).exists()


def test_a_build_that_was_stopped_goes_on_and_gives_what_one_process_gives(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"m{i}.pdb").write_text(pdb_text(blob(i)))
    (tmp_path / "no.pdb").write_text("HEADER\n")
    whole = build(tmp_path, tmp_path / "whole.npz", SMALL.model_copy(update={"workers": 1}))
    seen: list[int] = []

    def stop() -> None:
        if seen and seen[-1] >= 4:
            raise Cancelled

    out = tmp_path / "stopped.npz"
    with pytest.raises(Cancelled):
        build(tmp_path, out, SMALL, report=lambda done, total, rejected: seen.append(done), cancel=stop)
    assert not out.exists()
    (parts_folder(out) / ".half.part.npz").write_bytes(b"PK")  # as a killed process leaves it
    again = build(tmp_path, out, SMALL.model_copy(update={"keep_parts": True}))
    assert 4 <= again.kept < 13
    assert (again.clouds, again.rejected) == (whole.clouds, whole.rejected)
    assert out.read_bytes() == whole.out.read_bytes()
    assert out.with_name("stopped.csv").read_bytes() == whole.out.with_name("whole.csv").read_bytes()

    # a changed file and a damaged result are made again, the rest is not
    (tmp_path / "m3.pdb").write_text(pdb_text(blob(99)))
    sorted(parts_folder(out).glob("[!.]*.npz"))[0].write_bytes(b"PK\x03\x04")
    third = build(tmp_path, out, SMALL.model_copy(update={"split": "0.5,0.5"}))
    assert third.kept in (11, 12)  # the damaged one may be that of the old m3
    assert out.read_bytes() != whole.out.read_bytes()
    assert [name for name, _ in third.splits] == ["train", "val"]


def test_without_a_cloud_there_are_reasons_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no structure"):
        build(empty, tmp_path / "a.npz", SMALL)
    with pytest.raises(InputError, match="no such folder"):
        build(tmp_path / "missing", tmp_path / "a.npz", SMALL)
    with pytest.raises(InputError, match="npz"):
        build(tmp_path, tmp_path / "a.csv", SMALL)
    (tmp_path / "small.pdb").write_text(pdb_text(blob(0, 70)))
    code = cli.main(["data", "build", str(tmp_path), "--out", str(tmp_path / "a.npz"), "--points", "64"])
    assert code == cli.BAD_INPUT
    assert "70 heavy atoms" in capsys.readouterr().err
    assert "70 heavy atoms" in rows(tmp_path / "a.rejected.csv")[0]["reason"]
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--split", "0.9,0.2", "add up to 1"),
        ("--split", "most", "add up to 1"),
        ("--method", "guess", "kmeans"),
        ("--points", "3", "16"),
        ("--max-atoms", "10", "max_atoms"),
        ("--duplicates", "-1", "at least 0"),
    ],
)
def test_options_that_cannot_be_used_are_named(
    option: str, value: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["data", "build", str(tmp_path), "--out", str(tmp_path / "a.npz"), option, value])
    assert code == cli.BAD_INPUT
    assert word in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
