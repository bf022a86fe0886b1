"""The command line: whole runs, exit codes, one-line errors, quick help."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gemmi
import numpy as np
import pytest

from engine import cli, doctor
from engine.commands import windows
from engine.commands.display import duration
from engine.events import Cancelled, Completed, Progress
from engine.jobs.run_dir import RunDir
from engine.specs.codec import dump_toml, load_spec
from engine.specs.components import CoarsePoints, GaussianPrior
from engine.specs.job import DpsSpec
from engine.specs.samplers import Proximal

Verglas = Callable[..., tuple[int, str, str]]
COMMANDS = (
    "run", "train", "train prior", "averages", "simulate", "evaluate", "export", "doctor", "demo", "app",
    "data", "data build", "data fetch", "data shapes", "priors",
)  # fmt: skip


@pytest.fixture
def verglas(capfd: pytest.CaptureFixture[str]) -> Verglas:
    """Run a command in this process: exit status, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = cli.main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A reconstruction of 64 points that takes well under a second."""
    rng = np.random.default_rng(0)
    lines = [",".join(f"{v:.3f}" for v in row) for row in rng.normal(size=(64, 3)) * 20]
    (tmp_path / "shape.csv").write_text("x,y,z\n" + "\n".join(lines) + "\n")
    spec = DpsSpec(
        observations=(CoarsePoints(file=str(tmp_path / "shape.csv")),),
        prior=GaussianPrior(),
        sampler=Proximal(steps=3),
        samples=2,
        points=64,
        device="cpu",
    )
    dump_toml(spec, tmp_path / "job.toml")
    return tmp_path / "job.toml"


@pytest.fixture
def endless(job: Path) -> Path:
    """The same, with more steps than anybody waits for."""
    job.write_text(
        job.read_text().replace("steps = 3", "steps = 1000").replace("samples = 2", "samples = 1000")
    )
    return job


def _one_line(error: str) -> bool:
    return error.startswith("Error: ") and error.count("\n") == 1 and "Traceback" not in error


# ---- a run and what follows ----------------------------------------------------------------------


def test_from_a_spec_to_exported_files(verglas: Verglas, job: Path, tmp_path: Path):
    out = tmp_path / "run"
    code, shown, told = verglas("run", job, "--out", out, "--seed", 7)
    assert code == 0, told
    assert "Computing on CPU" in told
    assert "sampling" in told
    assert "Finished after" in shown
    assert "Spread between samples" in shown
    run = RunDir.open(out)
    assert isinstance(run.outcome(), Completed)
    assert run.spec().seed == 7

    code, _, error = verglas("run", job, "--out", out, "--seed", 7)
    assert code == 2
    assert _one_line(error)
    assert "finished run" in error

    truth = tmp_path / "truth.npz"
    np.savez(truth, points=np.loadtxt(tmp_path / "shape.csv", delimiter=",", skiprows=1))
    code, shown, _ = verglas("evaluate", out, "--truth", truth, "--json")
    assert code == 0
    report = json.loads(shown)
    assert set(report["summary"]) >= {"rmsd_points_A", "rmsd_points_unaligned_A", "chamfer_A"}
    code, shown, _ = verglas("evaluate", out, "--truth", truth)
    assert code == 0
    assert re.search(r"RMSD to the truth's points, as reconstructed +\d", shown)

    for name, suffix in (
        ("mmcif", ".cif"),
        ("pdb", ".pdb"),
        ("mrc", ".mrc"),
        ("csv", ".csv"),
        ("cxc", ".cxc"),
    ):
        code, shown, told = verglas("export", out, "--format", name)
        assert code == 0, told
        written = [Path(line) for line in shown.splitlines()]
        assert written
        assert all(p.is_file() for p in written)
        assert any(p.suffix == suffix for p in written)
    structure = gemmi.read_structure(str(out / "results" / "ensemble.cif"))
    assert len(structure) == 2
    spread = np.load(out / "results" / "spread.npy")
    b_factors = [a.b_iso for c in structure[0] for r in c for a in r]
    np.testing.assert_allclose(b_factors, 8 * np.pi**2 / 3 * spread**2, atol=0.02)


def test_simulated_inputs_are_ready_to_run(verglas: Verglas, tmp_path: Path):
    rng = np.random.default_rng(1)
    atoms = [
        f"ATOM  {i:5d}  CA  ALA {'AB'[i % 2]}{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C"
        for i, (x, y, z) in enumerate(rng.normal(size=(200, 3)) * 20, start=1)
    ]
    (tmp_path / "a.pdb").write_text("\n".join([*atoms, "END", ""]))
    out = tmp_path / "sim"
    options = ("--views", 2, "--coarse-points", 20, "--coarse-map", 25, "--subunit", "B", "--noise", 0.5)
    code, shown, told = verglas("simulate", tmp_path / "a.pdb", "--out", out, *options)
    assert code == 0, told
    assert {Path(line).name for line in shown.splitlines()} == {
        "truth.cif",
        "projections.mrcs",
        "projections.star",
        "coarse.csv",
        "coarse.mrc",
        "subunit.cif",
        "job.toml",
    }
    spec = load_spec(out / "job.toml")
    job = spec.model_copy(update={"prior": GaussianPrior(), "sampler": Proximal(steps=2), "points": 64})
    dump_toml(job, out / "quick.toml")
    code, shown, told = verglas("run", out / "quick.toml", "--out", tmp_path / "run", "--samples", 1)
    assert code == 0, told
    assert "RMSD" in shown
    code, _, error = verglas("simulate", tmp_path / "a.pdb", "--out", out, "--subunit", "Z")
    assert code == 2
    assert _one_line(error)


def test_json_is_all_that_a_script_gets(verglas: Verglas, job: Path, tmp_path: Path):
    code, shown, _ = verglas("run", job, "--out", tmp_path / "run", "--json", "--samples", 1)
    assert code == 0
    report = json.loads(shown)
    assert report["outcome"] == "completed"
    assert Path(report["results"]["ensemble"]).is_file()
    assert report["metrics"]["samples"] == 1


def test_a_preset_changes_the_description(verglas: Verglas, job: Path, tmp_path: Path):
    code, _, told = verglas("run", job, "--out", tmp_path / "run", "--preset", "no-prior", "--samples", 1)
    assert code == 0, told
    spec = RunDir.open(tmp_path / "run").spec()
    assert (spec.sampler.kind, spec.samples) == ("maximum_likelihood", 1)


def test_training_by_options(verglas: Verglas, tmp_path: Path):
    clouds = tmp_path / "clouds.npz"
    np.savez(clouds, points=np.random.default_rng(0).uniform(-1, 1, (12, 32, 3)).astype(np.float16))
    options = ("--width", 8, "--layers", 1, "--batch", 1, "--min-points", 32, "--device", "cpu")
    out = tmp_path / "prior"
    code, shown, told = verglas("train", "prior", clouds, "--out", out, *options, "--max-steps", 2)
    assert code == 0, told
    assert (out / "results" / "prior.safetensors").is_file()
    code, _, error = verglas("train", "prior", clouds, "--out", out, *options, "--max-steps", 2)
    assert code == 2
    assert "more time" in error
    code, _, told = verglas("train", "prior", clouds, "--out", out, *options, "--max-steps", 4)
    assert code == 0, told
    assert "Resumed after 2 steps" in told


# ---- being stopped -------------------------------------------------------------------------------


def _started(arguments: list[str], **how: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "engine", *arguments], text=True, **how)  # type: ignore[call-overload]


def _wait_for_sampling(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (folder / "spec.json").exists():
            events = RunDir.open(folder).events()
            if any(isinstance(e, Progress) and e.stage == "sampling" for e in events):
                return
        time.sleep(0.05)
    raise AssertionError("no sampling")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_cleanly(endless: Path, tmp_path: Path, number: signal.Signals):
    out = tmp_path / "run"
    process = _started(
        ["run", str(endless), "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _wait_for_sampling(out)
    process.send_signal(number)
    shown, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "Cancelled after" in shown
    assert isinstance(RunDir.open(out).outcome(), Cancelled)
    assert not RunDir.open(out).running


@pytest.mark.skipif(sys.platform == "win32", reason="needs ulimit")
def test_a_full_disk_is_one_line(endless: Path, tmp_path: Path):
    command = f"ulimit -f 20; exec {sys.executable} -m engine run {endless} --out {tmp_path / 'run'}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "can't be written (File too large)" in done.stderr.splitlines()[-1]


def test_a_progress_bar_on_a_terminal(job: Path, tmp_path: Path):
    try:
        primary, secondary = pty.openpty()
    except OSError:
        pytest.skip("this machine has no pseudo-terminals")
    environment = dict(os.environ) | {"COLUMNS": "120", "TERM": "xterm-256color"}
    arguments = ["run", str(job), "--out", str(tmp_path / "run")]
    process = _started(arguments, stdout=subprocess.DEVNULL, stderr=secondary, env=environment)
    os.close(secondary)
    shown = b""
    while True:
        try:
            block = os.read(primary, 4096)
        except OSError:  # the other end closed
            break
        if not block:
            break
        shown += block
    os.close(primary)
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "sampling" in text
    assert "━" in text
    assert "6/6" in text


# ---- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "none.toml", "--out", "o"], "none.toml: There is no such file."),
        (["run", "job.toml"], "Missing option '--out'"),
        (["run", "job.toml", "--out", "o", "--samples", "many"], "--samples"),
        (["run", "job.toml", "--out", "o", "--samples", "0"], "`samples` is 0, but must be at least 1"),
        (["run", "job.toml", "--out", "o", "--device", "tpu"], "`device` is 'tpu'"),
        (["run", "job.toml", "--out", "o", "--preset", "best"], "no preset `best`"),
        (["run", "shape.csv", "--out", "o"], "shape.csv: This is not valid TOML"),
        (["run", "missing-input.toml", "--out", "o"], "none.csv: There is no such file"),
        (["evaluate", "none"], "none: There is no such folder"),
        (["evaluate", "."], "There is no ensemble in this folder"),
        (["evaluate", "job.toml"], "job.toml"),
        (["export", ".", "--format", "mmcif"], "There is no ensemble"),
        (["export", ".", "--format", "docx"], "no format `docx`. Choose one of: mmcif, pdb, mrc, csv, cxc"),
        (["export", ".", "--format", "mrc", "--resolution", "-3"], "`--resolution` is -3"),
        (["train", "prior", "none.npz", "--out", "o"], "none.npz: There is no such file"),
        (
            ["train", "prior", "job.toml", "--out", "o", "--hours", "-1"],
            "`hours` is -1.0 h, but must be more than",
        ),
        (["train", "prior", "job.toml", "--out", "o"], "job.toml: The file can't be read as npz"),
        (["simulate", "none.pdb", "--out", "o", "--pixel-size", "0"], "`--pixel-size` is 0"),
        (["reconstruct"], "No such command 'reconstruct'"),
        (["run", "--fast"], "--fast"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(
    verglas: Verglas, job: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
):
    monkeypatch.chdir(job.parent)
    (job.parent / "missing-input.toml").write_text(job.read_text().replace("shape.csv", "none.csv"))
    code, shown, error = verglas(*arguments)
    assert code == 2
    assert shown == ""
    last = error.splitlines()[-1] + "\n"  # a run that got as far as a device says so first
    assert _one_line(last), error
    assert words in last
    assert "Traceback" not in error


def test_bugs_are_told_without_a_traceback(verglas: Verglas, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def crash(path: Path) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("engine.commands.running.codec.load_spec", crash)
    code, _, error = verglas("run", "a.toml", "--out", tmp_path / "o")
    assert code == 1
    assert _one_line(error)
    found = re.search(r"the file (\S+)\.$", error.strip())
    assert found
    assert "ZeroDivisionError" in Path(found[1]).read_text()
    Path(found[1]).unlink()


# ---- help ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(verglas: Verglas, command: str):
    code, shown, _ = verglas(*command.split(), "--help")
    assert code == 0
    assert shown.startswith("Usage: verglas")
    assert "Traceback" not in shown
    if command not in ("train", "data"):
        assert re.search(r"Examples:\n    verglas ", shown)


def test_help_and_version_import_no_torch():
    program = (
        "import sys\nfrom engine.cli import main\n"
        "main(['--version']); main(['--help']); main(['run', '--help'])\n"
        "assert 'torch' not in sys.modules and 'PySide6' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"Verglas \d+\.\d+", done.stdout)


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (61, "1 min 01 s"), (7260, "2 h 01 min")])
def test_durations_in_words(seconds: float, words: str):
    assert duration(seconds) == words


# ---- doctor and windows --------------------------------------------------------------------------


def _findings(*statuses: str) -> Callable[[], list[doctor.Finding]]:
    return lambda: [doctor.Finding(f"thing {i}", s, "found", "advice") for i, s in enumerate(statuses)]  # type: ignore[arg-type]


def test_doctors_exit_status_says_whether_verglas_can_work(verglas: Verglas, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "examine", _findings("ok", "warning"))
    code, shown, _ = verglas("doctor")
    assert code == 0
    assert "→ advice" in shown
    monkeypatch.setattr(doctor, "examine", _findings("ok", "problem"))
    assert verglas("doctor")[0] == 1
    code, shown, _ = verglas("doctor", "--json")
    assert code == 1
    assert json.loads(shown)["ok"] is False


def test_no_display_no_window(verglas: Verglas, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(windows, "has_display", lambda: False)
    code, _, error = verglas("app")
    assert code == 2
    assert _one_line(error)


def test_files_are_handed_to_the_window(verglas: Verglas, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(windows, "has_display", lambda: True)
    called: list[list[str]] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[bytes]:
        called.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(windows.subprocess, "run", run)
    assert verglas("app", "a.mrcs", "b.star")[0] == 0
    assert called == [[sys.executable, "-m", "app.main", "a.mrcs", "b.star"]]
