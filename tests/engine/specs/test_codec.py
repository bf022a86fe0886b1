"""Specs survive their files; what is wrong in a file is said in one sentence per problem."""

from __future__ import annotations

import json
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import SpecError
from engine.specs import codec
from engine.specs.components import (
    CoarseMap,
    GaussianPrior,
    NetworkPrior,
    ProjectionImages,
    ProjectionPoints,
    Subunit,
)
from engine.specs.job import DpsSpec, FrameSpec, JobSpec, TrainPriorSpec
from engine.specs.samplers import Algorithm1, Daps, MaximumLikelihood, Proximal, SplitGibbs, Unconditional

names = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12).map(
    lambda s: f"/d/{s}"
)
observations = st.one_of(
    st.builds(ProjectionImages, images=names, poses=names, select=st.lists(st.integers(1, 99)).map(tuple)),
    st.builds(
        ProjectionPoints,
        file=names,
        rotation=st.tuples(*[st.floats(-1, 1)] * 4),
        weight=st.floats(0.01, 1000),
    ),
    st.builds(CoarseMap, file=names, threshold=st.none() | st.floats(-1e3, 1e3), points=st.integers(4, 1024)),
    st.builds(Subunit, file=names, chains=st.lists(st.text("ABCab1", min_size=1)).map(tuple)),
)
dps = st.builds(
    DpsSpec,
    title=st.text(st.characters(blacklist_categories=("Cs",)), max_size=20),
    observations=st.lists(observations, min_size=1, max_size=3).map(tuple),
    prior=st.one_of(st.builds(NetworkPrior, weights=names), st.builds(GaussianPrior)),
    sampler=st.one_of(
        st.builds(Proximal), st.builds(Algorithm1, clamp=st.none()), st.builds(MaximumLikelihood),
        st.builds(Unconditional), st.builds(SplitGibbs), st.builds(Daps),
    ),
    frame=st.builds(FrameSpec, centre_A=st.none() | st.tuples(*[st.floats(-1e4, 1e4)] * 3)),
    truth=st.none() | names,
    seed=st.integers(0, 2**31 - 1),
)  # fmt: skip
specs = dps | st.builds(
    TrainPriorSpec, clouds=names, hours=st.floats(1e-3, 1e4), width=st.none() | st.integers(8, 64)
)


@settings(max_examples=40)
@given(spec=specs)
def test_json_round_trip(spec: JobSpec):
    assert codec.from_json(codec.to_json(spec)) == spec


@settings(max_examples=40, deadline=None)
@given(spec=specs)
def test_toml_round_trip(spec: JobSpec):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.toml"
        codec.dump_toml(spec, file)
        assert codec.load_spec(file) == spec


def test_toml_explains_every_setting():
    spec = DpsSpec(observations=(CoarseMap(file="/a.mrc"),))
    text = codec.to_toml_text(spec)
    for model in (spec, spec.observations[0], spec.prior, spec.sampler, spec.frame):
        for name, info in type(model).model_fields.items():
            if name not in ("observations", "prior", "sampler", "frame"):  # tables, explained in their heads
                assert f"{name} =" in text
                assert codec.describe(info) in text
    assert "[Å, > 0, ≤ 100]" in text


