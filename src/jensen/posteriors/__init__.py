"""Posteriors q(z | x), one family a file: what turns an encoder's outputs into draws of z and their densities."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from torch import Tensor, nn

from jensen.errors import UsageError, nearest

POSTERIORS = {
    "diagonal": "jensen.posteriors.diagonal:Diagonal",
    "full": "jensen.posteriors.full:Full",
    "flow": "jensen.posteriors.flow:FlowPosterior",
}


class Posterior(nn.Module):
    """q(z | x) over z (d,), given `size` parameters a row. `draw` makes z of noise, `forward` is log q anywhere.

    Zero parameters are near the standard normal law.
    """

    size: int
    """Parameters a row."""

    def draw(self, parameters: Tensor, noise: Tensor, width: float = 1.0) -> tuple[Tensor, Tensor]:
        """z (n, k, d) and log q(z) (n, k) from parameters (n, size) and standard normal noise (n, k, d).

        `width` multiplies the noise: a proposal wider than q, whose own density is returned.
        """
        raise NotImplementedError

    def noise_of(self, parameters: Tensor, z: Tensor, width: float = 1.0) -> Tensor:
        """The noise (n, k, d) that `draw` makes z (n, k, d) of."""
        raise NotImplementedError

    def forward(self, parameters: Tensor, z: Tensor) -> Tensor:
        """log q(z) (n, k), nats, of any z (n, k, d)."""
        raise NotImplementedError

    def kl(self, parameters: Tensor) -> Tensor | None:
        """KL(q, N(0, 1)): (n, d) where it is a sum over dimensions, (n, 1) where it is not, None without closed form."""
        return None

    def draw_with_kl(self, parameters: Tensor, noise: Tensor) -> tuple[Tensor, Tensor] | None:
        """z (n, k, d) as `draw` makes it, without its density, and `kl`; None without closed form."""
        kl = self.kl(parameters)
        return None if kl is None else (self.draw(parameters, noise)[0], kl)

    def centre(self, parameters: Tensor) -> Tensor:
        """Where zero noise goes (n, d): the mean, but for flows."""
        raise NotImplementedError


def posterior_for(name: str, latents: int) -> Posterior:
    """The posterior called `name` over `latents` dimensions. Raises UsageError for an unknown name.

    >>> posterior_for("full", 3).size  # a mean, and a lower triangle
    9
    """
    if name not in POSTERIORS:
        raise UsageError("unknown posterior", f"got {name!r}", nearest(str(name), POSTERIORS))
    module, _, leaf = POSTERIORS[name].partition(":")
    return cast(Posterior, getattr(import_module(module), leaf)(latents))
