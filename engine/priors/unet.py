"""U-Nets for images: the networks of score-based random tomography, and one that two CPU cores train.

``paper`` and ``ribosome`` are the paper's, parameter for parameter (3.9 and 5.3 million). ``small`` has half
their channels and one residual block a level, and looks at the whole image only where it is smallest.
Folding 2 × 2 pixels into channels made steps 1.7 times as fast and learned less in the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from engine.priors.edm import EdmDenoiser, per_item, scalings
from engine.priors.steerable import disc

NOISE_SCALE = 25.0
"""Network time per unit of ln sigma: EDM's ln(sigma) / 4, times 100, since the sinusoids of this network
are made for times up to 1000 and would hardly tell EDM's own values apart."""


@dataclass(frozen=True)
class Preset:
    """Options of a U-Net.

    Attributes
    ----------
    channels : per level, the finest first.
    attention : whether the coarsest level has attention, besides the middle of the network.
    layers : residual blocks per level.
    groups : of the group normalisation.
    """

    channels: tuple[int, ...]
    attention: bool = True
    layers: int = 2
    groups: int = 32

    @property
    def multiple(self) -> int:
        """Image sides must be multiples of this; others are padded inside."""
        return int(2 ** (len(self.channels) - 1))


PRESETS = {
    "paper": Preset((32, 64, 128)),
    "ribosome": Preset((32, 64, 96, 128)),
    "small": Preset((16, 32, 64), attention=False, layers=1, groups=8),
}


class ImageNetwork(nn.Module):
    """F for images: diffusers' UNet2DModel behind padding and scaling.

    Parameters
    ----------
    preset : its options.
    sigma_data : standard deviation of clean pixels.
    """

    def __init__(self, preset: Preset, sigma_data: float = 1.0) -> None:
        super().__init__()
        self.preset, self.sigma_data = preset, sigma_data
        self.unet = _unet(preset)

    def forward(self, x: Float[Tensor, "n y x"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n y x"]:
        """Unit-variance estimate from unscaled noisy images."""
        _, _, c_in = scalings(per_item(sigma, x), self.sigma_data)
        height, width = x.shape[1:]
        multiple = self.preset.multiple
        missing = (-width % multiple, -height % multiple)
        before = [m // 2 for m in missing]
        padding = (before[0], missing[0] - before[0], before[1], missing[1] - before[1])
        padded = functional.pad(c_in * x, padding)[:, None]
        out: Tensor = self.unet(padded, NOISE_SCALE * sigma.log()).sample
        return out[:, 0, before[1] : before[1] + height, before[0] : before[0] + width]


def _unet(preset: Preset) -> nn.Module:
    # Here, not above: it takes seconds to import, and only trained denoisers of images need it.
    from diffusers.models.unets.unet_2d import UNet2DModel

    plain = len(preset.channels) - preset.attention
    options: dict[str, Any] = {
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": preset.channels,
        "layers_per_block": preset.layers,
        "norm_num_groups": preset.groups,
        "down_block_types": ("DownBlock2D",) * plain + ("AttnDownBlock2D",) * preset.attention,
        "up_block_types": ("AttnUpBlock2D",) * preset.attention + ("UpBlock2D",) * plain,
    }
    unet: nn.Module = UNet2DModel(**options)
    return unet


class ImageDenoiser(EdmDenoiser):
    """A U-Net behind EDM preconditioning, for images that are zero outside of a circular mask.

    What lies outside the mask is known, so it is neither shown to the network nor taken from it.

    Parameters
    ----------
    network : F.
    box : side of the images, px.
    mask_radius_px : radius of their mask.
    sigma_data : standard deviation of clean pixels within the mask.
    """

    support: Tensor

    def __init__(self, network: nn.Module, box: int, mask_radius_px: float, sigma_data: float = 1.0) -> None:
        super().__init__(network, sigma_data)
        self.box, self.mask_radius_px = box, mask_radius_px
        inside = torch.zeros(box * box)
        inside[torch.from_numpy(disc(box, mask_radius_px).rows)] = 1
        self.register_buffer("support", inside.view(box, box), persistent=False)

    def forward(self, x: Float[Tensor, "n y x"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n y x"]:
        """Posterior mean of the clean images; 0 outside the mask."""
        out: Tensor = self.support * super().forward(self.support * x, sigma)
        return out

    def loss(
        self,
        clean: Float[Tensor, "n y x"],
        sigma: Float[Tensor, " n"],
        noise: Float[Tensor, "n y x"],
    ) -> Float[Tensor, " n"]:
        """Denoising error within the mask weighted by ``1 / c_out²``: mean squared error of F."""
        s = per_item(sigma, clean)
        x = self.support * (clean + s * noise)
        c_skip, c_out, _ = scalings(s, self.sigma_data)
        error = self.support * (self.network(x, sigma) - (clean - c_skip * x) / c_out)
        mean: Tensor = error.square().sum(dim=(1, 2)) / self.support.sum()
        return mean


def build_denoiser(
    architecture: str, box: int, mask_radius_px: float, sigma_data: float = 1.0
) -> ImageDenoiser:
    """An untrained denoiser.

    Parameters
    ----------
    architecture : key of :data:`PRESETS`.

    Raises
    ------
    KeyError
        For an architecture that this version doesn't know.
    """
    network = ImageNetwork(PRESETS[architecture], sigma_data)
    return ImageDenoiser(network, box, mask_radius_px, sigma_data)
