"""``verglas priors``: which priors there are, what they know, and keeping one's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from engine.io import prior_facts, prior_library
from engine.io.prior_library import PriorEntry


class ListsByDefault(TyperGroup):
    """A group of commands that alone lists what there is: its command `list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in where there is none."""
        return super().parse_args(ctx, args if args and args[0] != "--json" else ["list", *args])


app = typer.Typer(
    cls=ListsByDefault,
    rich_markup_mode=None,
    help="List the priors at hand, keep priors of your own, and show what a prior knows.\n\n"
    "Without a command: the priors that come with Verglas, then yours. A run description names one of "
    'them as its prior\'s `weights`, e.g. weights = "ribosomes".\n\n'
    "\b\n"
    "Examples:\n"
    "  verglas priors\n"
    "  verglas priors add my-training/results/prior.safetensors --name ribosomes\n"
    "  verglas priors show ribosomes",
)
_JSON = typer.Option("--json", help="Print it as JSON, for scripts.")
_SHOWN = ("0.1", "0.2", "0.5")  # noise levels of the table's columns


@app.command("list")
def list_all(as_json: Annotated[bool, _JSON] = False) -> int:
    """List the priors: those that come with Verglas, then yours. This happens without a command, too."""
    entries = prior_library.list_priors()
    if as_json:
        typer.echo(json.dumps([_as_json(entry) for entry in entries], indent=2))
        return 0
    for line in table(entries):
        typer.echo(line)
    typer.echo(f"\nYour own are kept in {prior_library.user_folder()}")
    return 0


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="prior.safetensors of a training.")],
    name: Annotated[str, typer.Option("--name", "-n", metavar="NAME", help="What to call it.")],
) -> int:
    """Copy a trained prior into your library; from then on its name is enough.

    \b
    Example:
      verglas priors add my-training/results/prior.safetensors --name ribosomes
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    entry = prior_library.keep(file, name)
    typer.echo(f"Kept as {entry.path}")
    typer.echo(f'In a run description: prior = {{ kind = "network", weights = "{entry.name}" }}')
    return 0


@app.command("remove")
def remove(name: Annotated[str, typer.Argument(metavar="NAME", help="A prior of yours.")]) -> int:
    """Delete one of your priors. Runs that were made with it keep their results."""
    typer.echo(f"Removed {prior_library.remove(name)}")
    return 0


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="`shipped`, or a name of the list.")],
    as_json: Annotated[bool, _JSON] = False,
) -> int:
    """Show a prior's model card: data, licence, training, errors, sha256, what it has never seen."""
    entry = prior_library.find(name)
    if as_json:
        typer.echo(json.dumps(_as_json(entry), indent=2))
    else:
        for line in card(entry):
            typer.echo(line)
    return 0


def table(entries: Sequence[PriorEntry]) -> list[str]:
    """The list as aligned lines, a heading first; what can't be used stands below with the reason."""
    usable = [entry for entry in entries if not entry.problem]
    rows = [("NAME", "NETWORK", "CLOUDS", "STEPS", *(f"σ {s}" for s in _SHOWN), "SIZE", "SHA256")]
    for entry in usable:
        errors = {f"{level.sigma:g}": f"{level.error:.3f}" for level in prior_facts.level_errors(entry)}
        rows.append((
            f"{entry.name} (shipped)" if entry.shipped else entry.name,
            prior_facts.architecture_of(entry),
            _count(entry, "training_clouds"),
            _count(entry, "steps"),
            *(errors.get(s, "-") for s in _SHOWN),
            prior_facts.size_words(entry.size),
            entry.sha256[:8],
        ))  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if usable:
        lines.append("σ: denoising error on clouds kept back, RMSE/σ (1 is no denoising; lower is better).")
    broken = [entry for entry in entries if entry.problem]
    if broken:
        lines += ["", "Can't be used:"]
        lines += [f"  {entry.path.name}: {entry.problem}" for entry in broken]
    return lines


def card(entry: PriorEntry) -> list[str]:
    """The model card as lines."""
    if entry.problem:
        return [f"{entry.name}: {entry.problem}", str(entry.path)]
    lines = [entry.name + (" (comes with Verglas)" if entry.shipped else ""), ""]
    rows = prior_facts.card_rows(entry)
    width = max(len(what) for what, _ in rows)
    lines += [f"{what:<{width}}  {value}" for what, value in rows]
    errors = prior_facts.level_errors(entry)
    if errors:
        lines += ["", "Denoising error on clouds kept back, RMSE/σ (1 is no denoising; lower is better):"]
        lines.append("  noise σ            " + "".join(f"{level.sigma:>8g}" for level in errors))
        lines.append("  this prior         " + "".join(f"{level.error:8.3f}" for level in errors))
        if errors[0].shapeless == errors[0].shapeless:
            lines.append("  knowing no shapes  " + "".join(f"{level.shapeless:8.3f}" for level in errors))
    text = prior_library.card_text(entry)
    return [*lines, "", text or prior_facts.UNSEEN]


def _count(entry: PriorEntry, key: str) -> str:
    value = prior_facts.number_of(entry.trained, key)
    return "-" if value is None else f"{value:,.0f}"


def _as_json(entry: PriorEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "weights": entry.weights,
        "path": str(entry.path),
        "shipped": entry.shipped,
        "bytes": entry.size,
        "sha256": entry.sha256,
        "parameters": entry.parameters,
        "problem": entry.problem,
        "card": entry.card,
    }
