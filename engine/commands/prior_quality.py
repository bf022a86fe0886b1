"""``verglas evaluate --prior P --against clouds.npz``: how good a prior is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal, cast

from engine.commands.display import RunDisplay, duration
from engine.errors import Cancelled, InputError, RunError, SpecError
from engine.jobs.run_lock import held

LOCK = "lock"


def evaluate(
    *,
    prior: str | None,
    samples_file: Path | None,
    against: Path | None,
    train: Path | None,
    out: Path | None,
    samples: int,
    steps: int,
    method: str,
    emd_points: int,
    workers: int,
    device: str,
    seed: int,
    as_json: bool,
) -> int:
    """Draw samples, or take given ones, and compare them with real clouds.

    Parameters
    ----------
    prior : ``shipped`` or a weights file; or ``samples_file``, not both.

    Raises
    ------
    SpecError
        If options are missing or contradict each other.
    VerglasError
        As :func:`engine.pipelines.evaluate_prior.evaluate_prior`.
    """
    if against is None:
        raise SpecError("`--against` is missing.", "Name a file of clouds that were not trained on.")
    if out is None:
        raise SpecError("`--out` is missing.", "Name a folder for samples, figures and the report.")
    if (prior is None) == (samples_file is None):
        raise SpecError("Give either `--prior` or `--samples-file`.", "The first draws, the second reads.")
    if method not in ("stochastic", "ode"):
        raise SpecError(f"`--method` is {method}.", "Choose `stochastic` or `ode`.")
    if out.exists() and not out.is_dir():
        raise RunError("This is a file, not a folder.", "Name another folder with `--out`.", out)
    for path in (against, train, samples_file):
        if path is not None and not path.is_file():
            raise InputError("There is no such file.", "Check its name.", path)
    # Here, not above: it imports torch.
    from engine.pipelines.evaluate_prior import REPORT, PriorQuestion, evaluate_prior
    from engine.pipelines.prior_report import format_table
    from engine.priors.checkpoint import resolve

    question = PriorQuestion(
        against=against,
        prior=None if prior is None else resolve(prior),
        samples_file=samples_file,
        train=train,
        samples=samples,
        steps=steps,
        method=cast(Literal["stochastic", "ode"], method),
        emd_points=emd_points,
        seed=seed,
        workers=workers,
        device=device,
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise RunError(f"The folder can't be made ({exc.strerror or exc}).", "Choose another.", out) from exc
    with RunDisplay() as display, held(out / LOCK):
        try:
            report = evaluate_prior(question, out, display)
        except KeyboardInterrupt:
            display.say("Stopped; what is finished is kept. The same command goes on.")
            raise Cancelled from None
    sys.stdout.write(
        (json.dumps(report, indent=2) if as_json else _text(format_table(report), report)) + "\n"
    )
    if not as_json:
        written = sorted(p for p in out.iterdir() if p.suffix in (".png", ".svg", ".npz"))
        sys.stdout.write("".join(f"{path}\n" for path in (out / REPORT, *written)))
    return 0


def _text(table: str, report: dict[str, Any]) -> str:
    return f"{table}\n\nAfter {duration(report['seconds'])}."
