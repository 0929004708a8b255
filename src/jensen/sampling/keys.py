"""The sampler of a causal Transformer: one place at a time, with the keys and values of the earlier places kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Protocol

import torch
from torch import Tensor

from jensen.sampling.walk import Walk

Cache = tuple[Tensor, Tensor]
"""Keys (n, heads, size, places) and values (n, heads, places, size) of the places so far, the n rows first in both."""


class Block(Protocol):
    """A block of the network as the sampler uses it."""

    def cache(self, n: int, places: int) -> Cache:
        """Room for the keys and values of n rows."""
        ...

    def step(self, x: Tensor, cache: Cache, place: int) -> Tensor:
        """(n, width) of one place, from the cache of the places up to it."""
        ...


class CachedSampler:
    """Draws the sites in `order` (d,): `start` (n, width) enters at place 0, an embedded value at every later one.

    `embed` maps values (n,) and the place they enter at to (n, width); `read` maps (n, width) at a place to the
    parameters (n, size) of its site. Memory: 2 x blocks x n x width x d numbers.
    """

    def __init__(
        self,
        order: Tensor,
        blocks: Sequence[Block],
        start: Tensor,
        embed: Callable[[Tensor, int], Tensor],
        read: Callable[[Tensor, int], Tensor],
    ) -> None:
        self.order, self.blocks, self.start, self.embed, self.read = order, blocks, start, embed, read

    @torch.no_grad()
    def __call__(self, walk: Walk) -> None:
        """Draw all sites of the walk."""
        n, d = walk.x.shape
        caches = [block.cache(n, d) for block in self.blocks]
        x, sites = self.start, self.order.split(1)
        for place in range(d):
            for block, cache in zip(self.blocks, caches):
                x = block.step(x, cache, place)
            values = walk.draw(self.read(x, place).unsqueeze(1), sites[place])
            index = walk.go_on()
            if index is not None:
                values = values[index]
                for known in chain(*caches):
                    known.copy_(known[index])
            if place + 1 < d:
                x = self.embed(values[:, 0], place + 1)
