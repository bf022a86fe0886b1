"""The library of priors: what is in it, what is refused, and what the command line says of it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from engine import cli
from engine.errors import InputError, PriorError
from engine.io import prior_facts, prior_library
from engine.priors import checkpoint
from engine.priors.weights_file import sha256
from engine.specs.codec import dump_toml, input_files, load_spec, resolve_paths
from engine.specs.components import NetworkPrior, is_prior_name
from engine.specs.job import DpsSpec
from engine.specs.samplers import Unconditional

CARD = {
    "architecture": "kernel",
    "options": {"width": 8, "layers": 1},
    "sigma_data": 0.36,
    "points": 64,
    "trained": {
        "clouds": "rings.npz", "training_clouds": 12, "steps": 3, "hours": 0.4,
        "validation_rmse_over_sigma": {"0.5": 0.6, "0.2": 0.8, "what": 1.0, "1": "bad"},
    },
}  # fmt: skip


def write_prior(path: Path, card: object = CARD, form: str = prior_library.PRIOR_FORMAT) -> Path:
    """A file with a card and four values, enough for everything that needs no network."""
    values = np.arange(4, dtype=np.float32).tobytes()
    header = json.dumps({
        "__metadata__": {"format": form, "card": json.dumps(card)},
        "weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, len(values)]},
    }).encode()  # fmt: skip
    path.write_bytes(struct.pack("<Q", len(header)) + header + values)
    return path


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "library"
    monkeypatch.setenv(prior_library.FOLDER_VARIABLE, str(folder))
    return folder


def test_the_shipped_priors_come_first_and_damaged_files_are_named(library: Path, tmp_path: Path) -> None:
    entries = prior_library.list_priors()
    assert entries[0].weights == "shipped"
    assert all(entry.shipped and not entry.problem for entry in entries)
    assert checkpoint.shipped_prior() == entries[0].path == checkpoint.resolve("shipped")
    shipped = len(entries)
    library.mkdir()
    write_prior(library / "b.safetensors")
    write_prior(library / "A.safetensors")
    (library / "cut.safetensors").write_bytes((library / "b.safetensors").read_bytes()[:-3])
    (library / "folder.safetensors").mkdir()
    (library / "empty.safetensors").touch()
    write_prior(library / "list.safetensors", card=[1])
    write_prior(library / "other.safetensors", form="some-other-weights")
    (library / "notes.txt").write_text("no prior")
    own = prior_library.list_priors()[shipped:]
    assert [e.name for e in own] == ["A", "b", "cut", "empty", "folder", "list", "other"]
    assert [bool(e.problem) for e in own] == [False, False, True, True, True, True, True]
    assert "ends early" in own[2].problem
    assert own[1].sha256 == sha256(own[1].path)
    assert own[1].size == own[1].path.stat().st_size


def test_a_prior_is_kept_whole_found_by_name_and_removed(library: Path, tmp_path: Path) -> None:
    file = write_prior(tmp_path / "prior.safetensors")
    entry = prior_library.keep(file, "ring shapes")
    assert entry.path == library / "ring shapes.safetensors"
    assert entry.path.read_bytes() == file.read_bytes()
    assert [p.name for p in library.iterdir()] == ["ring shapes.safetensors"]
    assert checkpoint.resolve("ring shapes") == entry.path
    assert prior_library.find("ring shapes") == entry
    assert prior_library.remove("ring shapes") == entry.path
    assert not entry.path.exists()
    with pytest.raises(PriorError, match="no prior named `ring shapes`"):
        checkpoint.resolve("ring shapes")


@pytest.mark.parametrize(
    "name", ["", " x", "x.", "a/b", "..", ".hidden", "x.safetensors", "con", "x" * 61, "shipped", "Gaussian"]
)
def test_names_that_can_not_be_used_are_refused(library: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        prior_library.keep(write_prior(tmp_path / "p.safetensors"), name)
    assert not library.exists()


def test_names_that_are_taken_are_refused_also_in_other_capitals(library: Path, tmp_path: Path) -> None:
    file = write_prior(tmp_path / "p.safetensors")
    prior_library.keep(file, "Rings")
    for name in ("Rings", "rings", prior_library.list_priors()[0].name):
        with pytest.raises(InputError, match="named `.*` already"):
            prior_library.keep(file, name)


def test_what_is_no_prior_is_not_kept(library: Path, tmp_path: Path) -> None:
    other = write_prior(tmp_path / "d.safetensors", form="verglas-image-denoiser-1")
    for file in (other, tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(PriorError):
            prior_library.keep(file, "x")
    assert not library.exists()


def test_shipped_priors_stay(library: Path) -> None:
    name = prior_library.list_priors()[0].name
    for wanted in ("shipped", name):
        with pytest.raises(PriorError, match="comes with Verglas"):
            prior_library.remove(wanted)
    assert checkpoint.shipped_prior().is_file()


def test_a_library_that_can_not_be_read_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(prior_library.FOLDER_VARIABLE, str(tmp_path / "file"))
    assert all(entry.shipped for entry in prior_library.list_priors())


def test_names_in_run_descriptions_are_not_taken_for_files(tmp_path: Path) -> None:
    def spec(weights: str) -> DpsSpec:
        return DpsSpec(prior=NetworkPrior(weights=weights), sampler=Unconditional())

    for name in ("rings", "ring shapes", "β-gal_2.1"):
        assert is_prior_name(name)
        assert resolve_paths(spec(name), tmp_path).prior.weights == name
        assert input_files(spec(name)) == {}
        dump_toml(spec(name), tmp_path / "job.toml")
        assert load_spec(tmp_path / "job.toml") == spec(name)
    for file in ("rings.safetensors", "./rings", "sub/rings"):
        assert not is_prior_name(file)
        assert resolve_paths(spec(file), tmp_path).prior.weights == str(tmp_path / file)
        assert input_files(spec(file)) == {"prior, weights": file}


def test_the_card_says_what_is_known_and_survives_nonsense(library: Path, tmp_path: Path) -> None:
    entry = prior_library.describe(write_prior(tmp_path / "p.safetensors"))
    rows = dict(prior_facts.card_rows(entry))
    assert rows["Trained on"] == "12 clouds of 64 points, from rings.npz"
    assert rows["Training"] == "3 steps, 24 min"
    errors = prior_facts.level_errors(entry)
    assert [level.sigma for level in errors] == [0.2, 0.5]
    assert errors[0].shapeless == pytest.approx(0.36 / (0.36**2 + 0.2**2) ** 0.5)
    for card in (
        {},
        {"trained": 3, "points": [], "options": "x"},
        {"architecture": None, "sigma_data": True},
    ):
        odd = prior_library.describe(write_prior(tmp_path / "odd.safetensors", card))
        assert prior_facts.card_rows(odd)
        assert prior_facts.level_errors(odd) == []


def test_the_shipped_card_names_its_data_and_what_it_has_not_seen(library: Path) -> None:
    text = prior_library.card_text(prior_library.find("shipped"))
    assert "CC0" in text
    assert "never seen" in text
    assert not text.startswith("#")


def test_the_command_lists_keeps_shows_and_removes(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(write_prior(tmp_path / "p.safetensors"))
    assert cli.main(["priors", "add", file, "--name", "rings"]) == 0
    assert cli.main(["priors", "add", file, "--name", "rings"]) == cli.BAD_INPUT
    assert "already" in capsys.readouterr().err
    (library / "bad.safetensors").write_bytes(b"nothing")
    assert cli.main(["priors"]) == 0
    listed = capsys.readouterr().out
    assert "complexes-equivariant (shipped)" in listed
    assert "rings" in listed
    assert "bad.safetensors: " in listed
    assert cli.main(["priors", "--json"]) == 0
    parsed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in parsed if not entry["shipped"]] == ["bad", "rings"]
    assert parsed[0]["weights"] == "shipped"
    assert cli.main(["priors", "show", "rings"]) == 0
    shown = capsys.readouterr().out
    assert "12 clouds of 64 points" in shown
    assert prior_facts.UNSEEN in shown
    assert cli.main(["priors", "remove", "rings"]) == 0
    assert cli.main(["priors", "show", "rings"]) == cli.BAD_INPUT
