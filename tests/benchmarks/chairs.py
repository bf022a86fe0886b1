"""Chairs, as in Möbius & Habeck's Table 1: a prior for something that is no molecule.

``python -m tests.benchmarks.chairs --clouds chairs.test.npz --prior FILE --limit 20 --json OUT``

Held-out clouds come from ``verglas data shapes``. Evidence, sampler, control and options are those of
``tests.benchmarks.dps_accuracy``. The table has four rows for chairs; the fifth task is that of its mixed
objects, with a view, a coarse model and a known part at once. The paper's chairs are others (ShapeNet, 100
of them with ten samples each, 2658 to train on) and its evidence is redrawn: its figures are a rough scale.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks import dps_accuracy
from tests.benchmarks.tasks import Task


@dataclass(frozen=True)
class Row:
    """A row of the paper's Table 1: means of DPS and of maximum likelihood, CD and EMD ×10², E ×10³."""

    task: str
    objects: str
    chamfer: tuple[float, float]
    emd: tuple[float, float]
    energy: tuple[float, float]


ROWS = (
    Row("5x200", "chairs", (9.98, 13.30), (8.32, 11.03), (3.80, 3.68)),
    Row("6x200", "chairs", (9.71, 12.53), (7.78, 10.04), (3.98, 3.87)),
    Row("1x300+cg30", "chairs", (10.38, 12.40), (10.66, 11.89), (6.21, 5.04)),
    Row("2x200+su256", "chairs", (13.21, 16.98), (12.86, 16.63), (2.51, 1.84)),
    Row("1x200+cg30+su128", "mixed", (8.55, 11.19), (9.38, 10.90), (4.17, 3.80)),
)


def paper(tasks: Sequence[str]) -> str:
    """The paper's figures for these tasks."""
    lines = [
        "\nThe paper's, DPS / maximum likelihood (other objects, other evidence):",
        f"{'':20}{'objects':10}{'CD ×10²':>16}{'EMD ×10²':>16}{'E ×10³':>16}",
    ]
    for row in ROWS:
        if row.task in tasks:
            pairs = (row.chamfer, row.emd, row.energy)
            cells = "".join(f"{a:>9.2f} /{b:>5.2f}" for a, b in pairs)
            lines.append(f"{row.task:20}{row.objects:10}{cells}")
    return "\n".join(lines)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of ``dps_accuracy``, with the paper's tasks unless others are given."""
    options = dps_accuracy.arguments(words, tasks=",".join(row.task for row in ROWS))
    if options.clouds is None:
        raise SystemExit("Give --clouds NAME.test.npz, made by `verglas data shapes`.")
    return options


def main() -> None:
    """Run what is not yet in the results file, then print the tables and the paper's figures."""
    options = arguments()
    dps_accuracy.run(options)
    sys.stdout.write(paper([Task.parse(t).name for t in options.tasks.split(",")]) + "\n")


if __name__ == "__main__":
    main()
