"""``verglas train prior`` and ``train denoiser``: their options are the fields of the specs."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.commands.averaging import parse_selection
from engine.commands.execution import carry_out
from engine.commands.options import options_of
from engine.specs import codec
from engine.specs.job import TrainPriorSpec
from engine.specs.sds import ClassAveragesInput, TrainDenoiserSpec

_PRIOR_HELP = """Train a 3D prior on point clouds, or on a folder of structures.

Checkpoints are written while it trains. Ctrl-C stops it and keeps them; the same command goes on
where it stopped, and also goes on with a finished training when it is given more --hours.

\b
Examples:
  verglas train prior clouds.npz --out my-prior --hours 8
  verglas train prior clouds.npz --out large --architecture point_e --device cuda --hours 72
  verglas train prior ring-shapes.npz --out ring-prior --start-from my-prior/results/prior.safetensors
  torchrun --nproc-per-node 4 -m engine train prior clouds.npz --out shared --batch 64

\b
CLOUDS holds an array `points` of shape (clouds, points, 3), centred and scaled into [-1, 1]³, as
`verglas data build` writes it; or it is a folder of PDB and mmCIF files. Under `torchrun` several
processes, each with its GPU, share every batch: the result is that of one process.
The result is DIR/results/prior.safetensors: name it in a run description as the prior's `weights`.
"""

_DENOISER_HELP = """Train a 2D denoiser on class averages, for reconstruction by score distillation.

Checkpoints are written while it trains. Ctrl-C stops it and keeps them; the same command goes on
where it stopped, and also goes on with a finished training when it is given more --minutes.

\b
Examples:
  verglas train denoiser classes.mrcs --out my-denoiser --minutes 20
  verglas train denoiser classes.star --out large --architecture paper --device cuda --minutes 120

\b
IMAGES are class averages of any kind that `verglas averages` reads; choose, centre and mask them here
as in the reconstruction. Some are kept back to measure the denoiser, beside the closed-form one that
needs no training. The result is DIR/results/denoiser.safetensors: name it in a run description as
the denoiser's `weights`.
"""


def _command(
    help_text: str,
    source: str,
    metavar: str,
    options: list[inspect.Parameter],
    spec: Callable[..., Any],
    assist: Callable[[Any, Path], int] | None = None,
) -> Callable[..., int]:
    """A command with one input file, a folder, and options.

    Parameters
    ----------
    source : what the file is, for its help.
    spec : makes plain values of a run description from the file's path and the options.
    assist : what processes besides the first do, where several may share the work.
    """

    def command(file: Path, out: Path, as_json: bool = False, **given: Any) -> int:
        values = {k: str(v) if isinstance(v, Path) else v for k, v in given.items()}
        checked = codec.validate(spec(str(file), values))
        resolved = codec.resolve_paths(checked, Path.cwd())
        if assist is not None and int(os.environ.get("RANK", "0")) > 0:
            return assist(resolved, out)
        return carry_out(resolved, out, as_json=as_json)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(
            "file",
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            annotation=Annotated[Path, typer.Argument(metavar=metavar, help=source)],
        ),
        inspect.Parameter(
            "out",
            keyword,
            annotation=Annotated[
                Path,
                typer.Option("--out", "-o", metavar="DIR", help="Folder for checkpoints and the result."),
            ],
        ),
        *options,
        inspect.Parameter(
            "as_json",
            keyword,
            default=False,
            annotation=Annotated[
                bool, typer.Option("--json", help="Print the outcome as JSON, for scripts.")
            ],
        ),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = help_text
    return command


def _denoiser_values(file: str, values: dict[str, Any]) -> dict[str, Any]:
    averages = {k: v for k, v in values.items() if k in ClassAveragesInput.model_fields}
    averages |= {"file": file, "select": parse_selection(averages["select"])}
    rest = {k: v for k, v in values.items() if k not in averages}
    return {"kind": "train_denoiser", "averages": averages} | rest


def _assist(spec: TrainPriorSpec, out: Path) -> int:
    """Follow the process that leads; it alone answers to Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    from engine.pipelines import train_prior

    train_prior.assist(spec, out)
    return 0


train_prior = _command(
    _PRIOR_HELP,
    "Training clouds, or a folder of structures.",
    "CLOUDS",
    options_of(TrainPriorSpec, ("clouds",)),
    lambda file, values: {"kind": "train_prior", "clouds": file} | values,
    _assist,
)
train_denoiser = _command(
    _DENOISER_HELP,
    "Class averages.",
    "IMAGES",
    options_of(ClassAveragesInput, ("file",)) + options_of(TrainDenoiserSpec, ("averages",)),
    _denoiser_values,
)
