"""Small valid files of runs and projects: what the fuzzer starts from, besides :mod:`tests.fuzz.seeds`."""

# ruff: noqa: E501 - tables of values
from __future__ import annotations

import json
import struct
from functools import cache
from typing import Any

from engine import events
from engine.specs import codec
from tests.fuzz.seeds import written


def pose_csv() -> list[bytes]:
    """``poses.csv`` of a run."""
    from engine.io.pose_table import COLUMNS

    row = "{},1,0,0,0,0.5,-0.5,0.9,0.8"
    return ["\n".join([",".join(COLUMNS), *(row.format(i) for i in (1, 2, 3))]).encode()]


@cache
def _specs() -> list[Any]:
    prior = {"kind": "network", "weights": "shipped"}
    return [
        codec.validate(values)
        for values in (
            {"kind": "dps", "observations": [{"kind": "projection_images", "images": "stack.mrcs", "poses": "poses.star"}],
             "prior": prior},
            {"kind": "sds", "averages": {"file": "stack.mrcs"}},
            {"kind": "known_poses", "images": {"poses": "poses.star"}},
            {"kind": "train_prior", "clouds": "clouds.npz"},
            {"kind": "train_denoiser", "averages": {"file": "stack.mrcs"}},
        )
    ]  # fmt: skip


@cache
def specs_toml() -> list[bytes]:
    """Every kind of run as TOML."""
    return [codec.to_toml_text(spec).encode() for spec in _specs()]


@cache
def specs_json() -> list[bytes]:
    """Every kind of run as JSON."""
    return [codec.to_json(spec).encode() for spec in _specs()]


def event_lines() -> list[bytes]:
    """Events of a run that completed, and of one that failed."""
    told: list[events.Event] = [
        events.Notice("info", "A note."),
        events.Progress("sampling", 1, 10),
        events.Snapshot(1, 10, 0.5, "snapshots/000001.npy"),
        events.MapSnapshot(1, 10, 0.5, "snapshots/map.npy", 2.0),
        events.ImagesSnapshot(1, "samples", "snapshots/images.npy"),
        events.Energies(1, 0.5, {"view": 2.0}, {"view": 1.0}),
        events.Metric("loss", 1, 0.5),
        events.Result("ensemble", "results/ensemble.npz"),
    ]
    return [
        "".join(events.to_line(event) + "\n" for event in [*told, end]).encode()
        for end in (events.Completed(2.0), events.Failed("It failed. Try again.", "trace"))
    ]


def _json(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


def manifests() -> list[bytes]:
    """A run's manifest."""
    return _json({"verglas": "0.1.0", "seed": 0, "device": "cpu", "versions": {"numpy": "2.3"},
                  "inputs": {"averages": {"path": "stack.mrcs", "sha256": "0" * 64, "bytes": 1}}, "prior": None})  # fmt: skip


def locks() -> list[bytes]:
    """A lock file."""
    return _json({"pid": 2**22 - 1, "host": "elsewhere", "started": 1.0})


def results_json() -> list[bytes]:
    """Result files."""
    return _json({"pixel_size_A": 2.0, "images": [{"row": 1, "count": 10, "score": 0.5}], "notes": []},
                 {"kind": "sds", "metrics": {"fsc": [1.0, 0.5]}})  # fmt: skip


def projects() -> list[bytes]:
    """``project.json``."""
    return _json({"schema_version": 1, "name": "P", "runs": "runs", "names": {"a": "b"}, "notes": {"a": "c"},
                  "inputs": ["/data/a.mrc"], "links": [{"source": "a", "step": "sds", "target": "b"}]})  # fmt: skip


def sessions() -> list[bytes]:
    """``session.json``."""
    return _json({"schema_version": 1, "mode": "dps", "points": {"evidence": [{"paths": ["/a.mrc"], "role": "density",
                  "options": {}}], "settings": {}}, "averages": {"path": "/a.star", "select": [1]},
                  "volumes": {"truth": ""}, "prior": {"sources": {"clouds": "/c.npz"}},
                  "known_poses": {"files": {"poses": "/a.star"}}, "shown": {"run": "/runs/a"}})  # fmt: skip


def presets() -> list[bytes]:
    """A preset of the user's own."""
    return [b'steps = 10\ntitle = "a"\n[sampler]\nkind = "dps"\nsigmas = [1.0, 2.5]\n']


def weights_of(form: str, card: dict[str, Any]) -> bytes:
    """A safetensors file of two small tensors, with a card."""
    header = {
        "__metadata__": {"format": form, "card": json.dumps(card)},
        "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "a.bias": {"dtype": "F16", "shape": [4], "data_offsets": [24, 32]},
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(32)


def weights() -> list[bytes]:
    """A prior's file, one of a denoiser of images, and other weights."""
    prior = {
        "architecture": "kernel", "options": {"width": 16, "layers": 1, "heads": 2, "latents": 4},
        "sigma_data": 0.36, "points": 64,
        "trained": {"validation_rmse_over_sigma": {"0.1": 0.5}, "clouds": 10},
    }  # fmt: skip
    image = {
        "architecture": "small", "box": 16, "pixel_size_A": 3.0, "mask_radius_px": 7.0, "sigma_data": 1.0,
        "trained": {"training_images": 7, "file": "a.mrcs", "steps": 5},
    }  # fmt: skip
    return [
        weights_of("verglas-prior-1", prior),
        weights_of("verglas-image-denoiser-1", image),
        weights_of("pt", {}),
    ]


@cache
def loadable_weights() -> list[bytes]:
    """A small prior that loads, besides those that don't."""
    from engine.priors.checkpoint import PriorCard, build, save_prior

    card = PriorCard("kernel", {"width": 16, "layers": 1, "heads": 2, "latents": 4}, 0.36, 64)
    state = build(card).state_dict()
    return [written("p.safetensors", lambda p: save_prior(p, state, card, half=True)), *weights()]


def fetched_tables() -> list[bytes]:
    """``fetched.csv``."""
    head = "id,kind,url,file,bytes,sha256,date,licence"
    return [f"{head}\n1abc,structure,https://x/1abc,1abc.cif.gz,10,{'0' * 64},2026-01-01,CC0-1.0\n".encode()]


def parents() -> list[bytes]:
    """``parent.json`` of a branch."""
    return _json({"run": "runs/a", "at": "step-10", "changed": {"seed": [0, 1], "sampler.steps": [10, 20]}})


def plans() -> list[bytes]:
    """``parts/plan.json``."""
    return _json({"parts": [[1, 2], [3, 4], [5]]})


def submissions() -> list[bytes]:
    """What was handed over to Slurm."""
    return _json({"lane": "gpu", "jobs": [{"stage": "prepare", "number": "12", "tasks": 1}]})
