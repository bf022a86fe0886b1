"""``verglas doctor --poses …``: which conventions images and poses were written with."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from engine.errors import SpecError

GIVEN, OTHER, NONE = 0, 1, 3
_SHOWN = 8
_CODES = {"given": GIVEN, "other": OTHER, "none": NONE}


def examine_conventions(
    poses: Path | None,
    images: Path | None,
    reference: Path | None,
    *,
    pixel_size: float | None = None,
    voxel_size: float | None = None,
    contrast: str = "auto",
    most: int = 12,
    as_json: bool = False,
) -> int:
    """Print the ranked conventions; 0 if the given one fits best, 1 if another does, 3 if none fits.

    Raises
    ------
    VerglasError
        If a file is missing or can't be used.
    """
    if poses is None or images is None or reference is None:
        missing = [
            name
            for name, value in (("--poses", poses), ("--images", images), ("--reference", reference))
            if value is None
        ]
        raise SpecError(f"{' and '.join(missing)} must be given, too.", "Give all three, or none.")
    from engine.io.convention_files import check_reference, read_posed, read_reference

    if contrast not in ("auto", "white", "black"):
        raise SpecError(f"Unknown contrast {contrast!r}.", "Use auto, white or black.")
    posed, notes = read_posed(images, poses, pixel_size_A=pixel_size, contrast=contrast)  # type: ignore[arg-type]
    found, found_reference = check_reference(posed, read_reference(reference, voxel_size_A=voxel_size), most)
    code = _CODES[found.verdict]
    rows = found.ranked[:_SHOWN]
    if found.given not in rows:
        rows = (*rows, found.given)
    if as_json:
        sys.stdout.write(
            json.dumps(
                {
                    "verdict": found.verdict,
                    "sentence": found.sentence(),
                    "chance": round(found.chance, 4),
                    "images": [int(r) + 1 for r in found.rows],
                    "notes": [*notes, *found_reference.notes],
                    "ranked": [
                        {
                            "words": s.convention.words(posed.pixel_A),
                            "score": round(s.mean, 4),
                            "spread": round(s.spread, 4),
                            "given": s is found.given,
                            **asdict(s.convention),
                        }
                        for s in rows
                    ],
                },
                indent=2,
            )
            + "\n"
        )
        return code
    for note in (*notes, *found_reference.notes):
        sys.stdout.write(f"Note: {note}\n")
    listed = ", ".join(str(int(r) + 1) for r in found.rows)
    sys.stdout.write(
        f"\nImages {listed} of {len(posed.images)}. Score: mean Fourier ring correlation with the reference\n"
        f"over {len(found.rows)} images ± their standard deviation; chance reaches {found.chance:.2f}.\n\n"
    )
    for scored in rows:
        place = found.ranked.index(scored) + 1
        mark = "*" if scored is found.given else " "
        name = scored.convention.words(posed.pixel_A)

        sys.stdout.write(f"{f'{place}.':>4}{mark} {scored.mean:6.3f} ± {scored.spread:.3f}  {name}\n")
    sys.stdout.write(f"\n(* as read)  {found.sentence()}\n")
    return code
