"""Paper capsules: what is in them, what is not, whom they trust, and what a rerun notices."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.cli import main
from engine.conventions import volume_origin_A
from engine.errors import InputError, RunError
from engine.events import Completed
from engine.io.json_files import write_json
from engine.io.mrc import write_images, write_volume
from engine.jobs import runner
from engine.jobs.capsule import with_places, write_capsule
from engine.jobs.capsule_archive import SUMS, CapsuleArchive, write_zip
from engine.jobs.capsule_inputs import gather_inputs
from engine.jobs.capsule_methods import paragraph
from engine.jobs.capsule_results import compare, results_record
from engine.jobs.capsule_validation import NOT_MEASURED, rows
from engine.jobs.rerun import prepare
from engine.jobs.run_dir import RunDir
from engine.specs import codec
from engine.specs.job import JobSpec, TrainPriorSpec
from engine.types import ImageStack, Volume
from tests.engine import sds_run

Training = Callable[..., TrainPriorSpec]
MANIFEST = {"verglas": "0.1.0", "device": "CPU", "packages": {"torch": "2.13.0"}, "inputs": {}, "prior": None}


@pytest.fixture
def trained(tmp_path: Path, training: Training) -> RunDir:
    run = RunDir.create(tmp_path / "run", training(max_steps=3, title="Tiny"))
    assert isinstance(runner.run(run.spec(), run), Completed)
    return run


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the capsule of a run of class averages holds, but for its hashes."""
    folder = tmp_path_factory.mktemp("once")
    return _content(write_capsule(_finished_volumes(folder), folder / "c.zip"))


@pytest.fixture
def volumes(tmp_path: Path) -> RunDir:
    return _finished_volumes(tmp_path)


def _finished_volumes(tmp_path: Path) -> RunDir:
    """A finished run of class averages, with the files that it has read."""
    folder = tmp_path / "someones home" / "run"
    sds_run.make_run(folder)
    stack = tmp_path / "someones home" / "classes.mrcs"
    write_images(stack, ImageStack(np.ones((6, 24, 24), np.float32), 4.0))
    (folder / "spec.json").write_text(
        json.dumps({"kind": "sds", "volumes": "each", "averages": {"file": str(stack)}})
    )
    run = RunDir.open(folder)
    digest = hashlib.sha256(stack.read_bytes()).hexdigest()
    entry = {"path": str(stack), "sha256": digest, "bytes": stack.stat().st_size}
    write_json(
        folder / "manifest.json",
        MANIFEST
        | {"seed": 0, "inputs": {"averages, file": entry}, "command": ["verglas", "run", f"--out={folder}"]},
    )
    with run.writer() as writer:
        writer.write(Completed(seconds=1.0))
    return run


def _text(capsule: Path, name: str) -> str:
    return CapsuleArchive(capsule).read(name).decode()


