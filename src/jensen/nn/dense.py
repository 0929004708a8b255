"""A dense network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.functional.dense import network


class Dense(nn.Module):
    """(..., inside) -> (..., out) by relu layers. `gain` scales the weights of the last layer, whose bias starts at zero."""

    def __init__(self, inside: int, hidden: Sequence[int], out: int, gain: float = 1.0) -> None:
        super().__init__()
        if any(size < 1 for size in hidden):
            raise UsageError(
                "expected hidden sizes of 1 or more", f"got {tuple(hidden)}", "400, 400 is usual"
            )
        sizes = [inside, *hidden, out]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.mul_(gain)
            last.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """The last layer's outputs."""
        weights, biases = zip(*((layer.weight, layer.bias) for layer in self.layers))
        found = network(x if x.ndim == 2 else x.flatten(0, -2), weights, biases)
        return found if x.ndim == 2 else found.unflatten(0, x.shape[:-1])
