"""These weights or this method: models fitted again with other seeds, and what is proven of the way they are made."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.functional.intervals import (
    SURE_OF_SKEW,
    skewed_ends,
    skews_of_mean,
    t_quantile,
)
from jensen.quantity import Kind, Order, Quantity, Scores, decide, no_spread

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Method:
    """One model fitted with several seeds: the mean log-likelihood of each, and of the method.

    each (seeds,): nats a row, over the same held-out rows. mean: of them, its interval over rows like these and seeds like
    these. between: standard deviation from seed to seed.
    """

    name: str
    each: tuple[float, ...]
    mean: Quantity
    between: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "name": self.name,
            "each": list(self.each),
            "mean": self.mean.to_dict(),
            "between": self.between,
        }


@dataclass(frozen=True)
class PairOrder:
    """Two models, or methods, and what their paired differences prove; `better` has the larger mean."""

    better: str
    worse: str
    order: Order

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "better": self.better,
            "worse": self.worse,
            "answer": self.order.answer.value,
            "difference": self.order.difference.to_dict(),
        }


@dataclass(frozen=True)
class Methods:
    """What several seeds say of the methods of a comparison; `level` of each interval, and of all orders together."""

    seeds: tuple[int, ...]
    level: float
    methods: tuple[Method, ...]
    orders: tuple[PairOrder, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "seeds": list(self.seeds),
            "level": self.level,
            "methods": [one.to_dict() for one in self.methods],
            "orders": [one.to_dict() for one in self.orders],
        }


def methods_of(scores: Mapping[str, Sequence[Scores]], seeds: Sequence[int], level: float) -> Methods:
    """Compare methods by their scores with each of the seeds, two at least, on the same rows.

    The mean of values v(s, r) over seeds and rows varies as a_s + b_r + e, both drawn at random: its variance is at most
    that of the seeds' means over their number, plus that of the rows' means over theirs, which counts e twice and so is a
    little wide. Student's quantiles, one for the seeds and one for the rows, whose ends add as squares do (Graybill & Wang 1980):
    few seeds give wide intervals.
    Orders are of paired differences, seed by seed, each pair at the level that makes all of them right together
    (Bonferroni), with twice the standard error of the skewness over rows; an order needs kinds that order (`quantity.order`).
    """
    tables = {name: np.stack([one.values for one in some]) for name, some in scores.items()}
    kinds = {name: some[0].kind for name, some in scores.items()}
    methods = [
        Method(
            name,
            tuple(float(mean) for mean in table.mean(1)),
            _mean(table, kinds[name], scores[name][0], level),
            float(table.mean(1).std(ddof=1)),
        )
        for name, table in tables.items()
    ]
    methods.sort(key=lambda one: -one.mean.value)
    pairs = list(itertools.combinations([one.name for one in methods], 2))
    strict = 1 - (1 - level) / max(len(pairs), 1)
    orders = []
    for first, second in pairs:
        kind = kinds[first] + -kinds[second]
        difference = _mean(tables[first] - tables[second], kind, scores[first][0], strict, SURE_OF_SKEW)
        orders.append(PairOrder(first, second, decide(difference)))
    return Methods(tuple(seeds), level, tuple(methods), tuple(orders))


def interval_of(values: Array, level: float, *, skew_errors: float = 0.0) -> tuple[float, float]:
    """The interval of the mean of values (seeds, rows), over rows and seeds; `skew_errors` as in `mean_interval`."""
    seeds, rows = values.shape
    by_seed = float(values.mean(1).var(ddof=1)) / seeds
    by_row = float(values.mean(0).var(ddof=1)) / rows if rows > 1 else 0.0
    mean = float(values.mean())
    # each part with a quantile of its own: the freedom of Welch and Satterthwaite is too large whenever the few seeds happen
    # to agree, and then 3 seeds prove false orders in 7 % of the comparisons
    half = t_quantile(level, seeds - 1) * math.sqrt(by_seed)
    low, high = 0.0, 0.0
    if by_row > 0:
        skews = skews_of_mean(values.mean(0), skew_errors)
        low, high = skewed_ends(0.0, math.sqrt(by_row), t_quantile(level, rows - 1), *skews)
    return mean - math.hypot(half, low), mean + math.hypot(half, high)


def _mean(values: Array, kind: Kind, like: Scores, level: float, skew_errors: float = 0.0) -> Quantity:
    ends = interval_of(values, level, skew_errors=skew_errors)
    if skew_errors and no_spread(values):  # as in `paired_difference`
        ends = -math.inf, math.inf
    return Quantity(
        float(values.mean()),
        kind,
        "nats",
        like.measure,
        interval=ends,
        level=level,
        how={"seeds": values.shape[0], "rows": like.rows, "n": values.shape[1], "over": "rows and seeds"},
    )
