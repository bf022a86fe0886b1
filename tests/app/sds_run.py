"""Run directories of score distillation and of trainings, small and made up, for tests and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from engine.events import Cancelled, Completed, Event, ImagesSnapshot, MapSnapshot, Metric, Result, Started
from engine.io import volumes
from engine.io.atomic import write_npy
from engine.io.json_files import write_json
from engine.io.landscape_file import Landscape, write_landscape
from engine.io.pose_table import make_table, write_poses
from engine.jobs.run_dir import RunDir
from engine.specs.sds import ClassAveragesInput, SdsSpec, TrainDenoiserSpec
from engine.types import ImageStack

PIXEL_A = 4.0
SENTENCE_HALF = (
    "The two halves agree to 21 Å (FSC 0.143). They share the way they were made, so this is no proof."
)
SENTENCE_TRUTH = "The map agrees with the reference to 24 Å (FSC 0.5), after alignment."


def body(box: int, open_by: float = 0.0) -> NDArray[np.float32]:
    """(box, box, box) density of a body with an arm that opens, and texture of its own."""
    z, y, x = (np.indices((box,) * 3) - box // 2) / (box / 2)
    density = np.zeros((box,) * 3, np.float32)
    arm = np.array([0.30 * np.sin(open_by), 0.0, 0.30 * np.cos(open_by)])
    for centre, width in (
        ((0.0, 0.0, -0.15), 0.20), ((-0.12, 0.18, -0.05), 0.14), ((0.15, -0.15, -0.2), 0.13),
        (0.6 * arm, 0.11), (arm, 0.12), (1.35 * arm, 0.09),
    ):  # fmt: skip
        cz, cy, cx = centre
        density += np.exp(-((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2))
    texture = gaussian_filter(np.random.default_rng(7).normal(size=density.shape), box / 40)
    density += 0.25 * (texture / texture.std()) * (density > 0.15) * density
    return density.astype(np.float32)


def seen_from(density: NDArray[np.float32], rotation: NDArray[np.float64]) -> NDArray[np.float32]:
    """(y, x): the projection along z after turning."""
    from scipy.ndimage import affine_transform

    back = rotation.T[::-1, ::-1]
    centre = np.array([n // 2 for n in density.shape])
    turned = affine_transform(density, back, centre - back @ centre, order=1)
    return turned.sum(0)


def write_sds(
    folder: Path,
    *,
    images: int = 12,
    box: int = 32,
    starts: int = 4,
    finished: bool = True,
    with_volumes: bool = True,
) -> Path:
    """A run directory; unfinished ones stop in the middle of the volumes."""
    averages = folder.parent / "averages.mrcs"
    averages.parent.mkdir(parents=True, exist_ok=True)
    averages.touch()
    spec = SdsSpec(averages=ClassAveragesInput(file=str(averages)), volumes="each", title="an arm that opens")
    run = RunDir.create(folder, spec)
    results = run.results
    rng = np.random.default_rng(0)
    rotations = Rotation.random(images, rng=1).as_matrix()
    phases = np.linspace(-0.9, 0.9, images)
    members = [body(box, phase) for phase in phases]
    mean = np.mean(members, 0, dtype=np.float32)
    seen = np.stack([seen_from(mean, r) for r in rotations])
    pictures = np.stack([seen_from(m, r) for m, r in zip(members, rotations, strict=True)])
    pictures += 0.04 * pictures.std() * rng.normal(size=pictures.shape)
    pictures = ((pictures - pictures.mean()) / pictures.std()).astype(np.float32)
    entries = [
        {
            "row": i + 1, "file": "averages.mrcs", "count": 1500 - 40 * i, "shift_px": [0.0, 0.0],
            "score": 1.0, "junk": i == 3, "duplicate_of": 2 if i == 5 else None,
        }
        for i in range(images)
    ]  # fmt: skip
    volumes.write_prepared(
        results, ImageStack(pictures, PIXEL_A), entries, mask_radius_px=box / 2 - 2,
        contrast="Particles are white.",
    )  # fmt: skip
    _write_tournament(results, mean, starts)
    write_events(run, [Started(kind="sds", device="CPU (2 cores)", version="0")])
    volumes.write_map(results / "consensus.mrc", mean, PIXEL_A)
    if not finished:
        _write_volumes(results, members[: images // 2], rng)
        snapshot = np.asarray(members[images // 2], np.float32)
        write_npy(run.path / "snapshots" / "map_000007.npy", snapshot)
        write_events(run, [
            MapSnapshot(step=7, total=60, sigma=0.61, path="snapshots/map_000007.npy", voxel_size_A=PIXEL_A,
                        label=f"volume {images // 2 + 1}"),
            Cancelled(seconds=12.0),
        ])  # fmt: skip
        return folder
    fit = np.array([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(pictures, seen, strict=True)])
    confidence = np.clip(0.95 - 0.4 * rng.random(images) ** 2, 0, 1)
    table = make_table(rotations, np.zeros((images, 2)), PIXEL_A, confidence=confidence, correlation=fit)
    write_poses(results, table, box=box)
    volumes.write_projections(results, seen, PIXEL_A)
    noise = [gaussian_filter(rng.normal(size=mean.shape), 1.0) * 0.4 for _ in range(2)]
    for name, extra in zip(volumes.HALVES, noise, strict=True):
        volumes.write_map(results / name, (mean + extra * (mean > 0.1)).astype(np.float32), PIXEL_A)
    if with_volumes:
        _write_volumes(results, members, rng)
        write_landscape(results, landscape_of(np.stack(members)))
    write_json(results / "metrics.json", _metrics(results, images if with_volumes else 0))
    write_events(run, [Result(role="consensus", path="results/consensus.mrc"), Completed(seconds=63.0)])
    return folder


def landscape_of(members: NDArray[np.float32]) -> Landscape:
    """Principal components of (n, z, y, x), plainly."""
    mean = members.mean(0)
    flat = (members - mean).reshape(len(members), -1)
    u, s, vt = np.linalg.svd(flat, full_matrices=False)
    kept = min(4, len(s) - 1)
    root = np.sqrt(flat.shape[1])
    return Landscape(
        (u * s / root)[:, :kept].astype(np.float32),
        (s**2 / (s**2).sum())[:kept].astype(np.float32),
        mean,
        (vt * root)[:kept].reshape(kept, *mean.shape).astype(np.float32),
        members.std(0),
        np.arange(1, len(members) + 1, dtype=np.int32),
        PIXEL_A,
    )


def write_training(folder: Path, *, finished: bool = True) -> Path:
    """A training of a denoiser with its curves and its last samples."""
    averages = folder.parent / "averages.mrcs"
    averages.parent.mkdir(parents=True, exist_ok=True)
    averages.touch()
    run = RunDir.create(folder, TrainDenoiserSpec(averages=ClassAveragesInput(file=str(averages))))
    rng = np.random.default_rng(0)
    events: list[Event] = [Started(kind="train_denoiser", device="CPU (2 cores)", version="0")]
    for step in range(50, 2050, 50):
        events.append(Metric("loss", step, 0.9 * step**-0.3 + 0.01 * rng.random()))
    sigmas = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
    own = {f"{s:g}": 0.30 / (1 + s) ** 0.5 for s in sigmas}
    closed = {f"{s:g}": 0.42 / (1 + s) ** 0.9 for s in sigmas}
    events += [Metric(f"validation RMSE/σ at σ={s}", 2000, v) for s, v in own.items()]
    samples = np.stack([seen_from(body(32, 0.1 * i), Rotation.random(rng=i).as_matrix()) for i in range(16)])
    write_npy(run.path / "snapshots" / "images_002000.npy", samples.astype(np.float32))
    events.append(ImagesSnapshot(step=2000, role="samples", path="snapshots/images_002000.npy"))
    if finished:
        (run.results / "denoiser.safetensors").write_bytes(b"")
        write_json(run.results / "metrics.json", {
            "kind": "train_denoiser", "steps": 2000, "images_seen": 64000, "minutes": 3.0,
            "validation_rmse_over_sigma": own, "closed_form_rmse_over_sigma": closed, "parameters": 412345,
        })  # fmt: skip
        events.append(Completed(seconds=190.0))
    write_events(run, events)
    return folder


def write_events(run: RunDir, events: list[Event]) -> None:
    """Append to the run's events."""
    with run.writer() as writer:
        for event in events:
            writer.write(event)


