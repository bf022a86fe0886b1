"""The denoiser that two CPU cores can train: kernel density estimates first, learning second.

If the points of an object were drawn independently from a density p, the best denoiser would be
Tweedie's formula ``D(x) = x + sigma² ∇ log p_sigma(x)``, and p_sigma can be estimated from the noisy
points themselves: the gradient of a kernel density estimate's logarithm is the mean-shift vector
(Fukunaga & Hostetler 1975). So each point is given its mean-shift vectors and log densities at
several bandwidths, and the Wiener estimate under the cloud's own covariance. The network learns what
these miss: that molecules are compact with sharp borders and even density, and which shapes they
have. The same kernel matrices, computed once, carry messages between neighbouring points in every
block; a few latent tokens carry messages between all points.

A linear combination of these features alone reaches a denoising error of 0.81 sigma at sigma = 0.2
where the isotropic Wiener filter reaches 0.87.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

BANDWIDTHS = 6  # h, h/√2, h/2, ...: each kernel is the square of the one before
WIDEST = 2.0  # of sigma
FLOOR, CEILING = 0.12, 1.5  # of the widest bandwidth, in frame units: point spacing and object size


def neighbour_kernels(x: Float[Tensor, "n p 3"], sigma: Float[Tensor, " n"]) -> tuple[list[Tensor], Tensor]:
    """Gaussian kernel matrices between noisy points at six bandwidths, widest first.

    Returns
    -------
    kernels : BANDWIDTHS unnormalised (n, p, p) matrices, ones on the diagonal.
    widths : (n, BANDWIDTHS) bandwidths in frame units.
    """
    widest = (WIDEST * sigma).clamp(FLOOR, CEILING)
    # |a-b|² by the Gram matrix: one batched product; the clamp removes its round-off below zero.
    centred = x - x.mean(dim=1, keepdim=True)
    square = centred.square().sum(-1)
    distance2 = (square[:, :, None] + square[:, None, :] - 2 * centred @ centred.transpose(1, 2)).clamp_min(0)
    kernel = torch.exp(distance2 * (-0.5 / widest.square())[:, None, None])
    kernels = [kernel]
    for _ in range(BANDWIDTHS - 1):
        kernel = kernel.square()
        kernels.append(kernel)
    scale = torch.tensor([2.0 ** (-i / 2) for i in range(BANDWIDTHS)], device=x.device, dtype=x.dtype)
    return kernels, widest[:, None] * scale


def covariance_wiener(x: Float[Tensor, "n p 3"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n p 3"]:
    """Wiener estimate under the cloud's own covariance, ``(C - sigma² I)₊ C⁻¹ x`` minus x."""
    mean = x.mean(dim=1, keepdim=True)
    centred = x - mean
    covariance = centred.transpose(1, 2) @ centred / x.shape[1]
    eye = torch.eye(3, device=x.device, dtype=x.dtype)
    s2 = sigma.square()[:, None, None]
    # The floor keeps the estimate positive where sampling noise exceeds the signal. A softplus
    # of the eigenvalues would need an eigendecomposition, whose gradient fails at degeneracy.
    shrink = torch.linalg.solve(covariance + 0.02 * s2 * eye + 1e-6 * eye, s2 * eye)
    correction: Tensor = -(centred @ shrink)
    return correction


def product_dtype(x: Tensor) -> torch.dtype:
    """The type in which autocast would take products: kernels are turned into it once, not at each."""
    reduced = torch.is_autocast_enabled(x.device.type)
    return torch.get_autocast_dtype(x.device.type) if reduced else x.dtype


def mean_shifts(
    x: Float[Tensor, "n p 3"], sigma: Float[Tensor, " n"], sigma_data: float
) -> tuple[list[Tensor], Tensor, list[Tensor], list[Tensor]]:
    """What can be read off noisy points without learning.

    Returns
    -------
    vectors : 2 + BANDWIDTHS of (n, p, 3): position, Wiener estimate and mean shifts, in units of the noise,
        where the target is; bounded where sigma is large.
    density : (n, p, BANDWIDTHS) log densities.
    kernels, sums : of :func:`neighbour_kernels`, and their (n, p, 1) row sums.
    """
    s = sigma.view(-1, 1, 1)
    c_in = (s.square() + sigma_data**2).rsqrt()
    kernels, _ = neighbour_kernels(x, sigma)
    sums = [k.sum(-1, keepdim=True) for k in kernels]
    c_shift = (s.square() + 0.05**2).rsqrt()
    vectors = [x * c_in, covariance_wiener(x, sigma) * (s * c_in / sigma_data).clamp_max(1) / s]
    vectors += [(k @ x / total - x) * c_shift for k, total in zip(kernels, sums, strict=True)]
    density = torch.cat([torch.log(total / x.shape[1]) for total in sums], dim=-1)
    return vectors, density, kernels, sums


