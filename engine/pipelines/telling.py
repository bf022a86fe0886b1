"""How a run that makes maps tells how far it is: progress, maps for the window, pictures kept, seconds."""

from __future__ import annotations

import time
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from engine.events import MapSnapshot, Progress
from engine.io.atomic import write_npy
from engine.io.frames import FrameFacts, FrameKeeper
from engine.pipelines.context import RunContext

SNAPSHOT_SECONDS = 0.3


class Telling:
    """What the stages of such a run share; made part of its setting.

    Attributes
    ----------
    context : the run's surroundings.
    seconds : spent, by stage.
    """

    context: RunContext
    seconds: dict[str, float]
    _shown: float = 0.0

    @property
    def pixel_size_A(self) -> float:
        """Of the working box."""
        raise NotImplementedError

    @cached_property
    def frames(self) -> FrameKeeper:
        """What is kept to go back through the run."""
        return FrameKeeper(self.context.folder)

    def spent(self, stage: str, begun: float) -> None:
        """Count the seconds since ``begun`` for a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - begun

    def progress(self, stage: str, done: int, total: int, begun: float) -> None:
        """Say how far a stage is, and stop if asked to."""
        self.context.check()
        eta = (time.monotonic() - begun) * (total - done) / done if done else None
        self.context.emit(Progress(stage=stage, done=done, total=total, eta_s=eta))

    def show(
        self,
        volume: Tensor,
        step: int,
        total: int,
        sigma: float,
        label: str,
        *,
        now: bool = False,
        voxel_size_A: float | None = None,
    ) -> None:
        """Let the window see a map, a few times a second at most."""
        if not now and time.monotonic() - self._shown < SNAPSHOT_SECONDS:
            return
        self._shown = time.monotonic()
        name = f"snapshots/map_{time.time_ns()}.npy"
        density, voxel = volume.cpu().numpy().astype(np.float32), voxel_size_A or self.pixel_size_A
        write_npy(self.context.folder / name, density)
        self.context.emit(MapSnapshot(step, total, sigma, name, voxel, label))
        self.frames.map(density, FrameFacts("map", "", step, total, sigma, label, voxel))
        for old in sorted((self.context.folder / "snapshots").glob("map_*.npy"))[:-8]:
            old.unlink(missing_ok=True)


def correlations(
    a: Float[Tensor, "n y x"], b: Float[Tensor, "n y x"], inside: Bool[Tensor, "y x"]
) -> NDArray[np.float64]:
    """Pearson's correlation of each image of one stack with that of another, inside a mask, (n,)."""
    first, second = (t[:, inside] - t[:, inside].mean(dim=1, keepdim=True) for t in (a, b))
    norms = first.norm(dim=1) * second.norm(dim=1)
    found = ((first * second).sum(dim=1) / norms.clamp_min(1e-12)).cpu().numpy()
    return np.asarray(found, np.float64)
