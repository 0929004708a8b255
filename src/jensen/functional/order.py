"""Who comes before whom: the ranks of a module's inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from jensen.errors import Cannot
from jensen.functional.masks import channel_group


class Order(NamedTuple):
    """Ranks from 0: (inputs,) of every input of one row of `shape`, and (outputs,) of every output.

    An output may depend on inputs of a smaller rank only. Equal ranks are one site.
    """

    inputs: Tensor
    outputs: Tensor
    shape: tuple[int, ...]

    @property
    def sites(self) -> int:
        """The number of ranks."""
        return int(self.inputs.max()) + 1


def own_order(order: Tensor, shape: Sequence[int], outputs: int) -> Order:
    """The order of a model that says it: `order` (d,) names the sites as they are drawn; `outputs`, sites first.

    >>> own_order(torch.tensor([1, 0]), (2,), 4).outputs.tolist()
    [1, 1, 0, 0]
    """
    rank = order.cpu().argsort()
    return Order(rank, rank.repeat_interleave(outputs // len(rank)), tuple(shape))


def raster_order(given: Sequence[int], output: Sequence[int], *, channel_order: bool = False) -> Order:
    """Raster order over the positions of an input row `given`, for an output row of shape `output`.

    Channels come first in both, and are one site a position or, with `channel_order`, one after the other (R before
    G before B). An input (length,) takes an output (length, ...). Raises Cannot when the output does not lie there.

    >>> raster_order((1, 2, 2), (3, 2, 2)).outputs.tolist()
    [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
    """
    given, output = tuple(given), tuple(output)
    if len(given) == 1 and output[:1] == given:
        inside = torch.arange(given[0])
        return Order(inside, inside.repeat_interleave(prod(output[1:])), given)
    spatial = given[1:]
    if len(given) < 2 or len(output) < len(spatial) or output[len(output) - len(spatial) :] != spatial:
        raise Cannot(
            f"the output {output} does not lie on the positions of the input {given}, so that it has no order",
            "",
            "pass a module whose last axes are the input's",
        )
    places, channels = prod(spatial), prod(output[: len(output) - len(spatial)])
    groups = given[0] if channel_order else 1
    if channels < groups:
        raise Cannot(f"{channels} output channels cannot be told apart by {groups} ordered input channels")
    place = torch.arange(places)
    inputs = place * groups + channel_group(given[0], groups)[:, None]
    outputs = place * groups + channel_group(channels, groups)[:, None]
    return Order(inputs.flatten(), outputs.flatten(), given)


def fold_ranks(links: Tensor, ranks: Tensor, count: int) -> Tensor:
    """OR over the entries of one rank along the last axis: bool (..., entries) -> (..., count).

    >>> fold_ranks(torch.tensor([[True, False, False]]), torch.tensor([0, 1, 1]), 2).tolist()
    [[True, False]]
    """
    counts = torch.zeros(*links.shape[:-1], count)
    return counts.index_add_(-1, ranks, links.float()).gt(0)
