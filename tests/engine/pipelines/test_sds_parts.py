"""Volumes computed in parts: the same as in one piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import RunError, SpecError
from engine.events import Event, Result
from engine.io.volumes import SdsResults
from engine.jobs.run_dir import RunDir
from engine.pipelines import sds
from engine.pipelines.context import RunContext
from tests.engine.pipelines.test_sds import Make, averages, completed, make, of, small_searches

__all__ = ["averages", "make", "small_searches"]


def test_parts_make_the_same_volumes(make: Make, tmp_path: Path) -> None:
    spec = make(volumes="each", only=(1, 3, 4))
    whole, _, expected = completed(spec, tmp_path / "whole")
    folder = RunDir.create(tmp_path / "parts", spec).path
    events: list[Event] = []
    context = RunContext(folder, events.append, lambda: False, torch.device("cpu"), "CPU")
    with pytest.raises(RunError, match="consensus isn't finished"):
        sds.run_part(spec, context, (1,))
    sds.prepare_parts(spec, context)
    with pytest.raises(SpecError, match="Image 2"):
        sds.run_part(spec, context, (2,))
    sds.run_part(spec, context, (3,))
    assert list(SdsResults(folder).volumes()) == [3]
    sds.run_part(spec, context, (1, 4))
    results, told, metrics = completed(spec, folder)
    assert not [event for event in of(told, Result) if event.role in ("start", "volume")]
    assert metrics | {"seconds": 0} == expected | {"seconds": 0}
    for image in (1, 3, 4):
        assert np.array_equal(results.volume(image).density, whole.volume(image).density)
