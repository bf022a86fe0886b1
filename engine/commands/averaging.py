"""``verglas averages``: look at class averages and prepare them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from engine.errors import SpecError
from engine.io import averages as preparing
from engine.io.class_averages import read_class_averages
from engine.io.json_files import write_json
from engine.io.mrc import write_images
from engine.specs.sds import ClassAveragesInput

STACK, RECORD, SHEET, SELECTION = "prepared.mrcs", "averages.json", "averages.png", "selected.star"


def averages(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="MRC stack, STAR, cryoSPARC .cs, EMAN .hdf, SPIDER image or folder, npz of 2D points.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")],
    pixel_size: Annotated[
        float | None, typer.Option(help="Pixel size, Å, where the files don't say it or say it wrongly.")
    ] = None,
    box: Annotated[int, typer.Option(min=0, max=512, help="Working box, pixels. 0: at most 64.")] = 0,
    contrast: Annotated[
        str, typer.Option(metavar="auto|white|black", help="Of the particles in the images.")
    ] = "auto",
    mask_diameter: Annotated[
        float | None, typer.Option(help="Diameter of the mask, Å. Empty: measured from the particles.")
    ] = None,
    select: Annotated[
        str, typer.Option(metavar="1-5,8|good", help="Images to use; `good`: without junk and repeats.")
    ] = "",
    centre: Annotated[bool, typer.Option(help="Move each particle to the middle.")] = True,
) -> int:
    """Judge class averages and prepare them for reconstruction.

    Writes `averages.png` (a page to look at), `prepared.mrcs` and `averages.json`; with `--select` also
    the chosen images as they were, `selected.star` and `selected.mrcs`.

    \b
    Examples:
      verglas averages classes.mrcs --pixel-size 3.54 --out averages
      verglas averages run_it025_model.star --out averages --select good
      verglas averages J5_020_class_averages.cs --out averages --select 1-20,25
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    if contrast not in ("auto", "white", "black"):
        raise SpecError(f"`--contrast` is {contrast!r}.", "Give auto, white or black.")
    for name, value, most in (("--pixel-size", pixel_size, 100), ("--mask-diameter", mask_diameter, 10000)):
        if value is not None and not 0 < value <= most:
            raise SpecError(f"`{name}` is {value:g}, but must be more than 0 and at most {most} Å.")
    if 0 < box < 16:
        raise SpecError("`--box` must be at least 16; 0 chooses one.")
    found = read_class_averages(file, pixel_size_A=pixel_size)
    quality = preparing.rank(found.images, contrast=contrast)  # type: ignore[arg-type]
    good = np.flatnonzero(~quality.junk & (quality.duplicate_of < 0)) + 1
    chosen = tuple(int(i) for i in good) if select.strip() == "good" else parse_selection(select)
    if select and not chosen:
        raise SpecError("No image is left to use.", "Choose some with `--select 1,2,3`.")
    spec = ClassAveragesInput(
        file=str(file),
        select=chosen,
        pixel_size_A=pixel_size,
        contrast=contrast,  # type: ignore[arg-type]
        box=box,
        centre=centre,
        mask_diameter_A=mask_diameter,
    )
    prepared = preparing.prepare(found, spec)
    record = preparing.averages_record(found, prepared, quality)
    written = [out / STACK, out / RECORD, out / SHEET]
    write_images(written[0], prepared.stack)
    write_json(written[1], record)
    from engine.pipelines.contact_sheet import contact_sheet  # matplotlib takes its time to import
    from engine.pipelines.figures import save

    title = (
        f"{file.name}: {len(prepared.used)} of {len(found.images)} images, "
        f"{prepared.stack.pixel_size_A:.4g} Å per pixel, box {record['box']}"
    )
    save(contact_sheet(prepared.stack.images, record, title), written[2])
    if select:
        written += preparing.export_selection(found, [int(i) for i in prepared.used], out / SELECTION)
    sys.stdout.write(_table(record, found.resolutions_A) + "\n\n")
    for note in dict.fromkeys((prepared.contrast, *found.notes, *prepared.notes)):
        sys.stdout.write(f"{note}\n")
    sys.stdout.write("".join(f"{path}\n" for path in written))
    return 0


def parse_selection(text: str) -> tuple[int, ...]:
    """Numbers counted from 1, e.g. ``1-5,8``; empty for none given.

    Raises
    ------
    SpecError
        If the text is anything else.
    """
    chosen: list[int] = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 15:
            raise SpecError(f"`--select` has {part!r}.", "Give numbers and ranges, e.g. 1-5,8, or `good`.")
        low, high = int(first), int(last) if dash else int(first)
        if not 1 <= low <= high <= 1_000_000:
            raise SpecError(f"`--select` has {part!r}, which is no range counted from 1.")
        chosen += range(low, high + 1)
    return tuple(dict.fromkeys(chosen))


def _table(record: dict[str, Any], resolutions_A: Any) -> str:
    entries = record["images"]
    counted = any(e["count"] is not None for e in entries)
    shares = counted and sum(e["count"] or 0 for e in entries) <= 1.5
    head = f"{'image':>6}{'score':>8}{'shift (px)':>12}"
    head += f"{'share' if shares else 'particles':>11}" if counted else ""
    head += f"{'res. (Å)':>10}" if resolutions_A is not None else ""
    lines = [head]
    for e in entries:
        line = f"{e['row']:>6}{e['score']:>8.2f}{float(np.hypot(*e['shift_px'])):>12.1f}"
        if counted:
            line += f"{100 * e['count']:>10.2f}%" if shares else f"{e['count']:>11,.0f}"
        if resolutions_A is not None:
            value = resolutions_A[e["row"] - 1]
            line += f"{value:>10.3g}" if np.isfinite(value) else f"{'-':>10}"
        mark = "junk" if e["junk"] else (f"same view as {e['duplicate_of']}" if e["duplicate_of"] else "")
        lines.append(f"{line}  {mark}".rstrip())
    return "\n".join(lines)
