"""Lower limits on the Jensen-Shannon divergence, exact in finite samples, from a critic's logits on rows it never saw.

Two ways, neither of which rests on a normal approximation (that one misses in up to half of the runs near saturation):

- betting on the critic's log-loss: log 2 + (E log sigma(l) + E log sigma(-l)) / 2 <= JSD for any logits l;
- Fano on its errors: JSD >= log 2 - h(e), h the binary entropy, e < 1/2 the largest error rate that the errors allow.

Fano wins where nearly every row is told apart, betting elsewhere. Choose before looking at the rows.

Logits are natural log-odds of "real", rows of either side equally likely.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from jensen.functional.betting import lower_limit
from jensen.functional.binomial import upper_limit

Array = NDArray[np.float64]
LOG_2 = math.log(2)


def betting_limits(real: Array, fake: Array, clip: float, alpha: float = 0.05) -> tuple[float, float]:
    """Lower and upper limit of E = log 2 + (E log sigma(l) + E log sigma(-l)) / 2; the lower one is one of the JSD too.

    `real` (n,), `fake` (m,): logits in an order that does not depend on them, clipped to +-`clip`, which is fixed
    beforehand. Each limit misses with a probability of at most `alpha`. The larger set is averaged in groups, one for
    each row of the smaller.

    >>> rng = np.random.default_rng(0)
    >>> x1, x0 = rng.normal(1, 1, 2000), rng.normal(-1, 1, 2000)  # l = 2x is the log ratio
    >>> low, high = betting_limits(2 * x1, 2 * x0, 7.0)
    >>> round(low, 3), round(high, 3)
    (0.312, 0.348)
    """
    count = min(len(real), len(fake))
    terms = [_grouped(log_sigmoid(np.clip(side, -clip, clip)), count) for side in (real, -fake)]
    least, most = log_sigmoid(np.array([-clip, clip]))
    scaled = np.clip(((terms[0] + terms[1]) / 2 - least) / (most - least), 0, 1)
    low, high = lower_limit(scaled, alpha), 1 - lower_limit(1 - scaled, alpha)
    return float(LOG_2 + least + low * (most - least)), float(LOG_2 + least + high * (most - least))


def fano_limit(real: Array, fake: Array, alpha: float = 0.05) -> float:
    """Lower limit of the JSD from the errors of sign(l) on as many real as fake rows; a logit of 0 is an error.

    >>> round(fano_limit(np.ones(100), -np.ones(100)), 3)
    0.616
    """
    count = min(len(real), len(fake))
    errors = int((real[:count] <= 0).sum() + (fake[:count] >= 0).sum())
    rate = upper_limit(errors, 2 * count, alpha)
    return LOG_2 - binary_entropy(rate) if rate < 0.5 else 0.0


def log_sigmoid(logit: Array) -> Array:
    """log(1 / (1 + e^-l)) without overflow."""
    return -np.logaddexp(0.0, -logit)


def binary_entropy(p: float) -> float:
    """-p log p - (1 - p) log(1 - p), in nats."""
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)


def _grouped(values: Array, count: int) -> Array:
    """(n,) -> (count,): means of groups of n // count neighbours; the rest is left out."""
    size = len(values) // count
    return values[: size * count].reshape(count, size).mean(1)
