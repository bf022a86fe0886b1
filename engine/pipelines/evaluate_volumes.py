"""How good the volumes of a run of score distillation are: against true maps, and by themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.json_files import plain, write_json
from engine.io.mrc import read_volume
from engine.io.pixel_size import PixelSizeError
from engine.io.volumes import AVERAGES, REFERENCE, SdsResults, write_map
from engine.metrics.volumes import HAND_KNOWN, soft_sphere, volume_fsc
from engine.numerics.regrid import on_grid
from engine.numerics.volume_alignment import VolumeAlignment, align, apply_alignment
from engine.pipelines.figures import save
from engine.pipelines.sds_figures import fsc_figure
from engine.types import FloatArray, Volume

SCHEMA_VERSION = 1
EVALUATION, FIGURE = "evaluation.json", "evaluation.png"
THRESHOLDS = {"resolution_0p5_A": 0.5, "resolution_0p143_A": 0.143}
_TRUTHS = re.compile(r"volume_(\d{4,})\.mrc")


def evaluate_run(
    run_folder: str | Path,
    truth: str | Path | None,
    *,
    truth_voxel_size_A: float | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Compare a run's maps with true ones; writes ``evaluation.json``, a figure and the aligned truth.

    Each true map is brought onto the run's map by rotation, shift and, where that fits better, mirroring:
    images without poses determine neither. The comparison is by Fourier shell correlation, without a
    mask and inside a soft sphere of the class averages' mask.

    Parameters
    ----------
    run_folder : run directory with a consensus map.
    truth : a map, or a folder with ``volume_0001.mrc ...``, one for each class average; the consensus is
        then compared with their mean. None reports only how far the run agrees with itself.
    truth_voxel_size_A : replaces what the truth's header says.
    progress : called with volumes done and in total.

    Returns
    -------
    dict
        Ready for JSON; ``sentences`` says everything in words, ``consensus`` and ``volumes`` hold the curves.

    Raises
    ------
    InputError
        If a map can't be used, or a folder holds no true maps of the run's volumes.
    RunError
        If the run has no consensus map.
    VerglasError
        If the results can't be written.
    """
    results = SdsResults(run_folder)
    report: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "kind": "sds", "truth": None}
    report["itself"] = _itself(results)
    sentences = list(report["itself"])
    if truth is None:
        sentences.append("No truth was given, so accuracy is unknown: agreement with itself is no proof.")
        return plain(report | {"sentences": sentences})  # type: ignore[no-any-return]
    consensus = results.consensus()
    size, voxel = _grid(consensus, results.folder)
    mask, mask_words = _mask(results, size, voxel)
    reference, members, facts = _load(Path(truth), truth_voxel_size_A, size, voxel)
    report |= {"truth": facts, "mask": mask_words}
    found, moved = _compare(consensus.density, reference, voxel, mask)
    words = f"the mean of {len(members)} true maps" if members else f"`{facts['name']}`"
    sentences += _said("Consensus", words, found, mask_words, 2 * voxel)
    report["consensus"] = found
    write_map(results.folder / REFERENCE, moved, voxel)
    if members:
        report["volumes"] = _each(results, members, truth_voxel_size_A, size, voxel, mask, progress)
        sentences += _said_of_all(report["volumes"], mask_words, 2 * voxel)
    sentences += [f"Note: {note}" for note in facts["notes"]]
    report["sentences"] = sentences
    report = plain(report)
    write_json(results.folder / EVALUATION, report)
    save(_figure(report, results.metrics()), results.folder / FIGURE)
    return report


def format_report(report: dict[str, Any]) -> str:
    """A report of :func:`evaluate_run` as text for people."""
    return "\n".join(report["sentences"])


def _itself(results: SdsResults) -> list[str]:
    metrics = results.metrics() or {}
    found = []
    for key in ("agreement", "fsc_half"):
        part = metrics.get(key)
        if isinstance(part, dict) and isinstance(part.get("sentence"), str):
            found.append(part["sentence"])
    return found


def _grid(consensus: Volume, folder: Path) -> tuple[int, float]:
    size, voxel = consensus.density.shape[0], float(consensus.voxel_size_A[0])
    if len(set(consensus.density.shape)) != 1 or not voxel > 0:
        raise InputError(
            "The consensus map isn't a cube with a voxel size.", "Run again.", folder / "consensus.mrc"
        )
    return size, voxel


