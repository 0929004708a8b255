"""The log ratio of two laws that hardly overlap, as a sum over a path between them: an estimate, never a bound.

One critic cannot see beyond log n nats. Neighbouring waymarks on the path overlap, so that each of their ratios is
within its reach.

Reference: Rhodes, Xu, Gutmann 2020, Telescoping density-ratio estimation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from jensen.critics import Logit, Rows
from jensen.critics.dense import dense
from jensen.critics.logistic import fit_logistic, quadratic
from jensen.critics.platt import log_losses
from jensen.errors import Cannot
from jensen.functional.critic_limits import LOG_2
from jensen.functional.intervals import mean_interval
from jensen.functional.ratio import waymarks
from jensen.quantity import Kind, Quantity
from jensen.space import Space

BRIDGES = (8, 16, 32)
"""As few as leave no bridge saturated."""

WIDEST_BRIDGE = 0.5
"""The JSD of neighbours, in nats, from which on there are too few bridges."""

MOST_COLUMNS = 30


@dataclass(frozen=True)
class Telescope:
    """`logit`: log density of x1's law over x0's (n,), the sum over `bridges`; `widest`: the JSD of the widest one."""

    logit: Logit
    bridges: int
    widest: float

    def kl(self, x1: Rows) -> Quantity:
        """E_x1 of the log ratio on rows that had no part in it: an estimate of KL(law of x1 || law of x0), in nats."""
        values = self.logit(x1)
        notes = ["a sum of estimated ratios: no bound"]
        if self.widest > WIDEST_BRIDGE:
            notes.append(f"neighbours still differ by a JSD of {self.widest:.2f} nats: likely too small")
        how = {
            "bridges": self.bridges,
            "n": len(values),
            "interval": "Student t over rows, these critics",
            "notes": notes,
        }
        return Quantity(float(values.mean()), Kind.ESTIMATE, "nats", interval=mean_interval(values), how=how)


def telescope(x0: Rows, x1: Rows, space: Space, seed: int = 0) -> Telescope:
    """Quadratic critics along the path. Raises Cannot for categories, gaps, constants and many columns."""
    if (
        any(space.column(site).kind == "categorical" for site in range(space.dims))
        or space.dims > MOST_COLUMNS
    ):
        raise Cannot(
            f"telescoping needs numbers alone, in at most {MOST_COLUMNS} columns",
            f"got {space.describe()}",
            "leave the other columns out",
        )
    if np.isnan(x0).any() or np.isnan(x1).any():
        raise Cannot(
            "telescoping needs rows without gaps", "got some", "leave such columns out, or fill them"
        )
    if any((np.ptp(x, axis=0) == 0).any() for x in (x0, x1)):
        raise Cannot(
            "telescoping needs columns that vary on both sides", "one is constant on a side", "leave it out"
        )
    scale = dense(np.concatenate([x0, x1]), space)
    rng = np.random.default_rng([seed, 17])
    count = min(len(x0), len(x1))
    ends = scale(x1[rng.permutation(len(x1))[:count]]), scale(x0[rng.permutation(len(x0))[:count]])
    found = _bridged(ends, BRIDGES[0])
    for bridges in BRIDGES[1:]:
        if found[1] <= WIDEST_BRIDGE:
            break
        found = _bridged(ends, bridges)
    steps, widest = found

    def logit(x: Rows) -> Rows:
        features = quadratic(scale(x))
        return np.sum([step(features) for step in steps], axis=0)

    return Telescope(logit, len(steps), widest)


def _bridged(ends: tuple[Rows, Rows], bridges: int) -> tuple[list[Logit], float]:
    """A critic for every two neighbours, and the JSD of those that differ most."""
    path = [
        quadratic(x.numpy()) for x in waymarks(torch.from_numpy(ends[0]), torch.from_numpy(ends[1]), bridges)
    ]
    steps = [fit_logistic(far, near) for near, far in pairwise(path)]
    losses = [log_losses(step(far), step(near)) for step, near, far in zip(steps, path[:-1], path[1:])]
    return steps, max(LOG_2 - float(l0.mean() + l1.mean()) / 2 for l0, l1 in losses)
