"""Authenticity: the share of samples that are no nearer to a training row than that row's own nearest neighbour."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from jensen.errors import Cannot
from jensen.functional.binomial import clopper_pearson
from jensen.functional.neighbours import kth_distance, nearest
from jensen.metrics.features import Sets, estimate, features
from jensen.quantity import Quantity

CAUTION = (
    "low too where a model keeps to the middle of the data: this number does not tell that from memorising"
)


def measure(sets: Sets) -> dict[str, Quantity]:
    """Authenticity of the samples, and that of held-out rows, which nobody memorised: the number to compare with."""
    if sets.train is None:
        raise Cannot("authenticity asks about training rows", "got held-out rows alone", "pass Rows")
    return {
        "authenticity": authenticity(sets.train, sets.fake, **sets.how()),
        "authenticity of held-out rows": authenticity(sets.train, sets.real, **sets.how()),
    }


def authenticity(train: Any, fake: Any, **how: Any) -> Quantity:
    """Share of rows `fake` (m, d) whose distance to the nearest row of `train` (n, d) exceeds that row's to its own nearest.

    An estimate in [0, 1], with a Clopper-Pearson interval over `fake`, `train` held fixed (Alaa et al. 2022; AuthPct is
    100 times this).
    """
    x, y = features(train), features(fake)
    distance, where = nearest(y, x)
    own: Tensor = kth_distance(x, 1)[where]
    count = int((own < distance).sum())
    return estimate(
        count / len(y),
        clopper_pearson(count, len(y)),
        of="share of rows farther from their nearest training row than that one is from its own",
        interval="Clopper-Pearson over these rows",
        notes=[CAUTION],
        **how,
    )
