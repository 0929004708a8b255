"""Memorisation: are samples nearer to training rows than to held-out rows of the same law?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from jensen.errors import Cannot
from jensen.functional.binomial import clopper_pearson
from jensen.functional.neighbours import nearest
from jensen.metrics.features import Sets, estimate, features
from jensen.quantity import Quantity


def measure(sets: Sets) -> dict[str, Quantity]:
    """The share of samples that are nearer to a training row than to any held-out row."""
    if sets.train is None:
        raise Cannot("memorisation asks about training rows", "got held-out rows alone", "pass Rows")
    return {"nearer to training rows": nearer_to_train(sets.train, sets.real, sets.fake, **sets.how())}


def nearer_to_train(train: Any, held: Any, fake: Any, *, seed: int = 0, **how: Any) -> Quantity:
    """Share of `fake` (m, d) nearer to one of `train` than to all of `held`; half of the ties count. 0.5: no memorising.

    As many rows of each are compared, the larger set drawn from at random by `seed`: nearness grows with numbers. The
    interval is over `fake`, the other two held fixed; two halves of few rows differ by chance as well.
    """
    x, z, y = (features(values) for values in (train, held, fake))
    count = min(len(x), len(z))
    rng = np.random.default_rng([seed, 23])
    x, z = (side[torch.from_numpy(rng.permutation(len(side))[:count]).to(side.device)] for side in (x, z))
    to_train, to_held = nearest(y, x)[0], nearest(y, z)[0]
    nearer, ties = int((to_train < to_held).sum()), int((to_train == to_held).sum())
    low, high = clopper_pearson(nearer, len(y))[0], clopper_pearson(nearer + ties, len(y))[1]
    return estimate(
        (nearer + ties / 2) / len(y),
        (low, high),
        of="share nearer to a training row than to any of as many held-out rows",
        expected=0.5,
        compared=count,
        interval="Clopper-Pearson over samples",
        **how,
    )
