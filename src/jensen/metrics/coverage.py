"""Precision, recall, density and coverage: are samples where the data are, and are there samples wherever data are?"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import Tensor

from jensen.errors import Cannot
from jensen.functional.binomial import clopper_pearson
from jensen.functional.intervals import mean_interval, t_quantile
from jensen.functional.neighbours import CHUNK, balls
from jensen.metrics.features import Sets, estimate, features
from jensen.quantity import Quantity

K = 5
MOST_WITHOUT_RADIUS = 0.5


class Prdc(NamedTuple):
    """The four numbers, each an estimate.

    precision: share of samples within the data's balls; recall: share of data within the samples' balls. density: how
    many of the data's balls hold a sample, over k, so that 1 is usual and more is possible. coverage: share of data
    whose own ball holds a sample; robust to outliers among the samples, which recall is not.
    """

    precision: Quantity
    recall: Quantity
    density: Quantity
    coverage: Quantity


def measure(sets: Sets) -> dict[str, Quantity]:
    """Precision, recall, density and coverage of samples against held-out rows."""
    return prdc(sets.real, sets.fake, **sets.how())._asdict()


def prdc(real: Any, fake: Any, *, k: int = K, chunk: int = CHUNK, **how: Any) -> Prdc:
    """The four numbers from features (n, d) and (m, d), a ball reaching to the k-th neighbour on its own side.

    They depend on n, m and k: compare only where these agree. Intervals are over the rows that are counted, the balls
    held fixed; that of coverage also over the samples, which many balls share. A model that yields one good sample again and again has a precision of 1 and a recall of 0. Raises Cannot
    where most balls have no radius: more than k rows are equal, and no neighbour is told from another.
    """
    x, y = features(real), features(fake)
    found = balls(x, y, k, chunk)
    notes = _notes(found.real_radius, "real") + _notes(found.fake_radius, "fake")
    told = {"k": k, "interval": "over the rows counted, the balls fixed", "notes": notes, **how}
    density = found.in_real.double() / k
    return Prdc(
        _share(found.in_real > 0, **told),
        _share(found.found, **told),
        estimate(float(density.mean()), mean_interval(density.cpu().numpy()), **told),
        _coverage(found.covered, found.alone, {**told, "interval": "over data and samples"}),
    )


def _coverage(covered: Tensor, alone: Tensor, how: dict[str, Any]) -> Quantity:
    """The exact interval of the share of data, and a jackknife over samples: without one, the balls that it holds alone are
    empty. The sides are independent: squared distances to the ends add."""
    n, m = len(covered), len(alone)
    share = _share(covered, **how)
    assert share.interval is not None
    lost = alone.double() / n
    error = float(((m - 1) / m * (lost - lost.mean()).square().sum()).sqrt()) if m > 1 else 0.0
    reach = t_quantile(0.95, max(m - 1, 1)) * error
    low, high = (math.hypot(end - share.value, reach) for end in share.interval)
    return estimate(share.value, (max(share.value - low, 0.0), min(share.value + high, 1.0)), **how)


def _share(held: Tensor, **how: Any) -> Quantity:
    count, n = int(held.sum()), len(held)
    return estimate(count / n, clopper_pearson(count, n), **how)


def _notes(radius: Tensor, side: str) -> list[str]:
    empty = float((radius == 0).double().mean())
    if empty > MOST_WITHOUT_RADIUS and side == "real":
        raise Cannot(
            f"{empty:.0%} of the {side} rows have more than k equals",
            "so that their balls have no radius and nothing lies within",
            "count the distinct rows, take a larger k, or a lens that tells them apart",
        )
    return [f"{empty:.1%} of the {side} balls have no radius, for rows are repeated"] if empty else []
