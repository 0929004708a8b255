"""S5: InfoNCE, density ratios and mutual information."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jensen.costs import cost_named
from jensen.course.claim import Finding, Shown
from jensen.course.deciding import SURE, above, agree, difference, exactly, mean
from jensen.course.figures import curves
from jensen.functional.contrastive import nt_xent
from jensen.functional.intervals import mean_interval
from jensen.objective import Turn
from jensen.plan import Plan
from jensen.player import Player
from jensen.quantity import Kind, Quantity

RHO, DIMS = 0.8, 2
INFORMATION = -DIMS / 2 * math.log(1 - RHO**2)
"""I(X; Y) of DIMS pairs of normal numbers with correlation RHO, nats."""

SHARP = 1 / 36
"""A temperature at which two directions are as good as different or the same."""

Array = NDArray[np.float64]


def show(
    seed: int = 0, *, candidates: Sequence[int] = (2, 4, 16, 64, 256), anchors: int = 8192, steps: int = 400, repeats: int = 5
) -> Shown:  # fmt: skip
    """The bound with the true ratio as critic, ratios that are learned, and NT-Xent where it exceeds the information."""
    found = {k: _info_nce(k, anchors // k, seed, 1.0) for k in candidates}
    other = {k: _info_nce(k, anchors // k, seed + 1, 0.5) for k in candidates}
    learned = {
        name: np.array([_learned(name, seed + i, steps) for i in range(repeats)])
        for name in ("InfoNCE", "a discriminator")
    }
    first, last = candidates[0], candidates[-1]
    bounds = {k: _bound(of, k) for k, of in found.items()}
    exceeds, pairs, independent = _nt_xent()
    findings = (
        _below("with the best critic log(k) - InfoNCE is at most the mutual information, for every k", found),
        _below("with another critic too", other),
        above("more candidates bring it closer", difference(found[last], found[first])),
        exactly("it never exceeds log k, however much the views share", max(0.0, *(float(of.max()) - math.log(k) for k, of in found.items())), 1e-12),
        *(agree(f"the critic that {name} learns has the slope of the log density ratio", of, RHO / (1 - RHO**2), unit="", share=0.15)
          for name, of in learned.items()),
        exceeds,
    )  # fmt: skip
    figure = curves(
        "Mutual information of two views, of known value", ("candidates k", list(candidates)), "nats, with 95 % intervals",
        {"log k - InfoNCE, the best critic": list(bounds.values()), "another critic": [_bound(of, k) for k, of in other.items()],
         "log k": [math.log(k) for k in candidates]},
        lines={"the mutual information": INFORMATION}, log_x=True,
    )  # fmt: skip
    sizes = list(pairs)
    excess = curves(
        "Rows of two values, equal views: NT-Xent's number passes the information, log 2", ("pairs n", sizes), "nats, exact",
        {"log(2n - 1) - NT-Xent, an estimate": list(pairs.values()), "InfoNCE, 2n - 1 independent candidates": list(independent.values())},
        lines={"the mutual information, log 2": math.log(2)}, log_x=True,
    )  # fmt: skip
    worst = max(pairs, key=lambda n: pairs[n])
    summary = f"I = {INFORMATION:.3f} nats, InfoNCE at {last} candidates {bounds[last]}; NT-Xent's number {pairs[worst]:.4f} where the information is {math.log(2):.4f}"
    return Shown(findings, summary, (figure, excess))


def _info_nce(k: int, batches: int, seed: int, temper: float) -> Array:
    """log k - InfoNCE of `batches` batches of k pairs, each pair's y among k - 1 independent others; a value a batch.

    The critic is `temper` times the log density ratio.
    """
    generator = torch.Generator().manual_seed(seed + k)
    x, noise = torch.randn(2, batches, k, DIMS, generator=generator, dtype=torch.float64)
    y = RHO * x + math.sqrt(1 - RHO**2) * noise
    scores = temper * log_ratio(x.unsqueeze(2), y.unsqueeze(1))
    return np.asarray((math.log(k) + scores.log_softmax(2).diagonal(dim1=1, dim2=2)).mean(1).numpy())


def log_ratio(x: Tensor, y: Tensor) -> Tensor:
    """log p(x, y) / (p(x) p(y)), summed over the last axis."""
    joint = RHO * x * y - RHO**2 * (x.square() + y.square()) / 2
    return (joint / (1 - RHO**2)).sum(-1) - DIMS / 2 * math.log(1 - RHO**2)


def _bound(values: Array, k: int) -> Quantity:
    return mean(values, kind=Kind.LOWER, candidates=k)


def _below(what: str, found: dict[int, Array]) -> Finding:
    """False where a mean is above the information beyond chance."""
    lows = {k: mean_interval(of, SURE)[0] for k, of in found.items()}
    return Finding(
        what,
        all(low <= INFORMATION for low in lows.values()),
        {"information": INFORMATION, **{f"k = {k}": _bound(of, k) for k, of in found.items()}},
    )


class Bilinear(Turn):
    """A critic a x.y - b |y|^2 - c |x|^2 + e: the log ratio of normal pairs lies in this family."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__()
        self.by, self.weights = name, nn.Parameter(torch.zeros(4))
        self.generator = torch.Generator().manual_seed(seed)

    def score(self, x: Tensor, y: Tensor) -> Tensor:
        """Scores of pairs; the last axis is summed."""
        a, b, c, e = self.weights
        return a * (x * y).sum(-1) - b * y.square().sum(-1) - c * x.square().sum(-1) + e

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss () of fresh pairs: InfoNCE over the batch, or D's logistic cost of pairs against shuffled ones."""
        x, noise = torch.randn(2, len(x), DIMS, generator=self.generator)
        y = RHO * x + math.sqrt(1 - RHO**2) * noise
        if self.by == "InfoNCE":
            return -self.score(x.unsqueeze(1), y.unsqueeze(0)).log_softmax(1).diagonal().mean()
        return cost_named("nonsaturating").discriminator(self.score(x, y), self.score(x, y.roll(1, 0)))


