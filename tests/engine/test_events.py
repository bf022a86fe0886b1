"""Events as lines, which may come from anybody."""

from __future__ import annotations

import json

import pytest

from engine import events


@pytest.mark.parametrize("path", ["snapshots/a.npy", "results/volumes/volume_0001.mrc", "a..b/c", "-"])
def test_paths_within_the_run_are_taken(path: str) -> None:
    event = events.Snapshot(1, 2, 0.5, path)
    assert events.from_line(events.to_line(event)) == event


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../a.npy", "a/../../b", "..\\a", "\\\\host\\a", "C:\\a", "a\0b", 5, None]
)
def test_paths_that_lead_out_of_the_run_make_no_event(path: object) -> None:
    line = json.dumps({"type": "result", "time": 1.0, "role": "figure", "path": path})
    with pytest.raises(ValueError, match="not an event"):
        events.from_line(line)


@pytest.mark.parametrize(
    "values",
    [
        {"value": "1"},
        {"value": None},
        {"step": True},
        {"name": 1},
        {"unit": []},
        {"time": "now"},
        {"value": {}},
    ],
)
def test_values_of_another_type_make_no_event(values: dict[str, object]) -> None:
    fine = {"type": "metric", "time": 1, "name": "loss", "step": 3, "value": 0.5, "later": "unknown"}
    assert events.from_line(json.dumps(fine)) == events.Metric("loss", 3, 0.5, time=1)
    with pytest.raises(ValueError, match="not an event"):
        events.from_line(json.dumps(fine | values))
