"""Readers that do what none may do: proof that the fuzzer sees it. ``python -m tests.fuzz.planted`` tells."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np

from engine.errors import InputError
from tests.fuzz import sandbox
from tests.fuzz.readers import Read, Reader


def _raise(path: Path) -> None:
    raise ValueError("a bug")


def _refuse(path: Path) -> None:
    raise InputError("It is broken.", "Copy it again.", path)


def _take_memory(path: Path) -> None:
    np.ones(28 << 20)


def _run(path: Path) -> None:
    exec(compile("1 + 1", "<file>", "exec"))


def _outside(path: Path) -> None:
    (Path.cwd() / "outside.mrcs").read_bytes()


def _write_outside(path: Path) -> None:
    (Path.cwd() / "left").write_bytes(b"")


PLANTED: dict[str, tuple[Read, str]] = {
    "right": (lambda path: path.read_bytes(), ""),
    "refusing": (_refuse, ""),
    "raising": (_raise, "exception"),
    "unpickling": (lambda path: pickle.loads(pickle.dumps(os.path.join)), "code"),
    "running": (_run, "code"),
    "starting": (lambda path: os.system("true"), "code"),
    "reading outside": (_outside, "path"),
    "writing outside": (_write_outside, "path"),
    "removing outside": (lambda path: os.remove(Path.cwd() / "outside.mrcs"), "path"),
    "taking memory": (_take_memory, "memory"),
    "crashing": (lambda path: os.abort(), "crash"),
    "hanging": (lambda path: _spin(), "hang"),
}


def _spin() -> None:
    while True:
        pass


def main() -> int:
    """Say what was seen of each; 1 if anything was missed."""
    sandbox.SECONDS = 1.0  # to be quick about it
    missed = 0
    for name, (read, kind) in PLANTED.items():

        def behave(path: Path, read: Read = read) -> None:
            if path.read_bytes() != b"seed":  # seeds are read first, unwatched
                read(path)

        reader = Reader("planted", "input.bin", lambda: [b"seed"], lambda rng, seeds: b"other", (behave,))
        tally = sandbox.run(reader, range(1), 0)
        kinds = {violation.kind for violation in tally.violations}
        seen = kinds == ({kind} if kind else set())
        print(f"{name}: {', '.join(sorted(kinds)) or 'nothing'}{'' if seen else ', WRONG'}")
        missed += not seen
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
