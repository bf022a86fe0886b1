"""A denoiser that turns with its input: kernels between neighbours, scalars and vectors per point.

Molecules have no preferred orientation. A network of plain channels has to learn each shape in every
orientation; this one is equivariant by construction. Each point carries scalar channels, which do not
change when the cloud turns, and vector channels, which turn with it. Vectors are only ever multiplied by
scalars, mixed among channels, and compared by inner and triple products; so ``D(R x) = R D(x)`` for every
rotation R, to round-off. Triple products change sign in a mirror, so hands can be told apart.

The same steps as in other equivariant message passing networks (PaiNN, Schütt et al. 2021; GVP, Jing et
al. 2021), with two differences that two CPU cores ask for: messages are averages under the Gaussian kernels
of :mod:`engine.priors.kernel_network`, which are computed once from the noisy points, so that a message costs
one matrix product and no edge is ever listed; and all points speak with each other through a few pools,
attention-weighted means of scalars and vectors, whose vectors give every point coordinates in a frame that
the network has chosen for the object.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from engine.priors.kernel_network import BANDWIDTHS, mean_shifts, noise_features, product_dtype

MESSAGE_KERNELS = (1, 3, 5)  # of the BANDWIDTHS: 1.4, 0.7 and 0.35 sigma, where these are not clamped
LONGEST = 4.0  # of the answer's vectors: the target has unit variance, and clouds unlike all others exist
TRIPLES = 8  # triple products in each block, at most

Scalars = Float[Tensor, "n p channels"]
Vectors = Float[Tensor, "n p 3 vectors"]


class EquivariantBlock(nn.Module):
    """Messages from neighbours and from everywhere, then an update of scalars and vectors; pre-norm.

    Parameters
    ----------
    width : scalar channels.
    vectors : vector channels.
    message : channels that each kernel carries, of scalars and of vectors.
    pools : attention-weighted means over all points.
    """

    def __init__(self, width: int, vectors: int, message: int, pools: int) -> None:
        super().__init__()
        kernels = len(MESSAGE_KERNELS)
        pools, triples = min(pools, width), min(TRIPLES, vectors)
        self.message, self.pools, self.triples = message, pools, triples
        carried = kernels * message
        self.norm = nn.LayerNorm(width)
        self.values = nn.Linear(width, 2 * carried + pools)
        self.vector_values = nn.Linear(vectors, carried, bias=False)
        self.pool_scalars = nn.Linear(pools * (width // pools), width)
        self.pool_values = nn.Linear(width, width // pools * pools)
        self.pool_vectors = nn.Linear(pools * (vectors + 1), vectors, bias=False)
        seen = carried + vectors
        self.left = nn.Linear(seen, 2 * vectors + triples, bias=False)
        self.right = nn.Linear(seen, vectors + triples, bias=False)
        features = width + 2 * carried + 2 * vectors + vectors + triples
        self.update_in = nn.Linear(features, 2 * width)
        self.update_out = nn.Linear(2 * width, width + vectors)
        self.mix = nn.Linear(seen + vectors + triples, vectors, bias=False)

    def forward(
        self, h: Scalars, v: Vectors, x: Float[Tensor, "n p 3"], kernels: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """One block.

        Parameters
        ----------
        h, v : scalars and vectors of all points.
        x : positions about their mean, in units of the cloud's spread.
        kernels : row-normalised (n, p, p) kernels, one for each of ``MESSAGE_KERNELS``.
        """
        n, p, _ = h.shape
        a = self.norm(h)
        u = v * (v.square().mean(dim=(2, 3), keepdim=True) * 3 + 1e-6).rsqrt()
        carried = self.message * len(kernels)
        scalars, weights, attention = self.values(a).split([carried, carried, self.pools], dim=-1)
        position = x.unsqueeze(-1).to(weights.dtype)
        sent = self.vector_values(u) + position * weights.unsqueeze(2)
        # (scalars, weights, vectors) of one kernel side by side: one product for each kernel
        columns = torch.cat([scalars.unsqueeze(2), weights.unsqueeze(2), sent], dim=2)
        heard = torch.cat(
            [
                (kernel @ part.flatten(2).to(kernel.dtype)).view(n, p, 5, self.message)
                for kernel, part in zip(kernels, torch.split(columns, self.message, dim=3), strict=True)
            ],
            dim=3,
        )
        # a sender's position counts from the receiver
        near = heard[:, :, 2:] - position * heard[:, :, 1:2]
        seen = torch.cat([near, u.to(near.dtype)], dim=3)
        pooled_scalars, frame = self._pool(a, u, x, attention)
        left, right = self.left(seen), self.right(seen)
        vectors = u.shape[3]
        products, first, axes = left.split([vectors, self.triples, vectors], dim=3)
        others, second = right.split([vectors, self.triples], dim=3)
        cross = torch.linalg.cross(first, second, dim=2)
        # the frame's inner products with what each point sees, and with where it is
        place = (axes * frame.unsqueeze(1)).sum(2) + torch.bmm(x.to(frame.dtype), frame)
        features = torch.cat(
            [
                a.to(near.dtype),
                heard[:, :, 0],
                heard[:, :, 1],
                (products * others).sum(2),
                place,
                u.square().sum(2).to(near.dtype),
                (cross * others[..., : self.triples]).sum(2),
            ],
            dim=2,
        )
        change, gates = self.update_out(F.gelu(self.update_in(features))).split([h.shape[2], vectors], dim=2)
        everything = torch.cat(
            [seen, frame.unsqueeze(1).expand(-1, p, -1, -1).to(seen.dtype), cross.to(seen.dtype)], dim=3
        )
        return h + change + pooled_scalars.unsqueeze(1), v + gates.unsqueeze(2) * self.mix(everything)

    def _pool(self, a: Tensor, u: Tensor, x: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars (n, width) for everyone, and the vectors (n, 3, vectors) of the object's frame."""
        n, p, _ = a.shape
        share = torch.softmax(attention.float(), dim=1).transpose(1, 2).to(attention.dtype)
        scalars = self.pool_values(a).view(n, p, self.pools, -1)
        pooled = self.pool_scalars(torch.einsum("nkp,npkc->nkc", share, scalars).flatten(1))
        both = torch.cat([x.unsqueeze(-1), u], dim=3).to(share.dtype)
        vectors = (share @ both.flatten(2)).view(n, self.pools, 3, -1).transpose(1, 2)
        frame: Tensor = self.pool_vectors(vectors.flatten(2))
        return pooled, frame


