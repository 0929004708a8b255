"""How numbers decide: identities up to rounding, orders by an interval, equal means by one that is sure.

What is a matter of degree is true where its 95 % interval lies on the claim's side, false where it lies on the other, and
undecided where it contains the border. An equality of noisy means is refuted only at a level that chance reaches once in a
million, so that the course does not fail by itself; and it counts for something only where the noise is small.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.course.claim import Finding
from jensen.functional.binomial import clopper_pearson
from jensen.functional.intervals import half_sum_interval, mean_interval
from jensen.quantity import Kind, Quantity, Unit

Array = NDArray[np.float64]
SURE = 1 - 1e-6
"""The level at which an equality is refuted."""


def exactly(what: str, worst: float, within: float, **numbers: Any) -> Finding:
    """An identity: the largest deviation `worst` is rounding, `within`.

    >>> exactly("2 + 2 = 4", 0.0, 1e-12).holds, exactly("2 + 2 = 5", 1.0, 1e-12).holds
    (True, False)
    """
    return Finding(what, bool(worst <= within), {**numbers, "largest deviation": worst, "allowed": within})


def counted(what: str, wrong: int, of: int, **numbers: Any) -> Finding:
    """So many of so many are wrong: true where none is. Undecided where there was nothing to count."""
    return Finding(what, None if of == 0 else wrong == 0, {**numbers, "compared": of, "wrong": wrong})


def above(what: str, found: Quantity, least: float = 0.0, /, **numbers: Any) -> Finding:
    """`found` exceeds `least`: by its whole interval, or not at all.

    >>> above("more than nothing", mean(np.array([1.0, 1.1, 0.9]))).holds
    True
    >>> above("more than two", mean(np.array([1.0, 1.1, 0.9])), 2.0).holds
    False
    """
    low, high = found.interval or (found.value, found.value)
    holds = True if low > least else False if high < least else None
    return Finding(what, holds, {"found": found, "more than": least, **numbers})


def agree(what: str, first: Array, second: Array | float, unit: Unit = "nats", share: float = 0.25, **numbers: Any) -> Finding:  # fmt: skip
    """The means of independent values (n,) and (m,), or a known number, are equal.

    False where they differ beyond chance (once in a million), undecided where the noise of the difference exceeds
    `share` of their size.
    """
    known = np.full(2, second) if isinstance(second, float) else second
    low, high = difference_interval(first, known, SURE)
    found = difference(first, known, unit)
    assert found.interval is not None
    half, size = (found.interval[1] - found.interval[0]) / 2, abs(float(known.mean()))
    holds = False if not low <= 0 <= high else True if half <= share * size else None
    other: Any = second if isinstance(second, float) else mean(second, unit)
    return Finding(what, holds, {"one": mean(first, unit), "other": other, "difference": found, **numbers})


def mean(
    values: Array, unit: Unit = "nats", kind: Kind = Kind.ESTIMATE, level: float = 0.95, **how: Any
) -> Quantity:
    """The mean of independent values (n,) with its interval, Student t widened for skew."""
    ends = mean_interval(values, level)
    return Quantity(
        float(values.mean()), kind, unit, interval=ends, level=level, how={"n": len(values), **how}
    )


def share(hits: int, n: int, **how: Any) -> Quantity:
    """A share with Clopper and Pearson's interval."""
    return Quantity(hits / n, Kind.ESTIMATE, "", interval=clopper_pearson(hits, n), how={"n": n, **how})


def difference(first: Array, second: Array, unit: Unit = "nats") -> Quantity:
    """The difference of the means of independent values, with Welch's interval."""
    value = float(first.mean() - second.mean())
    low, high = difference_interval(first, second)
    return Quantity(value, Kind.ESTIMATE, unit, interval=(min(low, value), max(high, value)))


def difference_interval(first: Array, second: Array, level: float = 0.95) -> tuple[float, float]:
    """Welch's interval of E first - E second."""
    low, high = half_sum_interval(first, -second, level)
    return 2 * low, 2 * high


def rising(values: list[float], slack: float = 0.0) -> float:
    """By how much the worst step of a sequence falls, 0 where none does.

    >>> rising([1.0, 2.0, 1.5])
    0.5
    """
    return max(0.0, *(a - b - slack for a, b in pairwise(values)), 0.0) if values else math.nan
