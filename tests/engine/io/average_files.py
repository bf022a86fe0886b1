"""Class averages made here, and files of other programs that hold them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from engine.types import ClassAverages


def views(count: int = 8, box: int = 48, *, noise: float = 0.0, seed: int = 0, radius: float = 0.16) -> Any:
    """(count, box, box) projections of a lumpy particle, white, about pixel box//2; noise over signal."""
    rng = np.random.default_rng(seed)
    lumps = rng.normal(size=(14, 3)) * radius * box * 0.55
    weights = rng.uniform(0.5, 1.5, 14)
    lumps -= weights @ lumps / weights.sum()
    grid = np.arange(box) - box // 2
    images = np.empty((count, box, box))
    for i, turned in enumerate(Rotation.random(count, random_state=seed).as_matrix()):
        x, y, _ = turned @ lumps.T
        gx = np.exp(-((grid[None] - x[:, None]) ** 2) / (2 * (0.045 * box) ** 2))
        gy = np.exp(-((grid[None] - y[:, None]) ** 2) / (2 * (0.045 * box) ** 2))
        images[i] = (weights[:, None] * gy).T @ gx
    images /= images.std()
    return (images + noise * rng.normal(size=images.shape)).astype(np.float32)


def junk(images: NDArray[np.float32], kind: str, count: int, seed: int = 1) -> NDArray[np.float32]:
    """(count, box, box) of the same contrast: phases ``shuffled``, ``noise``, ``empty`` or an ``edge``."""
    rng = np.random.default_rng(seed)
    like = images[rng.integers(0, len(images), count)].astype(np.float64)
    box, spread = like.shape[-1], like.std()
    white = rng.normal(size=like.shape)
    if kind == "shuffled":
        phases = np.exp(1j * np.angle(np.fft.fft2(white)))
        made = np.fft.ifft2(np.abs(np.fft.fft2(like)) * phases).real
    elif kind == "noise":
        made = np.stack([gaussian_filter(w, rng.uniform(0.5, 4)) for w in white])
        made *= spread / made.std(axis=(1, 2), keepdims=True)
    elif kind == "empty":
        made = white * (1e-3 * spread * rng.integers(0, 2, count)[:, None, None])
    else:
        y, x = np.mgrid[:box, :box] - box // 2
        angle, offset = rng.uniform(0, 2 * np.pi, count), rng.uniform(-0.1, 0.4, count) * box
        across = x * np.cos(angle)[:, None, None] + y * np.sin(angle)[:, None, None] - offset[:, None, None]
        step = np.tanh(across / rng.uniform(1, 6, count)[:, None, None])
        grain = np.stack([gaussian_filter(w, 1.5) for w in white])
        made = spread * (3 * step * rng.choice([1, -1], count)[:, None, None] + 2 * grain)
    return made.astype(np.float32)


def as_averages(images: NDArray[np.float32], pixel_size_A: float = 3.0, **more: Any) -> ClassAverages:
    """In memory, as if read from ``x.mrcs``."""
    count = len(images)
    return ClassAverages(images, pixel_size_A, ("x.mrcs",) * count, np.arange(count, dtype=np.int32), **more)


def spider_bytes(
    images: NDArray[np.float32], *, order: str = "<", stack: bool = False, **words: float
) -> bytes:
    """A SPIDER file; ``w5=3`` sets word 5 to 3."""
    _, rows, columns = images.shape
    record = 4 * columns
    records = -(-1024 // record)

    def header(**own: float) -> bytes:
        block = np.zeros(records * record // 4, f"{order}f4")
        values = {
            1: 1, 2: rows, 3: rows + records, 5: 1, 12: columns, 13: records, 22: records * record, 23: record
        }  # fmt: skip
        values |= {int(k[1:]): v for k, v in (own | words).items()}
        for word, value in values.items():
            block[word - 1] = value
        return block.tobytes()

    pixels = [image.astype(f"{order}f4").tobytes() for image in images]
    if not stack:
        return header() + pixels[0]
    overall = header(w24=2, w26=len(images))
    return overall + b"".join(header(w27=i + 1) + p for i, p in enumerate(pixels))


def cs_bytes(paths: Sequence[str], indices: Sequence[int], **columns: Any) -> bytes:
    """A cryoSPARC dataset; ``blob_res_A`` becomes the field ``blob/res_A``."""
    fields: dict[str, Any] = {
        "uid": np.arange(len(paths), dtype="<u8"),
        "blob/path": np.array([p.encode() for p in paths]),
        "blob/idx": np.array(indices, "<u4"),
        "blob/shape": np.full((len(paths), 2), 16, "<u4"),
    }
    fields |= {k.replace("_", "/", 1): np.asarray(v) for k, v in columns.items()}
    table = np.empty(len(paths), [(k, v.dtype, v.shape[1:]) for k, v in fields.items()])
    for name, values in fields.items():
        table[name] = values
    buffer = io.BytesIO()
    np.save(buffer, table, allow_pickle=table.dtype.hasobject)
    return buffer.getvalue()


def write_eman(path: Path, images: NDArray[Any], attributes: Sequence[dict[str, Any]] = ()) -> Path:
    """An EMAN2 file of images; attributes per image without their ``EMAN.``."""
    with h5py.File(path, "w") as file:
        group = file.create_group("MDF/images")
        for i, image in enumerate(images):
            one = group.create_group(str(i))
            one.create_dataset("image", data=image)
            for name, value in (attributes[i] if attributes else {}).items():
                one.attrs[f"EMAN.{name}"] = value
    return path
