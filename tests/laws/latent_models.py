"""Small models with latents whose truth is known: the linear-Gaussian one, and autoencoders of four bits."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from jensen.models.ppca import PPCA
from jensen.models.vae import VAE
from jensen.space import Space

COLUMNS, LATENTS = 20, 5


def linear(
    posterior: str = "full", *, orthogonal: bool = False, widen: float = 1.0, dtype: Any = torch.float64
) -> PPCA:
    """A linear-Gaussian model with variance 0.5, and q as near to its posterior as the family goes, then widened."""
    torch.manual_seed(0)
    model = PPCA(Space.real(COLUMNS), LATENTS, posterior=posterior).double()
    with torch.no_grad():
        weight = torch.randn(COLUMNS, LATENTS, dtype=torch.float64)
        model.weight.copy_(torch.linalg.qr(weight)[0] * torch.arange(1.0, 6) if orthogonal else weight)
        model.mean.copy_(torch.randn(COLUMNS))
        model.log_scale.fill_(0.5 * math.log(0.5))
        model.match_posterior()
        if widen != 1:  # far from the limit, the bounded log scales are near their raw values
            raw = model.spread[:LATENTS]
            raw += math.log(widen)
    return model.to(dtype).eval()


def rows_of(model: PPCA, n: int, seed: int = 1) -> Tensor:
    return model.sample(n, generator=torch.Generator().manual_seed(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


BITS = Space.binary((1, 2, 2))
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "full": {"posterior": "full"},
    "flow posterior": {"posterior": "flow"},
    "flow prior": {"prior": "flow"},
    "vamp": {"prior": "vamp", "pseudo": 3},
    "two layers": {"latents": (2, 1)},
    "three layers, flow": {"latents": (2, 2, 2), "prior": "flow"},
    "conv": {"net": "conv", "channels": (4, 4)},
    "residual": {"net": "residual", "channels": (4,)},
}


def strong(space: Space, **hyper: Any) -> VAE:
    """An autoencoder in float64 whose decoder bends strongly, and whose encoder stays where the prior is."""
    torch.manual_seed(0)
    model = VAE(space, **{"latents": 2, "hidden": (6,), **hyper}).double()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            size = 0.9 if name.startswith("decoder") else 0.05 if "maps" in name else 0.2
            weight.copy_(size * torch.randn(weight.shape, dtype=torch.float64))
    return model.eval()
