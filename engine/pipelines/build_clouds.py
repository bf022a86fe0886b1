"""From a folder of structures to a file of clouds, an index, and reasons for what is missing."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError, VerglasError
from engine.io.atomic import write_text
from engine.io.npz_results import write_arrays
from engine.io.structure_folder import find_structures
from engine.metrics.shape import cluster_shapes
from engine.pipelines.cloud_from_structure import (
    BuiltCloud,
    Rejection,
    read_result,
    settings_key,
    write_result,
)
from engine.pipelines.cloud_splits import split_clusters
from engine.pipelines.cloud_workers import Ending, Task, work_through
from engine.specs.clouds import SPLITS, CloudSettings

PDB_LICENCE = "CC0-1.0"
_INDEX = (
    "name", "file", "sha256", "source", "title", "licence", "atoms", "chains", "scale_A", "rg_A", "cluster",
    "split",
)  # fmt: skip


@dataclass(frozen=True)
class BuildReport:
    """What was built.

    Attributes
    ----------
    out : the file of clouds; its neighbours are named after it, see :func:`build`.
    clouds : how many it holds.
    rejected : (file, reason), sorted by file.
    kept : results that an earlier, interrupted build had left.
    clusters : how many different shapes.
    splits : clouds per split, in the order train, val, test; empty without a split.
    others : files whose names are not those of structures.
    notes : what the user should know, one sentence each.
    """

    out: Path
    clouds: int
    rejected: tuple[tuple[str, Rejection], ...]
    kept: int
    clusters: int
    splits: tuple[tuple[str, int], ...]
    others: int
    notes: tuple[str, ...]

    @property
    def unusable(self) -> int:
        """Files that could not be used, besides those that the filters leave out."""
        return sum(reason.kind != "unsuitable" for _, reason in self.rejected)


def parts_folder(out: str | Path) -> Path:
    """Where the results of single files are kept until all are there."""
    out = Path(out)
    return out.with_name(f"{out.name}.parts")


def beside(out: str | Path, ending: str) -> Path:
    """A file that belongs to ``out``: ``clouds.npz`` with ``rejected.csv`` gives ``clouds.rejected.csv``."""
    out = Path(out)
    return out.with_name(f"{out.stem}.{ending}")


def build(
    folder: str | Path,
    out: str | Path,
    settings: CloudSettings,
    *,
    report: Callable[[int, int, int], None] = lambda done, total, rejected: None,
    cancel: Callable[[], None] = lambda: None,
) -> BuildReport:
    """Make a cloud of every structure in a folder and its sub-folders.

    Written are, each whole or not at all, the clouds last: ``NAME.npz`` with arrays ``points`` (n, points,
    3) float16, ``name``, ``source``, ``atoms``, ``scale_A``, ``rg_A``, ``cluster`` and ``split``;
    ``NAME.csv``, the index with file, sha256, title and licence; ``NAME.rejected.csv``; with a split also
    ``NAME.train.npz``, ``NAME.val.npz`` and ``NAME.test.npz``. Files of an earlier build with these names
    are replaced or removed.

    The results of single files are kept in ``NAME.npz.parts`` until all is written, so that a build that
    was stopped or killed goes on where it was. The result depends on files and settings alone.

    Parameters
    ----------
    out : a name that ends in ``.npz``.
    report : is told files done, files in all, files rejected.
    cancel : is called several times a second, and raises :class:`~engine.errors.Cancelled` to stop.

    Raises
    ------
    InputError
        If there is no such folder, or it holds no structure that gives a cloud; reasons are then in
        ``NAME.rejected.csv``.
    Cancelled
        As raised by ``cancel``; what is finished is kept.
    """
    out = Path(out)
    if out.suffix.lower() != ".npz":
        raise InputError("The file of clouds must have a name that ends in .npz.", "E.g. clouds.npz.", out)
    found = find_structures(folder)
    if not found.files and not found.closed:
        raise InputError(
            "There is no structure in this folder.",
            "It should hold PDB or mmCIF files, plain or gzipped.",
            folder,
        )
    parts = parts_folder(out)
    _make(parts)
    results, kept = _results(found.files, parts, settings, report, cancel)
    clouds = [(file, r) for file, r in results.items() if isinstance(r, BuiltCloud)]
    closed = [(name, Rejection("unreadable", why, "Ask for permission.")) for name, why in found.closed]
    rejected = sorted([(f, r) for f, r in results.items() if isinstance(r, Rejection)] + closed)
    _write_rejected(beside(out, "rejected.csv"), rejected)
    if not clouds:
        _clear(parts, settings)
        raise InputError(
            f"None of {len(rejected)} structures gave a cloud. {most_common(r for _, r in rejected)}",
            f"All reasons are in {beside(out, 'rejected.csv').name}.",
            folder,
        )
    made = _write_clouds(out, clouds, settings)
    _clear(parts, settings)
    return BuildReport(
        out, len(clouds), tuple(rejected), kept, *made, found.others, _notes(made, len(clouds))
    )


def most_common(rejections: Iterable[Rejection]) -> str:
    """The commonest reason in words."""
    (problem, count), *_ = Counter(r.problem for r in rejections).most_common(1)
    return f"{problem} ({count} of them)" if count > 1 else problem


def _make(parts: Path) -> None:
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise VerglasError(
            f"The folder can't be made ({exc.strerror or exc}).", "Choose another place.", parts
        ) from exc


def _clear(parts: Path, settings: CloudSettings) -> None:
    if not settings.keep_parts:
        shutil.rmtree(parts, ignore_errors=True)


# ---- all files, most of them perhaps finished ---------------------------------------------------------


def _results(
    files: Sequence[tuple[str, Path]],
    parts: Path,
    settings: CloudSettings,
    report: Callable[[int, int, int], None],
    cancel: Callable[[], None],
) -> tuple[dict[str, BuiltCloud | Rejection], int]:
    """What became of each file, in their order, and how many were finished before."""
    found: dict[str, BuiltCloud | Rejection] = {}
    tasks: dict[Task, str] = {}
    places = {name: parts / f"{_key(path, settings)}.npz" for name, path in files}
    for name, path in files:
        cancel()
        result = read_result(places[name], settings)
        if result is None or _worth_another_try(result, settings):
            tasks[Task(path, places[name])] = name
        else:
            found[name] = result
    kept = len(found)
    rejected = sum(isinstance(r, Rejection) for r in found.values())
    report(len(found), len(files), rejected)
    for ending in work_through(list(tasks), settings, cancel):
        name = tasks[ending.task]
        found[name] = _outcome(ending, settings)
        rejected += isinstance(found[name], Rejection)
        report(len(found), len(files), rejected)
    return {name: found[name] for name, _ in files}, kept


def _key(path: Path, settings: CloudSettings) -> str:
    """Stands for the file as it is now and the settings that its cloud depends on."""
    try:
        status = path.stat()
        state = [status.st_size, status.st_mtime_ns]
    except OSError:
        state = []  # reading it will say why
    text = json.dumps([str(path.resolve()), state, settings_key(settings)])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


_LIMIT = "The limit was {:g} s."


def _worth_another_try(result: BuiltCloud | Rejection, settings: CloudSettings) -> bool:
    """Whether a kept rejection may no longer hold: there is more time now."""
    if not isinstance(result, Rejection) or result.kind != "timed out":
        return False
    return not result.problem.endswith(_LIMIT.format(settings.time_limit_s))


def _outcome(ending: Ending, settings: CloudSettings) -> BuiltCloud | Rejection:
    if ending.kind == "written":
        result = read_result(ending.task.result, settings)
        if result is None:
            raise VerglasError(
                "A result that was just written is gone or damaged.", "Try again.", ending.task.result
            )
        return result
    if ending.kind == "timed out":
        limit = _LIMIT.format(settings.time_limit_s)
        rejection = Rejection(
            "timed out", f"It takes too long. {limit}", "Raise the time limit, or leave it out."
        )
    else:
        rejection = Rejection(
            "crashed",
            f"The process that read it died ({ending.words}).",
            "The file is damaged, or memory ran out: then give fewer workers.",
        )
    if ending.words != "signal 9":  # killed from outside, perhaps for want of memory: tried again next time
        write_result(ending.task.result, rejection)
    return rejection


# ---- what is written ----------------------------------------------------------------------------------


def _write_clouds(
    out: Path, clouds: list[tuple[str, BuiltCloud]], settings: CloudSettings
) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Write clouds, splits and index; how many clusters there are, and clouds per split."""
    files, built = [file for file, _ in clouds], [cloud for _, cloud in clouds]
    cluster = cluster_shapes(np.stack([c.descriptor for c in built]), settings.duplicates)
    shares = settings.shares
    split = split_clusters(cluster, shares, settings.seed) if shares else np.full(len(built), "")
    arrays: dict[str, NDArray[Any]] = {
        "points": np.stack([c.points for c in built]),
        "name": np.array(_unique([c.name for c in built])),
        "source": np.array([c.source for c in built]),
        "atoms": np.array([c.atoms for c in built], np.int32),
        "scale_A": np.array([c.scale_A for c in built], np.float32),
        "rg_A": np.array([c.rg_A for c in built], np.float32),
        "cluster": cluster.astype(np.int32),
        "split": split,
    }
    for name in SPLITS:
        path = beside(out, f"{name}.npz")
        own = split == name
        if own.any():
            write_arrays(path, {key: array[own] for key, array in arrays.items()})
        else:
            path.unlink(missing_ok=True)  # of an earlier build: it may hold what now trains
    rows = []
    for i, cloud in enumerate(built):
        licence = PDB_LICENCE if cloud.deposited else settings.licence
        plain = {key: arrays[key][i].item() for key in ("name", "source", "atoms", "cluster", "split")}
        sizes = {"scale_A": f"{cloud.scale_A:.4f}", "rg_A": f"{cloud.rg_A:.4f}"}
        rows.append(
            plain
            | sizes
            | {"file": files[i], "sha256": cloud.sha256, "title": cloud.title, "licence": licence}
            | {"chains": cloud.chains}
        )
    _write_table(beside(out, "csv"), _INDEX, rows)
    write_arrays(out, arrays)
    sizes_of_splits = tuple((name, int((split == name).sum())) for name in SPLITS[: len(shares)])
    return int(cluster.max()) + 1, sizes_of_splits


def _unique(names: list[str]) -> list[str]:
    """The same, but of equal ones all but the first are numbered."""
    taken = set(names)
    seen: set[str] = set()
    found = []
    for name in names:
        number, new = 1, name
        while new in seen or (new != name and new in taken):
            number += 1
            new = f"{name}-{number}"
        seen.add(new)
        found.append(new)
    return found


def _write_rejected(path: Path, rejected: list[tuple[str, Rejection]]) -> None:
    rows = [{"file": f, "kind": r.kind, "reason": r.problem, "advice": r.advice} for f, r in rejected]
    _write_table(path, ("file", "kind", "reason", "advice"), rows)


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        # one line each, whatever a title or a file's name holds
        writer.writerow({key: " ".join(str(value).splitlines()) for key, value in row.items()})
    write_text(path, text.getvalue().encode("utf-8", "replace").decode("utf-8"))


def _notes(made: tuple[int, tuple[tuple[str, int], ...]], count: int) -> tuple[str, ...]:
    _, splits = made
    empty = [name for name, size in splits if size == 0]
    notes = []
    if empty:
        named = " and ".join(empty)
        notes.append(f"Nothing is left for {named}: clouds form too few clusters.")
    return tuple(notes)
