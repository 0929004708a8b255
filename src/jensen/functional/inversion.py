"""Draws by inversion: one uniform number decides one draw, and the same number gives the same draw."""

from __future__ import annotations

import torch
from torch import Tensor


def invert(masses: Tensor, u: Tensor) -> Tensor:
    """The first index whose cumulative mass exceeds u: masses (..., levels), u (...) in [0, 1).

    The last level of positive mass takes what rounding leaves of the sum below one.

    >>> invert(torch.tensor([[0.25, 0.75, 0.0]]), torch.tensor([0.9999999])).tolist()
    [1]
    """
    below = masses.cumsum(-1)
    below = below / below[..., -1:]
    index = torch.searchsorted(below, u.unsqueeze(-1), right=True).squeeze(-1)
    last = (masses.size(-1) - 1) - (masses > 0).flip(-1).int().argmax(-1)
    return torch.minimum(index, last)