class Block(nn.Module):
    """Messages from neighbours (kernels), from everywhere (latents), then an MLP; pre-norm."""

    def __init__(self, width: int, message: int, heads: int, latents: bool) -> None:
        super().__init__()
        self.norm_local, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.values = nn.Linear(width, 2 * message)
        self.local_out = nn.Linear(2 * message + width, width)
        self.mlp_in, self.mlp_out = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.heads = heads
        self.has_latents = latents
        if latents:
            self.norm_read, self.norm_latent, self.norm_write = (nn.LayerNorm(width) for _ in range(3))
            self.read_q, self.read_kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
            self.read_out = nn.Linear(width, width)
            self.self_qkv, self.self_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.norm_latent_mlp = nn.LayerNorm(width)
            self.latent_mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )
            self.write_q, self.write_kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
            self.write_out = nn.Linear(width, width)

    def _attend(self, q: Tensor, kv: Tensor) -> Tensor:
        n, p, width = q.shape
        k, v = kv.chunk(2, dim=-1)
        q, k, v = (t.view(n, -1, self.heads, width // self.heads).transpose(1, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, p, width)

    def forward(self, h: Tensor, latents: Tensor, near: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
        """``near`` and ``far`` are row-normalised (n, p, p) kernels; returns new tokens and latents."""
        a = self.norm_local(h)
        v_near, v_far = self.values(a).chunk(2, dim=-1)
        h = h + self.local_out(torch.cat([near @ v_near, far @ v_far, a], dim=-1))
        if self.has_latents:
            kv = self.read_kv(self.norm_read(h))
            z = latents + self.read_out(self._attend(self.read_q(self.norm_latent(latents)), kv))
            q, rest = self.self_qkv(z).split([z.shape[-1], 2 * z.shape[-1]], dim=-1)
            z = z + self.self_out(self._attend(q, rest))
            latents = z + self.latent_mlp(self.norm_latent_mlp(z))
            h = h + self.write_out(self._attend(self.write_q(self.norm_write(h)), self.write_kv(latents)))
        return h + self.mlp_out(F.gelu(self.mlp_in(self.norm_mlp(h)))), latents


class KernelNetwork(nn.Module):
    """F for :class:`~engine.priors.edm.EdmDenoiser`; any number of points, order-equivariant.

    Parameters
    ----------
    width : channels per point.
    layers : blocks; every second one reads and writes the latents.
    heads : attention heads of the latents.
    latents : number of latent tokens.
    sigma_data : standard deviation per coordinate of the clean clouds, for the input's scale.
    """

    def __init__(
        self,
        *,
        width: int = 128,
        layers: int = 6,
        heads: int = 4,
        latents: int = 32,
        sigma_data: float = 0.363,
    ) -> None:
        super().__init__()
        self.sigma_data = sigma_data
        self.vectors = 2 + BANDWIDTHS
        features = 3 * self.vectors + BANDWIDTHS + self.vectors
        self.embed = nn.Sequential(nn.Linear(features, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.embed_noise = nn.Sequential(nn.Linear(34, width), nn.GELU(), nn.Linear(width, width))
        self.latents = nn.Parameter(torch.randn(latents, width) * 0.5)
        self.blocks = nn.ModuleList(Block(width, width // 2, heads, i % 2 == 0) for i in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, self.vectors + 3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Float[Tensor, "n p 3"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n p 3"]:
        """Noisy points in frame units and their noise level to the unit-variance target."""
        dtype = product_dtype(x)
        with torch.autocast(x.device.type, enabled=False):
            stack, density, near, far = self._geometry(x, sigma, dtype)
        features = torch.cat([stack.flatten(-2), stack.norm(dim=-1), density], dim=-1)
        noise = self.embed_noise(noise_features(sigma, x.shape[1]))[:, None]
        h = self.embed(features) + noise
        latents = self.latents.expand(x.shape[0], -1, -1) + noise
        for block in self.blocks:
            h, latents = block(h, latents, near, far)
        out = self.head(self.norm(h))
        gates, free = out[..., : self.vectors], out[..., self.vectors :]
        combined: Tensor = (gates.unsqueeze(-1) * stack).sum(-2) + free
        return combined

    def _geometry(
        self, x: Tensor, sigma: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Vectors (n, p, vectors, 3), log densities, and the two kernels that carry messages."""
        vectors, density, kernels, sums = mean_shifts(x, sigma, self.sigma_data)
        stack = torch.stack(vectors, dim=-2)
        near = (kernels[-2] / sums[-2]).to(dtype)
        far = (kernels[1] / sums[1]).to(dtype)
        return stack, density, near, far


def noise_features(sigma: Float[Tensor, " n"], points: int) -> Float[Tensor, "n 34"]:
    """Fourier features of ``ln sigma``, and ln sigma and ln points themselves."""
    level = sigma.log()[:, None] / 4
    frequencies = torch.exp2(torch.arange(16, device=sigma.device, dtype=sigma.dtype) * 0.4)
    angle = level * math.pi * frequencies
    size = torch.full_like(level, math.log(points / 1024))
    return torch.cat([angle.cos(), angle.sin(), level, size], dim=-1)