def test_a_rerun_is_identical(trained: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    capsule, out = tmp_path / "c.zip", tmp_path / "again"
    assert main(["capsule", str(trained.path), "--out", str(capsule)]) == 0
    (tmp_path / "clouds.npz").unlink()  # it is in the capsule
    assert main(["rerun", str(capsule), "--out", str(out)]) == 0
    assert "Identical to the last bit" in capsys.readouterr().out
    record = json.loads((out / "rerun.json").read_text())
    assert record["identical"]
    assert record["numbers"] > 5
    # once more: nothing is computed, all is compared
    assert main(["rerun", str(capsule), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["identical"]


def test_a_difference_beyond_tolerance_is_noticed(trained: RunDir, tmp_path: Path):
    capsule, out = tmp_path / "c.zip", tmp_path / "again"
    write_capsule(trained, capsule)
    assert main(["rerun", str(capsule), "--out", str(out)]) == 0
    metrics = out / "run" / "results" / "metrics.json"
    found = json.loads(metrics.read_text())
    level = next(iter(found["validation_rmse_over_sigma"]))
    found["validation_rmse_over_sigma"][level] *= 1.2
    metrics.write_text(json.dumps(found))
    assert main(["rerun", str(capsule), "--out", str(out)]) == 1
    wrong = [d["name"] for d in json.loads((out / "rerun.json").read_text())["different"] if not d["within"]]
    assert wrong == [f"metrics.validation_rmse_over_sigma.{level}"]


def test_the_same_run_makes_the_same_bytes(volumes: RunDir, tmp_path: Path):
    first, second = (write_capsule(volumes, tmp_path / name) for name in ("a.zip", "b.zip"))
    assert first.read_bytes() == second.read_bytes()
    names = set(CapsuleArchive(first).names)
    assert {"figures/fsc.svg", "figures/landscape.svg", "figures/correlations.svg", "view/view.cxc"} <= names
    assert {"inputs/classes.mrcs", "methods.txt", "references.bib", "validation.md"} <= names


def test_nothing_of_the_machine_is_in_it(volumes: RunDir, tmp_path: Path):
    capsule = write_capsule(volumes, tmp_path / "c.zip")
    with zipfile.ZipFile(capsule) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert b"someones home" not in content, name
            assert str(tmp_path).encode() not in content, name
    assert tomllib.loads(_text(capsule, "spec.toml"))["averages"]["file"] == "inputs/classes.mrcs"
    assert json.loads(_text(capsule, "manifest.json"))["command"] == ["verglas", "run", "--out=run"]


def test_inputs_that_stay_out_are_asked_for_and_found_by_content(volumes: RunDir, tmp_path: Path):
    capsule = write_capsule(volumes, tmp_path / "c.zip", inputs=False)
    assert "inputs/classes.mrcs" not in CapsuleArchive(capsule).names
    with pytest.raises(InputError, match=r"classes\.mrcs .*Give their folder: --inputs"):
        prepare(capsule, tmp_path / "again")
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    stack = (tmp_path / "someones home" / "classes.mrcs").read_bytes()
    (other / "classes.mrcs").write_bytes(stack[:-4] + b"\0\0\0\1")  # of this name and size, but another
    with pytest.raises(InputError, match="They are not in"):
        prepare(capsule, tmp_path / "again", inputs=tmp_path / "elsewhere")
    (other / "renamed").write_bytes(stack)
    ready = prepare(capsule, tmp_path / "again", inputs=tmp_path / "elsewhere", device="cpu")
    assert ready.spec.kind == "sds"
    assert Path(ready.spec.averages.file).read_bytes() == stack
    assert ready.spec.device == "cpu"


def test_an_input_that_changed_since_is_not_embedded(volumes: RunDir, tmp_path: Path):
    (tmp_path / "someones home" / "classes.mrcs").write_bytes(b"another")
    capsule = write_capsule(volumes, tmp_path / "c.zip")
    manifest = json.loads(_text(capsule, "manifest.json"))
    assert "inputs/classes.mrcs" not in CapsuleArchive(capsule).names
    assert "was changed since the run" in manifest["notes"][0]
    assert manifest["inputs"][0]["sha256"] == volumes.manifest()["inputs"]["averages, file"]["sha256"]


def test_stacks_that_a_star_file_names_come_with_it(tmp_path: Path):
    (tmp_path / "Extract").mkdir()
    write_images(tmp_path / "Extract" / "p.mrcs", ImageStack(np.ones((2, 24, 24), np.float32), 4.0))
    star = tmp_path / "poses.star"
    star.write_text("data_\nloop_\n_rlnImageName\n1@Extract/p.mrcs\n2@Extract/p.mrcs\n3@Extract/gone.mrcs\n")
    spec = codec.validate({"kind": "known_poses", "images": {"poses": str(star)}})
    found = gather_inputs(spec, MANIFEST)
    assert [e.name for e in found.entries] == ["inputs/poses.star", "inputs/p.mrcs"]
    assert found.entries[1].used_as == ["named by poses.star"]


def test_a_run_that_found_poses_comes_with_poses_and_images_alone(volumes: RunDir):
    spec = codec.validate({"kind": "known_poses", "images": {"poses": str(volumes.path)}})
    found = gather_inputs(spec, MANIFEST)
    names = {e.name.removeprefix("inputs/run/") for e in found.entries}
    assert names == {"poses.csv", "poses.star", "prepared.mrcs"}
    assert with_places(spec, found.places).images.poses == "inputs/run"


def test_a_prior_s_name_is_replaced_only_where_it_names_the_prior(tmp_path: Path):
    spec = codec.validate({"kind": "dps", "title": "joint", "prior": {"kind": "network", "weights": "joint"},
                           "observations": POINTS})  # fmt: skip
    moved = with_places(spec, {"joint": "inputs/joint.safetensors"})
    assert moved.prior.weights == "inputs/joint.safetensors"
    assert moved.title == moved.sampler.matching == "joint"
    assert moved.observations[0].file == "inputs/x.csv"


def test_files_of_one_name_do_not_displace_each_other(tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.csv").write_text(f"0,0,{len(folder)}\n")
    points = [{"kind": "coarse_points", "file": str(tmp_path / f / "x.csv")} for f in ("a", "b", "a")]
    spec = codec.validate({"kind": "dps", "observations": points, "prior": {"kind": "gaussian"}})
    found = gather_inputs(spec, MANIFEST)
    assert [e.name for e in found.entries] == ["inputs/x.csv", "inputs/2/x.csv"]
    assert len(found.entries[0].used_as) == 2


def test_a_run_that_has_not_finished_makes_none(tmp_path: Path, training: Training):
    run = RunDir.create(tmp_path / "run", training(max_steps=3))
    with pytest.raises(RunError, match="not finished"):
        write_capsule(run, tmp_path / "c.zip")
    assert not (tmp_path / "c.zip").exists()


# ---- strangers' zips --------------------------------------------------------------------------------


def _zip(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], sums: bool = True) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        lines = ""
        for name, content in entries:
            archive.writestr(name, content)
            label = name if isinstance(name, str) else name.filename
            lines += f"{hashlib.sha256(content).hexdigest()}  {label}\n"
        if sums:
            archive.writestr(SUMS, lines)
    return path


def _link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("../x", b"")], "leads outside"),
        ([("/etc/x", b"")], "leads outside"),
        ([("a/../../x", b"")], "leads outside"),
        ([("C:x", b"")], "leads outside"),
        ([(_link("inputs/x"), b"/etc/passwd")], "is a link"),
        ([("inputs/", b"")], "link or a folder"),
        ([("a", b"1"), ("A", b"2")], "twice"),
        ([("bomb", b"\0" * (80 << 20))], "Unpacked it would take"),
    ],
)
def test_hostile_zips_are_refused(tmp_path: Path, entries: list[tuple[str, bytes]], words: str):
    with pytest.raises(InputError, match=words):
        CapsuleArchive(_zip(tmp_path / "c.zip", *entries))


