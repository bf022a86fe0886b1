"""Score distillation with known poses, and inline-prior guided score matching (IPSM).

In each step the map V is seen at its images' poses, where it must show them, and at random poses R_j, where a
2D denoiser D at noise level t says what the view ``x_j = f_j V`` is taken for (``eps`` the noise added):

* *SDS*: ``x_j - D(x_j + t eps)`` (methods of :mod:`engine.distillation.volume_sds`);
* *IPSM* (Wang et al., arXiv 2412.02225, carried over to transmission images): what the images imply of an
  unseen view is ``y^_j = f_j V_LS``, V_LS the least-squares map, trusted in its Fourier coefficients by W
  (:mod:`.coverage`; it stands for the paper's mask of warped pixels). With it, the *rectified* view is
  ``x^phi = W y^ + (1 - W) D(W y^ + (1 - W) x + t eps)``: the denoiser is told what is known. Then

  ``R1 = x_j - x^phi``, ``R2 = x^phi - D(x_j + t eps)``, geometry consistency ``G = W (x_j - y^_j)``,

  and the view's residual is ``weight (eta_r R1 + eta_2 R2) + lambda_g G`` (the paper's gradient of
  ``eta_r KL(q || q^) + KL(q^ || p)``; its depth term has no meaning in transmission).

Residuals go back by the adjoint of the projection; no gradient passes through the denoiser. Each R is the
gradient of ``|x - stop(target)|² / 2``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from engine.reconstruction.models import MapModel
from engine.reconstruction.problem import PosedProblem
from engine.reconstruction.view_denoiser import RandomViews, ViewDenoiser, level
from engine.specs.known_poses import InlinePrior, PosedSds

Known = Callable[
    [Float[Tensor, "views 3 3"]], tuple[Float[Tensor, "views y x"], Float[Tensor, "views y half"]]
]
"""From poses to what the images imply there, and how far each of its coefficients (``rfft2``) is trusted."""


@dataclass(frozen=True)
class Terms:
    """Residuals of random views, each (views, n, n); 0 where a method has no such term.

    Attributes
    ----------
    rectified : R1, towards the rectified view.
    inline : R2, from the rectified view to the denoiser's own.
    geometry : G, towards what the images imply.
    """

    rectified: Float[Tensor, "views y x"]
    inline: Float[Tensor, "views y x"]
    geometry: Float[Tensor, "views y x"]


def sds_residual(
    seen: Float[Tensor, "views y x"], denoiser: ViewDenoiser, sigma: float, noise: Float[Tensor, "views y x"]
) -> Float[Tensor, "views y x"]:
    """``x - D(x + t eps)``."""
    return seen - denoiser.clean(seen, sigma, noise)


def ipsm_terms(
    seen: Float[Tensor, "views y x"],
    implied: Float[Tensor, "views y x"],
    trust: Float[Tensor, "views y half"],
    denoiser: ViewDenoiser,
    sigma: float,
    noise: Float[Tensor, "views y x"],
    *,
    inline: bool = True,
) -> Terms:
    """The three terms of views.

    Parameters
    ----------
    seen, implied : x and y^.
    trust : W in [0, 1] for each coefficient of ``rfft2``.
    inline : whether R2 is wanted; it costs a second call of the denoiser, with the same noise.
    """
    rectified = filtered(implied, trust) + filtered(
        denoiser.clean(filtered(implied, trust) + seen - filtered(seen, trust), sigma, noise), 1 - trust
    )
    own = denoiser.clean(seen, sigma, noise) if inline else rectified
    return Terms(seen - rectified, rectified - own, filtered(seen - implied, trust))


def filtered(
    images: Float[Tensor, "views y x"], factors: Float[Tensor, "views y half"]
) -> Float[Tensor, "views y x"]:
    """Images with each Fourier coefficient (``rfft2``) multiplied by a real factor."""
    out: Tensor = torch.fft.irfft2(torch.fft.rfft2(images) * factors, s=images.shape[-2:])
    return out


@torch.no_grad()
def distil_at_poses(
    problem: PosedProblem,
    model: MapModel,
    denoiser: ViewDenoiser | None,
    settings: PosedSds | InlinePrior | None,
    *,
    seed: int,
    steps: int = 0,
    known: Known | None = None,
    watch: Callable[[int, int, MapModel], None] = lambda step, steps, model: None,
) -> float:
    """Move a model until its images and the denoiser agree; in place.

    Parameters
    ----------
    denoiser, settings : None for the images alone, in ``steps`` steps.
    known : for IPSM.
    watch : called after each step; may raise to stop.

    Returns
    -------
    float
        Root mean square of what the denoiser still changed in the last step; NaN without one.

    Raises
    ------
    ValueError
        If IPSM isn't told what the images imply.
    """
    views = RandomViews(seed, problem.images.device)
    images, rotations = problem.repeated(problem.images), problem.all_rotations
    shifts = problem.repeated(problem.shifts_px)
    last = float("nan")
    steps = steps if settings is None else settings.steps
    for step in range(steps):
        residuals, turned, moved = [model.project(rotations, shifts) - images], [rotations], [shifts]
        total = float(len(images))
        if settings is not None and denoiser is not None:
            sigma = level(settings.sigma_first, settings.sigma_last, step, steps)
            random = views.rotations(settings.views)
            still = shifts.new_zeros(len(random), 2)
            seen = model.project(random, still)
            noise = views.noise(len(seen), problem.size)
            # all random views together weigh `weight` times as much as all images
            share = len(images) / len(random)
            if isinstance(settings, InlinePrior):
                if known is None:
                    raise ValueError("IPSM needs what the images imply of unseen views")
                terms = ipsm_terms(seen, *known(random), denoiser, sigma, noise, inline=settings.eta_2 > 0)
                pulled = settings.eta_r * terms.rectified + settings.eta_2 * terms.inline
                residual = settings.weight * pulled + settings.geometry * terms.geometry
                weight = settings.weight * max(settings.eta_r, settings.eta_2) + settings.geometry
            else:
                pulled = sds_residual(seen, denoiser, sigma, noise)
                residual, weight = settings.weight * pulled, settings.weight
            residuals.append(share * residual)
            turned.append(random)
            moved.append(still)
            total += weight * len(images)
            last = float(pulled.square().mean().sqrt())
        length = (1.0 if settings is None else settings.step_size) / total
        model.descend(torch.cat(turned), torch.cat(moved), torch.cat(residuals), length)
        model.end_step(step + 1, steps)
        watch(step + 1, steps, model)
    return last
