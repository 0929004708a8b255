"""Priors p(z), one a file: densities of z and samples."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from jensen.errors import UsageError, nearest
from jensen.functional.paths import Tap

PRIORS = {
    "normal": "jensen.priors.normal:Normal",
    "flow": "jensen.priors.flow:FlowPrior",
    "vamp": "jensen.priors.vamp:Vamp",
}


LAYER = "jensen.priors.layered:Layered"


class Path(NamedTuple):
    """Draws as they left q, and the tap that they pass through before they are weighed."""

    z: Tensor
    tap: Tap


class Prior(nn.Module):
    """p(z) over z (d,). `forward` gives log p(z), or with latents above z an unbiased weight for it, of one draw of them."""

    standard: bool = False
    """Whether this is N(0, 1)."""
    noise: int = 0
    """Standard normal numbers that a draw's weight takes, for the latents above."""
    components: int = 0
    """Pseudo-rows whose posteriors are asked for; their parameters come as `pseudo`."""

    def forward(
        self, z: Tensor, noise: Tensor, pseudo: Tensor | None = None, path: Path | None = None
    ) -> Tensor:
        """log p(z) (n, k), nats, of z (n, k, d); noise (n, k, self.noise)."""
        raise NotImplementedError

    def sample(
        self, n: int, like: Tensor, generator: torch.Generator | None = None, pseudo: Tensor | None = None
    ) -> Tensor:
        """z and the latents above it (n, d + noise), of the type and on the device of `like`."""
        raise NotImplementedError

    def noise_of(self, z: Tensor, above: Tensor) -> Tensor:
        """The noise (n, k, noise) that makes `forward` draw these latents `above` (n, k, noise) z (n, k, d)."""
        return above


def prior_for(name: str, latents: Sequence[int], hidden: Sequence[int], components: int = 0) -> Prior:
    """The prior of the lowest of some layers of latents: `name` for the highest, a layer of a hierarchy below that.

    Raises UsageError for an unknown name, and for a vamp prior above a second layer, which no row reaches directly.
    """
    if name not in PRIORS:
        raise UsageError("unknown prior", f"got {name!r}", nearest(str(name), PRIORS))
    first, *above = latents
    if name == "vamp" and above:
        raise UsageError(
            "a vamp prior stands on one layer of latents", f"got latents={tuple(latents)}", "use prior='flow'"
        )
    if above:
        return cast(Prior, _leaf(LAYER)(first, above[0], prior_for(name, above, hidden), hidden))
    build = _leaf(PRIORS[name])
    return cast(Prior, build(first, components) if name == "vamp" else build(first))


def _leaf(place: str) -> Any:
    module, _, leaf = place.partition(":")
    return getattr(import_module(module), leaf)
