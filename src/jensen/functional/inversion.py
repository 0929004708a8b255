"""Draws by inversion: one uniform number decides one draw, and the same number gives the same draw."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.errors import UsageError


def invert(masses: Tensor, u: Tensor) -> Tensor:
    """The first index whose cumulative mass exceeds u: masses (..., levels), u (...) in [0, 1).

    The last level of positive mass takes what rounding leaves of the sum below one.

    >>> invert(torch.tensor([[0.25, 0.75, 0.0]]), torch.tensor([0.9999999])).tolist()
    [1]
    """
    return cut(masses, u.unsqueeze(-1)).squeeze(-1)


def cut(masses: Tensor, u: Tensor) -> Tensor:
    """The same for many numbers of one table: masses (..., levels), u (..., m) -> (..., m).

    >>> cut(torch.tensor([0.25, 0.75]), torch.tensor([0.1, 0.2, 0.3])).tolist()
    [0, 0, 1]
    """
    below = masses.cumsum(-1)
    below = below / below[..., -1:]
    index = torch.searchsorted(below, u.contiguous(), right=True)
    last = (masses.size(-1) - 1) - (masses > 0).flip(-1).int().argmax(-1, keepdim=True)
    return torch.minimum(index, last)


def component(logits: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """A mixture's component (..., 1) int64 and a fresh uniform number (..., 1) in [0, 1], both from u (...) in [0, 1).

    Given that u falls into component k's interval of the cumulative weights softmax(logits), its place inside that
    interval is uniform again: one number is enough for both. Logits (..., components) and u in float64, so that a
    component of weight w leaves w * 2^53 different places.

    >>> k, rest = component(torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0.75], dtype=torch.float64))
    >>> k.item(), rest.item()
    (1, 0.5)
    """
    weights = logits.softmax(-1)
    above = weights.cumsum(-1)
    # the last sum is exactly one now, and so are those before it whose components have no weight: none of them is drawn
    above = above / above[..., -1:]
    u = u.unsqueeze(-1)
    k = (above <= u).sum(-1, keepdim=True).clamp_(max=logits.size(-1) - 1)
    rest = (u - above.gather(-1, k)) / weights.gather(-1, k) + 1
    return k, rest.clamp_(0, 1)


def check_temperature(temperature: float) -> None:
    """Raise UsageError unless 0 < temperature < inf."""
    if not 0 < temperature < math.inf:
        raise UsageError(
            "a temperature is a finite number above 0",
            f"got {temperature!r}",
            "1 samples the model itself, less prefers likely values",
        )
