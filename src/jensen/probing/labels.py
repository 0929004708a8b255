"""Whether a view keeps what a row is: the labels of its nearest neighbours before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.codec import as_tensor
from jensen.errors import SpaceError
from jensen.fitted import Fitted
from jensen.functional.binomial import clopper_pearson
from jensen.functional.votes import nearest_by_angle, vote
from jensen.probing.features import flat, reader
from jensen.quantity import Quantity
from jensen.scoring import RowSource
from jensen.views import Views, describe_view

ROWS = 2000
"""Rows of either part that are looked at, the first ones: they have been shuffled."""


def labels_kept(
    fitted: Fitted,
    parts: tuple[RowSource, RowSource],
    labels: tuple[NDArray[np.int64], NDArray[np.int64]],
    views: Any,
    seed: int,
    k: int = 5,
) -> dict[str, Quantity]:
    """Accuracy of the k nearest raw training rows on test rows: as they are, after each view alone, and after all of them.

    A view that changes what a row is costs accuracy; so does one that merely makes rows unlike those seen, so that a fall
    is a reason to look and no proof. Empty for rows that have no views of their own.
    """
    try:
        chosen = Views(fitted.codec.model_space, views)
    except SpaceError:
        return {}
    read = reader(fitted)
    train = torch.from_numpy(flat(fitted, parts[0][:ROWS], read))
    k = min(k, len(train))
    encoded, _ = fitted.codec.encode(as_tensor(parts[1][:ROWS]), torch.Generator().manual_seed(seed))
    near, truth = torch.from_numpy(labels[0][:ROWS]), labels[1][:ROWS]

    def accuracy(rows: Tensor) -> Quantity:
        places, cosines = nearest_by_angle(read(rows).float(), train, k)
        votes = vote(near[places], cosines, int(max(near.max(), truth.max())) + 1).numpy()
        right, n = int((votes == truth).sum()), len(truth)
        return Quantity(right / n, interval=clopper_pearson(right, n), how={"n": n, "k": k, "seed": seed})

    generator = torch.Generator().manual_seed(seed)
    found = {"as they are": accuracy(encoded)}
    for part in chosen.parts:
        found[describe_view(part)] = accuracy(Views(fitted.codec.model_space, part)(encoded, generator))
    return {**found, "all views": accuracy(chosen(encoded, generator))}
