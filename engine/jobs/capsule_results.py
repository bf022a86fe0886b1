"""The numbers by which a rerun is compared with the run of a capsule, and the comparison.

Measures are compared one by one. An array is compared by its hash, which says whether it is the same to the
last bit, and otherwise by its mean, its spread and the means of sixteen equal parts of it.

Tolerances are of two kinds. Where versions, device and processor are the run's, the same seeds give the same
numbers but for the order of sums over threads. Elsewhere rounding differs, and a sampler may follow another
path from there on: these tolerances are wider by :data:`ELSEWHERE`.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import VerglasError
from engine.io import npy
from engine.io.json_files import plain, read_json
from engine.io.mrc import read_images, read_volume
from engine.io.npz_results import LARGEST_BYTES

ELSEWHERE = 10.0
PARTS = 16
_MOST_ARRAYS = 2_000
_MOST_VALUES = 5_000
_LONGEST_LIST = 64
# Clocks, and what the run says about its machine and files rather than its object.
_NOT_COMPARED = re.compile(
    r"(^|\.)(seconds|hours|minutes|path|name|device|schema_version|processes|precision|clouds_seen|"
    # names of starts: which of two that agree alike comes first is rounding's choice
    r"images_seen|steps|groups|medoid|best|mirrored)(\.|$|\[)"
)


@dataclass(frozen=True)
class Difference:
    """One number of the run beside the rerun's.

    Attributes
    ----------
    name : e.g. ``metrics.fsc_truth.resolution_0p5_A`` or ``consensus.mrc mean``.
    run, rerun : None where there is no such number.
    allowed : largest difference within tolerance.
    """

    name: str
    run: float | None
    rerun: float | None
    allowed: float

    @property
    def within(self) -> bool:
        """Whether it is as near as it should be."""
        if self.run is None or self.rerun is None:
            return self.run is self.rerun
        return abs(self.run - self.rerun) <= self.allowed

    @property
    def same(self) -> bool:
        """Whether both are equal."""
        return self.run == self.rerun


def results_record(results: Path) -> dict[str, Any]:
    """What ``results.json`` of a capsule holds of a run's ``results`` folder.

    Raises
    ------
    InputError
        If ``metrics.json`` is damaged.
    """
    numbers: dict[str, Any] = {}
    for stem in ("metrics", "map", "fourier_coverage"):
        path = results / f"{stem}.json"
        if path.is_file():
            for name, value in _flat(read_json(path), stem):
                if len(numbers) < _MOST_VALUES:
                    absolute, relative = tolerance(name)
                    numbers[name] = {"value": value, "abs": absolute, "rel": relative}
    arrays = {name: _summary(array) for name, array in _arrays(results)}
    return {"numbers": numbers, "arrays": arrays, "elsewhere": ELSEWHERE}


def tolerance(name: str) -> tuple[float, float]:
    """Absolute and relative tolerance of a measure, by its name, where device and versions are the run's."""
    last = name.rsplit(".", 1)[-1].split("[")[0]
    if last.endswith("_A") or "resolution" in last:
        return 0.02, 0.005
    if any(
        word in name for word in ("correlation", "fsc", "confidence", "share", "gauge", "measured", "rank")
    ):
        return 0.005, 0.0
    return 1e-6, 0.01


def _flat(value: Any, name: str) -> Iterator[tuple[str, float | None]]:
    """Every number in nested values, by the path to it; long lists are left to the arrays."""
    if _NOT_COMPARED.search(name):
        return
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _flat(value[key], f"{name}.{key}")
    elif isinstance(value, list):
        if len(value) <= _LONGEST_LIST:
            for i, item in enumerate(value, 1):
                yield from _flat(item, f"{name}[{i}]")
    elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield name, None if value is None else float(value)


