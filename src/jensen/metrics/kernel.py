"""Kernel distance of features (KID where they are Inception's): unbiased at every sample size, with an interval."""

from __future__ import annotations

from typing import Any

from jensen.functional.intervals import skewed_ends, t_quantile
from jensen.functional.kernel_distance import CHUNK, kernel_distance
from jensen.metrics.features import Sets, estimate, features
from jensen.quantity import Quantity


def measure(sets: Sets) -> dict[str, Quantity]:
    """The kernel distance of samples and held-out rows."""
    return {"kernel distance": kernel_mmd(sets.real, sets.fake, **sets.how())}


def kernel_mmd(real: Any, fake: Any, *, chunk: int = CHUNK, **how: Any) -> Quantity:
    """Squared MMD of features (n, d) and (m, d) by all pairs, kernel (x.y / d + 1)^3: an unbiased estimate, perhaps < 0.

    The interval is the jackknife's over rows of both sides, widened for their skew; where the laws are equal it is too wide.
    """
    x, y = features(real), features(fake)
    found = kernel_distance(x, y, chunk)
    quantile = t_quantile(0.95, min(len(x), len(y)) - 1)
    return estimate(
        found.value,
        skewed_ends(found.value, found.error, quantile, found.skew),
        of="squared MMD, kernel (x.y / d + 1)^3, all pairs",
        interval="jackknife over rows, widened for skew",
        **how,
    )
