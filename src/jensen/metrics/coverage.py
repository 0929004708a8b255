"""Precision, recall, density and coverage: are samples where the data are, and are there samples wherever data are?"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from jensen.errors import Cannot
from jensen.functional.binomial import clopper_pearson
from jensen.functional.intervals import mean_interval
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
    held fixed. A model that yields one good sample again and again has a precision of 1 and a recall of 0. Raises Cannot
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
        _share(found.covered, **told),
    )


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
