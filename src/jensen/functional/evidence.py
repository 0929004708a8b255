"""log Z of an unnormalised density from log weights: bounds from below, from above, and how far to trust them.

With w = log p~(x) - log q(x): from samples of q every average of w or exp w lies below log Z in expectation (Jensen);
from exact samples of p every average of w or exp(-w) lies above. Between the two is log Z, and nothing else is proven:
where no sample of q fell, neither the interval nor the effective sample size nor k-hat can know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jensen.functional.importance import Tail, check_weights, effective_share, log_mean_exp, pareto_k
from jensen.functional.intervals import mean_interval, t_quantile
from jensen.quantity import Kind, Quantity

NOTE = "the interval covers the expectation of this bound, not log Z"
UNRELIABLE = "k-hat is beyond its threshold: the interval is too narrow"


@dataclass(frozen=True)
class Bounds:
    """Two bounds on log Z from one set of samples, in nats.

    `mean`: the average log weight, off log Z by KL(q || p) below or KL(p || q) above. `tight`: through the average
    weight, closer and noisier. `surely`: with probability `tight.level` log Z is on this side of it, whatever the tail
    of the weights (Markov's inequality). `share`: normalised effective sample size. `tail`: Pareto k-hat.
    """

    mean: Quantity
    tight: Quantity
    surely: float
    share: float
    tail: Tail


@dataclass(frozen=True)
class Evidence:
    """What is known of log Z: `below` from samples of q; `above` from exact samples of p, None without them."""

    below: Bounds
    above: Bounds | None = None


def evidence(log_w: Tensor, at_target: Tensor | None = None, *, level: float = 0.95) -> Evidence:
    """Bounds on log Z from log weights log p~ - log q, (n,) at samples of q and (m,) at exact samples of p.

    At a sample of q the weight may be 0 (log_w = -inf); at a sample of p it may be infinite (log q = -inf), where the
    upper bounds say inf. The intervals are Student t, widened for skew, (mean) and the logarithm of such a
    one of the mean weight (tight).

    >>> import torch
    >>> z = torch.randn(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> q, p = 1.2 * z, z  # q = N(0, 1.2^2), p~ = exp(-x^2 / 2): log Z = log(2 pi) / 2 = 0.919
    >>> log_w = lambda x: -(x**2) / 2 + (x / 1.2) ** 2 / 2 + math.log(1.2) + math.log(2 * math.pi) / 2
    >>> found = evidence(log_w(q), log_w(p))
    >>> [
    ...     round(x.value, 2)
    ...     for x in (found.below.mean, found.below.tight, found.above.tight, found.above.mean)
    ... ]
    [0.88, 0.92, 0.92, 0.95]
    """
    below = _below(check_weights(log_w), level, "q")
    if at_target is None:
        return Evidence(below)
    # log Z above = -(log 1/Z below): the same bounds on minus the log weights, the other way round
    flipped = _below(check_weights(-at_target), level, "p")
    above = Bounds(-flipped.mean, -flipped.tight, -flipped.surely, flipped.share, flipped.tail)
    return Evidence(below, above)


def _below(log_w: Tensor, level: float, samples: str) -> Bounds:
    share, tail = effective_share(log_w), pareto_k(log_w)
    averaged = "log mean weight" if samples == "q" else "minus log mean inverse weight"
    how: dict[str, Any] = {
        "n": len(log_w),
        "samples": samples,
        "ess": share,
        "k_hat": tail.k,
        "k_threshold": tail.threshold,
        "note": NOTE if tail.reliable else f"{NOTE}; {UNRELIABLE}",
    }
    values = log_w.numpy()
    mean = Quantity(
        float(values.mean()),
        Kind.LOWER,
        "nats",
        interval=mean_interval(values, level),
        level=level,
        how={**how, "bound": "mean log weight", "interval": "Student t, widened for skew", "note": NOTE},
    )
    tight = Quantity(
        float(log_mean_exp(log_w)),
        Kind.LOWER,
        "nats",
        interval=_delta_interval(log_w, share, level),
        level=level,
        how={**how, "bound": averaged, "interval": "log of the mean weight's"},
    )
    # P(mean weight >= Z / (1 - level)) <= 1 - level, because the mean weight is not negative and its expectation at most Z
    return Bounds(mean, tight, tight.value + math.log(1 - level), share, tail)


def _delta_interval(log_w: Tensor, share: float, level: float) -> tuple[float, float]:
    """The logarithm of the interval of the mean weight, where that lies above 0; otherwise the delta method.

    The standard error of log mean w is that of w over its mean: sqrt((1 / share - 1) / (n - 1)).
    """
    n = len(log_w)
    if n < 2 or share == 0:
        return -math.inf, math.inf
    centre = float(log_mean_exp(log_w))
    low, high = mean_interval((log_w - centre).exp().numpy(), level)
    if low > 0:
        return centre + min(math.log(low), 0.0), centre + max(math.log(high), 0.0)
    half = t_quantile(level, n - 1) * math.sqrt(max(1 / share - 1, 0.0) / (n - 1))
    return centre - half, centre + max(half, math.log(high))
