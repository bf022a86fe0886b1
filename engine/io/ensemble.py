"""Ensembles as ``.npz``: the result file of every reconstruction.

One archive holds ``points_A`` (n, points, 3) float32 in Å, ``energies`` (n, observations),
``observation_names``, ``seeds``, ``kind``, the ``frame`` (centre xyz and scale, Å) and a format
version. Nothing in it is pickled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io import npy
from engine.io.atomic import atomic_path
from engine.types import Ensemble, Frame

FORMAT = "verglas-ensemble"
VERSION = 1
KINDS = ("posterior", "optimum")
LARGEST_BYTES = 8 * 2**30
"""Beyond this unpacked size a file is refused before it is read."""

_ADVICE = "Use the ensemble.npz of a finished run, or run the reconstruction again."
_FIELDS = ("format", "version", "points_A", "kind", "frame", "energies", "observation_names", "seeds")


def write_ensemble(path: str | Path, ensemble: Ensemble) -> None:
    """Write an ensemble atomically as ``.npz``.

    Raises
    ------
    VerglasError
        If the file can't be written.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(
            handle,
            format=np.str_(FORMAT),
            version=np.int64(VERSION),
            points_A=np.asarray(ensemble.points_A, np.float32),
            kind=np.str_(ensemble.kind),
            frame=np.array([*ensemble.frame.centre_A, ensemble.frame.scale_A], np.float64),
            energies=np.asarray(ensemble.energies, np.float32),
            observation_names=np.array(ensemble.observation_names, dtype=np.str_),
            seeds=np.asarray(ensemble.seeds, np.int64),
        )


def read_ensemble(path: str | Path) -> Ensemble:
    """Read an ensemble that :func:`write_ensemble` wrote.

    Raises
    ------
    InputError
        If the file is missing, isn't an ensemble, is damaged, of a newer version, or its parts
        don't fit together.
    """
    path = Path(path)
    parts = _read_archive(path)
    points, energies, seeds = parts["points_A"], parts["energies"], parts["seeds"]
    frame, names = parts["frame"], parts["observation_names"]
    try:
        (kind,), called = npy.texts(parts["kind"]), npy.texts(names)
    except ValueError as exc:
        raise InputError(
            f"The ensemble is damaged: a text in it can't be read ({exc}).", _ADVICE, path
        ) from exc
    checks = {
        "the points are not an array of shape (samples, points, 3)": points.ndim == 3
        and points.shape[-1] == 3
        and min(points.shape) > 0
        and points.dtype.kind == "f",
        "the kind of the ensemble is unknown": kind in KINDS,
        "the frame is not four finite numbers with a positive scale": frame.shape == (4,)
        and frame.dtype.kind == "f"
        and bool(np.isfinite(frame).all())
        and bool(frame[3] > 0),
        "energies, names and seeds don't match the points": names.ndim == 1
        and names.dtype.kind == "U"
        and energies.dtype.kind == "f"
        and seeds.dtype.kind in "iu"
        and energies.shape == (*points.shape[:1], len(called))
        and seeds.shape == points.shape[:1],
    }
    wrong = [problem for problem, fine in checks.items() if not fine]
    if wrong:
        raise InputError(f"The ensemble is damaged: {wrong[0]}.", _ADVICE, path)
    if not np.isfinite(points).all():
        raise InputError("The ensemble holds points that are not finite numbers.", _ADVICE, path)
    x, y, z, scale = (float(v) for v in frame)
    return Ensemble(
        points_A=points.astype(np.float32, copy=False),
        kind="posterior" if kind == "posterior" else "optimum",
        frame=Frame((x, y, z), scale),
        energies=energies.astype(np.float32, copy=False),
        observation_names=called,
        seeds=seeds.astype(np.int64, copy=False),
    )


def _read_archive(path: Path) -> dict[str, NDArray[np.generic]]:
    """All fields, unpacked, after the cheap checks that keep a hostile file from filling memory."""
    try:
        npy.check_expansion(path, _ADVICE, LARGEST_BYTES)
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in _FIELDS if name not in archive.files]
            if missing or str(archive["format"]) != FORMAT:
                raise InputError("This .npz file is not a Verglas ensemble.", _ADVICE, path)
            version = int(archive["version"])
            if version > VERSION:
                raise InputError(
                    f"The ensemble is of version {version}; this Verglas reads up to {VERSION}.",
                    "Update Verglas.",
                    path,
                )
            return {name: npy.member(archive, name) for name in _FIELDS}
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError("The file doesn't exist.", "Check the path.", path) from None
    except OSError as exc:
        raise InputError(f"The file can't be read ({exc.strerror or exc}).", "Check the path.", path) from exc
    except MemoryError:
        raise InputError("The file doesn't fit into memory.", _ADVICE, path) from None
    except npy.DAMAGE as exc:
        raise InputError("The file is not an ensemble, or it is damaged.", _ADVICE, path) from exc
