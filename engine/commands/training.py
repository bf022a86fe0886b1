"""``verglas train prior``: its options are the fields of :class:`TrainPriorSpec`."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from engine.commands.execution import carry_out
from engine.specs import codec
from engine.specs.job import TrainPriorSpec

_HELP = """Train a 3D prior on a file of point clouds.

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


def _plain_type(annotation: Any) -> Any:
    """The option's type: a Literal becomes a string, whose values the spec checks in words."""
    if typing.get_origin(annotation) is Literal:
        return str
    if isinstance(annotation, types.UnionType):
        members = [a for a in typing.get_args(annotation) if a is not type(None)]
        return _plain_type(members[0]) | None
    return annotation


def _options() -> list[inspect.Parameter]:
    found = []
    for name, info in TrainPriorSpec.model_fields.items():
        if name in ("kind", "schema_version", "clouds"):
            continue
        words = codec.describe(info)
        if typing.get_origin(info.annotation) is Literal:
            words += f" One of: {', '.join(typing.get_args(info.annotation))}."
        option = typer.Option(f"--{name.replace('_', '-')}", help=words)
        annotation: Any = Annotated[_plain_type(info.annotation), option]
        found.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=info.default, annotation=annotation
            )
        )
    return found


def _command() -> Callable[..., int]:
    def train_prior(clouds: Path, out: Path, as_json: bool = False, **options: Any) -> int:
        values = {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}
        spec = codec.validate({"kind": "train_prior", "clouds": str(clouds)} | values)
        return carry_out(codec.resolve_paths(spec, Path.cwd()), out, as_json=as_json)

    keyword = inspect.Parameter.KEYWORD_ONLY
    given = [
        inspect.Parameter(
            "clouds",
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            annotation=Annotated[Path, typer.Argument(metavar="CLOUDS.npz", help="Training clouds.")],
        ),
        inspect.Parameter(
            "out",
            keyword,
            annotation=Annotated[
                Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for checkpoints and the prior.")
            ],
        ),
        *_options(),
        inspect.Parameter(
            "as_json",
            keyword,
            default=False,
            annotation=Annotated[
                bool, typer.Option("--json", help="Print the outcome as JSON, for scripts.")
            ],
        ),
    ]
    train_prior.__signature__ = inspect.Signature(given)  # type: ignore[attr-defined]
    train_prior.__annotations__ = {p.name: p.annotation for p in given}
    train_prior.__doc__ = _HELP
    return train_prior


train_prior = _command()
