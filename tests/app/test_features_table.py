"""The table of features claims nothing that no test shows."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "resources/help/features.md"


def rows() -> list[list[str]]:
    """Cells of every row of both tables."""
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "Feature"]


def test_every_claim_names_tests_that_exist() -> None:
    found = rows()
    assert len(found) > 40
    for feature, claim, shown, *_ in found:
        tests = re.findall(r"`([^`]+)::([^`]+)`", shown)
        assert claim[0] in "HP·", feature
        assert bool(tests) == (claim[0] != "·"), feature
        for path, name in tests:
            assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.M), (path, name)
        if claim[0] == "P":
            assert ": " in claim, f"{feature}: what is missing?"
