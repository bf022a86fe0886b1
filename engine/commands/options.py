"""Command-line options from the fields of a spec, so that help, bounds and defaults can't disagree."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Annotated, Any, Literal

import typer

from engine.specs import codec
from engine.specs.components import Model


def _plain_type(annotation: Any) -> Any:
    """The option's type: a Literal becomes a string, whose values the spec checks in words."""
    if typing.get_origin(annotation) in (Literal, tuple):
        return str
    if isinstance(annotation, types.UnionType):
        members = [a for a in typing.get_args(annotation) if a is not type(None)]
        return _plain_type(members[0]) | None
    return annotation


def options_of(spec: type[Model], leave_out: tuple[str, ...] = ()) -> list[inspect.Parameter]:
    """Keyword parameters that typer turns into options, one per field.

    Parameters
    ----------
    leave_out : fields that the command asks for otherwise.
    """
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
        plain = name.removesuffix("_A").removesuffix("_s").replace("_", "-")
        flag = f"--{plain}"
        if info.annotation is bool:
            flag += f"/--no-{plain}"
        annotation: Any = Annotated[_plain_type(info.annotation), typer.Option(flag, help=words)]
        found.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    return found
