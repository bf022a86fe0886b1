"""The command line: ``verglas run``, ``train``, ``data``, ``averages``, ``evaluate`` and the others below.

Importing this module imports neither torch nor the window: ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from engine.commands import (
    averaging,
    capsules,
    dataset,
    doctoring,
    ensembles,
    fetching,
    forking,
    lanes,
    priors,
    queueing,
    running,
    shapes,
    simulating,
    submitting,
    training,
    windows,
)
from engine.errors import Cancelled, VerglasError
from engine.jobs.manifest import version

BAD_INPUT, FAILED, CANCELLED = 2, 1, 130

app = typer.Typer(
    name="verglas",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # square brackets in help texts are units, not markup
    pretty_exceptions_enable=False,
    help="Cryo-EM structures from very little data, with learned priors.\n\n"
    "You give a few projections, a low-resolution map or a known part of a complex. Verglas draws an "
    "ensemble of 3D structures that agree with them and look like molecules.\n\n"
    "Start with `verglas demo`, then `verglas doctor` if something is slow or missing. "
    "Every command explains itself: `verglas run --help`.",
)
train_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Train a prior on shapes of your own."
)
data_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Training sets: structures and clouds."
)

app.command("run")(running.run)
app.command("queue")(queueing.queue)
app.command("pause")(forking.pause)
app.command("resume")(forking.resume)
app.command("cancel")(forking.cancel)
app.command("fork")(forking.fork)
app.command("submit")(submitting.submit)
app.command("status")(submitting.status)
app.add_typer(lanes.app, name="lanes")
app.command("run-part", hidden=True)(submitting.run_part)
app.add_typer(train_app, name="train")
train_app.command("prior")(training.train_prior)
train_app.command("denoiser")(training.train_denoiser)
app.add_typer(data_app, name="data")
data_app.command("fetch")(fetching.fetch)
data_app.command("build")(dataset.build)
data_app.command("shapes")(shapes.shapes)
app.add_typer(priors.app, name="priors")
app.command("averages")(averaging.averages)
app.command("simulate")(simulating.simulate)
app.command("evaluate")(ensembles.evaluate)
app.command("export")(ensembles.export)
app.command("capsule")(capsules.capsule)
app.command("rerun")(capsules.rerun)
app.command("doctor")(doctoring.doctor)
app.command("demo")(windows.demo)
app.command("app")(windows.app)


def _show_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"Verglas {version()}")
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status.

    Returns
    -------
    0 when all went well, 1 when a run failed, 2 for input that can't be used, 130 when cancelled.
    """
    try:
        code = app(
            args=None if arguments is None else list(arguments), prog_name="verglas", standalone_mode=False
        )
    except Cancelled:
        return CANCELLED
    except VerglasError as exc:
        return _error(str(exc), BAD_INPUT)
    except KeyboardInterrupt:
        return CANCELLED
    except BrokenPipeError:
        # `verglas … | head`: nobody listens any more, which is no error
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as exc:
        usage = getattr(exc, "format_message", None)
        if usage is not None:  # a mistyped option
            words = usage().rstrip(".")
            return _error(f"{words}. `verglas --help` explains." if words else "", BAD_INPUT)
        return _error(
            f"An unexpected error ({type(exc).__name__}: {str(exc)[:200]}). This is a bug in Verglas: "
            f"please report it with the file {_keep_traceback()}.",
            FAILED,
        )
    return code if isinstance(code, int) else 0


def _error(words: str, code: int) -> int:
    if words:
        sys.stderr.write(f"Error: {' '.join(words.split())}\n")
    return code


def _keep_traceback() -> Path:
    with tempfile.NamedTemporaryFile(
        "w", prefix="verglas-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(traceback.format_exc())
    return Path(file.name)


if __name__ == "__main__":
    sys.exit(main())