def _mask(results: SdsResults, size: int, voxel: float) -> tuple[NDArray[np.float32], str]:
    radius = results.averages().get("mask_radius_px") if results.has(AVERAGES) else None
    known = isinstance(radius, int | float) and 2 < radius <= size
    pixels = float(radius) if known and radius is not None else (size - 1) / 2
    mask = soft_sphere(size, min(pixels, size / 2 - 1))
    return mask, f"inside a soft sphere of radius {pixels * voxel:.0f} Å"


def _read(path: Path, voxel_size_A: float | None, expected: float, size: int, notes: list[str]) -> Volume:
    volume = read_volume(path, voxel_size_A=voxel_size_A)
    if all(s > 0 for s in volume.voxel_size_A):
        return volume
    if set(volume.density.shape) != {size}:
        raise PixelSizeError(
            "The true map's voxel size is not known.", "Give it with `--truth-voxel-size`.", path
        )
    note = (
        f"The truth doesn't say its voxel size; the run's, {expected:.4g} Å, was taken, as the boxes agree."
    )
    if note not in notes:
        notes.append(note)
    return replace(volume, voxel_size_A=(expected,) * 3)


def _load(
    truth: Path, given_A: float | None, size: int, voxel: float
) -> tuple[NDArray[np.float32], dict[int, Path], dict[str, Any]]:
    """The truth on the run's grid, true maps by class average, and what to say about them."""
    notes: list[str] = []
    facts: dict[str, Any] = {"path": str(truth), "name": truth.name, "kind": "map", "notes": notes}
    if not truth.is_dir():
        return on_grid(_read(truth, given_A, voxel, size, notes), size, voxel), {}, facts
    members = {int(m[1]): p for p in sorted(truth.iterdir()) if (m := _TRUTHS.fullmatch(p.name))}
    if not members:
        raise InputError(
            "The folder holds no true maps.", "They are named volume_0001.mrc, volume_0002.mrc ...", truth
        )
    paths = list(members.values())
    first = _read(paths[0], given_A, voxel, size, notes)
    total = first.density.astype(np.float64)
    for path in paths[1:]:
        density = _read(path, given_A, voxel, size, notes).density
        if density.shape != total.shape:
            raise InputError("The true maps have different boxes.", "Give them all one box.", path)
        total += density
    mean = replace(first, density=(total / len(members)).astype(np.float32))
    return on_grid(mean, size, voxel), members, facts | {"kind": "maps", "count": len(members)}


