"""ChimeraX command files (.cxc) that show exported ensembles: points with their map, or volumes.

ChimeraX changes to the command file's folder before it runs the commands, so files beside it are
named without a path and the folder can be moved or sent to a colleague.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.io.point_values import Meaning

POINTS_ID, MAP_ID = 101, 102
CONSENSUS_ID, MOTION_ID, SERIES_ID, FIRST_MORPH_ID = 101, 102, 103, 201
"""Model numbers in ChimeraX, out of the way of what the user may have open."""


def command_file(
    model_name: str,
    map_name: str,
    *,
    models: int,
    largest_b: float,
    meaning: Meaning,
    level: float,
    point_distance_A: float,
) -> str:
    """Text of a command file.

    Parameters
    ----------
    model_name, map_name : files in the same folder: a multi-model mmCIF and a map.
    models : number of models in the mmCIF.
    largest_b : B-factor at the red end of the palette; 0 colours by model instead.
    meaning : what the B-factors hold.
    level : contour level of the map.
    point_distance_A : typical distance between points, Å; spheres get 0.4 of it as radius.
    """
    radius = max(0.4 * point_distance_A, 0.5)
    if largest_b > 0:
        colour = f"color bfactor #{POINTS_ID} palette blue:white:red range 0,{largest_b:.2f} key true"
        legend = f"# Blue points {meaning.low}, red ones {meaning.high}. B-factor: {meaning.formula}."
    else:
        colour, legend = f"color bymodel #{POINTS_ID}", "# One colour per sample."
    lines = [
        "# Ensemble of point clouds and its mean map, written by Verglas.",
        "# Open this file in ChimeraX; it expects the two files below in its own folder.",
        f"open {_quoted(model_name)} id {POINTS_ID}",
        f"open {_quoted(map_name)} id {MAP_ID}",
        "set bgColor white",
        "lighting soft",
        f"hide #{POINTS_ID} cartoons",
        f"show #{POINTS_ID} atoms",
        f"style #{POINTS_ID} sphere",
        f"size #{POINTS_ID} atomRadius {radius:.2f}",
        legend,
        colour,
        f"volume #{MAP_ID} style surface level {level:.6g} color lightsteelblue",
        f"transparency #{MAP_ID} 65 target s",
    ]
    if models > 1:
        lines += [
            f"# {models} samples, #{POINTS_ID}.1 to #{POINTS_ID}.{models}. One alone:",
            f"#   hide #{POINTS_ID} models ; show #{POINTS_ID}.1 models",
        ]
    return "\n".join([*lines, "view", ""])


_MOTION_COLOUR = "Colour: standard deviation of density between the volumes. Blue stays, red comes and goes."


def volumes_file(
    consensus_name: str,
    *,
    level: float,
    motion_name: str | None = None,
    motion_range: tuple[float, float] = (0.0, 1.0),
    colour: str = _MOTION_COLOUR,
    palette: str = "blue:white:red",
    title: str = "Reconstruction by score distillation",
    series_pattern: str | None = None,
    series_names: Sequence[str] = (),
    series_level: float = 0.0,
    order: str = "",
) -> str:
    """Text of a command file that shows a consensus map, where it moves, and its volumes as a series.

    Parameters
    ----------
    consensus_name : a map in the same folder.
    level : its contour level.
    motion_name : a map of the motion's amplitude, or of something else, that colours the surface, or None.
    motion_range : values at the first and the last colour of the palette.
    colour, palette : what the colours mean, a comment; the colours, from low to high values.
    title : what the file shows.
    series_pattern : files of the volumes with ``*``, e.g. ``volumes/*.mrc``, in the order of their names.
    series_names : what each of the volumes is.
    series_level : contour level of all volumes.
    order : a sentence on what orders the series.
    """
    lines = [
        f"# {title}, written by Verglas.",
        "# Open this file in ChimeraX; it expects the files below in its own folder.",
        f"open {_quoted(consensus_name)} id {CONSENSUS_ID}",
        "set bgColor white",
        "lighting soft",
        f"volume #{CONSENSUS_ID} style surface level {level:.6g} color lightsteelblue step 1",
    ]
    if motion_name is not None:
        low, high = motion_range
        lines += [
            f"# {colour}",
            f"open {_quoted(motion_name)} id {MOTION_ID}",
            f"hide #{MOTION_ID} models",
            f"color sample #{CONSENSUS_ID} map #{MOTION_ID} palette {palette} "
            f"range {low:.6g},{high:.6g} key true",
        ]
    if series_pattern is not None:
        lines += [
            f"# {len(series_names)} volumes, one for each class average. {order}".rstrip(),
            *(f"#   {number}: {name}" for number, name in enumerate(series_names, start=1)),
            f"open {_quoted(series_pattern)} vseries true id {SERIES_ID}",
            f"volume #{SERIES_ID} style surface level {series_level:.6g} step 1",
            f"# The consensus is hidden while they play. Back to it: vseries stop #{SERIES_ID} ; "
            f"hide #{SERIES_ID} models ; show #{CONSENSUS_ID} models",
            f"hide #{CONSENSUS_ID} models",
            f"vseries play #{SERIES_ID} loop true direction oscillate maxFrameRate 8",
        ]
    return "\n".join([*lines, "view", ""])


def morph_file(names: Sequence[str], *, level: float) -> str:
    """Text of a command file that passes smoothly through maps of one size, there and back.

    Parameters
    ----------
    names : at least two maps beside the command file, in order.
    level : contour level.
    """
    last, frames = FIRST_MORPH_ID + len(names) - 1, 30 * (len(names) - 1)
    return "\n".join(
        [
            "# Passage through volumes, written by Verglas. In between, densities are mixed: nothing says",
            "# that the molecule takes this way.",
            *(f"open {_quoted(name)} id {number}" for number, name in enumerate(names, start=FIRST_MORPH_ID)),
            "set bgColor white",
            "lighting soft",
            f"volume #{FIRST_MORPH_ID}-{last} style surface level {level:.6g} color lightsteelblue step 1",
            f"volume morph #{FIRST_MORPH_ID}-{last} frames {6 * frames} playStep {1 / frames:.6g}",
            "view",
            "",
        ]
    )


def _quoted(name: str) -> str:
    quote = "'" if '"' in name else '"'
    return f"{quote}{name}{quote}"
