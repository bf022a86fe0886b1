"""A volume made of 3D Gaussians that moves along gradients given from outside.

The loop is the caller's: project, compare with what the images should be, descend; now and then densify.
After *3D Gaussian splatting* (Kerbl et al. 2023, doi:10.1145/3592433), with what transmission and few steps
ask for:

* nothing covers anything, so there is no opacity: a Gaussian has a mass, kept positive as its logarithm;
* steps are Adam's with one second moment a Gaussian and parameter, not one a coordinate, so that a fit does
  not depend on how the frame is turned;
* those that views pull hardest are divided, a share of all at a time: thresholds would depend on the
  images' units. What is divided keeps its mass, and an ellipsoid its second moments.

Lengths are in pixels of the working box, positions relative to the object's origin (voxel ``n // 2``).
Settings were chosen for about 60 steps, with steps that shorten to a tenth
(``tests/benchmarks/gaussian_fit.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from engine.conventions import image_centre
from engine.errors import SamplingError
from engine.forward.gaussian_projection import Gaussians, project, quaternions_to_matrices, render_volume
from engine.io.pseudo_atoms import GaussianCloud

RATES = {"log_weights": 0.12, "means": 0.25, "log_scales": 0.1, "quaternions": 0.1}
"""Length of a step: shares, pixels, shares, and half-turns in radians."""

SMALLEST_PX = 0.5
"""Standard deviation below which samples at pixel centres would alias."""

DIVIDED = 0.3
"""Share of the Gaussians that is divided at once, if there is room."""

LARGE_PX = 0.6
"""Standard deviation from which a Gaussian is split in two smaller ones; smaller ones are cloned."""

WEAK = 0.02
"""Mass, as a share of the median, below which a Gaussian goes."""

SEEDED_ABOVE = 0.15
"""Density, as a share of the largest, below which no Gaussians are seeded: a first map is full of streaks."""

_MOMENTS = (0.8, 0.95)
_SPLIT_AT = 0.8
_AT_ONCE = 2**24
_LLOYD_ROUNDS = 6


@dataclass(frozen=True)
class Densified:
    """How many Gaussians were split, cloned and removed."""

    split: int
    cloned: int
    pruned: int


class GaussianModel:
    """Gaussians, the state of their optimiser, and how hard views have pulled at them.

    Parameters
    ----------
    gaussians : what to begin with; weights are positive.
    size : n, pixels along a side of the working box.
    mask_radius_px : Gaussians whose centre is farther from the origin go when the model is pruned; None takes
        half of the box.
    seed : of the directions in which spheres are split.
    """

    def __init__(
        self, gaussians: Gaussians, size: int, *, mask_radius_px: float | None = None, seed: int = 0
    ) -> None:
        self.size = size
        self.mask_radius_px = size / 2 if mask_radius_px is None else float(mask_radius_px)
        self.seed = seed
        self._rounds = 0
        self._values = {
            "log_weights": gaussians.weights.detach().log()[:, None],
            "means": gaussians.means.detach().clone(),
            "log_scales": gaussians.log_scales.detach().clone(),
        }
        if gaussians.quaternions is not None:
            self._values["quaternions"] = gaussians.quaternions.detach().clone()
        self._first = {name: torch.zeros_like(v) for name, v in self._values.items()}
        self._second = {name: torch.zeros_like(v[:, :1]) for name, v in self._values.items()}
        self._ages = dict.fromkeys(self._values, 0)
        self._pull = gaussians.weights.new_zeros(len(gaussians.weights))

    @classmethod
    def from_volume(
        cls,
        volume: Float[Tensor, "z y x"],
        count: int,
        seed: int,
        *,
        anisotropic: bool = False,
        mask_radius_px: float | None = None,
    ) -> GaussianModel:
        """Gaussians where a map has density: voxels drawn by it, moved to the means of what is nearest them.

        What is weaker than :data:`SEEDED_ABOVE` times the 99.9th percentile of density counts as none.

        Parameters
        ----------
        volume : (z, y, x), a cube; negative density counts as none, too.
        count : of Gaussians, at least 1.
        mask_radius_px : so does density farther from the origin.

        Raises
        ------
        SamplingError
            If there is no positive density.
        """
        size = len(volume)
        radius = size / 2 if mask_radius_px is None else float(mask_radius_px)
        places, density = _positive(volume.detach().cpu().numpy(), radius)
        means, weights, scales = _clusters(places, density, count, np.random.default_rng([seed, 0]))
        weight, mean, scale = (torch.as_tensor(v).to(volume) for v in (weights, means, np.log(scales)))
        model = cls(Gaussians(weight, mean, scale[:, None]), size, mask_radius_px=radius, seed=seed)
        if anisotropic:
            model.free_shapes()
        return model

    def __len__(self) -> int:
        return len(self._values["means"])

    @property
    def gaussians(self) -> Gaussians:
        """What the model is made of now."""
        return _gaussians(self._values)

    @property
    def anisotropic(self) -> bool:
        """Whether they are ellipsoids."""
        return "quaternions" in self._values

    @torch.no_grad()
    def project(
        self, rotations: Float[Tensor, "views 3 3"], shifts_px: Float[Tensor, "views 2"] | None
    ) -> Float[Tensor, "views y x"]:
        """Images (views, y, x) at poses ``x_view = R x + shift``; no gradient."""
        parts = [
            project(self.gaussians, rotations[part], self.size, shifts_px=_part(shifts_px, part))
            for part in self._view_parts(len(rotations))
        ]
        return torch.cat(parts)

    @torch.no_grad()
    def volume(self, size: int | None = None) -> Float[Tensor, "z y x"]:
        """The density (z, y, x) on a cube of ``size`` voxels; None takes the working box."""
        return render_volume(self.gaussians, self.size if size is None else size)

    @torch.enable_grad()
    def descend(
        self,
        rotations: Float[Tensor, "views 3 3"],
        shifts_px: Float[Tensor, "views 2"] | None,
        residuals: Float[Tensor, "views y x"],
        step_size: float = 1.0,
    ) -> None:
        """One step of the optimiser down ``sum_v <residual_v, image_v>``.

        Parameters
        ----------
        residuals : (views, y, x), the loss's derivative by each pixel: image minus what it should be, times
            the view's weight. Only their ratios matter: Adam's steps have the length of its rates.
        step_size : factor of all rates.
        """
        leaves = {name: value.clone().requires_grad_() for name, value in self._values.items()}
        for part in self._view_parts(len(rotations)):
            count = len(rotations[part])
            offsets = residuals.new_zeros(count, len(self), 2, requires_grad=True)
            images = project(
                _gaussians(leaves),
                rotations[part],
                self.size,
                shifts_px=_part(shifts_px, part),
                offsets_px=offsets,
            )
            torch.autograd.backward([images], [residuals[part]])
            assert offsets.grad is not None
            self._pull += offsets.grad.norm(dim=2).sum(0)
        self._step({name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}, step_size)

    @torch.no_grad()
    def _step(self, gradients: dict[str, Tensor], step_size: float) -> None:
        fade, slow_fade = _MOMENTS
        for name, gradient in gradients.items():
            self._ages[name] += 1
            age = self._ages[name]
            first, second = self._first[name], self._second[name]
            first.lerp_(gradient, 1 - fade)
            second.lerp_(gradient.square().mean(1, keepdim=True), 1 - slow_fade)
            length = (second / (1 - slow_fade**age)).sqrt()
            # nobody's tiny gradient becomes a whole step
            length = length + 0.01 * length.mean() + 1e-30
            self._values[name] -= step_size * RATES[name] / (1 - fade**age) * first / length
        self._values["log_scales"].clamp_(np.log(SMALLEST_PX), np.log(self.size / 4))
        if self.anisotropic:
            self._values["quaternions"] /= self._values["quaternions"].norm(dim=1, keepdim=True)

    @torch.no_grad()
    def free_shapes(self) -> None:
        """Spheres become ellipsoids, for now round ones."""
        if self.anisotropic:
            return
        for values in (self._values, self._first):
            values["log_scales"] = values["log_scales"].repeat(1, 3)
        self._first["log_scales"] /= 3
        self._second["log_scales"] /= 9
        still = self._values["means"].new_zeros(len(self), 4)
        self._values["quaternions"] = still.clone()
        self._values["quaternions"][:, 0] = 1.0
        self._first["quaternions"], self._second["quaternions"] = still, still[:, :1].clone()
        self._ages["quaternions"] = 0

    @torch.no_grad()
    def densify_and_prune(self, most: int) -> Densified:
        """Divide the Gaussians that views pulled hardest since the last time; remove weak ones and strays.

        Large ones are split in two smaller ones along their longest axis (spheres: in a random direction),
        small ones are cloned, half a width apart. New ones keep their parent's state of the optimiser.

        Parameters
        ----------
        most : Gaussians at most, afterwards.
        """
        before = len(self)
        weights = self._values["log_weights"][:, 0]
        strong = weights > weights.median() + np.log(WEAK)
        inside = self._values["means"].norm(dim=1) <= self.mask_radius_px
        keep = strong & inside
        if int(keep.sum()) > most:
            keep &= weights >= weights[keep].topk(most).values[-1]
        if not keep.any():
            keep[weights.argmax()] = True
        self._take(torch.nonzero(keep)[:, 0])
        pruned = before - len(self)
        room = max(0, min(most - len(self), round(DIVIDED * len(self))))
        pulled = self._pull.topk(room).indices
        pulled = pulled[self._pull[pulled] > 0]
        large = self._values["log_scales"][pulled].amax(1) > np.log(LARGE_PX)
        self._divide(pulled, large)
        self._pull.zero_()
        self._rounds += 1
        return Densified(int(large.sum()), int((~large).sum()), pruned)

    def _take(self, rows: Tensor) -> None:
        for values in (self._values, self._first, self._second):
            for name in values:
                values[name] = values[name][rows]
        self._pull = self._pull[rows]

    def _divide(self, rows: Tensor, large: Tensor) -> None:
        """Put two in the place of each: ``mu +- d a`` for its longest axis a, half the mass each."""
        rng = np.random.default_rng([self.seed, 1, self._rounds])
        before = len(self)
        self._take(torch.cat([torch.arange(before, device=rows.device), rows]))
        twins = torch.arange(before, len(self), device=rows.device)
        scales = self._values["log_scales"]
        longest = scales[rows].argmax(1)
        if self.anisotropic:
            turns = quaternions_to_matrices(self._values["quaternions"][rows])
            directions = turns[torch.arange(len(rows), device=rows.device), :, longest]
        else:
            drawn = torch.as_tensor(rng.normal(size=(len(rows), 3))).to(scales)
            directions = drawn / drawn.norm(dim=1, keepdim=True)
        lengths = scales[rows, longest].exp()
        # second moments along the axis: d^2 + (share s)^2 = s^2; of a sphere their sum over three axes
        free = (1 - _SPLIT_AT**2) * (1 if self.anisotropic else 3)
        apart = torch.where(large, free**0.5, 0.25) * lengths
        shrink = torch.where(large, np.log(_SPLIT_AT), 0.0).to(scales)
        for side, who in ((1.0, rows), (-1.0, twins)):
            self._values["means"][who] += side * apart[:, None] * directions
            self._values["log_weights"][who] -= np.log(2.0)
            self._values["log_scales"][who, longest] += shrink

    def cloud(self, pixel_size_A: float) -> GaussianCloud:
        """The same in Å, for files."""
        now = self.gaussians
        positions, weights, covariances = (
            v.double().cpu().numpy() for v in (now.means, now.weights, now.covariances())
        )
        return GaussianCloud(positions * pixel_size_A, weights, covariances * pixel_size_A**2)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything as plain arrays; :meth:`from_state` goes on as if nothing had been."""
        arrays: dict[str, NDArray[np.generic]] = {
            "settings": np.array([self.size, self.seed, self._rounds], np.int64),
            "mask_radius_px": np.array(self.mask_radius_px),
            "pull": self._pull.cpu().numpy(),
        }
        for kind, values in (("value", self._values), ("first", self._first), ("second", self._second)):
            arrays |= {f"{kind}_{name}": tensor.cpu().numpy() for name, tensor in values.items()}
        arrays |= {f"age_{name}": np.array(age) for name, age in self._ages.items()}
        return arrays

    @classmethod
    def from_state(
        cls, arrays: dict[str, NDArray[np.generic]], device: torch.device | str = "cpu"
    ) -> GaussianModel:
        """A model from what :meth:`state` gave. Raises KeyError if an array is missing."""

        def of(kind: str) -> dict[str, Tensor]:
            names = [name for name in RATES if f"value_{name}" in arrays]
            return {name: torch.from_numpy(np.array(arrays[f"{kind}_{name}"])).to(device) for name in names}

        values = of("value")
        size, seed, rounds = (int(v) for v in arrays["settings"])
        radius = float(arrays["mask_radius_px"])
        model = cls(_gaussians(values), size, mask_radius_px=radius, seed=seed)
        model._rounds = rounds
        model._values, model._first, model._second = values, of("first"), of("second")
        model._ages = {name: int(arrays[f"age_{name}"]) for name in values}
        model._pull = torch.from_numpy(np.array(arrays["pull"])).to(device)
        return model

    def _view_parts(self, views: int) -> list[slice]:
        step = max(1, _AT_ONCE // max(1, len(self) * self.size))
        return [slice(first, first + step) for first in range(0, max(views, 1), step)]


def _gaussians(values: dict[str, Tensor]) -> Gaussians:
    return Gaussians(
        values["log_weights"][:, 0].exp(), values["means"], values["log_scales"], values.get("quaternions")
    )


def _part(shifts_px: Tensor | None, part: slice) -> Tensor | None:
    return None if shifts_px is None else shifts_px[part]


def _positive(volume: NDArray[np.floating], radius: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places (voxels, 3) xyz and values of voxels with density within a radius of the origin."""
    zyx = np.argwhere(volume > 0)
    places = (zyx[:, ::-1] - image_centre(len(volume))).astype(np.float64)
    density = volume[tuple(zyx.T)].astype(np.float64)
    inside = np.linalg.norm(places, axis=1) <= radius
    if not inside.any():
        raise SamplingError(
            "The map to begin with has no positive density inside the mask.",
            "Check the images' contrast, or begin with another map.",
        )
    inside &= density >= SEEDED_ABOVE * np.percentile(density[inside], 99.9)
    return places[inside], density[inside]


def _clusters(
    places: NDArray[np.float64], density: NDArray[np.float64], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centres, masses and widths of a k-means clustering of density (Lloyd's rounds)."""
    drawn = rng.choice(len(places), count, p=density / density.sum())
    centres = places[drawn] + rng.uniform(-0.5, 0.5, (count, 3))
    for _ in range(_LLOYD_ROUNDS):
        nearest = cKDTree(centres).query(places)[1]
        masses = np.bincount(nearest, density, count)
        sums = np.stack([np.bincount(nearest, density * places[:, a], count) for a in range(3)], 1)
        centres = np.where(masses[:, None] > 0, sums / np.maximum(masses, 1e-300)[:, None], centres)
    squared = ((places - centres[nearest]) ** 2).sum(1)
    # the variance of a cell, and of the voxel that each place stands for; Gaussians as wide would leave gaps
    variance = np.bincount(nearest, density * squared, count) / np.maximum(masses, 1e-300) / 3 + 1 / 12
    floor = 1e-3 * density.sum() / count
    return centres, np.maximum(masses, floor), np.maximum(1.4 * np.sqrt(variance), SMALLEST_PX)
