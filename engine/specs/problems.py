"""Validation errors in words: one sentence per problem, the key first, what is allowed last."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import ValidationError

from engine.specs.components import Model, ObservationSpec, PriorSpec
from engine.specs.job import FrameSpec, JobSpec
from engine.specs.samplers import SamplerSpec
from engine.specs.sds import ClassAveragesInput, Distillation, ImageDenoiserSpec

_SHOWN = 6  # problems; more help nobody
_TYPES = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": 'text in quotes, e.g. "name"',
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list in square brackets",
    "model_type": "a table of settings",
    "model_attributes_type": "a table of settings",
    "dict_type": "a table of settings",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def _by_kind() -> dict[str, type[Model]]:
    found: dict[str, type[Model]] = {}
    for union in (JobSpec, ObservationSpec, PriorSpec, SamplerSpec, ImageDenoiserSpec):
        members = get_args(get_args(union)[0]) or (get_args(union)[0],)
        found |= {str(cls.model_fields["kind"].default): cls for cls in members}
    return found


KINDS: dict[str, type[Model]] = _by_kind()
_BY_KEY: dict[str, type[Model]] = {
    "frame": FrameSpec,
    "averages": ClassAveragesInput,
    "distillation": Distillation,
}
"""Tables that have one shape only, so they don't say a kind."""


def sentences(error: ValidationError, data: dict[str, Any]) -> tuple[str, str]:
    """Problem and advice of a failed validation.

    Parameters
    ----------
    error : what pydantic found.
    data : the values that were validated.
    """
    found = error.errors(include_url=False)
    problems, advice = [], []
    for item in found[:_SHOWN]:
        key, table, cls = _locate(tuple(item["loc"]), data)
        problem, hint = _sentence(dict(item), key, table, cls)
        problems.append(problem)
        if hint and hint not in advice:
            advice.append(hint)
    if len(found) > _SHOWN:
        problems.append(f"There are {len(found) - _SHOWN} more problems.")
    return " ".join(problems), " ".join(advice)


def _locate(loc: tuple[str | int, ...], data: Any) -> tuple[str, Any, type[Model] | None]:
    """The key in words, the table that holds it, and that table's class."""
    words: list[str] = []
    table: Any = data
    value: Any = data
    cls = KINDS.get(str(data.get("kind")))
    for part in loc:
        is_tag = isinstance(value, dict) and part not in value and part == value.get("kind")
        if is_tag:
            continue  # pydantic names the chosen member of a union; the file has no such level
        if isinstance(value, dict):
            table = value
            cls = _BY_KEY.get(words[-1] if words else "") or KINDS.get(str(value.get("kind")))
        if isinstance(part, int):
            words[-1:] = [f"{words[-1] if words else 'item'} {part + 1}"]
            value = value[part] if isinstance(value, (list, tuple)) and part < len(value) else None
        else:
            words.append(part)
            value = value.get(part) if isinstance(value, dict) else None
    return ", ".join(words), table, cls


def _sentence(item: dict[str, Any], key: str, table: Any, cls: type[Model] | None) -> tuple[str, str]:
    kind, context, value = str(item["type"]), item.get("ctx", {}), item.get("input")
    name = key.rsplit(", ", 1)[-1]
    fields = cls.model_fields if cls else {}
    info = fields.get(name)
    if kind == "extra_forbidden":
        allowed = [n for n in fields if n not in ("kind", "schema_version")]
        close = difflib.get_close_matches(name, allowed, 1)
        hint = f"Did you mean `{close[0]}`?" if close else f"Allowed here: {', '.join(allowed)}."
        return f"`{key}`: there is no such setting.", hint
    if kind == "missing":
        what = f" ({info.description.rstrip('.')})" if info and info.description else ""
        return f"`{key}` is missing{what}.", ""
    if kind == "union_tag_not_found":
        where = f"`{key}`" if key else "The description"
        return f"{where} does not say its `kind`.", f"Give one of: {_tags(key)}."
    if kind == "union_tag_invalid":
        where = f"`{key}, kind`" if key else "`kind`"
        return f"{where}: `{context.get('tag')}` is unknown.", f"Give one of: {_tags(key)}."
    if name == "schema_version":
        return (
            f"The description has schema version {value!r}; this Verglas reads version 1.",
            "Update Verglas, or write the description again.",
        )
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        extra = info.json_schema_extra if info and isinstance(info.json_schema_extra, dict) else {}
        unit = f" {extra['unit']}" if extra.get("unit") else ""
        return f"`{key}` is {value}{unit}, but must be {words} {context[bound]}{unit}.", ""
    if kind == "literal_error":
        return f"`{key}` is {value!r}, but must be one of: {context.get('expected')}.", ""
    if kind == "value_error":
        return str(context.get("error", item["msg"])), ""
    if kind in _TYPES:
        return f"`{key}` is {value!r}, but must be {_TYPES[kind]}."[:400], ""
    where = f"`{key}`: " if key else ""
    return f"{where}{str(item['msg']).rstrip('.')}.", ""


def _tags(key: str) -> str:
    head = key.split(", ")[0].split(" ")[0]
    unions = {
        "": JobSpec,
        "observations": ObservationSpec,
        "prior": PriorSpec,
        "sampler": SamplerSpec,
        "denoiser": ImageDenoiserSpec,
    }
    members = get_args(get_args(unions.get(head, JobSpec))[0])
    return ", ".join(str(cls.model_fields["kind"].default) for cls in members)
