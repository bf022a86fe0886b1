"""Run descriptions as files: TOML for people, JSON for run directories.

Reading is strict. An unknown key, a wrong type or a value out of bounds is a
:class:`~engine.errors.SpecError` that names the file, the key and what is allowed. Relative paths in
a file are relative to that file, so that a folder with a spec and its inputs can be moved.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from tomlkit.items import Table

from engine.errors import SpecError
from engine.io.atomic import write_text
from engine.specs.components import Model, is_prior_name
from engine.specs.job import JobSpec
from engine.specs.problems import sentences

KEYWORDS = frozenset({"shipped"})  # values of path fields that name no file
_LARGEST_BYTES = 4_000_000
_ADAPTER: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)


# ---- reading ------------------------------------------------------------------------------------


def load_spec(path: str | Path) -> JobSpec:
    """Read a run description from TOML or, with the suffix ``.json``, JSON.

    Parameters
    ----------
    path : the file. Relative paths in it are resolved against its folder.

    Raises
    ------
    SpecError
        If the file is missing, is not TOML or JSON, or describes no possible run.
    """
    path = Path(path)
    text = _read(path)
    try:
        data = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        format_name = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise SpecError(
            f"This is not valid {format_name} ({exc}).",
            "Correct that line; `verglas simulate` writes a commented example.",
            path,
        ) from exc
    return resolve_paths(_validate(data, path), path.parent)


def from_json(text: str, path: str | Path | None = None) -> JobSpec:
    """Inverse of :func:`to_json`.

    Parameters
    ----------
    path : named in errors.

    Raises
    ------
    SpecError
        If the text is not a run description of this version.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise SpecError(
            f"This is not valid JSON ({exc}).", "Write the file again from its source.", path
        ) from exc
    return _validate(data, path)


def validate(data: dict[str, Any], path: str | Path | None = None) -> JobSpec:
    """Build a spec from plain values, e.g. of a form, with the same messages as for files.

    Raises
    ------
    SpecError
        One sentence per problem, the key first.
    """
    return _validate(data, path)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise SpecError(
                "The file is far too large for a run description.",
                "Give a TOML file, e.g. the `job.toml` that `verglas simulate` writes.",
                path,
            )
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as exc:
        raise SpecError("There is no such file.", "Check the name of the run description.", path) from exc
    except UnicodeDecodeError as exc:
        raise SpecError("This is a binary file, not a run description.", "Give a TOML file.", path) from exc
    except OSError as exc:
        raise SpecError(f"The file can't be read ({exc.strerror or exc}).", "", path) from exc


def _validate(data: Any, path: str | Path | None) -> JobSpec:
    if not isinstance(data, dict):
        raise SpecError("A run description is a table of settings.", 'It starts with `kind = "dps"`.', path)
    try:
        return _ADAPTER.validate_python(data)
    except UnicodeEncodeError as exc:  # half of a pair of surrogates, which JSON can spell
        raise SpecError("Some text in it holds characters that can't be.", "Correct it.", path) from exc
    except ValidationError as exc:
        problem, advice = sentences(exc, data)
        raise SpecError(problem, advice, path) from exc


# ---- paths --------------------------------------------------------------------------------------


def is_path(info: FieldInfo) -> bool:
    """Whether a field's value names a file."""
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("path"))


def names_file(info: FieldInfo, value: object) -> bool:
    """Whether a field has a file's name as its value, not a keyword or the name of a prior."""
    if not isinstance(value, str) or not value or not is_path(info) or value in KEYWORDS:
        return False
    extra = info.json_schema_extra
    return not (isinstance(extra, dict) and extra.get("named") and is_prior_name(value))


def input_files(spec: Model) -> dict[str, str]:
    """Every file that a spec names, by its key, e.g. ``observations 1, images``.

    Keywords such as ``shipped`` and names of priors are left out.
    """
    found: dict[str, str] = {}

    def visit(model: Model, where: str) -> None:
        for name, info in type(model).model_fields.items():
            value = getattr(model, name)
            if isinstance(value, Model):
                visit(value, f"{where}{name}, ")
            elif isinstance(value, tuple):
                for i, item in enumerate(value, 1):
                    if isinstance(item, Model):
                        visit(item, f"{where}{name} {i}, ")
            elif names_file(info, value):
                found[f"{where}{name}"] = value

    visit(spec, "")
    return found


