"""``verglas run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engine.commands.execution import carry_out
from engine.errors import SpecError
from engine.specs import codec
from engine.specs.job import DpsSpec
from engine.specs.presets import BASIC, PRESETS, SDS_PRESETS, with_preset


def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="What to compute: a run description.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for everything the run writes.")
    ],
    device: Annotated[
        str | None, typer.Option(help="Where to compute: auto, cuda (NVIDIA), mps (Apple) or cpu.")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="How many structures to draw.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed: same seed, same result.")] = None,
    preset_name: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            help=f"Settings by name. Structures: {', '.join(PRESETS)}. "
            f"Volumes from class averages: {', '.join(SDS_PRESETS)}. Trainings: {', '.join(BASIC)}.",
        ),
    ] = None,
    priority: Annotated[
        int, typer.Option(min=-9, max=9, help="In the line of runs that wait for the same device.")
    ] = 0,
    now: Annotated[bool, typer.Option("--now", help="Begin at once, whatever else computes.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share samples or volumes on this CPU.")
    ] = None,
    devices: Annotated[
        str | None, typer.Option(metavar="cuda:0,cuda:1", help="GPUs that share samples or volumes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON, for scripts.")] = False,
) -> int:
    """Compute what a run description asks for.

    Reads the description, draws the ensemble and writes it to the folder. Ctrl-C stops it and keeps
    what is finished; the same command goes on with it. A finished run is never overwritten.

    \b
    Examples:
      verglas simulate 1aon.pdb --out sim       makes inputs and a description from a structure
      verglas run sim/job.toml --out result     draws the ensemble
      verglas run sim/job.toml --out quick --preset "quick look"
      verglas run sim/job.toml --out gpu --device cuda --samples 20
      verglas run sim/job.toml --out gpus --devices cuda:0,cuda:1

    \b
    Options given here win over the description. One run computes on a device at a time: others wait for
    their turn (`verglas queue` shows them), unless `--now` is given.
    Exit status: 0 finished, 1 failed, 2 input that can't be used, 130 cancelled.
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    description = codec.load_spec(spec)
    changes: dict[str, Any] = {}
    if preset_name is not None:
        description = with_preset(description, preset_name)
    if samples is not None and not isinstance(description, DpsSpec):
        raise SpecError(
            "`--samples` is for structures from views; this run makes none.", "Leave it out.", spec
        )
    changes |= {
        k: v for k, v in {"device": device, "samples": samples, "seed": seed}.items() if v is not None
    }
    if changes:
        description = codec.validate(description.model_dump(mode="json") | changes)
    queue = None if now else priority
    if workers is None and devices is None:
        return carry_out(description, out, as_json=as_json, priority=queue)
    from engine.jobs.local_parts import divided, places  # imports torch

    wanted = places(workers, devices)
    usual = "cpu" if devices is None or "cpu" in devices else "cuda"
    if device is None and description.device != usual:
        description = codec.validate(description.model_dump(mode="json") | {"device": usual})
    compute = divided(description, wanted)
    return carry_out(description, out, as_json=as_json, priority=queue, compute=compute)
