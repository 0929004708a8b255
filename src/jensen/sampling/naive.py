"""Ancestral sampling by one full pass a site: the plain sampler, the oracle of every faster one."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from jensen.sampling.walk import Walk


def naive(
    conditionals: Callable[[Tensor], Tensor], shape: tuple[int, ...], order: Tensor, walk: Walk
) -> None:
    """Draw all sites of `walk`, each from its distribution given the ones before.

    `conditionals` maps rows (n, *shape) to parameters (n, *shape, size); `order` (d,) lists the flat sites as they are
    drawn. Sites not drawn yet hold 0.
    """
    n = len(walk.x)
    for i in range(len(order)):
        site = order[i : i + 1]
        parameters = conditionals(walk.x.reshape(n, *shape)).reshape(n, len(order), -1)
        walk.draw(parameters[:, site], site)
        walk.go_on()
