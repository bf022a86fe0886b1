"""Denoisers that were tried and are not shipped, for ``tests.benchmarks.denoisers``.

Both take noisy points as they are, like Point-E's transformer, and spend their products otherwise:
``latent`` lets all points speak through a few latent tokens (Perceiver, Jaegle et al. 2021); ``window``
attends among neighbours, found as runs along Morton curves of rotated copies of the cloud, and through
latents in every second block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.priors.kernel_network import noise_features


def _attend(q: Tensor, kv: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    k, v = kv.chunk(2, dim=-1)
    n, p, width = q.shape
    q, k, v = (t.reshape(n, -1, heads, width // heads).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).reshape(n, p, width)


class LatentBlock(nn.Module):
    """Latents read the points, think, and are read by the points."""

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))
        self.read_q, self.read_kv, self.read_out = (nn.Linear(width, k * width) for k in (1, 2, 1))
        self.think = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.write_q, self.write_kv, self.write_out = (nn.Linear(width, k * width) for k in (1, 2, 1))
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        read, latent, write, point, mlp = self.norms
        z = z + self.read_out(_attend(self.read_q(latent(z)), self.read_kv(read(h)), self.heads))
        for layer in self.think:
            z = layer(z)
        h = h + self.write_out(_attend(self.write_q(point(h)), self.write_kv(write(z)), self.heads))
        return h + self.mlp(mlp(h)), z


class LatentNetwork(nn.Module):
    """A bottleneck of latent tokens: no point sees another."""

    def __init__(
        self,
        *,
        width: int = 160,
        layers: int = 4,
        heads: int = 4,
        latents: int = 64,
        depth: int = 2,
        sigma_data: float = 0.363,
    ) -> None:
        super().__init__()
        self.sigma_data = sigma_data
        self.embed, self.norm, self.head = nn.Linear(3, width), nn.LayerNorm(width), nn.Linear(width, 3)
        self.embed_noise = nn.Sequential(nn.Linear(34, width), nn.GELU(), nn.Linear(width, width))
        self.latents = nn.Parameter(torch.randn(latents, width) * 0.5)
        self.blocks = nn.ModuleList(LatentBlock(width, heads, depth) for _ in range(layers))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        c_in = (sigma.square() + self.sigma_data**2).rsqrt()[:, None, None]
        noise = self.embed_noise(noise_features(sigma, x.shape[1]))[:, None]
        h, z = self.embed(x * c_in) + noise, self.latents.expand(len(x), -1, -1) + noise
        for block in self.blocks:
            h, z = block(h, z)
        out: Tensor = self.head(self.norm(h))
        return out


class WindowBlock(nn.Module):
    """Attention in windows of 64 along a curve, biased towards those that are near in units of the noise."""

    def __init__(self, width: int, heads: int, window: int = 64) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.norm, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor, places: Tensor, order: Tensor) -> Tensor:
        """``places`` (n, p, 3) in units of the noise; ``order`` (n, p) along the curve."""
        n, p, width = h.shape
        window = min(self.window, p)
        rows = order[..., None]
        sorted_h = torch.gather(h, 1, rows.expand(-1, -1, width)).view(-1, window, width)
        at = torch.gather(places, 1, rows.expand(-1, -1, 3)).view(-1, window, 3)
        difference = (at[:, :, None] - at[:, None]).clamp(-8, 8)
        distance = difference.norm(dim=-1, keepdim=True)
        bias = (
            -0.5
            * distance[..., 0].square()[:, None]
            * torch.exp2(-torch.arange(self.heads, device=h.device, dtype=h.dtype)).view(1, -1, 1, 1)
        )
        q, kv = self.qkv(self.norm(sorted_h)).split([width, 2 * width], dim=-1)
        heard = self.out(_attend(q, kv, self.heads, bias.to(q.dtype))).view(n, p, width)
        h = h + torch.zeros_like(h).scatter(1, rows.expand(-1, -1, width), heard.to(h.dtype))
        out: Tensor = h + self.mlp(self.norm_mlp(h))
        return out


def morton_order(x: Tensor) -> Tensor:
    """(n, p) rows along the Morton curve of each cloud, 10 bits an axis."""
    low, high = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
    cells = ((x - low) / (high - low + 1e-9) * 1023).long()
    code = torch.zeros(x.shape[:2], dtype=torch.long, device=x.device)
    for bit in range(10):
        for axis in range(3):
            code |= ((cells[..., axis] >> bit) & 1) << (3 * bit + axis)
    return code.argsort(dim=1)


class WindowNetwork(nn.Module):
    """Window attention, and latents in every second block."""

    def __init__(
        self,
        *,
        width: int = 128,
        layers: int = 6,
        heads: int = 4,
        latents: int = 64,
        sigma_data: float = 0.363,
    ) -> None:
        super().__init__()
        self.sigma_data = sigma_data
        self.embed, self.norm, self.head = nn.Linear(3, width), nn.LayerNorm(width), nn.Linear(width, 3)
        self.embed_noise = nn.Sequential(nn.Linear(34, width), nn.GELU(), nn.Linear(width, width))
        self.latents = nn.Parameter(torch.randn(latents, width) * 0.5)
        self.blocks = nn.ModuleList(
            LatentBlock(width, heads, 1) if i % 2 else WindowBlock(width, heads) for i in range(layers)
        )
        turns, _ = torch.linalg.qr(torch.randn(layers, 3, 3, generator=torch.Generator().manual_seed(5)))
        self.register_buffer("turns", turns, persistent=False)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        s = sigma[:, None, None]
        noise = self.embed_noise(noise_features(sigma, x.shape[1]))[:, None]
        h = self.embed(x * (s.square() + self.sigma_data**2).rsqrt()) + noise
        z = self.latents.expand(len(x), -1, -1) + noise
        places = x / (s + 0.05)
        for i, block in enumerate(self.blocks):
            if isinstance(block, WindowBlock):
                h = block(h, places, morton_order(x @ self.turns[i].T))
            else:
                h, z = block(h, z)
        out: Tensor = self.head(self.norm(h))
        return out


CANDIDATES: dict[str, type[nn.Module]] = {"latent": LatentNetwork, "window": WindowNetwork}