def test_a_zip_without_hashes_and_what_is_none_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=SUMS):
        CapsuleArchive(_zip(tmp_path / "c.zip", ("a", b"1"), sums=False))
    (tmp_path / "n.zip").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(InputError, match="no whole zip"):
        CapsuleArchive(tmp_path / "n.zip")
    assert main(["rerun", str(tmp_path / "gone.zip"), "--out", str(tmp_path / "o")]) == 2


def _content(capsule: Path) -> dict[str, bytes]:
    archive = CapsuleArchive(capsule)
    return {name: archive.read(name) for name in archive.names if name != SUMS}


def test_tampering_is_noticed(content: dict[str, bytes], tmp_path: Path):
    write_zip(tmp_path / "c.zip", content)
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        sums = archive.read(SUMS)
    changed = content | {"results.json": content["results.json"].replace(b"18.0", b"12.0"), SUMS: sums}
    assert changed["results.json"] != content["results.json"]
    _zip(tmp_path / "t.zip", *changed.items(), sums=False)
    with pytest.raises(InputError, match=r"results\.json was changed"):
        CapsuleArchive(tmp_path / "t.zip")


@pytest.mark.parametrize("path", ["/etc/hostname", "../secret", "spec.toml", "inputs/../../secret"])
def test_a_description_reads_nothing_outside(content: dict[str, bytes], tmp_path: Path, path: str):
    hostile = content["spec.toml"].replace(b"inputs/classes.mrcs", path.encode())
    write_zip(tmp_path / "h.zip", content | {"spec.toml": hostile})  # with true hashes
    (tmp_path / "secret").write_text("x")
    with pytest.raises(InputError, match="outside of the capsule"):
        prepare(tmp_path / "h.zip", tmp_path / "again")


