"""Kernel distance of features (KID where they are Inception's): unbiased at every sample size, with an interval."""

from __future__ import annotations

from typing import Any

from jensen.functional.intervals import t_quantile
from jensen.functional.kernel_distance import CHUNK, kernel_distance
from jensen.metrics.features import Sets, estimate, features
from jensen.quantity import Quantity


def measure(sets: Sets) -> dict[str, Quantity]:
    """The kernel distance of samples and held-out rows."""
    return {"kernel distance": kernel_mmd(sets.real, sets.fake, **sets.how())}


def kernel_mmd(real: Any, fake: Any, *, chunk: int = CHUNK, **how: Any) -> Quantity:
    """Squared MMD of features (n, d) and (m, d) by all pairs, kernel (x.y / d + 1)^3: an unbiased estimate, perhaps < 0.

    The interval is the jackknife's over rows of both sides; where the laws are equal it is too wide.
    """
    x, y = features(real), features(fake)
    found = kernel_distance(x, y, chunk)
    half = t_quantile(0.95, min(len(x), len(y)) - 1) * found.error
    return estimate(
        found.value,
        (found.value - half, found.value + half),
        of="squared MMD, kernel (x.y / d + 1)^3, all pairs",
        interval="jackknife over rows",
        **how,
    )
