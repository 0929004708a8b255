"""f-divergences of two laws from their log densities at samples: D_f(p || q) = E_q f(p / q), estimated.

Everything is a function of t = log p - log q alone, so a bijection of the space, which changes both log densities by the
same Jacobian, leaves every term as it was. The terms themselves are in `divergence_terms`.

References: Csiszar 1967; Nowozin, Cseke, Tomioka 2016, f-GAN, table 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from jensen.errors import UsageError, nearest
from jensen.functional.divergence_terms import FORMS, Form
from jensen.functional.given import reals
from jensen.functional.importance import Tail, tail_index
from jensen.functional.intervals import half_sum_interval, mean_interval
from jensen.quantity import Kind, Quantity

Pair = tuple[Tensor, Tensor]
"""(log_p, log_q) of the same samples, (n,) each, normalised, in nats."""

FINITE_VARIANCE, FOUR_MOMENTS = 0.5, 0.25
"""Terms whose tail index is below have a variance, and a variance that can itself be estimated."""


def f_divergence(
    name: str,
    at_p: Pair | None = None,
    at_q: Pair | None = None,
    *,
    form: str = "auto",
    level: float = 0.95,
) -> Quantity:
    """The f-divergence `name` of `divergence_terms.FORMS` between p and q, an estimate with its interval.

    `at_p`, `at_q`: (log_p, log_q), (n,) each, at independent samples of p and of q; one of them or both (better: every
    term but that of chi-squared then grows at most linearly in the log ratio). The densities must be normalised.
    `form`, of the terms of one set of samples: "nonnegative", precise where p and q are close; "plain", the textbook
    terms, which need fewer moments (those of the bounded divergences always have a variance, so has log p/q under p
    as a rule); "auto", the plain ones where they are lighter and the tail of the others is heavy (k-hat over 0.25: q
    is far from p in the direction that the samples do not cover well). `how` says what was taken, k-hat of the terms,
    and what to doubt.

    A divergence has a range; the interval is cut to it, the value never is. Mass of p where q has none is invisible to
    samples of q alone, and the other way round. Raises UsageError for nan, and for a sample its own law excludes.

    >>> import torch
    >>> x = torch.randn(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> log_p, log_q = -(x**2) / 2, -((x - 1) ** 2) / 2  # samples of N(0, 1) against N(1, 1): KL = 1/2
    >>> f_divergence("kl", at_p=(log_p, log_q))
    ~ 0.515 nats [0.484, 0.546]
    """
    if name not in FORMS:
        raise UsageError("unknown divergence", f"got {name!r}", nearest(name, FORMS))
    law = FORMS[name]
    sets = {side: _log_ratio(pair, side) for side, pair in (("p", at_p), ("q", at_q)) if pair is not None}
    if not sets or form not in ("auto", "nonnegative", "plain") or (form == "plain" and len(sets) == 2):
        raise UsageError(
            "a divergence needs samples of p, of q or of both, in the form 'auto', 'nonnegative' or 'plain'",
            f"got samples of {' and '.join(sets) or 'neither'} and form={form!r}",
            "the plain form takes one set of samples",
        )
    terms, tail, taken = _terms(law, sets, form)
    values = [part.numpy() for part in terms]
    value = sum(float(part.mean()) for part in values) / len(values)
    interval = _interval(values, value, level)
    interval, notes = _cut(value, interval, law, taken)
    how: dict[str, Any] = {
        "of": law.of,
        "samples": " and ".join(sets),
        **{f"n_{side}": len(t) for side, t in sets.items()},
        "form": taken,
        "k_hat": tail.k,
        "interval": ("Student t" if len(values) == 1 else "Welch") + ", widened for skew",
        "notes": notes + _doubts(sets, tail),
    }
    return Quantity(value, Kind.ESTIMATE, law.unit, interval=interval, level=level, how=how)


def kl(at_p: Pair | None = None, at_q: Pair | None = None, **options: Any) -> Quantity:
    """KL(p || q) = E_p log p/q, in nats; forward KL where p is the data. Options as in `f_divergence`."""
    return f_divergence("kl", at_p, at_q, **options)


def reverse_kl(at_p: Pair | None = None, at_q: Pair | None = None, **options: Any) -> Quantity:
    """KL(q || p) = E_q log q/p, in nats."""
    return f_divergence("reverse-kl", at_p, at_q, **options)


def jensen_shannon(at_p: Pair | None = None, at_q: Pair | None = None, **options: Any) -> Quantity:
    """(KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, in nats, at most log 2."""
    return f_divergence("jensen-shannon", at_p, at_q, **options)


def chi_squared(at_p: Pair | None = None, at_q: Pair | None = None, **options: Any) -> Quantity:
    """Pearson's chi^2(p || q) = E_q (p/q - 1)^2, no unit. Infinite as soon as p has the heavier tail by far."""
    return f_divergence("chi-squared", at_p, at_q, **options)


def squared_hellinger(at_p: Pair | None = None, at_q: Pair | None = None, **options: Any) -> Quantity:
    """1 - integral of sqrt(p q) = integral of (sqrt p - sqrt q)^2 / 2, no unit, in [0, 1]."""
    return f_divergence("squared-hellinger", at_p, at_q, **options)


def total_variation(at_p: Pair | None = None, at_q: Pair | None = None, **options: Any) -> Quantity:
    """integral of |p - q| / 2, no unit, in [0, 1]: the largest difference in the probability of any event."""
    return f_divergence("total-variation", at_p, at_q, **options)


def jsd_lower(logit_real: Tensor, logit_fake: Tensor, *, level: float = 0.95) -> Quantity:
    """G[D] / 2 + log 2 with G[D] = E_real log D + E_fake log(1 - D): in expectation a lower bound on the JSD, in nats.

    `logit_real` (n,), `logit_fake` (m,): the critic's log-odds of "real", D = sigmoid(logit), on rows that it was
    fixed before it saw; on its training rows this is no bound. Tight for the log ratio of the two densities. A bound
    below zero says nothing, since no JSD is negative, and is printed as it is.

    >>> import torch
    >>> jsd_lower(torch.full((9,), 50.0), torch.full((9,), -50.0))
    >= 0.693 nats [0.693, 0.693]
    """
    real, fake = (
        _finite_logits(logits).numpy()
        for logits in (reals("logit_real", logit_real), -reals("logit_fake", logit_fake))
    )
    low, high = half_sum_interval(real, fake, level)
    value = float(real.mean() + fake.mean()) / 2 + math.log(2)
    how = {
        "bound": "G[D] / 2 + log 2",
        "n_real": len(real),
        "n_fake": len(fake),
        "interval": "Welch, widened for skew",
        "notes": ["the critic must be fixed before it sees these rows", "interval cut at log 2"],
    }
    interval = (low + math.log(2), min(high, 0.0) + math.log(2))
    return Quantity(value, Kind.LOWER, "nats", interval=interval, level=level, how=how)


def _terms(law: Form, sets: dict[str, Tensor], form: str) -> tuple[list[Tensor], Tail, str]:
    """The terms to average (one set or two), the heaviest tail among them, and the form taken."""
    # h is not negative, except by rounding
    terms = [law.term(t).clamp(min=0.0) for t in sets.values()]
    if len(terms) == 2:
        return terms, max(map(tail_index, terms), key=_weight), "nonnegative"
    ((side, t),) = sets.items()
    terms[0] = terms[0] * (1 + (-t if side == "p" else t).exp()) / 2
    tail = tail_index(terms[0])
    if form == "plain" or (form == "auto" and side in law.lighter and _weight(tail) > FOUR_MOMENTS):
        plain = law.plain[side == "q"](t)
        tails = [tail_index((sign * plain).clamp(min=0)) for sign in (1, -1)]
        return [plain], max(tails, key=_weight), "plain"
    return terms, tail, "nonnegative"


def _interval(values: list[NDArray[np.float64]], value: float, level: float) -> tuple[float, float]:
    if not math.isfinite(value):
        return -math.inf, math.inf
    with np.errstate(over="ignore"):  # a spread beyond the largest number is an interval without ends
        if len(values) == 1:
            return mean_interval(values[0], level)
        return half_sum_interval(values[0], values[1], level)


def _weight(tail: Tail) -> float:
    return math.inf if tail.k is None else tail.k


def _cut(
    value: float, interval: tuple[float, float], law: Form, taken: str
) -> tuple[tuple[float, float], list[str]]:
    """The interval within what the divergence can be, as far as the value itself is; and what to say of it."""
    least, most = 0.0, law.most
    if value < least or value > most:
        return interval, [
            f"the value lies outside [0, {most:.3g}], which no divergence does: noise, not clipped"
        ]
    low, high = max(interval[0], least), min(interval[1], most)
    cut = (low, high) != interval
    return (low, high), [f"interval cut to [0, {most:.3g}]"] if cut else []


def _doubts(sets: dict[str, Tensor], tail: Tail) -> list[str]:
    notes = ["log densities taken as normalised"]
    if len(sets) == 1:
        (side,) = sets
        other = "q" if side == "p" else "p"
        notes.append(f"mass of {other} where {side} has none is not seen")
    if tail.k is not None and tail.k > FOUR_MOMENTS:
        lacks = "no variance" if tail.k > FINITE_VARIANCE else "no fourth moment"
        notes.append(f"k-hat says that the terms may have {lacks}: the interval may be too narrow")
    return notes


def _log_ratio(pair: Pair, side: str) -> Tensor:
    """t = log p - log q (n,) in float64 on the CPU."""
    log_p, log_q = (part.detach().double().cpu() for part in pair)
    if log_p.ndim != 1 or log_p.shape != log_q.shape or len(log_p) == 0:
        given = f"got {tuple(log_p.shape)} and {tuple(log_q.shape)}"
        raise UsageError(
            "expected log_p and log_q of the same samples, (n,) each",
            given,
            "score the same samples under both laws",
        )
    own = log_p if side == "p" else log_q
    wrong = (log_p - log_q).isnan() | (log_p == math.inf) | (log_q == math.inf) | (own == -math.inf)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise UsageError(
            f"a sample of {side} has a finite log density under {side}, and a number or -inf under the other law",
            f"sample {row} got log_p = {float(log_p[row])}, log_q = {float(log_q[row])}",
            "were the two sets of samples exchanged, or the samples rounded?",
        )
    return log_p - log_q


def _finite_logits(logits: Tensor) -> Tensor:
    """log sigmoid of logits (n,), any shape flattened. Raises UsageError for nan and for none."""
    flat = logits.detach().double().cpu().flatten()
    if len(flat) == 0 or bool(flat.isnan().any()):
        raise UsageError(
            "expected the logits of at least one row",
            f"got {len(flat)}{', some of them nan' if len(flat) else ''}",
            "pass one number a row",
        )
    return logsigmoid(flat)
