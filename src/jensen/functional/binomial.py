"""Exact limits for a probability from counted events (Clopper and Pearson 1934)."""

from __future__ import annotations

from jensen.arguments import number, whole
from jensen.errors import UsageError


def clopper_pearson(events: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of a probability: each end misses with a probability of at most (1 - level) / 2.

    >>> low, high = clopper_pearson(0, 10)
    >>> low, round(high, 4)
    (0.0, 0.3085)
    """
    level = number("a level", level, 0, 1, "0.95 is usual", inside=True)
    events, n = whole("events", events, 0), whole("n", n, 0)
    half = (1 - level) / 2
    return 1 - upper_limit(n - events, n, half), upper_limit(events, n, half)


def upper_limit(events: int, n: int, alpha: float = 0.05) -> float:
    """The largest probability under which so few events have a probability of more than `alpha`.

    Valid too where the events differ in probability, of their mean (Hoeffding 1956).

    >>> round(upper_limit(0, 59), 4)
    0.0495
    """
    events, n = whole("events", events, 0), whole("n", n, 1)
    alpha = number("alpha", alpha, 0, 1, "0.05 is usual")
    if events > n:
        raise UsageError(
            "expected 0 <= events <= n and n >= 1", f"got {events} of {n}", "count what was seen of n"
        )
    if events == n:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(events + 1, n - events, 1 - alpha))