def _arrays(results: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Arrays of all result files by name, those that can be read."""
    count = 0
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results).as_posix()
        if count >= _MOST_ARRAYS or path.name.startswith(".") or not path.is_file():
            continue
        try:
            if path.suffix == ".npy":
                found = {name: npy.read_array(path)}
            elif path.suffix == ".mrc":
                found = {name: read_volume(path).density}
            elif path.suffix == ".mrcs":
                found = {name: read_images(path, contrast="white").images}
            elif path.suffix == ".npz":
                found = {f"{name}: {k}": v for k, v in _npz(path).items()}
            else:
                continue
        except VerglasError:
            continue
        except npy.DAMAGE:
            continue
        for key, array in found.items():
            if array.dtype.kind in "biuf" and array.size:
                count += 1
                yield key, array


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    npy.check_expansion(path, "", LARGEST_BYTES)
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in sorted(archive.files)}


def _summary(array: NDArray[Any]) -> dict[str, Any]:
    packed = np.ascontiguousarray(array)
    values = packed.reshape(-1).astype(np.float64)
    finite = values[np.isfinite(values)]
    parts = [p[np.isfinite(p)] for p in np.array_split(values, min(PARTS, len(values)))]
    described: dict[str, Any] = {
        "sha256": hashlib.sha256(packed.tobytes()).hexdigest(),
        "shape": list(array.shape),
        "type": array.dtype.str,
        "mean": float(finite.mean()) if len(finite) else None,
        "sd": float(finite.std()) if len(finite) else None,
        "parts": [float(p.mean()) if len(p) else None for p in parts],
    }
    described["abs"] = 0.01 * (described["sd"] or 0.0) + 1e-9 * abs(described["mean"] or 0.0)
    cleaned: dict[str, Any] = plain(described)
    return cleaned


@dataclass(frozen=True)
class Comparison:
    """A rerun beside the run.

    Attributes
    ----------
    differences : of every number.
    same_arrays, arrays : how many arrays are the same to the last bit, of how many.
    """

    differences: tuple[Difference, ...]
    same_arrays: int
    arrays: int

    @property
    def identical(self) -> bool:
        """Whether nothing differs in any bit."""
        return self.same_arrays == self.arrays and all(d.same for d in self.differences)

    @property
    def outside(self) -> tuple[Difference, ...]:
        """What differs by more than its tolerance."""
        return tuple(d for d in self.differences if not d.within)

    def record(self) -> dict[str, Any]:
        """For ``rerun.json``."""
        return {
            "identical": self.identical,
            "within_tolerance": not self.outside,
            "numbers": len(self.differences),
            "arrays": self.arrays,
            "arrays_identical": self.same_arrays,
            "different": [
                {"name": d.name, "run": d.run, "rerun": d.rerun, "allowed": d.allowed, "within": d.within}
                for d in self.differences
                if not d.same
            ],
        }


def compare(run: Mapping[str, Any], rerun: Mapping[str, Any], *, elsewhere: bool) -> Comparison:
    """Compare two records of :func:`results_record`; the first one's tolerances count.

    Parameters
    ----------
    elsewhere : whether device, processor or versions are others than the run's.
    """
    factor = _number(run.get("elsewhere"), ELSEWHERE) if elsewhere else 1.0
    found: list[Difference] = []
    old, new = _table(run, "numbers"), _table(rerun, "numbers")
    for name in sorted({*old, *new}):
        was, now = old.get(name, {}).get("value"), new.get(name, {}).get("value")
        entry = old.get(name, {})
        allowed = factor * (
            _number(entry.get("abs"), 0.0) + _number(entry.get("rel"), 0.0) * abs(_number(was, 0.0))
        )
        found.append(Difference(name, was, now, allowed))
    first, second = _table(run, "arrays"), _table(rerun, "arrays")
    same = 0
    for name in sorted({*first, *second}):
        a, b = first.get(name), second.get(name)
        if a is None or b is None or a.get("shape") != b.get("shape"):
            found.append(Difference(f"{name} values", _size(a), _size(b), 0.0))
            continue
        if a.get("sha256") == b.get("sha256"):
            same += 1
            continue
        allowed = factor * _number(a.get("abs"), 0.0)
        for key in ("mean", "sd"):
            found.append(Difference(f"{name} {key}", a.get(key), b.get(key), allowed))
        for i, (x, y) in enumerate(zip(a.get("parts", []), b.get("parts", []), strict=False), 1):
            found.append(Difference(f"{name} mean of part {i}", x, y, allowed))
    return Comparison(tuple(found), same, len({*first, *second}))


def _table(record: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    found = record.get(key)
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}


def _number(value: Any, otherwise: float) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else otherwise


def _size(entry: dict[str, Any] | None) -> float | None:
    return None if entry is None else float(math.prod(entry.get("shape", [0])))