def _learned(name: str, seed: int, steps: int) -> float:
    """The slope a, averaged over the last quarter of the training."""
    turn = Bilinear(name, seed)
    player, slopes = Player(turn, Plan(steps=steps)), []
    for step in range(steps):
        player.play(torch.empty(256), None, 0.05 * (1 - step / steps) + 1e-3)
        slopes.append(float(turn.weights.detach()[0]))
    return float(np.mean(slopes[3 * steps // 4 :]))


def _nt_xent(sizes: Sequence[int] = (2, 4, 8, 16, 32)) -> tuple[Finding, dict[int, float], dict[int, float]]:
    """Rows that are one of two values with even chance, and views that equal their row: I = log 2.

    The expectation of the library's NT-Xent is a sum over how many of n rows have the first value. Its negatives come in
    pairs, so that their average varies twice as much as that of independent ones: by more than the bound can give away.
    """
    pairs, independent = {}, {}
    for n in sizes:
        loss = sum(_chance(n, count) * _loss(n, count) for count in range(n + 1))
        pairs[n] = math.log(2 * n - 1) - loss
        others = 2 * n - 2
        independent[n] = math.log(2 * n - 1) - sum(
            _chance(others, same) * math.log1p(same + (others - same) * math.exp(-1 / SHARP)) for same in range(others + 1)
        )  # fmt: skip
    worst = max(pairs.values())
    numbers = {
        "information": math.log(2),
        "largest of NT-Xent": worst,
        "largest of InfoNCE": max(independent.values()),
    }
    finding = Finding(
        "NT-Xent's number can exceed the information, and so is an estimate and no bound; with independent negatives it does not",
        worst > math.log(2) + 1e-4 and max(independent.values()) <= math.log(2),
        numbers,
    )
    return finding, pairs, independent


def _chance(n: int, count: int) -> float:
    return math.comb(n, count) / 2**n


def _loss(n: int, count: int) -> float:
    """NT-Xent of n rows of which `count` have the first value; the two values are orthogonal directions."""
    rows = torch.eye(2, dtype=torch.float64)[[0] * count + [1] * (n - count)]
    return float(nt_xent(rows, rows, SHARP))
