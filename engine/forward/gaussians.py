"""Point clouds as smooth densities, for everything that forms images.

The code lives in :mod:`engine.io.density`, because the exporter and the window need it too and may
import nothing that could import torch.
"""

from __future__ import annotations

from engine.io.density import resolution_to_sigma_A, splat_image, splat_volume

__all__ = ["resolution_to_sigma_A", "splat_image", "splat_volume"]
