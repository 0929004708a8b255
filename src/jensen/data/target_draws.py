"""Exact draws that the samplers of the targets share: normal numbers and rejection, in float64, from a generator."""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi

import torch
from torch import Tensor

from jensen.errors import UsageError

LOG_ROOT_2PI = 0.5 * log(2 * pi)
BLOCK = 1 << 14


def normals(generator: torch.Generator, *shape: int) -> Tensor:
    """Standard normal numbers in float64, where the generator lives."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64, device=generator.device)


def uniforms(generator: torch.Generator, *shape: int) -> Tensor:
    """Uniform numbers in [0, 1) in float64, where the generator lives."""
    return torch.rand(*shape, generator=generator, dtype=torch.float64, device=generator.device)


def pick(masses: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Indices (n,) drawn with probabilities proportional to `masses` (k,)."""
    edges = masses.to(generator.device).cumsum(0)
    inside = uniforms(generator, n) * edges[-1]
    return torch.searchsorted(edges, inside, right=True).clamp(max=len(masses) - 1)


def reject(
    propose: Callable[[int, torch.Generator], Tensor],
    log_accept: Callable[[Tensor], Tensor],
    n: int,
    generator: torch.Generator,
) -> Tensor:
    """Exactly n draws by rejection: a proposal x is kept with probability exp(log_accept(x)).

    `log_accept` is log(target / envelope), at most 0 everywhere: that is what makes the draws exact, and it is checked
    on every proposal. Proposals come in blocks, so that a generator of one state gives the same draws.

    >>> generator = torch.Generator().manual_seed(0)
    >>> half = reject(
    ...     lambda n, g: uniforms(g, n, 1),
    ...     lambda x: torch.where(x[:, 0] < 0.5, 0.0, -torch.inf),
    ...     9,
    ...     generator,
    ... )
    >>> half.shape, bool((half < 0.5).all())
    (torch.Size([9, 1]), True)
    """
    if n < 0:
        raise UsageError("expected a number of samples", f"got {n}", "use n >= 0")
    kept: list[Tensor] = []
    missing = n
    while missing > 0 or not kept:
        x = propose(BLOCK, generator)
        chance = log_accept(x)
        assert not (chance > 1e-9).any(), "the envelope lies below the density"
        kept.append(x[uniforms(generator, len(x)).log() < chance])
        missing -= len(kept[-1])
    return torch.cat(kept)[:n]
