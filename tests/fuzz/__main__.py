"""``python -m tests.fuzz``: many broken inputs for every reader, and a table of what became of them."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz import sandbox
from tests.fuzz.found import found as found_before
from tests.fuzz.readers import READERS, Reader

_KEPT_ALIKE = 3


def main(arguments: list[str] | None = None) -> int:
    """Run; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000, help="for each reader")
    parser.add_argument("--reader", action="append", choices=[r.name for r in READERS], help="only these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--out", type=Path, default=Path("fuzz-found"), help="where found inputs are kept")
    parser.add_argument("--found", action="store_true", help="before these, all that was ever found")
    parser.add_argument("--no-torch", action="store_true", help="leave out what needs torch")
    given = parser.parse_args(arguments)
    if sys.platform != "linux":
        parser.error("this watches processes as Linux shows them")
    chosen = [
        r for r in READERS if (r.name in given.reader if given.reader else not (r.torch and given.no_torch))
    ]
    print(
        f"{'reader':<14}{'inputs':>9}{'seconds':>9}{'accepted':>10}{'refused':>9}{'violations':>12}",
        flush=True,
    )
    found = 0
    for reader in chosen:
        started = time.monotonic()
        numbers = range(given.first, given.first + given.inputs)
        known = found_before().get(reader.name, []) if given.found else []
        # What was found before has numbers below zero.
        inputs = [*range(-len(known), 0), *numbers]
        tally = sandbox.run(reader, inputs, given.seed, known)
        print(
            f"{reader.name:<14}{tally.accepted + tally.refused:>9}{time.monotonic() - started:>9.1f}"
            f"{tally.accepted:>10}{tally.refused:>9}{len(tally.violations):>12}",
            flush=True,
        )
        _keep(reader, tally, given.seed, given.out)
        found += len(tally.violations)
    return 1 if found else 0


def _keep(reader: Reader, tally: sandbox.Tally, seed: int, out: Path) -> None:
    """Say what was found, and keep a few inputs of each kind."""
    alike: dict[str, list[sandbox.Violation]] = {}
    for violation in tally.violations:
        alike.setdefault(violation.key, []).append(violation)
    for key, violations in sorted(alike.items(), key=lambda item: -len(item[1])):
        print(
            f"    {len(violations)} × {key}: inputs {', '.join(str(v.number) for v in violations[:5])}",
            flush=True,
        )
        for violation in violations[:_KEPT_ALIKE]:
            if violation.number < 0:
                print(f"{violation.kind} of number {violation.number}: {violation.detail}", flush=True)
                continue
            folder = out / reader.name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{seed}-{violation.number}.bin").write_bytes(reader.make(seed, violation.number))
            (folder / f"{seed}-{violation.number}.txt").write_text(f"{violation.kind}: {violation.detail}\n")


if __name__ == "__main__":
    sys.exit(main())
