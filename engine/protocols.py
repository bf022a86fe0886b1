"""The two shapes that the engine is built around: a denoiser and an observation."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int64
from torch import Tensor

Points = Float[Tensor, "n points 3"]
Match = Int64[Tensor, "n points"]
Chosen = Bool[Tensor, "n points"]


@runtime_checkable
class Denoiser(Protocol):
    """A prior, or a prior plus evidence: same shape.

    ``D(x, sigma)`` is the posterior mean of a clean object given ``x = x0 + sigma * noise``, in
    normalised coordinates.
    """

    def __call__(
        self, x: Float[Tensor, " n *shape"], sigma: Float[Tensor, " n"]
    ) -> Float[Tensor, " n *shape"]:
        """Estimate the clean object."""
        ...


@runtime_checkable
class Observation(Protocol):
    """One measurement of the object, in normalised coordinates.

    A measurement compares linear images ``x0 @ H.T`` of the points with targets, up to an unknown
    correspondence. ``match`` finds the correspondence, ``normal_equations`` then gives the
    quadratic that holds while it is fixed.

    Attributes
    ----------
    name : shown in tables and plots, e.g. ``view 3``.
    weight : relative weight in the total energy.
    """

    name: str
    weight: float

    def match(self, x0: Points) -> Match:
        """For every point the row of its target, or -1 for none. Detached."""
        ...

    def rematch(
        self,
        x0: Points,
        covariance: Float[Tensor, "n points 3 3"],
        free: Chosen,
        before: Match | None,
        sigma: float,
    ) -> Match:
        """``before`` with the free points matched anew among the targets that they held.

        ``x0`` and ``covariance`` say where each point is expected without this measurement; the
        correspondence is the most probable one under ``N(H x0, H covariance H' + sigma²)``. Without
        ``before`` all points are free, and so are all targets.
        """
        ...

    def misfit(
        self, x0: Points, match: Match, sigma: float
    ) -> tuple[Float[Tensor, "n points"], Int64[Tensor, "n points"]]:
        """Squared residual of each point in units of the expected error, and how many numbers it sums."""
        ...

    def energy(self, x0: Points, match: Match) -> Float[Tensor, " n"]:
        """Mean squared residual per matched point, differentiable in ``x0`` at a fixed match."""
        ...

    def normal_equations(
        self, x0: Points, match: Match, sigma: float
    ) -> tuple[Float[Tensor, "n points 3 3"], Float[Tensor, "n points 3"]]:
        """``A`` and ``b``: minus the log likelihood is ``sum_n x_n' A_n x_n / 2 - b_n' x_n`` + const.

        ``sigma`` is the stated error of the measurement, not a noise level of diffusion.
        """
        ...