def _compare(
    density: FloatArray, reference: NDArray[np.float32], voxel: float, mask: NDArray[np.float32]
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Curves of a map with a true one after alignment, and the true one where the map is."""
    alignment: VolumeAlignment = align(reference, density)
    moved = apply_alignment(reference, alignment)
    other = alignment.score_other_hand
    return {
        "unmasked": _curve(density, moved, voxel, None),
        "masked": _curve(density, moved, voxel, mask),
        "correlation": alignment.score,
        "mirrored": alignment.mirrored,
        "hand_known": bool(1 - other > HAND_KNOWN * (1 - alignment.score)),
    }, moved


def _curve(a: FloatArray, b: FloatArray, voxel: float, mask: NDArray[np.float32] | None) -> dict[str, Any]:
    found = volume_fsc(a, b, voxel, mask)
    return {key: getattr(found, key) for key in ("frequency_per_A", "correlation", *THRESHOLDS)}


def _each(
    results: SdsResults,
    members: dict[int, Path],
    given_A: float | None,
    size: int,
    voxel: float,
    mask: NDArray[np.float32],
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    images = [image for image in results.volumes() if image in members]
    if not images:
        return {"images": []}
    found = []
    for done, image in enumerate(images, start=1):
        volume = results.volume(image)
        if volume.density.shape != (size,) * 3:
            raise InputError("The volume has another box than the consensus.", "Run again.", results.folder)
        truth = on_grid(_read(members[image], given_A, voxel, size, []), size, voxel)
        found.append(_compare(volume.density, truth, voxel, mask)[0])
        progress(done, len(images))
    report: dict[str, Any] = {
        "images": images,
        "mirrored": [f["mirrored"] for f in found],
        "correlation": [f["correlation"] for f in found],
    }
    for kind in ("unmasked", "masked"):
        curves = np.stack([f[kind]["correlation"] for f in found])
        report[kind] = {
            "frequency_per_A": found[0][kind]["frequency_per_A"],
            "median": np.median(curves, axis=0),
            "lower_quartile": np.quantile(curves, 0.25, axis=0),
            "upper_quartile": np.quantile(curves, 0.75, axis=0),
            "correlations": np.round(curves, 4),
            **{key: [f[kind][key] for f in found] for key in THRESHOLDS},
        }
    return report


def _resolution(value: float | None, nyquist_A: float) -> str:
    return f"beyond Nyquist ({nyquist_A:.1f} Å)" if value is None else f"{value:.1f} Å"


def _said(what: str, words: str, found: dict[str, Any], mask_words: str, nyquist_A: float) -> list[str]:
    hand = "its mirror image" if found["mirrored"] else "as it is"
    if not found["hand_known"]:
        hand += ", though both hands fit about equally well"
    lines = [
        f"{what} against {words} after rigid alignment ({hand}), correlation {found['correlation']:.3f}:"
    ]
    for kind, place in (("unmasked", "without a mask"), ("masked", mask_words)):
        half, low = (_resolution(found[kind][key], nyquist_A) for key in THRESHOLDS)
        lines.append(f"  {place}: FSC to the truth falls below 0.5 at {half}, below 0.143 at {low}.")
    return lines


def _said_of_all(found: dict[str, Any], mask_words: str, nyquist_A: float) -> list[str]:
    if not found["images"]:
        return ["None of the run's volumes has a true map in that folder."]
    count, mirrored = len(found["images"]), sum(found["mirrored"])
    lines = [
        f"{count} volumes against their own true maps, each after rigid alignment ({mirrored} mirrored), "
        f"median correlation {np.median(found['correlation']):.3f}:"
    ]
    for kind, place in (("unmasked", "without a mask"), ("masked", mask_words)):
        values = [np.nan if v is None else v for v in found[kind]["resolution_0p5_A"]]
        # beyond Nyquist counts as better than any number
        ordered = np.where(np.isnan(values), 0.0, values)
        quartiles = [float(q) for q in np.quantile(ordered, (0.25, 0.5, 0.75), method="nearest")]
        best, middle, worst = (_resolution(q or None, nyquist_A) for q in quartiles)
        lines.append(
            f"  {place}: FSC to the truth falls below 0.5 at {middle} (median; quartiles {best} and {worst})."
        )
    return lines


def _figure(report: dict[str, Any], metrics: dict[str, Any] | None) -> Any:
    curves: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    resolutions: dict[str, dict[float, float | None]] = {}

    def add(name: str, curve: dict[str, Any], values: Sequence[float], shown: Sequence[str]) -> None:
        curves[name] = (np.array(curve["frequency_per_A"], float), np.array(values, float))
        resolutions[name] = {THRESHOLDS[key]: curve.get(key) for key in shown}

    against = "mean of the true maps" if report["truth"]["kind"] == "maps" else "truth"
    both = tuple(THRESHOLDS)
    for kind, place in (("unmasked", "no mask"), ("masked", "soft sphere")):
        curve = report["consensus"][kind]
        add(f"consensus to {against}, {place}", curve, curve["correlation"], both)
    bands = {}
    volumes = report.get("volumes")
    if volumes and volumes["images"]:
        part = volumes["unmasked"]
        name = f"{len(volumes['images'])} volumes to their own true maps, median and quartiles, no mask"
        add(name, part, part["median"], ())
        bands[name] = (np.array(part["lower_quartile"], float), np.array(part["upper_quartile"], float))
    half = (metrics or {}).get("fsc_half")
    if isinstance(half, dict) and half.get("frequency_per_A"):
        add("half maps to each other (see the run)", half, half["correlation"], both[1:])
    return fsc_figure(
        curves,
        title=f"Fourier shell correlation with {report['truth']['name']}, after alignment",
        resolutions_A=resolutions,
        quartiles=bands,
    )
