"""Importance weights of rows, seen some draws at a time: the bound they make, its noise, and how good they are.

Memory does not grow with the draws: a number a block and row, and the largest weights of those rows whose tail is asked for.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from jensen.functional.bounds import subsets
from jensen.functional.importance import pareto_k

BLOCKS = 8
"""Independent blocks of draws, from whose differences the noise is read off."""


class Tally:
    """Log weights (n, draws) in float64, added some draws at a time, in any portions.

    `small`: where given, the bound is L_small, by means over subsets (`functional.bounds.subsets`), and all draws are kept;
    otherwise L_draws. `tails`: the first so many rows are asked how heavy the tail of their weights is.
    """

    def __init__(self, draws: int, small: int | None = None, tails: int = 0) -> None:
        self.draws, self.small, self.tails, self.seen = draws, small, tails, 0
        self.largest = min(draws, math.ceil(min(draws / 5, 3 * math.sqrt(draws))) + 1)
        self._blocks: list[Tensor] = []
        self._counts: list[int] = []
        self._squares: Tensor | None = None
        self._kept: list[Tensor] = []

    def add(self, log_w: Tensor) -> None:
        """Weights (n, m) of the next m draws."""
        for portion in log_w.split(self._lengths(log_w.shape[1]), 1):
            self._add_to_block(self.seen * BLOCKS // self.draws, portion)
            self.seen += portion.shape[1]
        squares = (2 * log_w.detach()).logsumexp(1)
        self._squares = squares if self._squares is None else torch.logaddexp(self._squares, squares)
        self._keep(log_w)

    def bound(self) -> Tensor:
        """L (n,), nats."""
        if self.small is not None:
            return subsets(torch.cat(self._kept, 1), self.small)
        return torch.stack(self._blocks).logsumexp(0) - math.log(self.draws)

    def variance(self) -> Tensor:
        """Of each row's bound (n,): of the mean of the bounds that blocks make alone, which varies at least as much.

        Infinite where there are fewer than two blocks.
        """
        if self.draws < BLOCKS:
            return torch.full_like(self._blocks[0], math.inf)
        if self.small is None:
            each = torch.stack([b - math.log(m) for b, m in zip(self._blocks, self._counts)])
        else:
            parts = torch.cat(self._kept, 1).tensor_split(BLOCKS, 1)
            each = torch.stack([subsets(part, min(self.small, part.shape[1])) for part in parts])
        return each.var(0) / BLOCKS

    def ess(self) -> Tensor:
        """Effective sample size (n,) of all draws, 1 to `draws`; 0 where no weight is above 0."""
        assert self._squares is not None
        total = torch.stack(self._blocks).logsumexp(0)
        return (2 * total - self._squares).exp().nan_to_num(0.0)

    def pareto(self) -> list[float]:
        """Pareto k-hat of the weights of the first `tails` rows; nothing for too few draws to tell."""
        rows = torch.cat(self._kept, 1)[: self.tails] if self._kept else torch.empty(0, 1)
        # the fit sees the largest alone; the rest are counted, and stand in for by the smallest of those
        found = [pareto_k(_padded(row, self.draws)).k for row in rows]
        return [k for k in found if k is not None]

    def _lengths(self, m: int) -> list[int]:
        """Portions of m draws that do not cross from a block to the next."""
        ends = [-(-(b + 1) * self.draws // BLOCKS) for b in range(BLOCKS)]
        cuts = sorted({self.seen, *(e for e in ends if self.seen < e < self.seen + m), self.seen + m})
        return [high - low for low, high in itertools.pairwise(cuts)]

    def _add_to_block(self, block: int, log_w: Tensor) -> None:
        total = log_w.logsumexp(1)
        if block == len(self._blocks):
            self._blocks.append(total)
            self._counts.append(log_w.shape[1])
        else:
            self._blocks[-1] = torch.logaddexp(self._blocks[-1], total)
            self._counts[-1] += log_w.shape[1]

    def _keep(self, log_w: Tensor) -> None:
        if self.small is not None:
            self._kept.append(log_w)
        elif self.tails:
            self._kept.append(log_w[: self.tails])
            if sum(part.shape[1] for part in self._kept) > 4 * self.largest:
                self._kept = [torch.cat(self._kept, 1).topk(self.largest).values]


def _padded(log_w: Tensor, draws: int) -> Tensor:
    """As many weights as were drawn, the missing ones no larger than the smallest of those that are there."""
    return torch.cat([log_w, log_w.min().expand(draws - len(log_w))])
