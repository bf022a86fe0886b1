"""Structure-aware changes of MRC, SPIDER, safetensors and HDF5 files, and of cryoSPARC datasets."""

# ruff: noqa: E501 - tables of values
from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from random import Random

import h5py
import numpy as np

from tests.fuzz import mutations
from tests.fuzz.mutations import REAL, WHOLE, change_json, json_text, one_of_bytes, times

# Words of 4 bytes of an MRC header, from 0: sizes, mode, starts, grid, cell, axes, statistics, group, extension, …
_MRC_WHOLE = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18, 22, 23, 24, 26, 27, 38, 39, 52, 53, 55)
_MRC_REAL = (10, 11, 12, 13, 14, 15, 19, 20, 21, 49, 50, 51, 54)
_MODES = (0, 1, 2, 3, 4, 5, 6, 7, 12, 16, 101, -1)
# Words of a SPIDER header, from 0: slices, rows, kind, columns, records, bytes, stack, images, pixel size.
_SPIDER = (0, 1, 4, 11, 12, 21, 22, 23, 25, 26, 37)


def of_mrc(rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Extreme values in the fields of the header, and whatever else."""
    content = rng.choice(seeds)
    for _ in range(times(rng)):
        if rng.random() < 0.35 or len(content) < 1024:
            content = one_of_bytes(rng, content, seeds)
            continue
        data = bytearray(content)
        order = "<" if data[212] == 0x44 else ">"
        if rng.random() < 0.5:
            word = rng.choice(_MRC_WHOLE)
            values = (
                _MODES if word == 3 else (1, 2, 3) if word in (16, 17, 18) and rng.random() < 0.5 else WHOLE
            )
            value = struct.pack(order + "I", rng.choice(values) % (1 << 32))
        else:
            word = rng.choice(_MRC_REAL)
            value = struct.pack(order + "f", _single(rng))
        data[4 * word : 4 * word + 4] = value
        if rng.random() < 0.1:
            data[208:216] = rng.choice(
                (b"MAP \x44\x44\x00\x00", b"MAP \x11\x11\x00\x00", bytes(8), b"MAP DA\x00\x00")
            )
        content = bytes(data)
    return content


def _single(rng: Random) -> float:
    value = rng.choice(REAL)
    return value if abs(value) < 3e38 or value != value else float("inf")


def of_spider(rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Extreme values in the words of the header, and whatever else."""
    content = rng.choice(seeds)
    for _ in range(times(rng)):
        if rng.random() < 0.4 or len(content) < 1024:
            content = one_of_bytes(rng, content, seeds)
            continue
        data = bytearray(content)
        word = rng.choice(_SPIDER)
        value = float(rng.choice(WHOLE)) if rng.random() < 0.7 else _single(rng)
        data[4 * word : 4 * word + 4] = struct.pack("<f", value)
        content = bytes(data)
    return content


def of_safetensors(rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Changes of the header's JSON, of the card in it, and of the header's length."""
    content = rng.choice(seeds)
    if rng.random() < 0.2:
        return one_of_bytes(rng, content, seeds)
    length = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    for _ in range(times(rng)):
        metadata = header.get("__metadata__") if isinstance(header, dict) else None
        if isinstance(metadata, dict) and isinstance(metadata.get("card"), str) and rng.random() < 0.6:
            try:
                metadata["card"] = json_text(rng, change_json(rng, json.loads(metadata["card"]))).decode(
                    "utf-8", "replace"
                )
            except (ValueError, RecursionError):
                metadata["card"] = "{}"
        else:
            header = change_json(rng, header)
    raw = json_text(rng, header)
    stated = len(raw) if rng.random() < 0.9 else rng.choice(WHOLE) % (1 << 64)
    if rng.random() < 0.2:
        data = data[: rng.randrange(len(data) + 1)]
    return struct.pack("<Q", stated) + raw + data


def of_dataset(rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Changes of the columns of a cryoSPARC dataset, or of the npy file that it is."""
    if rng.random() < 0.5:
        return mutations.of_npy(rng, seeds)
    table = np.load(io.BytesIO(rng.choice(seeds)), allow_pickle=False)
    names = list(table.dtype.names)
    columns = {name: table[name] for name in names}
    for _ in range(times(rng)):
        name = rng.choice(names)
        kind = rng.randrange(6)
        if kind == 0:
            columns.pop(name, None)
        elif kind == 1:
            columns[rng.choice(names)] = columns.get(name, table[name])
        elif kind == 2:
            columns[name] = (
                table[name].astype(rng.choice(("U40", "S40", "f4", "i8", "u1", "c8")), copy=True)
                if (table[name].dtype.kind in "fiu")
                else np.array([rng.choice(mutations.TOKENS)[:200]] * len(table))
            )
        elif kind == 3:
            columns[name] = (
                np.repeat(table[name][:, None], 3, 1) if table[name].ndim == 1 else table[name][:, 0]
            )
        elif columns.get(name) is not None and columns[name].dtype.kind in "fiu":
            column = columns[name].astype("f8")
            column.reshape(-1)[rng.randrange(column.size)] = (
                rng.choice(REAL) if rng.random() < 0.5 else rng.choice(WHOLE)
            )
            with np.errstate(all="ignore"):
                columns[name] = column.astype(table[name].dtype if table[name].dtype.kind in "fiu" else "f8")
    columns = columns or {"a": np.zeros(2)}
    dtype = np.dtype([(name, c.dtype, c.shape[1:]) for name, c in columns.items()])
    made = np.zeros(len(table), dtype)
    for name, column in columns.items():
        made[name] = column
    out = io.BytesIO()
    np.save(out, made, allow_pickle=False)
    content = out.getvalue()
    return one_of_bytes(rng, content, seeds) if rng.random() < 0.2 else content


_HDF_VALUES = (
    1.5,
    0.0,
    -1.0,
    float("nan"),
    float("inf"),
    1e300,
    2**40,
    -5,
    "text",
    b"bytes",
    [1.0, 2.0],
    [],
    "é\x01",
)
_HDF_TYPES = ("f4", "f8", "u1", "i2", ">f4", "i8", "u8", "f2", "c8", "S4", "?")


def of_hdf(rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Files built with unusual shapes, types, filters, links and attributes; half of the time broken bytes."""
    if rng.random() < 0.6:
        return mutations.of_bytes(rng, seeds)
    out = io.BytesIO()
    with h5py.File(out, "w", libver=rng.choice(("earliest", "latest"))) as file:
        images = file.create_group(rng.choice(("MDF/images",) * 9 + ("MDF", "images")))
        for number in range(rng.choice((0, 1, 2, 3, 12))):
            _hdf_image(rng, file, images, rng.choice((str(number),) * 8 + ("x", "00", "-1", "٣", "9" * 30)))
    content = out.getvalue()
    return one_of_bytes(rng, content, seeds) if rng.random() < 0.3 else content


def _hdf_image(rng: Random, file: h5py.File, images: h5py.Group, name: str) -> None:
    if name in images:
        return
    kind = rng.randrange(16)
    if kind == 0:
        images[name] = h5py.SoftLink(rng.choice(("/MDF/images", f"/MDF/images/{name}", "/nothing", "/")))
        return
    if kind == 1:
        images[name] = h5py.ExternalLink(
            rng.choice(("../../outside.hdf", "/etc/passwd", "input.hdf")), "/MDF/images/0"
        )
        return
    group = images.create_group(name)
    shape = rng.choice(
        ((4, 5),) * 8 + ((), (0, 4), (4,), (1, 4, 5), (3, 4, 5), (65535, 65535), (1,) * 5, (40000, 3))
    )
    dtype = rng.choice(("f4",) * 6 + _HDF_TYPES)
    chunks = tuple(min(n, 4) or 1 for n in shape) if shape and min(shape) and rng.random() < 0.4 else None
    options = {"chunks": chunks, "compression": rng.choice((None, "gzip", "lzf"))} if chunks else {}
    if kind == 2:
        group["image"] = h5py.ExternalLink("../outside.hdf", "/x")
    elif kind == 3:
        group["image"] = h5py.SoftLink(rng.choice(("/MDF/images/0/image", "image", "/MDF")))
    elif kind == 4 and shape:
        layout = h5py.VirtualLayout(shape, "f4")
        layout[...] = h5py.VirtualSource(rng.choice((".", "../outside.hdf")), "x", shape)
        group.create_virtual_dataset("image", layout)
    elif kind == 5:
        group.create_dataset("image", (4, 5), "f4", external=[("../outside.raw", 0, 80)])
    elif int(np.prod(shape)) <= 1000 and dtype != "S4" and rng.random() < 0.8:
        values = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
        group.create_dataset("image", data=values, **options)
    else:
        group.create_dataset("image", shape, dtype, **options)  # nothing is stored for it
    for attribute in ("apix_x", "ptcl_repr", "stored_renderbits", "stored_rendermin", "stored_rendermax"):
        if rng.random() < 0.4:
            try:
                group.attrs[f"EMAN.{attribute}"] = rng.choice(_HDF_VALUES)
            except (TypeError, ValueError, OverflowError):
                continue
