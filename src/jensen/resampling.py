"""Samples of a model drawn again by a log ratio f1 / f0: by rejection, or by importance weights out of a pool."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jensen.errors import Cannot
from jensen.functional.importance import effective_share, pareto_k
from jensen.functional.inversion import cut

Rows = NDArray[Any]
Draw = Callable[[int, int], Rows]
LogRatio = Callable[[Rows], NDArray[np.float64]]

MOST_DRAWS = 200
"""Samples drawn for each one that is kept, at most."""

AT_ONCE = 8192

WORTH = 4
"""A pool is to be worth so many times the rows that are drawn of it."""


@dataclass(frozen=True, eq=False)
class Resampled:
    """Rows drawn out of a pool by weight, and how far they are to be believed.

    ess: how many equal weights the pool's are worth, (sum w)^2 / sum w^2. distinct: how many of the rows are different draws.
    k_hat: tail index of the weights, None for too few; above about 0.7 they cannot be trusted. notes: what to doubt, in words.
    """

    rows: Rows
    pool: int
    ess: float
    distinct: int
    k_hat: float | None
    notes: tuple[str, ...] = ()


def by_rejection(
    draw: Draw, log_ratio: LogRatio, ceiling: float, acceptance: float, n: int, seed: int | None
) -> Rows:
    """n rows, each kept with probability e^(log ratio - ceiling) (discriminator rejection, Azadi et al. 2019).

    `draw`: (n, seed) -> rows. A row above the ceiling is kept for sure, so that the law is right up to those. Raises Cannot where
    fewer than one in 200 is kept.
    """
    source = np.random.default_rng(seed)
    kept: list[Rows] = []
    have = drawn = 0
    while have < n:
        if drawn > MOST_DRAWS * n + 10_000:
            raise Cannot(
                "too few samples pass", f"{have} of {drawn}", "draw by='resampling', or fit a nearer model"
            )
        size = min(AT_ONCE, math.ceil(1.2 * (n - have) / max(acceptance, 1 / MOST_DRAWS)) + 16)
        rows = draw(size, int(source.integers(2**32)))
        chance = np.exp(np.minimum(log_ratio(rows) - ceiling, 0.0))
        kept.append(rows[source.random(size) < chance])
        have, drawn = have + len(kept[-1]), drawn + size
    return np.concatenate(kept)[:n]


def by_weight(draw: Draw, log_ratio: LogRatio, n: int, pool: int, seed: int | None) -> Resampled:
    """n rows out of `pool` draws, each as often as its weight e^(log ratio) says (Rubin 1988), in random order.

    Systematic resampling: a row of share s comes floor(n s) or ceil(n s) times. Of finite pools the law is f1 only as the pool grows; of
    a part of the data that f0 never draws there is nothing to take.
    """
    source = np.random.default_rng(seed)
    rows = draw(pool, int(source.integers(2**32)))
    log_w = torch.from_numpy(np.asarray(log_ratio(rows), dtype=np.float64))
    weights = (log_w - log_w.max()).exp()
    points = torch.from_numpy((source.random() + np.arange(n)) / n).clamp(max=math.nextafter(1, 0))
    chosen = source.permutation(cut(weights, points).numpy())
    ess, tail = effective_share(log_w) * pool, pareto_k(log_w)
    distinct = len(np.unique(chosen))
    notes = _notes(n, pool, ess, distinct, tail.k, tail.reliable)
    return Resampled(rows[chosen], pool, ess, distinct, tail.k, notes)


def pool_size(n: int, share: float) -> int:
    """Draws whose weights, worth `share` of as many equal ones, are worth four times n; 200 n + 10,000 at most."""
    return min(math.ceil(WORTH * n / max(share, 1e-9)), MOST_DRAWS * n + 10_000)


def _notes(
    n: int, pool: int, ess: float, distinct: int, k_hat: float | None, reliable: bool
) -> tuple[str, ...]:
    notes = []
    if ess < n:
        notes.append(
            f"the {pool:,} draws are worth {ess:,.0f} of equal weight, fewer than the {n:,} rows asked for: averages over "
            f"them are no better than over {ess:,.0f}"
        )
    if distinct < 0.9 * n:
        notes.append(f"{distinct:,} of the {n:,} rows are distinct: the others are repeats")
    if k_hat is not None and not reliable:
        notes.append(
            f"the weights have a heavy tail (k-hat {k_hat:.2f}): a part of the data is hardly ever drawn by the model, and "
            "no weight can make up for it"
        )
    return tuple(notes)
