"""Nearest neighbours among features by the angle between them, and what they vote for."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.contrastive import unit_rows


def nearest_by_angle(queries: Tensor, references: Tensor, k: int, tile: int = 1024) -> tuple[Tensor, Tensor]:
    """(places (m, k), cosines (m, k)) of the k rows of `references` (n, d) most similar to each of `queries` (m, d).

    >>> places, cosines = nearest_by_angle(torch.tensor([[1.0, 0.1]]), torch.eye(2), 1)
    >>> places.tolist(), round(float(cosines), 3)
    ([[0]], 0.995)
    """
    if not 1 <= k <= len(references):
        raise UsageError(
            f"expected 1 to {len(references)} neighbours, as many as there are rows", f"got {k}", "5 is usual"
        )
    units = unit_rows(references)
    found = [(part @ units.T).topk(k, 1) for part in unit_rows(queries).split(tile)]
    return torch.cat([one.indices for one in found]), torch.cat([one.values for one in found])


def vote(labels: Tensor, cosines: Tensor, classes: int) -> Tensor:
    """The class (m,) with the most votes among neighbours' labels (m, k); a tie goes to the larger sum of cosines.

    >>> vote(torch.tensor([[0, 1]]), torch.tensor([[0.9, 0.8]]), 2).tolist()
    [0]
    """
    # a cosine is at most 1 in size: k of them, scaled by 1/4k, never outweigh a vote
    weights = 1 + cosines / (4 * labels.size(1))
    return torch.zeros(len(labels), classes).scatter_add_(1, labels, weights.float()).argmax(1)