def _write_volumes(results: Path, members: list[NDArray[np.float32]], rng: np.random.Generator) -> None:
    for image, member in enumerate(members, 1):
        facts = {
            "seed": image, "seconds": 2.0 + rng.random(), "seconds_projector": 0.8, "seconds_denoiser": 1.0,
            "correlation": 0.97 - 0.05 * rng.random(),
        }  # fmt: skip
        volumes.write_volume_result(results, image, member, PIXEL_A, facts)


def _write_tournament(results: Path, mean: NDArray[np.float32], starts: int) -> None:
    rng = np.random.default_rng(3)
    odd = starts - 1 if starts > 2 else 0
    matrix = 0.94 + 0.04 * rng.random((starts, starts))
    if odd:
        matrix[odd, :] = matrix[:, odd] = 0.55 + 0.1 * rng.random(starts)
    matrix = np.maximum(matrix, matrix.T)
    np.fill_diagonal(matrix, 1.0)
    agreeing = [i + 1 for i in range(starts) if i != odd or not odd]
    for number in range(1, starts + 1):
        density = mean if number in agreeing else np.ascontiguousarray(mean.transpose(1, 0, 2))
        facts = {"seed": number, "score": 0.9 - 0.02 * number, "seconds": 1.5}
        volumes.write_start(results, number, density, PIXEL_A, facts)
    write_json(results / "tournament.json", {
        "agree": len(agreeing), "starts": starts, "medoid": 2, "lone": False, "correlation": matrix,
        "groups": [agreeing, *([[odd + 1]] if odd else [])], "mirrored": [i % 3 == 1 for i in range(starts)],
        "sentence": f"{len(agreeing)} of {starts} starts agree on one map.",
    })  # fmt: skip


def _metrics(results: Path, count: int) -> dict[str, object]:
    frequency = np.linspace(0.0, 0.5 / PIXEL_A, 17)

    def fall(at: float) -> list[float]:
        return [float(v) for v in 1 / (1 + np.exp((frequency - 1 / at) * 160))]

    return {
        "kind": "sds",
        "volumes": count,
        "seconds": {"prepare": 1.2, "tournament": 20.5, "refine": 11.0, "volumes": 28.0},
        "fsc_half": {
            "frequency_per_A": frequency, "correlation": fall(18.0), "resolution_0p143_A": 21.0,
            "resolution_0p5_A": 27.0, "sentence": SENTENCE_HALF,
        },
        "fsc_truth": {
            "frequency_per_A": frequency, "correlation": fall(24.0), "resolution_0p143_A": 20.0,
            "resolution_0p5_A": 24.0, "sentence": SENTENCE_TRUTH, "aligned": True, "mirrored": False,
        },
        "confidence": {"median": 0.86},
        "notes": ["The hand can't be told from class averages: the mirrored map fits as well."],
    }  # fmt: skip
