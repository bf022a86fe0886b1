"""The deciding test of known-pose reconstruction: does a prior help, and which form of it?

For box and capsid, K images of a conformation that no library image shows, at known poses; every arm gets the
same images. All arms that ask the denoiser ask it as often (:data:`CALLS` images). Arms were tuned on
other conformations (:data:`tests.benchmarks.known_poses_cases.FIRST_TUNING` on). Rows are appended to
``rows.jsonl`` as they are made; the same command goes on where it stopped::

    python -m tests.benchmarks.known_poses --out DIR --conformations 5

``--report`` only prints the tables and draws the figure of what is there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from engine.pipelines.known_poses import IMPLIED_STEPS, implied_views
from engine.reconstruction.denoised_views import denoised_views_map, expected_images
from engine.reconstruction.least_squares import data_map, wiener_map
from engine.reconstruction.models import VoxelModel
from engine.reconstruction.problem import PosedProblem
from engine.reconstruction.score_distillation import Known, distil_at_poses
from engine.reconstruction.total_variation import total_variation_map
from engine.reconstruction.view_denoiser import ViewDenoiser
from engine.specs.known_poses import DataOnly, DenoisedViews, InlinePrior, PosedSds, TotalVariation
from tests.benchmarks.known_poses_cases import Case, Library, judge, make_case, make_library

VIEWS, SNRS, POSES = (3, 4, 6, 8, 12), (0.0, 1.0, 0.1), ("random", "cone")
CALLS = 480
"""Images that the denoiser is asked about, for each map."""

DATA = DataOnly()
VARIATION = TotalVariation()
SDS = PosedSds(steps=40, views=12)
R1 = InlinePrior(steps=40, views=12, eta_2=0.0, geometry=0.0)
IPSM = InlinePrior(steps=20, views=12)
DENOISED = DenoisedViews(views=12)
CONTROLS = (
    "ipsm, oracle W",
    "denoised, wrong class",
    "sds, wrong class",
    "sds, spectrum",
    "denoised, spectrum",
)
"""Arms that are no candidates."""


def oracle_views(problem: PosedProblem, truth: Tensor) -> Known:
    """What IPSM would know if it knew how wrong its least-squares map is at each coefficient."""
    implied = data_map(problem, steps=IMPLIED_STEPS)

    def known(rotations: Tensor) -> tuple[Tensor, Tensor]:
        seen, right = (problem.projector.project(v, rotations) for v in (implied, truth))
        true = torch.fft.rfft2(right)
        wrong = (torch.fft.rfft2(seen) - true).abs() / true.abs().clamp_min(1e-6)
        return seen, (1 - wrong).clamp(0, 1)

    return known


def arms(
    problem: PosedProblem, truth: Tensor, library: Library, other: Library, seed: int
) -> dict[str, Callable[[], Tensor]]:
    """Every method by name."""

    def distilled(
        settings: PosedSds | InlinePrior, asked: ViewDenoiser, known: Known | None = None
    ) -> Tensor:
        model = VoxelModel(problem, data_map(problem, steps=IMPLIED_STEPS))
        distil_at_poses(problem, model, asked, settings, seed=seed, known=known)
        return model.volume()

    def denoised(asked: ViewDenoiser) -> Tensor:
        steps = max(2, CALLS // (DENOISED.views + len(problem.images)))
        return denoised_views_map(problem, asked, DENOISED.model_copy(update={"steps": steps}), seed=seed)

    def cleaned(asked: ViewDenoiser) -> PosedProblem:
        """The images' own denoising and no random view: what of the gain is due to that."""
        return replace(problem, images=expected_images(problem, asked, DENOISED.image_error))

    shapes, spectrum = library.asked(library.shapes), library.asked(library.spectrum)
    wrong = library.asked(other.shapes)
    return {
        "least squares": lambda: wiener_map(problem),
        "TV": lambda: total_variation_map(problem, strength=VARIATION.strength, steps=VARIATION.steps),
        "data": lambda: data_map(problem, steps=DATA.steps),
        "images denoised": lambda: data_map(cleaned(shapes), steps=DATA.steps),
        "sds": lambda: distilled(SDS, shapes),
        "R1": lambda: distilled(R1, shapes, implied_views(problem, seed)),
        "R1+R2": lambda: distilled(IPSM, shapes, implied_views(problem, seed)),
        "denoised": lambda: denoised(shapes),
        "ipsm, oracle W": lambda: distilled(IPSM, shapes, oracle_views(problem, truth)),
        "sds, spectrum": lambda: distilled(SDS, spectrum),
        "denoised, spectrum": lambda: denoised(spectrum),
        "sds, wrong class": lambda: distilled(SDS, wrong),
        "denoised, wrong class": lambda: denoised(wrong),
    }


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """All, one conformation after the other, so that a run that was stopped is balanced."""
    for conformation in range(options.first, options.first + options.conformations):
        for phantom in ("box", "capsid"):
            for poses in options.poses.split(","):
                for snr in map(float, options.snrs.split(",")):
                    for views in map(int, options.views.split(",")):
                        yield Case(phantom, conformation, views, snr, poses)  # type: ignore[arg-type]


def run(options: argparse.Namespace) -> None:
    rows = options.out / f"rows.{options.part}.jsonl" if options.parts > 1 else options.out / "rows.jsonl"
    done = {(row["case"], row["arm"]) for row in read_rows(options.out)}
    libraries = {
        phantom: make_library(phantom, options.size, options.out, weights)
        for phantom, weights in (("box", options.box_weights), ("capsid", options.capsid_weights))
    }
    for number, case in enumerate(cases(options)):
        if number % options.parts != options.part:
            continue
        library = libraries[case.phantom]
        other = libraries["capsid" if case.phantom == "box" else "box"]
        problem, truth = make_case(case, library)
        for arm, make in arms(problem, truth, library, other, case.conformation).items():
            # controls with other denoisers at a third of the conditions: they answer one question each
            elsewhere = arm in CONTROLS and (case.snr != 1.0 or case.poses != "random")
            if elsewhere or (options.arms and arm not in options.arms.split(",")) or (case.key, arm) in done:
                continue
            begun = time.perf_counter()
            volume = make()
            seconds = time.perf_counter() - begun
            found = judge(volume, truth, problem, library.prepared.mask_radius_px)
            row = {"case": case.key, "arm": arm, "seconds": round(seconds, 3), **vars(case), **found}
            with rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
        print(case.key, flush=True)


def read_rows(folder: Path) -> list[dict[str, object]]:
    """All rows of a folder; half-written ones of a run that was killed are passed over."""
    found = []
    for path in sorted(folder.glob("rows*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=48, help="voxels along a side")
    parser.add_argument("--first", type=int, default=0, help="first conformation")
    parser.add_argument("--conformations", type=int, default=5, help="of each phantom")
    parser.add_argument("--box-weights", type=Path, help="trained denoiser; default the closed form")
    parser.add_argument("--capsid-weights", type=Path)
    parser.add_argument("--arms", default="", help="names with commas; default all")
    parser.add_argument("--views", default=",".join(map(str, VIEWS)))
    parser.add_argument("--snrs", default=",".join(map(str, SNRS)), help="0 for no noise")
    parser.add_argument("--poses", default=",".join(POSES))
    parser.add_argument("--part", type=int, default=0, help="of several processes, from 0")
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.report:
        run(options)
    from tests.benchmarks.known_poses_report import report

    report(read_rows(options.out), options.out)


if __name__ == "__main__":
    main()
