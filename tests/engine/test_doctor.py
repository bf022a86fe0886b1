"""The doctor ends whatever happens, and finds what is planted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine import doctor


def test_this_machine_can_compute():
    finding = doctor._compute()
    assert finding.status in ("ok", "warning"), finding
    assert "GFLOP/s" in finding.found


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("Xvfb") is None, reason="needs Xvfb")
@pytest.mark.parametrize("display", [True, False])
def test_opengl_is_tried_with_and_without_a_display(monkeypatch: pytest.MonkeyPatch, display: bool):
    if not display:
        monkeypatch.delenv("DISPLAY")
        monkeypatch.delenv("QT_QPA_PLATFORM")
    finding = doctor._graphics()
    assert finding.found.startswith("OpenGL "), finding
    assert finding.status in ("ok", "warning"), finding
    assert ("off screen" in finding.found) == (not display)


def test_what_crashes_is_a_finding():
    assert doctor._try("import os; os.abort()") == ("", "killed by signal 6")
    assert doctor._try("raise OSError('no such driver')") == ("", "OSError: no such driver")
    assert doctor._try("print('a'); print('b')") == ("b", "")


def test_missing_libraries_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch):
    if sys.platform != "linux":
        pytest.skip("Linux only")
    told = "\tlibxcb-cursor.so.0 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x0)\n"
    monkeypatch.setattr(doctor.subprocess, "run", lambda *a, **o: subprocess.CompletedProcess(a, 0, told, ""))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/" + name)
    assert doctor.missing_libraries() == ["libxcb-cursor.so.0"]
    assert "libxcb-cursor0" in doctor.missing_packages()
    finding = doctor._qt_libraries()
    assert finding.status == "problem"
    assert "apt-get install libxcb-cursor0" in finding.advice
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None if name == "Xvfb" else "/usr/bin/" + name)
    assert "xvfb" in doctor.missing_packages(display=True)


def test_wrong_versions_are_named(monkeypatch: pytest.MonkeyPatch):
    wanted = ["numpy>=2.2", "vispy==0.17.0", "absent>=1", "ruff==1; extra == 'dev'"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: wanted)
    versions = {"numpy": "2.4.6", "vispy": "0.16.1"}
    monkeypatch.setattr(doctor, "installed", versions.get)
    finding = doctor._packages()
    assert finding.status == "problem"
    assert finding.found == "vispy is 0.16.1, not ==0.17.0; absent is missing"
    versions |= {"vispy": "0.17.0", "absent": "1.5"}
    assert doctor._packages().status == "ok"


def test_an_unusable_gpu_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    answer = (
        '["cpu", "CPU (2 cores)", ["There is an NVIDIA GPU (T), but it can\'t be used."], "2.13.0", 20.0]'
    )
    monkeypatch.setattr(doctor, "_try", lambda *a, **o: (answer, ""))
    finding = doctor._compute()
    assert finding.status == "warning"
    assert "NVIDIA GPU (T)" in finding.found
    assert "driver" in finding.advice


def test_an_examination_ends_whatever_happens(monkeypatch: pytest.MonkeyPatch):
    def _disk() -> doctor.Finding:
        raise OSError("odd machine")

    monkeypatch.setattr(doctor, "_disk", _disk)
    monkeypatch.setattr(doctor, "_try", lambda *a, **o: ("", "killed by signal 11"))
    found = {f.what: f for f in doctor.examine()}
    assert found["Computing"].status == "problem"
    assert "signal 11" in found["Computing"].found
    assert found["Disk"].status == "warning"


def test_a_damaged_prior_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "priors").mkdir()
    weights = tmp_path / "priors" / "a.safetensors"
    weights.write_bytes(b"weights")
    monkeypatch.setattr(doctor.resources, "files", lambda name: tmp_path)
    digest = "9f6911b3d7a5f5d8b7d1b9d1f6fd9c3c0f2b0a3f5e2f7d9a6c0d5e4b3a2f1e0d"
    (tmp_path / "priors" / "SHA256SUMS").write_text(f"{digest}  a.safetensors\n")
    assert doctor._prior().status == "problem"
    (tmp_path / "priors" / "SHA256SUMS").write_text(f"{doctor.sha256(weights)} *a.safetensors\n")
    assert doctor._prior().status == "ok"
    weights.unlink()
    assert doctor._prior().status == "problem"
