"""``verglas train prior`` and ``train denoiser``: their options are the fields of the specs."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from engine.commands.averaging import parse_selection
from engine.commands.execution import carry_out
from engine.specs import codec
from engine.specs.components import Model
from engine.specs.job import TrainPriorSpec
from engine.specs.sds import ClassAveragesInput, TrainDenoiserSpec

_PRIOR_HELP = """Train a 3D prior on a file of point clouds.

Checkpoints are written while it trains. Ctrl-C stops it and keeps them; the same command goes on
where it stopped, and also goes on with a finished training when it is given more --hours.

\b
Examples:
  verglas train prior clouds.npz --out my-prior --hours 8
  verglas train prior clouds.npz --out large --architecture point_e --device cuda --hours 72
  verglas train prior ring-shapes.npz --out ring-prior --start-from my-prior/results/prior.safetensors

\b
CLOUDS.npz holds an array `points` of shape (clouds, points, 3), centred and scaled into [-1, 1]³.
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


def _plain_type(annotation: Any) -> Any:
    """The option's type: a Literal becomes a string, whose values the spec checks in words."""
    if typing.get_origin(annotation) in (Literal, tuple):
        return str
    if isinstance(annotation, types.UnionType):
        members = [a for a in typing.get_args(annotation) if a is not type(None)]
        return _plain_type(members[0]) | None
    return annotation


def _options(spec: type[Model], leave_out: tuple[str, ...]) -> list[inspect.Parameter]:
    found = []
    for name, info in spec.model_fields.items():
        if name in ("kind", "schema_version", *leave_out):
            continue
        words, default = codec.describe(info), info.default
        if typing.get_origin(info.annotation) is Literal:
            words += f" One of: {', '.join(typing.get_args(info.annotation))}."
        if typing.get_origin(info.annotation) is tuple:
            words, default = words + " E.g. 1-20,25.", ""
        # units in names are the specs', not the command line's
        flag = f"--{name.removesuffix('_A').replace('_', '-')}"
        if info.annotation is bool:
            flag += f"/--no-{name.replace('_', '-')}"
        annotation: Any = Annotated[_plain_type(info.annotation), typer.Option(flag, help=words)]
        found.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    return found


def _command(
    help_text: str, source: str, metavar: str, options: list[inspect.Parameter], spec: Callable[..., Any]
) -> Callable[..., int]:
    """A command with one input file, a folder, and options.

    Parameters
    ----------
    source : what the file is, for its help.
    spec : makes plain values of a run description from the file's path and the options.
    """

    def command(file: Path, out: Path, as_json: bool = False, **given: Any) -> int:
        values = {k: str(v) if isinstance(v, Path) else v for k, v in given.items()}
        checked = codec.validate(spec(str(file), values))
        return carry_out(codec.resolve_paths(checked, Path.cwd()), out, as_json=as_json)

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


train_prior = _command(
    _PRIOR_HELP,
    "Training clouds.",
    "CLOUDS.npz",
    _options(TrainPriorSpec, ("clouds",)),
    lambda file, values: {"kind": "train_prior", "clouds": file} | values,
)
train_denoiser = _command(
    _DENOISER_HELP,
    "Class averages.",
    "IMAGES",
    _options(ClassAveragesInput, ("file",)) + _options(TrainDenoiserSpec, ("averages",)),
    _denoiser_values,
)
