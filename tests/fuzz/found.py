"""Inputs that readers once stumbled on, as small as they get: each is refused in words ever since.

Built in code, by reader, with what came of them before in the comments.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from functools import cache
from typing import Any

import h5py
import numpy as np

from tests.fuzz import run_seeds, seeds

_DEEP = b"[" * 100_000


def _npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def _npy_header(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, method)
    return out.getvalue()


def _twice(name: str, first: bytes, second: bytes) -> bytes:
    """An archive with two members of one name; a zip file can't be told to be so, hence the two steps."""
    other = "x" * len(name)
    return _zip((name, first), (other, second)).replace(other.encode(), name.encode())


def _members(archive: bytes, **changed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    return _zip(*(members | {f"{name}.npy": content for name, content in changed.items()}).items())


def _dataset(name: str, kind: str, value: Any = None) -> bytes:
    """A cryoSPARC dataset with one column of another type."""
    table = np.load(io.BytesIO(seeds.datasets()[0]))
    names = table.dtype.names
    made = np.zeros(
        len(table), [(n, kind if n == name else table.dtype[n].base, table.dtype[n].shape) for n in names]
    )
    for n in names:
        if n != name:
            made[n] = table[n]
        elif value is not None:
            made[n] = value
    return _npy(made)


def _no_characters(array: bytes, text: str = "ab") -> bytes:
    """The array with numbers that are no characters in place of a text."""
    return array.replace(text.encode("utf-32-le"), b"\xff" * (4 * len(text)))


def _hdf_name() -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.create_dataset("MDF/images/" + "9" * 30 + "/image", data=np.eye(4, dtype="f4"))
    return out.getvalue()


def _event(**values: Any) -> bytes:
    return json.dumps({"time": 1.0, **values}).encode() + b"\n"


def _json(seed: bytes, **values: Any) -> bytes:
    return json.dumps(json.loads(seed) | values).encode()


@cache
def found() -> dict[str, list[bytes]]:
    """By the name of the reader."""
    brackets = _npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (((")
    junk = b"this is no array"
    bomb = _zip(("points.npy", bytes(100 << 20)), method=zipfile.ZIP_DEFLATED)
    names = _no_characters(_npy(np.array(["ab", "ab"])))
    return {
        # tokenize.TokenError
        "npy": [brackets],
        "cs": [
            brackets,
            _dataset("blob/psize_A", "S4", b"2.0"),  # ValueError: text for numbers
            _dataset("alignments3D/pose", "S4"),
            _no_characters(_dataset("blob/path", "U9", "ab")),  # SystemError of Python itself
        ],
        "points": [
            _zip(("points.npy", brackets)),
            _twice("points.npy", _npy(np.eye(3)), _npy(np.zeros(3))),  # AxisError: the other one was read
        ],
        "clouds": [
            _zip(("points.npy", brackets)),
            _zip(("points.npy", junk)),  # AttributeError: numpy gives bytes for what is no array
            _members(seeds.cloud_archives()[0], scale_A=_npy(np.array(["a", "b"]))),  # ValueError
            _members(seeds.cloud_archives()[0], name=names),  # SystemError
            bomb,  # 100 MB of zeros
        ],
        "ensemble": [
            _members(seeds.ensembles()[0], energies=junk),
            _members(seeds.ensembles()[0], points_A=_npy(np.float32(1))),  # TypeError: no length
            _members(seeds.ensembles()[0], observation_names=names),
            bomb,
        ],
        "results_npz": [_members(seeds.result_archives()[0], latents=junk)],
        "eman": [_hdf_name()],  # OverflowError
        "lst": [b"#LSX\n" + b"9" * 5000 + b"\ta.mrcs\n", "#LSX\n٣\ta.mrcs\n".encode()],  # ValueError of int()
        "poses": [run_seeds.pose_csv()[0] + b'\n1,"' + b"0" * 200_000 + b'"'],  # csv.Error: a field too long
        "star": [
            seeds.OPTICS.replace("_rlnImageSize #3", "_rlnImagePixelSize #3").encode(),  # TypeError
            seeds.OPTICS.replace("_rlnImageSize #3", "_rlnOpticsGroup #3").encode(),  # ValueError of zip
            seeds.OPTICS.replace("000002@stack.mrcs", "nan").encode(),  # AttributeError: a number for a name
            seeds.OPTICS.replace("000002@", "9" * 5000 + "@").encode(),  # ValueError of int()
        ],
        "spec_json": [
            _json(run_seeds.specs_json()[3], clouds="\ud800"),  # UnicodeEncodeError
            _json(run_seeds.specs_json()[3], title="\ud800"),
            _json(run_seeds.specs_json()[3], clouds="~nobody-of-this-name/x"),  # RuntimeError
        ],
        "weights": [
            run_seeds.weights_of(
                "verglas-prior-1",
                {"sigma_data": 1, "trained": {"validation_rmse_over_sigma": {"1": 10**400}}},
            )  # OverflowError
        ],
        "events": [
            _DEEP + b"\n",  # RecursionError
            _event(type="snapshot", step=1, total=2, sigma=1.0, path=5),  # TypeError
            _event(
                type="snapshot", step=1, total=2, sigma=1.0, path="../../../../../outside.mrcs"
            ),  # opened it
            _event(type="snapshot", step=1, total=2, sigma=1.0, path="/etc/hostname"),
        ],
        "manifest": [_DEEP],
        "plan": [b'{"parts": [[Infinity]]}'],  # OverflowError
        "submission": [b'{"lane": "a", "jobs": [{"stage": "a", "number": "1", "tasks": Infinity}]}'],
        "lock": [
            _DEEP,
            b'{"pid": "1", "host": "h", "started": 1}',
            b'{"pid": -1, "host": "h", "started": 1}',
        ],
        "results_json": [json.dumps({"images": [{"count": 10**400}]}).encode()],  # OverflowError
        "session": [b'{"schema_version": 1, "points": {"evidence": [{"paths": 1}]}}'],  # TypeError
        "preset": [b"a = " + b"[" * 5000],  # RecursionError
    }
