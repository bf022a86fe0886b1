"""ChimeraX command files (.cxc) that show an exported ensemble with its map.

ChimeraX changes to the command file's folder before it runs the commands, so files beside it are
named without a path and the folder can be moved or sent to a colleague.
"""

from __future__ import annotations

POINTS_ID, MAP_ID = 101, 102
"""Model numbers in ChimeraX, out of the way of what the user may have open."""


def command_file(
    model_name: str, map_name: str, *, models: int, largest_b: float, level: float, point_distance_A: float
) -> str:
    """Text of a command file.

    Parameters
    ----------
    model_name, map_name : files in the same folder: a multi-model mmCIF and a map.
    models : number of models in the mmCIF.
    largest_b : B-factor at the red end of the palette; 0 colours by model instead.
    level : contour level of the map.
    point_distance_A : typical distance between points, Å; spheres get 0.4 of it as radius.
    """
    radius = max(0.4 * point_distance_A, 0.5)
    if largest_b > 0:
        colour = f"color bfactor #{POINTS_ID} palette blue:white:red range 0,{largest_b:.2f} key true"
        meaning = "# Blue points agree among the samples, red ones vary. B-factor = 8 pi^2 / 3 * spread^2."
    else:
        colour, meaning = f"color bymodel #{POINTS_ID}", "# One colour per sample."
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
        meaning,
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


def _quoted(name: str) -> str:
    quote = "'" if '"' in name else '"'
    return f"{quote}{name}{quote}"
