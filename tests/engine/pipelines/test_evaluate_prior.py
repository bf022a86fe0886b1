"""Judging a prior: resumed, never computed twice, errors in words, copies found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.cli import main
from engine.errors import InputError, PriorError, SpecError
from engine.events import Notice, Progress
from engine.metrics import nearest_training, prior_quality
from engine.numerics.rotations import random_rotations
from engine.pipelines import evaluate_prior as evaluation
from engine.pipelines import prior_rows
from engine.pipelines.evaluate_prior import PriorQuestion, evaluate_prior
from engine.pipelines.kept_rows import kept_rows, key_of
from engine.pipelines.prior_report import format_table
from engine.pipelines.worker_pool import Workers
from engine.priors.checkpoint import PriorCard, build, save_prior
from tests.engine.metrics.test_prior_quality import blobs

POINTS = 64


def _clouds(path: Path, n: int, seed: int, points: int = POINTS) -> Path:
    np.savez(
        path, points=blobs(n, seed, points).astype(np.float16), name=[f"{path.stem} {i}" for i in range(n)]
    )
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    card = PriorCard("kernel", {"width": 16, "layers": 1}, 0.36, POINTS)
    prior = tmp_path / "prior.safetensors"
    save_prior(prior, build(card).state_dict(), card)
    return {
        "prior": prior,
        "against": _clouds(tmp_path / "val.npz", 5, 1),
        "train": _clouds(tmp_path / "train.npz", 7, 2),
    }


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """One alignment for each cloud, few halves, and pictures only where they are looked at."""
    monkeypatch.setattr(nearest_training, "ALIGNED", 1)
    monkeypatch.setattr(prior_quality, "HALF_SAMPLES", 10)
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(evaluation, "save_both", lambda figure, path: None)


@pytest.fixture
def pictures() -> None:
    """Figures are written."""


def _counted(
    monkeypatch: pytest.MonkeyPatch, log: list[tuple[str, int]], stop_after: int | None = None
) -> None:
    """Record each row that is computed; raise KeyboardInterrupt after so many."""
    for name in ("draws", "pair_rows", "descriptors", "nearest_rows"):
        original = getattr(prior_rows, name)

        def counting(*arguments: Any, _original: Any = original, _name: str = name) -> Callable[..., Any]:
            function = _original(*arguments)

            def rows(block: tuple[int, ...]) -> Any:
                if stop_after is not None and len(log) >= stop_after:
                    raise KeyboardInterrupt
                found = function(block)
                log.extend((_name, i) for i in block)
                return found

            return rows

        monkeypatch.setattr(evaluation, name, counting)


def test_an_interrupted_evaluation_goes_on_and_computes_nothing_twice(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = PriorQuestion(**files, samples=4, steps=20, emd_points=16, device="cpu")
    # how well clouds are aligned is another test's matter
    monkeypatch.setattr(
        nearest_training, "align_kernel_correlation", lambda mobile, target: (np.eye(3), np.zeros(3))
    )
    whole: list[tuple[str, int]] = []
    with monkeypatch.context() as patch:
        _counted(patch, whole)
        report = evaluate_prior(question, tmp_path / "whole", lambda event: None)
    parts: list[tuple[str, int]] = []
    for stop in (3, 20, len(whole) - 5, None):
        with monkeypatch.context() as patch:
            _counted(patch, parts, stop)
            if stop is not None:
                with pytest.raises(KeyboardInterrupt):
                    evaluate_prior(question, tmp_path / "parts", lambda event: None)
            else:
                resumed = evaluate_prior(question, tmp_path / "parts", lambda event: None)
    assert sorted(parts) == sorted(whole)
    assert {n for n, _ in whole} == {"draws", "pair_rows", "descriptors", "nearest_rows"}
    assert {k: v for k, v in resumed.items() if k != "seconds"} == {
        k: v for k, v in report.items() if k != "seconds"
    }
    again: list[tuple[str, int]] = []
    _counted(monkeypatch, again)
    evaluate_prior(question, tmp_path / "parts", lambda event: None)
    assert again == []
    # more samples: those that there are stay; other steps are another question
    more = PriorQuestion(**files, samples=5, steps=20, emd_points=16, device="cpu")
    evaluate_prior(more, tmp_path / "parts", lambda event: None)
    assert [i for name, i in again if name == "draws"] == [4]
    old, new = (np.load(tmp_path / d / "samples.npz")["points"] for d in ("whole", "parts"))
    np.testing.assert_array_equal(old, new[:4])

    text = format_table(json.loads((tmp_path / "whole" / "quality.json").read_text()))
    assert "training set, turned" in text
    assert "EMD, 16 points" in text


@pytest.mark.usefixtures("pictures")
def test_copies_of_training_clouds_are_told_from_honest_samples(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = np.load(files["train"])["points"].astype(np.float64)
    turned = train[:4] @ random_rotations(4, np.random.default_rng(0))
    np.savez(tmp_path / "copies.npz", points=turned.astype(np.float32))
    honest = _clouds(tmp_path / "honest.npz", 4, 3)
    distances: dict[str, list[float]] = {}
    for given in (tmp_path / "copies.npz", honest):
        question = PriorQuestion(files["against"], samples_file=given, train=files["train"], emd_points=16)
        found = evaluate_prior(question, tmp_path / "out", lambda event: None)["memorisation"]
        distances[given.stem] = [entry["distance"] for entry in found["samples"]]
        monkeypatch.setattr(evaluation, "save_both", lambda figure, path: None)
        if given.stem == "copies":
            assert [entry["nearest"] for entry in found["samples"]] == [f"train {i}" for i in range(4)]
            assert found["copies"] == found["closer"] == 1
    for name in ("samples", "statistics", "nearest_training"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert b"<svg" in (tmp_path / "out" / f"{name}.svg").read_bytes()[:2000]
    # four honest samples may all lie below the least of five references, but nowhere near copies
    assert min(distances["honest"]) > 5 * max(distances["copies"])


def test_files_that_dont_fit_are_refused_in_words(files: dict[str, Path], tmp_path: Path) -> None:
    def ask(**changes: Any) -> None:
        evaluate_prior(
            PriorQuestion(**{**files, "samples": 4, "steps": 2, **changes}), tmp_path / "o", lambda e: None
        )

    few, other = _clouds(tmp_path / "few.npz", 3, 4), _clouds(tmp_path / "other.npz", 5, 5, points=32)
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"no clouds")
    for changes, kind, words in (
        ({"against": few}, InputError, "holds 3 clouds; at least 4"),
        ({"against": other}, InputError, "64 points, the references 32"),
        ({"against": other, "train": None}, PriorError, "clouds of 64 points, the references have 32"),
        ({"against": broken}, InputError, "can't be read as npz"),
        ({"train": other}, InputError, "32 points, the references 64"),
        ({"prior": files["train"]}, PriorError, "not a readable safetensors"),
        ({"prior": None}, SpecError, "either a prior or a file"),
        ({"samples_file": few}, SpecError, "either a prior or a file"),
        ({"prior": None, "samples_file": few}, InputError, "holds 3 clouds"),
        ({"samples": 2}, SpecError, "2 samples say nothing"),
    ):
        with pytest.raises(kind, match=words):
            ask(**changes)  # type: ignore[arg-type]


def test_the_command(
    files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    common = ["evaluate", "--against", str(files["against"]), "--emd-points", "16"]
    given = [*common, "--samples-file", str(files["train"]), "--samples", "4", "--out", str(out)]
    assert main(given) == 0
    shown = capsys.readouterr()
    assert "1-NNA %" in shown.out
    assert str(out / "quality.json") in shown.out
    assert "sets of equal size: 4 of 4 samples with 4 of 5" in shown.err
    assert main([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["table"]["samples"]["chamfer"]["cov_percent"]["value"] > 0
    assert not (out / "lock").exists()
    for arguments, words in (
        (common, "--out` is missing"),
        ([*common, "--out", str(out)], "either `--prior` or `--samples-file`"),
        (["evaluate", "--prior", "shipped", "--out", str(out)], "`--against` is missing"),
        (["evaluate", str(out), "--prior", "shipped"], "can't be judged together"),
        (["evaluate"], "Nothing to evaluate"),
        (["evaluate", str(out), "--train", str(files["train"])], "`--train` is for priors"),
        ([*common, "--samples-file", "nowhere.npz", "--out", str(out)], "no such file"),
        ([*common, "--prior", "shipped", "--out", str(files["train"])], "a file, not a folder"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "evaluate_prior", stopped)
    assert main(given) == 130
    assert "The same command goes on" in capsys.readouterr().err
    assert not (out / "lock").exists()


def test_kept_rows_survive_damage_and_say_how_far_they_are(tmp_path: Path) -> None:
    path, events = tmp_path / "parts" / "rows.npy", []

    def make() -> Callable[[tuple[int, ...]], np.ndarray]:
        return lambda block: np.array([[float(i), 2.0 * i] for i in block])

    with Workers(1) as workers:

        def kept(n: int) -> np.ndarray:
            return kept_rows(path, (n, 2), make, workers=workers, stage="s", emit=events.append, batch=2)

        first = kept(5)
        np.testing.assert_array_equal(first[:, 0], range(5))
        progress = [e for e in events if isinstance(e, Progress)]
        assert [(e.done, e.total) for e in progress] == [(0, 5), (2, 5), (4, 5), (5, 5)]
        assert progress[0].eta_s is None
        assert progress[-1].eta_s == 0
        np.testing.assert_array_equal(kept(3), first[:3])
        assert len(np.load(path)) == 5  # asked for fewer: the others are kept
        for damage in (b"", path.read_bytes()[:100], b"\x93NUMPY junk"):
            path.write_bytes(damage)
            np.testing.assert_array_equal(kept(5), first)
    assert key_of(first) != key_of(first.T) != key_of(first, 1) != key_of(first, 2)
    assert not [e for e in events if isinstance(e, Notice)]