class EquivariantNetwork(nn.Module):
    """F for :class:`~engine.priors.edm.EdmDenoiser`; any number of points, order- and rotation-equivariant.

    Parameters
    ----------
    width : scalar channels of each point.
    vectors : vector channels of each point.
    layers : blocks.
    message : channels that each of three kernels carries.
    pools : attention-weighted means over all points.
    sigma_data : standard deviation per coordinate of the clean clouds, for the input's scale.
    """

    pairs: Tensor

    def __init__(
        self,
        *,
        width: int = 128,
        vectors: int = 32,
        layers: int = 6,
        message: int = 16,
        pools: int = 16,
        sigma_data: float = 0.363,
    ) -> None:
        super().__init__()
        self.sigma_data = sigma_data
        self.base = 2 + BANDWIDTHS
        products = self.base * (self.base + 1) // 2
        self.register_buffer("pairs", torch.triu_indices(self.base, self.base), persistent=False)
        self.embed = nn.Sequential(
            nn.Linear(products + self.base + BANDWIDTHS, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.embed_vectors = nn.Linear(self.base, vectors, bias=False)
        self.embed_noise = nn.Sequential(nn.Linear(34, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(EquivariantBlock(width, vectors, message, pools) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, self.base + vectors)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Float[Tensor, "n p 3"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n p 3"]:
        """Noisy points in frame units and their noise level to the unit-variance target."""
        dtype = product_dtype(x)
        with torch.autocast(x.device.type, enabled=False):
            base, density, kernels, place = self._geometry(x, sigma, dtype)
            noise = noise_features(sigma, x.shape[1])
            left, right = self.pairs
            invariants = (base[..., left] * base[..., right]).sum(2)
            lengths = base.norm(dim=2)
        h = self.embed(torch.cat([invariants, lengths, density], dim=-1)) + self.embed_noise(noise)[:, None]
        v = self.embed_vectors(base)
        for block in self.blocks:
            h, v = block(h, v, place, kernels)
        gates = self.head(self.norm(h))
        out = (torch.cat([base, v.to(base.dtype)], dim=3) * gates.unsqueeze(2).to(base.dtype)).sum(3)
        bounded: Tensor = out * (LONGEST / out.norm(dim=2, keepdim=True).clamp_min(LONGEST))
        return bounded

    def _geometry(
        self, x: Tensor, sigma: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """Base vectors (n, p, 3, base), log densities, kernels for messages, and scaled positions."""
        base, density, kernels, sums = mean_shifts(x, sigma, self.sigma_data)
        messages = [(kernels[i] / sums[i]).to(dtype) for i in MESSAGE_KERNELS]
        place = (x - x.mean(dim=1, keepdim=True)) * (sigma.square() + self.sigma_data**2).rsqrt().view(
            -1, 1, 1
        )
        return torch.stack(base, dim=-1), density, messages, place
