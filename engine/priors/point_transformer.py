"""The paper-scale denoiser: Point-E's transformer over points (Nichol et al. 2022).

One token per point and one prepended token for the noise level; pre-norm blocks of full attention;
no positional encoding, so the network is equivariant under reordering. At width 512 and 24 layers it
has 77.8 million parameters, as Möbius & Habeck trained it.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def timestep_embedding(t: Float[Tensor, " n"], width: int) -> Float[Tensor, "n width"]:
    """Sinusoidal embedding, cosines then sines, longest period 10⁴ (Vaswani et al. 2017)."""
    half = width // 2
    rates = torch.exp(-math.log(10000.0) * torch.arange(half, device=t.device, dtype=t.dtype) / half)
    angle = t[:, None] * rates
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


class TransformerBlock(nn.Module):
    """Pre-norm multi-head self-attention and a four times wider MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp_in, self.mlp_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.heads = heads

    def forward(self, h: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens width"]:
        """One block."""
        n, tokens, width = h.shape
        qkv = self.qkv(self.norm_attention(h)).view(n, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v)
        h = h + self.proj(attended.transpose(1, 2).reshape(n, tokens, width))
        out: Tensor = h + self.mlp_out(F.gelu(self.mlp_in(self.norm_mlp(h))))
        return out


class PointTransformer(nn.Module):
    """F for :class:`~engine.priors.edm.EdmDenoiser`.

    Parameters
    ----------
    width, layers, heads : 512, 24 and 8 in Point-E.
    sigma_data : standard deviation per coordinate of the clean clouds.
    sigma_max : ``c_noise = 1000 sigma / sigma_max``; the training value is kept at inference.
    """

    def __init__(
        self,
        *,
        width: int = 512,
        layers: int = 24,
        heads: int = 8,
        sigma_data: float = 0.363,
        sigma_max: float = 80.0,
    ) -> None:
        super().__init__()
        self.sigma_data, self.sigma_max, self.width = sigma_data, sigma_max, width
        self.embed = nn.Linear(3, width)
        self.embed_noise = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, 3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Float[Tensor, "n p 3"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n p 3"]:
        """Noisy points and their noise level to the unit-variance target."""
        c_in = (sigma.square() + self.sigma_data**2).rsqrt()[:, None, None]
        noise = self.embed_noise(timestep_embedding(1000 * sigma / self.sigma_max, self.width))
        h = self.norm_in(torch.cat([noise[:, None], self.embed(x * c_in)], dim=1))
        for block in self.blocks:
            h = block(h)
        out: Tensor = self.head(self.norm_out(h)[:, 1:])
        return out