def resolve_paths(spec: JobSpec, folder: str | Path) -> JobSpec:
    """The same spec with every relative path made absolute against ``folder``."""

    def absolute(value: str) -> str:
        if Path(value).is_absolute():
            return value  # as written
        try:
            path = Path(value).expanduser()
            return str(path if path.is_absolute() else (Path(folder) / path).resolve())
        except (OSError, ValueError, RuntimeError) as exc:  # null bytes, loops, no such user
            raise SpecError(f"{value[:80]!r} is no name of a file.", "Correct it.") from exc

    changed: JobSpec = _with_paths(spec, absolute)
    return changed


def _with_paths(spec: Any, change: Callable[[str], str]) -> Any:
    changes: dict[str, Any] = {}
    for name, info in type(spec).model_fields.items():
        value = getattr(spec, name)
        if isinstance(value, Model):
            changes[name] = _with_paths(value, change)
        elif isinstance(value, tuple) and any(isinstance(item, Model) for item in value):
            changes[name] = tuple(_with_paths(item, change) for item in value)
        elif names_file(info, value):
            changes[name] = change(value)
    return spec.model_copy(update=changes)


# ---- writing ------------------------------------------------------------------------------------


def to_json(spec: JobSpec) -> str:
    """All settings, also those left at their defaults, indented."""
    return spec.model_dump_json(indent=2) + "\n"


def to_toml_text(spec: JobSpec) -> str:
    """TOML with each setting's meaning, unit and bounds as a comment above it.

    Settings without a value are written as comments, because TOML has no empty value.
    """
    document = tomlkit.document()
    document.add(tomlkit.comment(_first_line(type(spec))))
    _fill(document, spec)
    return tomlkit.dumps(document)


def dump_toml(spec: JobSpec, path: str | Path) -> None:
    """Write :func:`to_toml_text` atomically.

    Files in the spec's own folder are named relative to it, so that the folder can be moved.
    """
    path = Path(path)
    folder = path.parent.resolve()

    def relative(value: str) -> str:
        target = Path(value)
        inside = target.is_absolute() and target.resolve().is_relative_to(folder)
        return target.resolve().relative_to(folder).as_posix() if inside else value

    write_text(path, to_toml_text(_with_paths(spec, relative)))


def _fill(table: tomlkit.TOMLDocument | Table, model: Model) -> None:
    fields = type(model).model_fields
    # TOML wants a table's plain values before its sub-tables.
    plain = [n for n in fields if not _holds_models(getattr(model, n))]
    for name in plain:
        value = getattr(model, name)
        note = describe(fields[name])
        if note:
            table.add(tomlkit.comment(note))
        if value is None and fields[name].default is None:
            table.add(tomlkit.comment(f"{name} ="))
        elif value is None:
            table.add(name, "none")
        else:
            table.add(name, list(value) if isinstance(value, tuple) else value)
    for name in fields:
        value = getattr(model, name)
        if isinstance(value, Model):
            table.add(tomlkit.nl())
            inner = tomlkit.table()
            inner.comment(_first_line(type(value)))
            _fill(inner, value)
            table.add(name, inner)
        elif name not in plain:
            array = tomlkit.aot()
            for item in value:
                inner = tomlkit.table()
                inner.add(tomlkit.comment(_first_line(type(item))))
                _fill(inner, item)
                inner.add(tomlkit.nl())
                array.append(inner)
            table.add(tomlkit.nl())
            table.add(name, array)


def _holds_models(value: Any) -> bool:
    return isinstance(value, Model) or (isinstance(value, tuple) and any(isinstance(v, Model) for v in value))


def _first_line(cls: type[Model]) -> str:
    return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


def describe(info: FieldInfo) -> str:
    """A field's meaning, unit and bounds in one line, as for ``--help`` and comments."""
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    bounds = []
    for constraint in info.metadata:
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            limit = getattr(constraint, attribute, None)
            if limit is not None:
                bounds.append(f"{sign} {limit:g}" if abs(limit) < 1e6 else f"{sign} {limit}")
    notes = [str(extra["unit"])] if extra.get("unit") else []
    notes += bounds
    text = info.description or ""
    return f"{text} [{', '.join(notes)}]" if notes else text
