"""Divergences of laws with few values: samples that hold each value as often as its law says make every estimate exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from known_pairs import ONE_D, exact_jsd
from problem import Exact
from scipy.integrate import quad
from scipy.stats import norm

from jensen.functional.critic_limits import binary_entropy
from jensen.functional.divergence import f_divergence, jsd_lower
from jensen.functional.ratio import log_density, normaliser
from jensen.metrics.columns import column_distance
from jensen.metrics.pairs import pair_differences
from jensen.metrics.table import Tables
from jensen.space import Column, Space

Pairs = Iterator[tuple[Any, Any]]

P, Q = np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.5, 0.1])
TRUTHS: dict[str, float] = {
    "kl": float((P * np.log(P / Q)).sum()),
    "reverse-kl": float((Q * np.log(Q / P)).sum()),
    "jensen-shannon": float((P * np.log(2 * P / (P + Q)) + Q * np.log(2 * Q / (P + Q))).sum() / 2),
    "chi-squared": float(((P - Q) ** 2 / Q).sum()),
    "squared-hellinger": float(1 - np.sqrt(P * Q).sum()),
    "total-variation": float(np.abs(P - Q).sum() / 2),
}


def every_value(law: np.ndarray, of: int = 10) -> torch.Tensor:
    """As many of each value as the law says."""
    return torch.from_numpy(np.repeat(np.arange(len(law)), np.rint(of * law).astype(int)))


def divergence(name: str) -> Exact:
    """From samples of p, of q and of both, in either form."""

    def compute() -> Pairs:
        log_p, log_q = (torch.from_numpy(np.log(law)) for law in (P, Q))
        at = {side: (log_p[every_value(law)], log_q[every_value(law)]) for side, law in (("p", P), ("q", Q))}
        yield TRUTHS[name], f_divergence(name, at["p"], at["q"]).value
        for form in ("nonnegative", "plain"):
            yield TRUTHS[name], f_divergence(name, at_p=at["p"], form=form).value
            yield TRUTHS[name], f_divergence(name, at_q=at["q"], form=form).value

    return Exact(f"{name} of two laws of three values", "adversarial", compute)


def best_critic() -> Pairs:
    """The log ratio makes G[D] / 2 + log 2 the divergence, its exponential the other law, and its mean under q one."""
    ratio = torch.from_numpy(np.log(P / Q))
    real, fake = ratio[every_value(P)], ratio[every_value(Q)]
    yield TRUTHS["jensen-shannon"], jsd_lower(real, fake).value
    yield 1.0, normaliser(fake).value
    yield np.log(P), log_density(torch.from_numpy(np.log(Q)), ratio)
    for slope in (0.3, 2.0):  # another critic reaches less, by as much as its own losses say
        soft = 1 / (1 + (Q / P) ** slope)
        truth = math.log(2) + (P * np.log(soft) + Q * np.log1p(-soft)).sum() / 2
        yield truth, jsd_lower(slope * real, slope * fake).value


def overlap() -> Pairs:
    """Uniform laws on [0, 1] and [s, 1 + s]: JSD = s log 2, total variation s; on the middles of 1,000 cells."""
    cells = (np.arange(1000) + 0.5) / 1000
    for s in (0.25, 0.6):
        with np.errstate(divide="ignore"):
            inside = lambda x, low: np.where((x >= low) & (x < low + 1), 0.0, -np.inf)  # noqa: E731
            at = [tuple(torch.from_numpy(inside(x, low)) for low in (0.0, s)) for x in (cells, cells + s)]
        yield s * math.log(2), f_divergence("jensen-shannon", at[0], at[1]).value
        yield s, f_divergence("total-variation", at[0], at[1]).value


def normal_laws() -> Pairs:
    """N(1, 0.7^2) and N(0, 1): the divergences as the product's terms under the mixture, integrated; against textbooks."""
    from jensen.functional.divergence_terms import FORMS

    p, q = norm(0, 1), norm(1, 0.7)

    def mean(term: Callable[[torch.Tensor], torch.Tensor]) -> float:
        def at(x: float) -> float:
            t = torch.tensor([p.logpdf(x) - q.logpdf(x)]).double()
            return float(term(t)) * (p.pdf(x) + q.pdf(x)) / 2

        parts = ((-12, 0.17), (0.17, 1.0), (1.0, 12.0))
        return sum(quad(at, a, b, limit=400, epsabs=1e-10)[0] for a, b in parts)

    def integral(f: Callable[[float], float]) -> float:
        parts = ((-12, 0.17), (0.17, 1.0), (1.0, 12.0))
        return sum(quad(f, a, b, limit=400, epsabs=1e-10)[0] for a, b in parts)

    yield math.log(0.7) + (1 + 1) / (2 * 0.49) - 0.5, mean(FORMS["kl"].term)
    yield -math.log(0.7) + (0.49 + 1) / 2 - 0.5, mean(FORMS["reverse-kl"].term)
    yield exact_jsd(ONE_D.log_ratio, 1.0, 0.7), mean(FORMS["jensen-shannon"].term)
    yield 1 - math.sqrt(2 * 0.7 / 1.49) * math.exp(-0.25 / 1.49), mean(FORMS["squared-hellinger"].term)
    yield integral(lambda x: abs(p.pdf(x) - q.pdf(x)) / 2), mean(FORMS["total-variation"].term)