def test_a_folder_with_a_spec_can_be_moved(tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    spec = DpsSpec(
        observations=(ProjectionImages(images=str(old / "sub" / "a.mrcs"), poses="/elsewhere/p.star"),),
        truth=str(old / "t.cif"),
    )
    codec.dump_toml(spec, old / "job.toml")
    old.rename(new)
    moved = codec.load_spec(new / "job.toml")
    assert codec.input_files(moved) == {
        "observations 1, images": str(new / "sub" / "a.mrcs"),
        "observations 1, poses": "/elsewhere/p.star",
        "truth": str(new / "t.cif"),
    }


def test_keywords_are_no_paths(tmp_path: Path):
    (tmp_path / "a.toml").write_text('kind = "dps"\n[[observations]]\nkind = "coarse_map"\nfile = "m.mrc"\n')
    spec = codec.load_spec(tmp_path / "a.toml")
    assert spec.prior.weights == "shipped"
    assert spec.observations[0].file == str(tmp_path / "m.mrc")


def test_json_files_and_byte_order_marks_are_read(tmp_path: Path):
    text = '{"kind": "train_prior", "clouds": "c.npz"}'
    (tmp_path / "a.json").write_text(text, encoding="utf-8-sig")
    assert codec.load_spec(tmp_path / "a.json") == TrainPriorSpec(clouds=str(tmp_path / "c.npz"))


GOOD = {"kind": "dps", "observations": [{"kind": "coarse_map", "file": "/a.mrc"}]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": 0}, "`samples` is 0, but must be at least 1"),
        ({"sampels": 3}, "`sampels`: there is no such setting. Did you mean `samples`"),
        ({"colour": "red"}, "`colour`: there is no such setting. Allowed here: title, observations, prior"),
        ({"observations": [{"kind": "coarse_map"}]}, "`observations 1, file` is missing (Density map"),
        (
            {"observations": [{"file": "a"}]},
            "`observations 1` does not say its `kind`. Give one of: projection_i",
        ),
        (
            {"observations": [{"kind": "zzz"}]},
            "`observations 1, kind`: `zzz` is unknown. Give one of: projection",
        ),
        ({"observations": []}, "No evidence given. Add at least one"),
        ({"observations": 3}, "`observations` is 3, but must be a list"),
        (
            {"sampler": {"kind": "proximal", "stepz": 1}},
            "`sampler, stepz`: there is no such setting. Did you mean",
        ),
        ({"frame": {"scale": 3.0}}, "Did you mean `scale_A`?"),
        ({"frame": {"scale_A": -1.0}}, "`frame, scale_A` is -1.0 Å, but must be more than 0.0 Å"),
        ({"seed": "a"}, "`seed` is 'a', but must be a whole number"),
        ({"samples": 2.5}, "`samples` is 2.5, but must be a whole number"),
        ({"samples": float("nan")}, "`samples` is nan, but must be a finite number"),
        ({"device": "gpu"}, "`device` is 'gpu', but must be one of: 'auto', 'cuda', 'mps' or 'cpu'"),
        ({"schema_version": 7}, "schema version 7; this Verglas reads version 1. Update Verglas"),
        ({"kind": "dsp"}, "`kind`: `dsp` is unknown. Give one of: dps, train_prior"),
        ({"prior": "x"}, "`prior` is 'x', but must be a table"),
    ],
)
def test_problems_in_words(tmp_path: Path, change: dict[str, object], words: str):
    file = tmp_path / "job.json"
    file.write_text(json.dumps(GOOD | change))
    with pytest.raises(SpecError) as caught:
        codec.load_spec(file)
    assert words.rstrip("?") in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "validation error" not in str(caught.value)


def test_several_problems_are_all_told():
    with pytest.raises(SpecError, match="`samples` is 0.*`seed` is -1"):
        codec.validate(GOOD | {"samples": 0, "seed": -1})


def test_a_missing_kind_names_the_kinds():
    with pytest.raises(SpecError, match="does not say its `kind`.*dps, train_prior"):
        codec.validate({"samples": 1})


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.toml", b"kind = dps", "not valid TOML.*line 1"),
        ("a.json", b"[1, 2", "not valid JSON"),
        ("a.json", b"[1, 2]", "a table of settings"),
        ("a.toml", bytes(range(256)), "binary file"),
        ("a.toml", b"", "does not say its `kind`"),
        ("a.json", b"[" * 100_000, "not valid JSON"),
        ("a.toml", b"#" * 5_000_000, "too large"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: bytes, words: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError, match=words):
        codec.load_spec(tmp_path / name)


def test_missing_files(tmp_path: Path):
    with pytest.raises(SpecError, match="no such file"):
        codec.load_spec(tmp_path / "none.toml")
    with pytest.raises(SpecError, match="can't be read"):
        codec.load_spec(tmp_path)


def test_what_is_written_is_plain_toml():
    spec = DpsSpec(observations=(CoarseMap(file="/a.mrc"),))
    assert tomllib.loads(codec.to_toml_text(spec))["observations"][0]["file"] == "/a.mrc"
