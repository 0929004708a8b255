"""The terms whose mean is an f-divergence, as functions of t = log p - log q; r = e^t.

1. f(r) - f'(1) (r - 1) has the same mean under q as f(r), and is never negative.
2. Under the even mixture of p and q the term is h(t) = 2 (f(r) - f'(1) (r - 1)) / (1 + r): it grows at most linearly
   in t for all but chi-squared, and is bounded for the bounded divergences.
3. Under q alone the term is h(t) (1 + e^t) / 2, under p alone h(t) (1 + e^-t) / 2: precise where p and q are close,
   since both the value and the slope of h are 0 at t = 0, and heavy where the other law is much wider.
4. Another multiple of r - 1 gives textbook ("plain") terms that can be negative and have a lighter tail: log r for KL
   under p, (1 - 1/r)+ for total variation, 1 - 1/sqrt(r) for squared Hellinger.

Source of the non-negative form of KL: Schulman 2020, Approximating KL divergence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from jensen.quantity import Unit

Terms = Callable[[Tensor], Tensor]
"""From log ratios t (n,) to terms (n,)."""


class Form(NamedTuple):
    """`term`: h(t); `plain`: the textbook terms under p and under q; `lighter`: the sides where their tail is lighter
    than that of the non-negative terms; `most`: the largest value."""

    of: str
    unit: Unit
    term: Terms
    plain: tuple[Terms, Terms]
    lighter: str
    most: float = math.inf


def _times(factor: Tensor, t: Tensor) -> Tensor:
    """factor * t, and 0 where the factor is 0 though t be infinite."""
    return torch.where(factor == 0, 0.0, factor * t)


def _kl(t: Tensor) -> Tensor:
    return 2 * (_times(t.sigmoid(), t) - (t / 2).tanh())


def _jensen_shannon(t: Tensor) -> Tensor:
    entropy = _times(t.sigmoid(), softplus(-t)) + _times((-t).sigmoid(), softplus(t))
    return math.log(2) - entropy


def _jensen_shannon_under_p(t: Tensor) -> Tensor:
    """E_q log(q/m) as E_p (1/r) log(2 / (1 + r)), less log 2 times 1/r - 1 of mean 0: log(1 + r) / r, bounded, is left."""
    slope = torch.where(t < -37, 1.0, _times((-t).exp(), softplus(t)))
    return math.log(2) - softplus(-t) / 2 - slope / 2


FORMS: dict[str, Form] = {
    "kl": Form("KL(p || q)", "nats", _kl, (lambda t: t, lambda t: _times(t.exp(), t)), "p"),
    "reverse-kl": Form(
        "KL(q || p)", "nats", lambda t: _kl(-t), (lambda t: _times((-t).exp(), -t), lambda t: -t), "q"
    ),
    "jensen-shannon": Form(
        "JSD(p, q)",
        "nats",
        _jensen_shannon,
        (_jensen_shannon_under_p, lambda t: _jensen_shannon_under_p(-t)),
        "pq",
        math.log(2),
    ),
    "chi-squared": Form(
        "chi^2(p || q) = E_q (p/q - 1)^2",
        "",
        lambda t: 2 * t.expm1() * (t / 2).tanh(),
        (lambda t: t.expm1(), lambda t: (2 * t).expm1()),
        "p",
    ),
    "squared-hellinger": Form(
        "1 - integral of sqrt(p q)",
        "",
        lambda t: 1 - 1 / (t / 2).cosh(),
        (lambda t: -(-t / 2).expm1(), lambda t: -(t / 2).expm1()),
        "pq",
        1.0,
    ),
    "total-variation": Form(
        "integral of |p - q| / 2",
        "",
        lambda t: (t / 2).tanh().abs(),
        (lambda t: (-(-t).expm1()).clamp(min=0), lambda t: (-t.expm1()).clamp(min=0)),
        "pq",
        1.0,
    ),
}
"""The divergences by name."""
