"""Whose samples are told from held-out rows more easily: two models' critics on the same rows, by a paired bootstrap."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.errors import Incomparable
from jensen.freshness import Fresh
from jensen.functional.bootstrap import sum_of_means_interval
from jensen.quantity import Kind, Quantity

ABOUT = (
    "the bounds that these critics reach on these samples, not the divergences themselves: two lower bounds order no two "
    "truths"
)


@dataclass(frozen=True)
class Separation:
    """Two models by the bounds that their critics reach: the samples of `farther` are told apart more easily, if `decided`.

    `difference`: farther's bound less closer's, nats, an estimate with the interval of the paired bootstrap.
    """

    closer: str
    farther: str
    difference: Quantity

    @property
    def decided(self) -> bool:
        """Whether the interval leaves zero out."""
        low, high = self.difference.interval or (0.0, 0.0)
        return low > 0 or high < 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "closer": self.closer,
            "farther": self.farther,
            "decided": self.decided,
            "difference": self.difference.to_dict(),
        }


def separations(told: Mapping[str, Fresh], level: float = 0.95, seed: int = 0) -> list[Separation]:
    """Every pair of models once, the one with the lower bound as `closer`; right with probability `level` all together."""
    pairs = list(itertools.combinations(told, 2))
    each = 1 - (1 - level) / max(len(pairs), 1)
    found = []
    for pair in pairs:
        closer, farther = sorted(pair, key=lambda name: told[name].jsd.value)
        found.append(Separation(closer, farther, bound_difference(told[farther], told[closer], each, seed)))
    return found


def bound_difference(first: Fresh, second: Fresh, level: float = 0.95, seed: int = 0) -> Quantity:
    """The first bound less the second, nats: an estimate whose interval redraws held-out rows and samples.

    1. A bound is log 2 - (mean loss on rows + mean loss on samples) / 2, so that the difference is a sum of means: of the
       losses' difference row by row over the same held-out rows, and of that of the samples.
    2. Samples of one seed and number are redrawn in pairs as well, for the same noise may have made them; those of other
       numbers each by themselves.

    The critics and what they were trained on are held: it says how these critics compare on new rows and samples of the same
    laws, not whose divergence is larger. Raises Incomparable for other held-out rows.
    """
    if first.rows != second.rows:
        raise Incomparable(
            "bounds on other held-out rows are not paired",
            f"got {len(first.rows)} and {len(second.rows)} rows",
            "judge both models on the same rows with the same seed",
        )
    sets: list[NDArray[np.float64]] = [(second.on_rows - first.on_rows) / 2]
    paired = first.samples == second.samples
    if paired:
        sets.append((second.on_samples - first.on_samples) / 2)
    else:
        sets += [second.on_samples / 2, -first.on_samples / 2]
    how = {
        "of": "difference of two critics' bounds",
        "interval": "studentised bootstrap over held-out rows in pairs and samples"
        + (" in pairs" if paired else "")
        + ", these critics",
        "n_rows": len(first.rows),
        "n_samples": [len(one.on_samples) for one in (first, second)],
        "about": ABOUT,
    }
    value = float(sum(one.mean() for one in sets))
    return Quantity(
        value, Kind.ESTIMATE, "nats", interval=sum_of_means_interval(sets, level, seed), level=level, how=how
    )