def test_a_manifest_writes_nothing_outside(content: dict[str, bytes], tmp_path: Path):
    manifest = json.loads(content["manifest.json"])
    manifest["inputs"][0]["name"] = "inputs/../../x"
    write_zip(tmp_path / "h.zip", content | {"manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(InputError, match="outside of its folder"):
        prepare(tmp_path / "h.zip", tmp_path / "again")
    assert not (tmp_path / "x").exists()


def test_a_folder_with_other_things_is_left_alone(content: dict[str, bytes], tmp_path: Path):
    capsule = tmp_path / "c.zip"
    write_zip(capsule, content)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="holds no rerun"):
        prepare(capsule, tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]


# ---- comparison ---------------------------------------------------------------------------------------


def _map_record(folder: Path, density: np.ndarray) -> dict[str, object]:
    folder.mkdir()
    size = (4.0, 4.0, 4.0)
    volume = Volume(density.astype(np.float32), size, volume_origin_A(density.shape, 4.0))
    write_volume(folder / "consensus.mrc", volume)
    return json.loads(json.dumps(results_record(folder)))


def test_a_map_that_differs_in_one_place_is_noticed(tmp_path: Path):
    density = sds_run.blob(0.3)
    one = _map_record(tmp_path / "a", density)
    rounded = compare(one, _map_record(tmp_path / "b", density * (1 + 1e-6)), elsewhere=False)
    assert not rounded.identical
    assert not rounded.outside
    moved = density.copy()
    moved[2:6] = moved[2:6][:, ::-1] + 0.2 * density.std()
    wrong = compare(one, _map_record(tmp_path / "c", moved), elsewhere=False)
    assert any("part" in d.name for d in wrong.outside)
    smaller = compare(one, _map_record(tmp_path / "d", density[:20, :20, :20]), elsewhere=True)
    assert [d.name for d in smaller.outside] == ["consensus.mrc values"]


def test_elsewhere_tolerances_are_wider_and_what_is_gone_is_noticed():
    def record(value: float | None) -> dict[str, object]:
        entry = {"value": value, "abs": 0.02, "rel": 0.005}
        return {"numbers": {} if value is None else {"metrics.rmsd_A": entry}, "arrays": {}, "elsewhere": 10}

    assert compare(record(10.0), record(10.3), elsewhere=False).outside
    assert not compare(record(10.0), record(10.3), elsewhere=True).outside
    assert compare(record(10.0), record(11.0), elsewhere=True).outside
    assert compare(record(10.0), record(None), elsewhere=True).outside


def test_names_of_starts_are_not_compared_but_how_far_they_agree_is(tmp_path: Path):
    def record(folder: str, agreement: dict[str, object]) -> dict[str, object]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "metrics.json").write_text(json.dumps({"agreement": agreement}))
        return results_record(tmp_path / folder)

    one = record("a", {"agree": 4, "medoid": 2, "groups": [[2, 3, 4, 1]]})
    relabelled = record("b", {"agree": 4, "medoid": 3, "groups": [[3, 2, 4, 1]]})
    fewer = record("c", {"agree": 3, "medoid": 2, "groups": [[2, 3, 4, 1]]})
    assert not compare(one, relabelled, elsewhere=False).outside
    assert compare(one, fewer, elsewhere=False).outside


# ---- words ----------------------------------------------------------------------------------------------

POINTS = [{"kind": "coarse_points", "file": "/a/x.csv"}]
SPECS = [
    {"kind": "dps", "prior": {"kind": "gaussian"}, "observations": POINTS},
    *(
        {"kind": "dps", "sampler": {"kind": kind}, "observations": POINTS}
        for kind in ("split_gibbs", "daps", "algorithm1", "maximum_likelihood", "unconditional")
    ),
    {"kind": "sds", "volumes": "each", "averages": {"file": "/a/x.mrcs"}},
    {"kind": "sds", "averages": {"file": "/a/x"}, "denoiser": {"kind": "trained", "weights": "/a/w"}},
    *(
        {"kind": "known_poses", "images": {"poses": "/a/x.star"}, "method": {"kind": kind}}
        for kind in ("wiener", "data", "total_variation", "sds", "ipsm", "denoised_views")
    ),
    {"kind": "train_prior", "clouds": "/a/x.npz"},
    {"kind": "train_denoiser", "averages": {"file": "/a/x.mrcs"}},
]  # fmt: skip


@pytest.mark.parametrize(
    "values", SPECS, ids=lambda v: f"{v['kind']}-{v.get('sampler', v.get('method', {}))}"
)
def test_methods_of_every_kind_cite_what_they_name(values: dict[str, object]):
    spec: JobSpec = codec.validate(values)
    said = paragraph(spec, MANIFEST, {})
    assert "[@" not in said.text
    assert "/a/" not in said.text
    assert "None" not in said.text
    keys = re.findall(r"^@\w+\{(\w+),$", said.bibliography, re.MULTILINE)
    assert len(keys) == len(set(keys)) >= 5
    assert f"random seed {spec.seed}" in said.text
    table = rows(spec, {})  # nothing was measured, and it says so
    assert any(row.value == NOT_MEASURED for row in table)
    assert not any("None" in row.measure + row.how for row in table)
