"""Seconds for a map at known poses, every method on the same images in the same run.

    python -m tests.benchmarks.known_poses_speed --json FILE

The baseline is ``data``: least squares by projected gradients, as many steps as it has by default. Methods
take turns, so that what else the machine does meets all of them; medians are reported, and the ratio to the
baseline of the same round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from tests.benchmarks.known_poses import arms
from tests.benchmarks.known_poses_cases import Case, make_case, make_library

TIMED = ("least squares", "data", "TV", "sds", "R1", "R1+R2", "denoised")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        library = make_library("box", options.size, Path(folder), None)
    problem, truth = make_case(Case("box", 500, options.views, 1.0, "random"), library)
    methods = arms(problem, truth, library, library, 0)
    seconds: dict[str, list[float]] = {name: [] for name in TIMED}
    for _ in range(options.rounds):
        for name in TIMED:
            begun = time.perf_counter()
            methods[name]()
            seconds[name].append(time.perf_counter() - begun)
    print(
        f"{options.size} voxels, {options.views} images, {options.threads} threads, {options.rounds} rounds"
    )
    print("| method | s, median | s, range | times `data` |\n|-|-|-|-|")
    for name, taken in seconds.items():
        ratios = [a / b for a, b in zip(taken, seconds["data"], strict=True)]
        print(
            f"| {name} | {statistics.median(taken):.2f} | {min(taken):.2f} to {max(taken):.2f} | "
            f"{statistics.median(ratios):.2f} |"
        )
    options.json.write_text(
        json.dumps({"settings": vars(options) | {"json": ""}, "seconds": seconds}, default=str)
    )


if __name__ == "__main__":
    main()
