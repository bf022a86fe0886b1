"""The exact denoiser of a set of images, turned, mirrored and shifted: no training.

Under the empirical distribution of templates T_j the posterior mean is a softmax,

    D(x, sigma) = sum_j w_j T_j,    w_j ∝ exp(-|x - T_j|² / (2 sigma²)),

which is what a network trained on the same images with the same augmentation would learn if it could
learn everything and generalise nothing (Karras et al. 2022, Appendix B.3). The templates are all images
at all in-plane rotations, seen from the front and from behind.

Turning costs nothing here. The images are expanded in steerable principal components (Zhao & Singer
2013), ``f(r) exp(i m phi)`` with radial functions f of their own: a rotation by theta multiplies a
coefficient by ``exp(-i m theta)``. So the products of x with an image at *all* angles are one Fourier
transform over m, and so is the weighted sum of its turned copies. Nothing is interpolated after the
expansion, and the templates are band-limited: they lose no detail at odd angles.

Every template lies in the span of the components. What x holds outside it adds the same to all
distances and cancels in the softmax; inside it, distances are those of pixel space, since products and
norms are taken on the pixel grid and not in the (only nearly orthogonal) coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import InputError
from engine.priors.steerable import SteerableBasis, disc, fit_basis

_LARGEST = 1 << 23  # weights held at once


@dataclass(frozen=True)
class Posterior:
    """The templates that explain an image best, the likeliest first.

    Attributes
    ----------
    image : (n, k) 0-based row of the fitted stack.
    angle_rad : (n, k) the template is that image turned from x towards y by this angle,
    mirrored : (n, k) after ``x -> -x`` where this is true: the view from behind. So a view with
        rotation R looks like image i with rotation ``R_i`` where ``R = Rz(angle) diag(-1, 1, -1) R_i``
        (without the diagonal where not mirrored).
    weight : (n, k) posterior probability of that template.
    """

    image: Int64[Tensor, "n k"]
    angle_rad: Float[Tensor, "n k"]
    mirrored: Bool[Tensor, "n k"]
    weight: Float[Tensor, "n k"]


class EmpiricalDenoiser:
    """Posterior mean under the empirical distribution of images and their turned and mirrored copies.

    Make it with :meth:`fit`. Calls take no gradients.

    Attributes
    ----------
    box : side of the images, px.
    angles : number of in-plane rotations.
    templates : number of templates.
    explained : share of the images' variance about their mean that the components hold.
    """

    def __init__(
        self,
        basis: SteerableBasis,
        coefficients: Complex[Tensor, "orders radial items"],
        images: Int64[Tensor, " items"],
        mirrored: Bool[Tensor, " items"],
        angles: int,
        explained: float,
    ) -> None:
        self._basis, self._coefficients = basis, coefficients
        self._images, self._mirrored = images, mirrored
        self.box, self.angles, self.explained = basis.box, angles, explained
        self.templates = angles * coefficients.shape[2]
        self._half_energy = 0.5 * basis.energies(coefficients, angles)

    @classmethod
    def fit(
        cls,
        images: NDArray[np.float32],
        *,
        mask_radius_px: float,
        angle_step_deg: float = 5.0,
        components: int = 256,
        shift_px: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> EmpiricalDenoiser:
        """Expand the images.

        Parameters
        ----------
        images : (n, y, x) clean images, circularly masked, unit variance.
        mask_radius_px : radius of their mask; a soft edge may reach a few pixels further.
        angle_step_deg : spacing of the in-plane rotations; rounded to divide the circle.
        components : at most so many real principal components.
        shift_px : if above 0, each image is also shifted by this much along x, y and both.
        device : where to compute when called.

        Raises
        ------
        InputError
            If the images are not square, not finite or all the same radial pattern.
        """
        stack = np.asarray(images, np.float32)
        if stack.ndim != 3 or stack.shape[1] != stack.shape[2] or not len(stack):
            raise InputError(
                f"A denoiser needs square images, not an array of {'×'.join(map(str, stack.shape))}.",
                "Give class averages of one box.",
            )
        if not np.isfinite(stack).all():
            raise InputError("The images hold NaN or infinite values.", "Leave the damaged ones out.")
        if mask_radius_px < 2:
            raise InputError(
                f"A mask radius of {mask_radius_px:g} px leaves no image.", "Choose a larger one."
            )
        region = disc(stack.shape[1], mask_radius_px)
        steps = [0.0] if shift_px <= 0 else [-shift_px, 0.0, shift_px]
        shifts = [(dx, dy) for dy in steps for dx in steps]
        basis, found = fit_basis(stack, region, shifts, components)
        coefficients = torch.cat([found.coefficients, basis.mirror(found.coefficients)], dim=2)
        count = found.coefficients.shape[2]
        rows = torch.arange(len(stack)).repeat(len(shifts))
        angles = max(1, round(360 / angle_step_deg))
        # complex numbers are incomplete on MPS
        home = torch.device("cpu" if torch.device(device).type == "mps" else device)
        return cls(
            basis.to(home),
            coefficients.to(home),
            torch.cat([rows, rows]).to(home),
            (torch.arange(2 * count) >= count).to(home),
            angles,
            found.explained,
        )

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "n y x"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n y x"]:
        """Posterior mean of the clean images.

        Parameters
        ----------
        x : noisy images, ``x = clean + sigma * noise``.
        sigma : noise level of each, in the images' units.

        Returns
        -------
        Same shape; 0 outside the mask.
        """
        there, home = x.device, self._coefficients.device
        x, sigma = x.to(home), sigma.to(home)
        out = torch.empty_like(x, dtype=torch.float32)
        for part in self._parts(len(x)):
            weights = torch.softmax(self._logits(x[part], sigma[part]).flatten(1), dim=1)
            weights = weights.view(-1, self._coefficients.shape[2], self.angles)
            out[part] = self._basis.synthesise(self._mix(weights))
        return out.to(there)

    @torch.no_grad()
    def posterior(self, x: Float[Tensor, "n y x"], sigma: Float[Tensor, " n"], k: int = 1) -> Posterior:
        """The k likeliest templates of each noisy image."""
        home = self._coefficients.device
        x, sigma = x.to(home), sigma.to(home)
        found = []
        for part in self._parts(len(x)):
            weights = torch.softmax(self._logits(x[part], sigma[part]).flatten(1), dim=1)
            found.append(weights.topk(min(k, self.templates), dim=1))
        weight = torch.cat([f.values for f in found])
        flat = torch.cat([f.indices for f in found])
        item, angle = flat // self.angles, flat % self.angles
        return Posterior(
            self._images[item], angle * (2 * math.pi / self.angles), self._mirrored[item], weight
        )

    @torch.no_grad()
    def template(self, image: int, angle: int, *, mirrored: bool = False) -> Float[Tensor, "y x"]:
        """One template: an image, mirrored if asked, then turned by ``angle`` steps from x towards y."""
        item = int(torch.nonzero((self._images == image) & (self._mirrored == mirrored))[0])
        turned = self._basis.turn(
            self._coefficients[:, :, item : item + 1], 2 * math.pi * angle / self.angles
        )
        return self._basis.synthesise(turned.permute(2, 0, 1))[0]

    def _parts(self, n: int) -> list[slice]:
        size = max(1, _LARGEST // self.templates)
        return [slice(start, start + size) for start in range(0, n, size)]

    def _logits(
        self, x: Float[Tensor, "n y x"], sigma: Float[Tensor, " n"]
    ) -> Float[Tensor, "n items angles"]:
        """Log weights up to a constant: ``(<x, T> - |T|² / 2) / sigma²``, all less the mean image."""
        products = self._basis.analyse(x)  # (orders, n, radial)
        per_order = torch.bmm(products, self._coefficients)  # (orders, n, items)
        orders, n, items = per_order.shape
        spectrum = per_order.new_zeros(self.angles, n, items)
        # Orders that differ by the number of angles turn alike on this grid of angles.
        spectrum.index_add_(0, torch.arange(orders, device=x.device) % self.angles, per_order)
        correlation = torch.fft.fft(spectrum.permute(1, 2, 0), dim=2).real
        logits: Tensor = (correlation - self._half_energy) / sigma.view(-1, 1, 1).square()
        return logits

    def _mix(self, weights: Float[Tensor, "n items angles"]) -> Complex[Tensor, "n orders radial"]:
        """Coefficients of the weighted sum of templates."""
        spectrum = torch.fft.fft(weights, dim=2)
        orders = torch.arange(self._coefficients.shape[0], device=weights.device) % self.angles
        per_order = spectrum.permute(2, 0, 1)[orders]  # (orders, n, items)
        return torch.bmm(per_order, self._coefficients.transpose(1, 2)).permute(1, 0, 2)
