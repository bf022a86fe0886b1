"""The density map of a run is offered to be laid over its points, in the hand in which it was computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.laying_over import sources_of
from app.run_files import StoredRun
from engine.io.hand import set_flipped
from engine.io.mrc import write_volume
from engine.specs.components import CoarseMap
from engine.specs.job import DpsSpec
from engine.types import Volume


def test_the_map_of_a_run_is_offered_first(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    run = StoredRun(tmp_path, DpsSpec(observations=(CoarseMap(file="low.mrc"),)))
    assert [name for name, _, _ in sources_of(run).values()] == ["Low resolution: low.mrc"]
    write_volume(results / "map.mrc", Volume(np.eye(4, dtype=np.float32)[None].repeat(4, 0), (1.0, 1.0, 1.0)))
    offered = list(sources_of(run).values())
    assert [name for name, _, _ in offered] == ["Density map", "Low resolution: low.mrc"]
    assert offered[0][1] == results / "map.mrc"
    # the points are then shown as their mirror image, the file is not
    set_flipped(tmp_path, True)
    assert len(sources_of(run)) == 1
