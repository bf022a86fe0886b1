"""From an ensemble of point clouds and the images themselves to one density map.

A cloud keeps of an image what a thousand points can hold. The map is the better answer where the images
say more: it starts from the ensemble's mean density, trusts each Fourier shell of it as far as the members
agree there, and takes the rest from the images (:func:`engine.forward.map_posterior.posterior_mean`).

Everything about the prior is read off the ensemble and the images:

* *mean*: a member's density is ``common + own``, with powers C and E in a shell, so a member foretells
  another one with the share ``C / (C + E)``. The truth is one step further away than another member: all
  members saw the same images and may err alike. So the mean density is multiplied by the share's square.
* *envelope*: members are made of points, the object is not. The power of the images' signal is estimated
  (Whittle's likelihood over rings: coefficients are independent and Gaussian), and the root of its ratio to
  the members' power multiplies the mean, too.
* *deviation*: the members' standard deviation in each voxel, blurred, for a few samples know it roughly.
* *amplitude*: what the mean leaves unexplained of the images' power.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from engine.forward.fourier_slice import SliceProjector, Views
from engine.forward.map_posterior import MapPrior, posterior_mean, shell_filtered, shell_sums

MODEL_ERROR = 0.03
"""Error of images that have no noise, as a part of the signal's standard deviation: interpolation, and
what images of matter are besides projections."""

ITERATIONS = 40
_SMOOTHING_SHELLS = 1.0


@dataclass(frozen=True)
class RefinedMap:
    """A map, and what it is to be compared with.

    Attributes
    ----------
    density : (n, n, n) refined.
    mean : (n, n, n) the ensemble's mean density with the same envelope.
    trust : (n // 2 + 1,) the factor of each shell of the mean, without the envelope.
    """

    density: Float[Tensor, "z y x"]
    mean: Float[Tensor, "z y x"]
    trust: Float[Tensor, " shells"]


def smoothed(values: Float[Tensor, " shells"]) -> Float[Tensor, " shells"]:
    """A spectrum averaged over neighbouring shells with Gaussian weights."""
    places = torch.arange(len(values), dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * ((places[:, None] - places) / _SMOOTHING_SHELLS) ** 2)
    out: Tensor = (kernel @ values) / kernel.sum(1)
    return out


def agreement(
    members: Float[Tensor, "n z y x"],
) -> tuple[Float[Tensor, " shells"], Float[Tensor, " shells"]]:
    """Share of each shell that members have in common, and a member's power there.

    With ``member = common + own``: ``C / (C + E)`` in [0, 1] and ``C + E``, per coefficient, (shells,) each.

    Raises
    ------
    ValueError
        If there are fewer than two members.
    """
    n = len(members)
    if n < 2:
        raise ValueError("agreement needs two members")
    mean = members.mean(0)
    power, count = shell_sums(mean, mean, 3)
    own = torch.stack([shell_sums(d, d, 3)[0] for d in members - mean]).sum(0) / (n - 1)
    power, own = smoothed(power / count), smoothed(own / count)
    common = (power - own / n).clamp_min(0)
    total = (common + own).clamp_min(torch.finfo(own.dtype).tiny)
    return common / total, total


def signal_power(
    power: Float[Tensor, " rings"],
    count: Float[Tensor, " rings"],
    expected: Float[Tensor, " rings"],
    noise: float,
) -> Float[Tensor, " rings"]:
    """What of the images' power is signal.

    ``expected * c exp(-b k²)`` of the highest likelihood; where that is far above the noise, the power
    itself, less the noise.

    Parameters
    ----------
    power : mean squared modulus of the images' coefficients in each ring.
    count : coefficients in each ring.
    expected : power of the signal, up to scale and B-factor.
    noise : power of the noise.
    """
    k = torch.linspace(0, 1, len(power), dtype=torch.float64)
    seen, weight, shape = (x.detach().cpu().double() for x in (power, count, expected))
    start = float((seen * weight).sum() / (shape * weight).sum())
    b = torch.arange(-2.0, 8.01, 0.1, dtype=torch.float64).view(-1, 1, 1)
    c = start * torch.logspace(-2, 1, 91, dtype=torch.float64).view(1, -1, 1)
    total = shape * c * torch.exp(-b * k.square()) + noise
    cost = (weight * (torch.log(total) + seen / total)).sum(-1)
    row, column = divmod(int(cost.argmin()), cost.shape[1])
    fitted = shape * c[0, column] * torch.exp(-b[row] * k.square()).flatten()
    share = fitted / (fitted + noise)
    found: Tensor = share * smoothed(seen - noise).clamp_min(0) + (1 - share) * fitted
    return found.to(power)


def background_and_noise(
    images: Float[Tensor, "views y x"],
) -> tuple[Float[Tensor, " views"], Float[Tensor, " views"]]:
    """Median, and robust standard deviation about it, of the outermost two pixels of each image."""
    inside = torch.zeros(images.shape[1:], dtype=torch.bool, device=images.device)
    inside[2:-2, 2:-2] = True
    edge = images[:, ~inside]
    background = edge.median(1).values
    return background, 1.4826 * (edge - background[:, None]).abs().median(1).values


def refine(
    members: Float[Tensor, "n z y x"],
    projector: SliceProjector,
    views: Views,
    images: Float[Tensor, "views y x"],
    noise: Float[Tensor, " views"],
    covered: Float[Tensor, "views y x"],
    *,
    blur_voxels: float,
    iterations: int = ITERATIONS,
) -> RefinedMap:
    """The map that the ensemble and the images agree on.

    Parameters
    ----------
    members : (n ≥ 2, size, size, size) densities of the samples on the projector's grid.
    views : poses of the images.
    images : (views, size, size) background 0; each may have a scale of its own.
    noise : (views,) standard deviation of the noise in a pixel.
    covered : (views, size, size) 1 where an image reaches, 0 beyond.
    blur_voxels : width of the Gaussian that the members' variance is blurred with.
    iterations : of conjugate gradients.

    Returns
    -------
    RefinedMap
        In the members' units.

    Raises
    ------
    ValueError
        If there are fewer than two members, or shapes don't fit.
    """
    size, mean = projector.size, members.mean(0)
    share, total = agreement(members)
    trust = share.square()
    envelope = torch.ones_like(trust)
    for _ in range(2):  # the scales depend a little on the envelope
        base = shell_filtered(mean, trust * envelope)
        shown = covered * projector.images(projector.slices(projector.transform(base), views), views)
        scale = (images * shown).sum((1, 2)) / shown.square().sum((1, 2))
        scale = scale.clamp_min(1e-3 * float(scale.max()))
        measured = images / scale.view(-1, 1, 1)
        sigma = ((noise / scale).square() + (MODEL_ERROR * shown.std((1, 2))).square()).sqrt()
        power, count = shell_sums(measured, measured, 2)
        noise_power = float((covered * sigma.square().view(-1, 1, 1)).sum((1, 2)).mean())
        signal = signal_power(power / count, count, total, noise_power)
        envelope = (signal / total * (total[0] / signal[0])).sqrt()
    unexplained = signal * (1 - trust.square())
    k = torch.arange(size // 2 + 1, device=mean.device, dtype=mean.dtype) / size
    blur = torch.exp(-2 * (torch.pi * blur_voxels * k).square())
    variance = shell_filtered((members - mean).square().mean(0), blur).clamp_min(0)
    # the filter is for a deviation of one on average
    variance = variance / variance.mean().clamp_min(torch.finfo(variance.dtype).tiny)
    prior = MapPrior(shell_filtered(mean, trust * envelope), variance.sqrt(), (unexplained / size**3).sqrt())
    precision = covered / sigma.square().view(-1, 1, 1)
    refined = posterior_mean(projector, views, measured, precision, prior, iterations=iterations)
    return RefinedMap(refined, shell_filtered(mean, envelope), trust)
