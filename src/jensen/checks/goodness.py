"""Do samples follow a log-density? Chi-squared where cells can be weighed, Stein's identity where they cannot."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST = 5.0
"""Smallest expected count of a cell: below it the chi-squared law of the statistic is not to be trusted."""


class Fit(NamedTuple):
    """`p_value` of the hypothesis that the samples follow the law, and what it is made of."""

    p_value: float
    statistic: float
    freedom: int
    impossible: int
    """Samples in cells that hold next to no mass."""


def chi_squared(counts: NDArray[np.float64], masses: NDArray[np.float64]) -> Fit:
    """Pearson's test of `counts` (cells,) against `masses` (cells,), scaled to sum to one.

    Light cells are pooled, lightest first, until every pool expects five samples; the tail is `pearson_tail`. The lightest cells that together
    expect fewer than 1e-5 samples are held impossible: one sample among them has a probability below 1e-5.
    """
    expected = masses / masses.sum() * counts.sum()
    order = np.argsort(expected, kind="stable")
    expected, counts = expected[order], counts[order]
    impossible = int(counts[np.cumsum(expected) < 1e-5].sum())
    pools = _pools(expected)
    e, o = np.bincount(pools, expected).astype(np.float64), np.bincount(pools, counts)
    statistic, freedom = float(((o - e) ** 2 / e).sum()), len(e) - 1
    p_value = 0.0 if impossible else pearson_tail(statistic, e)
    return Fit(p_value, statistic, freedom, impossible)


def pearson_tail(statistic: float, expected: NDArray[np.float64]) -> float:
    """P(Pearson's statistic >= statistic) for cells that expect `expected`; 1 where there is a single cell.

    The chi-squared law has the right mean but, with light cells, too short a tail. A gamma law is matched instead to the
    exact moments: mean k - 1, variance 2 (k - 1) + (sum_i 1/p_i - k^2 - 2 k + 2) / n (Haldane 1937).
    """
    from scipy.special import gammaincc

    k, n = len(expected), float(expected.sum())
    if k < 2:
        return 1.0
    mean = k - 1
    variance = 2 * mean + (float((n / expected).sum()) - k**2 - 2 * k + 2) / n
    return float(gammaincc(mean**2 / variance, statistic * mean / variance))


def _pools(expected: NDArray[np.float64]) -> NDArray[np.intp]:
    """The pool of every cell, lightest first; what is left over joins the last full pool."""
    pool, held = 0, 0.0
    pools = np.zeros(len(expected), dtype=np.intp)
    for cell, mass in enumerate(expected):
        pools[cell] = pool
        held += mass
        if held >= LEAST:
            pool, held = pool + 1, 0.0
    return np.minimum(pools, max(pool - 1, 0)) if held < LEAST else pools


def stein_p_value(log_prob: Callable[[Tensor], Tensor], x: Tensor, directions: int, seed: int) -> float:
    """P-value of Stein's identity on samples x (n, d), for a density that is continuous on R^d.

    1. For smooth bounded f and v a vector, integral of div(p f v) = 0, so that for x ~ p
       E[f(x) v . grad log p(x) + v . grad f(x)] = 0. The normaliser of p plays no part.
    2. Here f(x) = cos(w . z + b) with random w, v, b and z = x / scale: bounded, so that the mean over n samples is
       normal. `directions` of them are tested, and the smallest p-value times their number is returned (Bonferroni).

    Blind to the weights of modes that lie far apart (Gorham & Mackey 2015).
    """
    generator = torch.Generator().manual_seed(seed)
    n, d = x.shape
    scale = x.std(0).clamp(min=1e-12)
    w = torch.randn(d, directions, generator=generator).to(x) / math.sqrt(d)
    v = torch.randn(d, directions, generator=generator).to(x) / math.sqrt(d)
    b = 2 * math.pi * torch.rand(directions, generator=generator).to(x)
    score = _score(log_prob, x) * scale
    angle = (x - x.mean(0)) / scale @ w + b
    terms = angle.cos() * (score @ v) - angle.sin() * (w * v).sum(0)
    z = terms.mean(0) / (terms.std(0) / math.sqrt(n)).clamp(min=1e-300)
    # erfc is the two-sided tail of a normal
    return min(1.0, directions * float(torch.special.erfc(z.abs().max().double() / math.sqrt(2))))


@torch.no_grad()
def jumps(log_prob: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether a log-density jumps on a line between two of the samples x (n, d): Stein's identity does not hold then.

    The part of each line where it changes most is halved until its ends are next to each other.
    """
    low, high = x[: len(x) // 2][:256], x[len(x) // 2 :][:256]
    t = torch.linspace(0, 1, 33, dtype=x.dtype, device=x.device)
    for pieces in (t, *[t[::16]] * 40):
        at = low + (high - low) * pieces[:, None, None]
        values = log_prob(at.flatten(0, 1)).reshape(len(pieces), -1)
        place = values.diff(dim=0).abs().argmax(0)
        rows = torch.arange(len(place), device=x.device)
        low, high = at[place, rows], at[place + 1, rows]
    return bool((log_prob(high) - log_prob(low)).abs().max() > 1e-6)


def _score(log_prob: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    parts = []
    for part in x.split(1024):
        with torch.enable_grad():
            leaf = part.detach().clone().requires_grad_()
            parts.append(torch.autograd.grad(log_prob(leaf).sum(), leaf)[0])
    return torch.cat(parts)