def fano() -> Pairs:
    """Two laws that are told apart but for a share e of either side have a JSD of log 2 - h(e)."""
    for e in (0.01, 0.25, 0.5):
        p, q = np.array([1 - e, e]), np.array([e, 1 - e])
        jsd = (p * np.log(2 * p) + q * np.log(2 * q)).sum() / 2
        yield jsd, math.log(2) - binary_entropy(e)


def columns() -> Pairs:
    """Total variation and Kolmogorov-Smirnov distance of columns whose shares are those of their laws."""
    p, q = (every_value(law).double().numpy() for law in (P, Q))
    yield TRUTHS["total-variation"], column_distance(p, q, Column("categorical", 3)).value
    yield np.abs(np.cumsum(P) - np.cumsum(Q)).max(), column_distance(p, q, Column("real")).value
    gaps = np.where(p == 0, np.nan, p), np.where(q == 0, np.nan, q)
    yield 0.4, column_distance(*gaps, Column("real", gaps="value")).value
    yield abs(0.3 / 0.8 - 0.5 / 0.6), column_distance(*gaps, Column("real", gaps="unseen")).value


def associations() -> Pairs:
    """Two bits that agree with a share r: V = |2 r - 1|; between r and 1 - r the difference is |4 r - 2|; less their bias."""
    r, n = 0.8, 4000
    agree = np.arange(n) < r * n
    first = np.arange(n) % 2
    real = np.stack([first, np.where(agree, first, 1 - first)], 1).astype(float)
    fake = np.stack([first, np.where(agree, 1 - first, first)], 1).astype(float)
    found = pair_differences(Tables(real, fake, None, Space.binary(2)))
    yield math.sqrt((2 * r - 1) ** 2 - 1 / n), found.real[0, 1]
    yield math.sqrt((4 * r - 2) ** 2 - 2 / n), found.mean.value


PROBLEMS = (
    *map(divergence, TRUTHS),
    Exact("the best critic's bound, ratio and normaliser", "adversarial", best_critic),
    Exact("shifted uniform laws: JSD and total variation", "adversarial", overlap),
    Exact("normal laws: five divergences by quadrature", "adversarial", normal_laws),
    Exact("JSD of laws told apart but for errors (Fano)", "adversarial", fano),
    Exact("distances of columns, gaps included", "every family", columns),
    Exact("association of pairs of columns", "every family", associations),
)
