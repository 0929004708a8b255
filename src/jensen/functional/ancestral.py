"""Ancestral sampling: site after site, each from its conditional given the ones before."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def ancestral(
    conditionals: Callable[[Tensor], Tensor],
    draw: Callable[[Tensor, Tensor, Tensor], Tensor],
    order: Tensor,
    u: Tensor,
) -> Tensor:
    """Rows (n, *shape) by one full pass a site: the plain sampler, the oracle of any faster one.

    `conditionals` maps rows (n, *shape) to parameters (n, *shape, size); `draw(parameters, u, sites)` inverts the
    distribution of some flat sites; `order` (d,) lists the flat sites as they are drawn; `u` (n, *shape) holds one
    uniform number a site. Sites not drawn yet hold 0.
    """
    n = len(u)
    x = torch.zeros(n, order.numel(), dtype=torch.long, device=u.device)
    flat_u = u.reshape(n, -1)
    for i in range(order.numel()):
        site = order[i : i + 1]
        parameters = conditionals(x.reshape(u.shape)).reshape(n, order.numel(), -1)
        x[:, site] = draw(parameters[:, site], flat_u[:, site], site)
    return x.reshape(u.shape)


def uniforms(
    n: int, shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """One uniform number in [0, 1) a site, (n, *shape), drawn in float64 where the generator lives."""
    source = generator.device if generator is not None else device
    return torch.rand(n, *shape, generator=generator, dtype=torch.float64, device=source).to(device)
