"""The lock file, and the comparison of what is installed with it."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import sys
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    path = Path(__file__).parents[1] / "packaging" / "audit.py"
    spec = importlib.util.spec_from_file_location("verglas_audit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_the_lock_is_one_of_pyproject(audit: ModuleType) -> None:
    entries = audit.read_lock()
    assert audit.stale(entries, audit.wanted()) == []
    names = [entry.name for entry in entries if entry.here]
    assert len(names) == len(set(names)) > 90
    text = audit.LOCK.read_text(encoding="utf-8")
    assert "://" not in text  # hashes say what is meant, wherever it comes from
    assert " @ " not in text


def test_what_differs_from_the_lock_is_told(audit: ModuleType, tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    one = "a" * 64
    lock.write_text(
        f"# words\na-b==1.0 \\\n    --hash=sha256:{one} \\\n    --hash=sha256:{'b' * 64}\n"
        f"c==2.0 ; sys_platform == 'nowhere' \\\n    --hash=sha256:{one}\nd==3.0\n"
    )
    entries = audit.read_lock(lock)
    assert [(e.name, e.version, e.here, len(e.hashes)) for e in entries] == [
        ("a-b", "1.0", True, 2), ("c", "2.0", False, 1), ("d", "3.0", True, 0),
    ]  # fmt: skip
    problems, remarks = audit.differing(entries, {"a-b": "1.1", "c": "2.0", "pip": "1", "verglas": "0.1"})
    assert problems == ["a-b 1.1: the lock has 1.0", "c 2.0: installed, but not in the lock"]
    assert remarks == ["locked for this platform, not installed: d"]
    assert audit.differing(entries, {"a-b": "1.0+cpu", "d": "3.0"})[0] == []
    wanted = [Requirement("A.B>=1.1"), Requirement("e"), Requirement("d")]
    assert audit.stale(entries, wanted) == [
        "d: the lock has no hash",
        "a-b: locked at 1.0, but pyproject.toml asks for >=1.1",
        "e: asked for by pyproject.toml, not in the lock",
    ]
    lock.write_text("a @ file:///somewhere\n")
    with pytest.raises(ValueError, match="line 1"):
        audit.read_lock(lock)


def test_changed_and_missing_files_are_found(audit: ModuleType, tmp_path: Path) -> None:
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"1").digest()).decode().rstrip("=")
    info = tmp_path / "p-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: p\nVersion: 1\n")
    (info / "RECORD").write_text(
        "".join(f"{name},sha256={digest},1\n" for name in ("a.py", "b.py", "c.py", "d.pyc"))
        + "p-1.dist-info/RECORD,,\n"
    )
    for name, content in (("a.py", b"1"), ("b.py", b"2"), ("d.pyc", b"2")):
        (tmp_path / name).write_bytes(content)
    compared, changed = audit.changed_files(Distribution.at(info))
    assert compared == 3
    assert changed == ["b.py: not what was installed", "c.py: gone"]
