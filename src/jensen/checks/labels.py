"""Do samples follow a log-density on any space? Their labels among draws of another law, whose odds are then known."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Labelled(NamedTuple):
    """`p_value` that samples follow the density, of `functions` of the rows together, and the share of rows that tell."""

    p_value: float
    functions: int
    share: float


def label_test(log_odds_own: Tensor, log_odds_other: Tensor, own: Tensor, other: Tensor) -> Labelled:
    """Test samples `own` (n, features) against as many draws `other` of a known law q, by log p - log q of each (n,).

    1. Of a row x that is one of them with equal chance, the sampler's with density s, P(label = own | x) =
       s / (s + q). If s is the stated p, that is sigma(log p - log q): the labels are coins of known odds.
    2. So for every function h, E[(label - sigma) h] = 0, with variance sigma (1 - sigma) h^2 given the rows: bounded terms,
       hence a normal statistic whatever the tails of p and q. A p that does not integrate to one fails as well.
    3. The functions are one, sigma and the columns of the features, each scaled to at most one; the smallest p-value
       times their number is returned (Bonferroni).
    """
    logit = torch.cat([log_odds_own, log_odds_other]).double().cpu()
    label = torch.cat([torch.ones(len(own)), torch.zeros(len(other))]).double()
    odds = logit.sigmoid()
    functions = torch.cat([own, other]).double().cpu()
    h = torch.cat([torch.ones(len(odds), 1), odds.unsqueeze(1), functions], 1)
    variance = (odds * (1 - odds)).unsqueeze(1) * h.square()
    z = ((label - odds).unsqueeze(1) * h).sum(0) / variance.sum(0).sqrt().clamp(min=1e-12)
    usable = variance.sum(0) > 25  # fewer coins than that are not normal
    if not bool(usable.any()) or not bool(logit.isfinite().all()):
        return Labelled(math.nan, int(usable.sum()), float((odds * (1 - odds)).mean() * 4))
    tails = torch.special.erfc(z[usable].abs() / math.sqrt(2))
    p_value = min(1.0, int(usable.sum()) * float(tails.min()))
    return Labelled(p_value, int(usable.sum()), float((odds * (1 - odds)).mean() * 4))


def waves(rows: Tensor, mean: Tensor, spread: Tensor, count: int, seed: int) -> Tensor:
    """Random cosines (n, count) of rows (n, d), and indicators (n, d) of their gaps: bounded functions of any table."""
    generator = torch.Generator().manual_seed(seed)
    gap = rows.isnan()
    z = ((rows.nan_to_num(0.0) - mean) / spread).masked_fill(gap, 0.0)
    both = torch.cat([z, gap.double()], 1)
    # few columns at a time, or a wave over many of them averages out
    w = torch.randn(both.shape[1], count, generator=generator, dtype=torch.float64)
    w = w * (torch.rand(w.shape, generator=generator) < max(0.3, 2 / both.shape[1]))
    b = 2 * math.pi * torch.rand(count, generator=generator, dtype=torch.float64)
    return torch.cat([(both @ w + b).cos(), gap.double()], 1)
