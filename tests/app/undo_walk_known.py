"""What a user can do at known poses, at random; for :mod:`tests.app.undo_walk`."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from engine.specs.codec import dump_toml
from engine.specs.known_poses import InlinePrior, KnownPosesSpec, PosedImages, PoseRefinement
from engine.specs.sds import ClassAveragesInput
from tests.app import known_poses_run

Rng = random.Random


def write_posed(folder: Path, library: Path) -> list[Path]:
    """Poses with their stack, poses whose stack is missing, and a description."""
    posed = known_poses_run.write_posed(folder / "posed", images=3, box=16)
    bare = known_poses_run.write_posed(folder / "bare poses", images=2, box=16)
    bare.with_suffix(".mrcs").rename(folder / "moved.mrcs")
    spec = KnownPosesSpec(
        images=PosedImages(poses=str(posed), select=(1, 3), box=16), symmetry="C2", method=InlinePrior(),
        library=ClassAveragesInput(file=str(library)), refinement=PoseRefinement(rounds=1),
    )  # fmt: skip
    dump_toml(spec, folder / "known poses.toml")
    return [posed, bare, posed.with_suffix(".mrcs"), folder / "moved.mrcs", library,
            folder / "known poses.toml"]  # fmt: skip


class KnownPosesHands:
    """Deeds of the mode, for the hands of a user; see there."""

    modes: Any
    edit: Any

    def do_known_method(self, rng: Rng) -> None:
        panel = self.modes.known.run_panel
        if rng.random() < 0.5:
            self._choose(panel.method, rng)
        else:
            self.edit(panel.method_form, rng)

    def do_known_parts(self, rng: Rng) -> None:
        panel = self.modes.known.run_panel
        box, form = rng.choice((
            (panel.denoiser, panel._closed_form), (panel.representation, panel._gaussians),
            (None, panel._refinement),
        ))  # fmt: skip
        if box is not None and rng.random() < 0.5:
            self._choose(box, rng)
        elif form.isVisibleTo(panel):
            self.edit(form, rng)

    def do_known_files(self, rng: Rng) -> None:
        panel = self.modes.known.panel
        what = rng.random()
        if what < 0.3:
            rng.choice(list(panel.cards.values()))._remove.click()
        elif what < 0.4:
            panel._stack_clear.click()
        elif what < 0.6 and panel._size_button.isVisibleTo(panel):
            panel._size.setValue(rng.choice((3.0, 8.0)))
            panel._size_button.click()
        else:
            form = rng.choice((panel.form, panel.library_form))
            if form.isVisibleTo(panel):
                self.edit(form, rng)

    @staticmethod
    def _choose(box: Any, rng: Rng) -> None:
        box.setCurrentIndex(rng.randrange(box.count()))
        box.activated.emit(box.currentIndex())
