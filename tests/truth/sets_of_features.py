"""Distances of two sets of features: closed forms, and sums over all pairs in plain Python."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from problem import Exact
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from jensen.functional.frechet import frechet_of_factors, root
from jensen.functional.gower import nearest_mixed
from jensen.functional.kernel_distance import kernel_distance
from jensen.functional.representation import effective_rank
from jensen.metrics.authenticity import authenticity
from jensen.metrics.closeness import closeness
from jensen.metrics.coverage import prdc
from jensen.metrics.frechet import frechet_distance, frechet_multiple
from jensen.metrics.memorisation import nearer_to_train
from jensen.metrics.table import Tables
from jensen.space import Space

Pairs = Iterator[tuple[Any, Any]]


def moments(mean: np.ndarray, covariance: np.ndarray, n: int = 60, seed: int = 0) -> torch.Tensor:
    """Rows with these moments exactly."""
    z = np.random.default_rng(seed).normal(size=(n, len(mean)))
    z -= z.mean(0)
    z = z @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T))).T
    return torch.from_numpy(mean + z @ np.linalg.cholesky(covariance).T)


def spread(seed: int, d: int = 3) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(d, d))
    return a @ a.T + 0.2 * np.eye(d)


def frechet() -> Pairs:
    """A shift; spreads that commute; and any, by scipy's matrix root."""
    zero, shift = np.zeros(3), np.array([1.0, -2.0, 0.5])
    c = spread(1)
    yield float(shift @ shift), frechet_distance(moments(zero, c), moments(shift, c, seed=1)).value
    a, b = np.array([1.0, 4.0, 0.25]), np.array([9.0, 0.04, 1.0])
    truth = ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    yield truth, frechet_distance(moments(zero, np.diag(a)), moments(zero, np.diag(b), seed=1)).value
    other = spread(2)
    truth = float(shift @ shift + np.trace(c) + np.trace(other) - 2 * np.trace(sqrtm(c @ other)).real)
    yield truth, frechet_distance(moments(zero, c), moments(shift, other, 80, seed=1)).value
    factors = [root(torch.from_numpy(one)) for one in (c, other)]
    yield truth, frechet_of_factors(torch.from_numpy(zero), factors[0], torch.from_numpy(shift), factors[1])


def multiple() -> Pairs:
    """Twice the shift is four times the distance."""
    c, zero, shift = spread(1), np.zeros(3), np.ones(3)
    x, t, y = (moments(at, c, seed=i) for i, at in enumerate((zero, shift, 2 * shift)))
    yield 4.0, frechet_multiple(x, y, t).value


def kernel() -> Pairs:
    """All pairs of rows, one by one; and single points, by hand."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 4)), rng.normal(size=(7, 4)) + 0.7
    k = lambda a, b: (math.fsum(a * b) / 4 + 1) ** 3  # noqa: E731
    within = [
        math.fsum(k(a, b) for a, b in itertools.permutations(side, 2)) / (len(side) * (len(side) - 1))
        for side in (x, y)
    ]
    across = math.fsum(k(a, b) for a in x for b in y) / (len(x) * len(y))
    yield sum(within) - 2 * across, kernel_distance(torch.from_numpy(x), torch.from_numpy(y), chunk=4).value
    # all rows equal 2 against all equal 0 in one dimension: (4 + 1)^3 + 1 - 2
    yield 124.0, kernel_distance(torch.full((4, 1), 2.0), torch.zeros(4, 1)).value


def balls() -> Pairs:
    """On a line, with distances by scipy: who lies strictly inside whose ball to the second neighbour."""
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(40, 2)), rng.normal(size=(30, 2)) + 0.5
    rr, ff, rf = cdist(real, real), cdist(fake, fake), cdist(real, fake)
    radius_real, radius_fake = np.sort(rr, 1)[:, 2], np.sort(ff, 1)[:, 2]
    found = prdc(real, fake, k=2)
    yield (rf < radius_real[:, None]).any(0).mean(), found.precision.value
    yield (rf < radius_fake).any(1).mean(), found.recall.value
    yield (rf < radius_real[:, None]).sum() / (2 * len(fake)), found.density.value
    yield (rf.min(1) < radius_real).mean(), found.coverage.value


def lattice() -> Pairs:
    """Whole numbers, by hand: samples at 0 and 0.1, inside the balls of 0 and of 1, others far away; and the data themselves."""
    real = np.arange(10.0)[:, None]
    some = prdc(real, np.array([[0.0], [0.1], [50.0], [51.0], [52.0]]), k=1)
    yield [2 / 5, 2 / 10], [some.precision.value, some.coverage.value]
    same = prdc(real, real, k=1)
    yield [1.0, 1.0, 1.0, 1.0], [one.value for one in same]


def memories() -> Pairs:
    """Samples that are training rows, and the shares by all distances."""
    rng = np.random.default_rng(0)
    train, held, fake = rng.normal(size=(30, 3)), rng.normal(size=(30, 3)), rng.normal(size=(25, 3))
    fake[:5] = train[:5]
    to_train, to_held = cdist(fake, train), cdist(fake, held)
    own = np.sort(cdist(train, train), 1)[:, 1]
    yield (to_train.min(1) < to_held.min(1)).mean(), nearer_to_train(train, held, fake).value
    yield (own[to_train.argmin(1)] < to_train.min(1)).mean(), authenticity(train, fake).value


def nearer() -> Pairs:
    """P(a sample is nearer to its nearest training row than a held-out row to its own): Mann and Whitney's U, by scipy."""
    rng = np.random.default_rng(0)
    train, held, fake = rng.normal(size=(50, 2)), rng.normal(size=(40, 2)), 1.2 * rng.normal(size=(30, 2))
    scale = np.diff(np.percentile(train, [1, 99], axis=0), axis=0)[0]
    nearest = [np.minimum(np.abs(side[:, None] - train) / scale, 1).mean(2).min(1) for side in (fake, held)]
    truth = 1 - mannwhitneyu(nearest[0], nearest[1]).statistic / (30 * 40)
    yield truth, closeness(Tables(held, fake, train, Space.real(2)))["nearer than held-out rows"].value


def gower() -> Pairs:
    """A number, a category and a gap, by hand."""
    x = torch.tensor([[0.2, 1.0, math.nan]], dtype=torch.float64)
    y = torch.tensor([[0.7, 1.0, 3.0], [0.2, 2.0, math.nan], [5.0, 0.0, 1.0]], dtype=torch.float64)
    scale = torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64)
    yield (0.0 + 1.0 + 0.0) / 3, nearest_mixed(x, y, scale)[0][0]
    unseen = torch.tensor([False, False, True])
    yield (0.25 + 0.0) / 2, nearest_mixed(x, y, scale, unseen=unseen)[0][0]


def ranks() -> Pairs:
    """Singular values 3, 2, 1: exp of the entropy of 1/2, 1/3, 1/6."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    h = turn[:, :3] @ np.diag([3.0, 2.0, 1.0])
    truth = math.exp(-math.fsum(p * math.log(p) for p in (1 / 2, 1 / 3, 1 / 6)))
    yield truth, effective_rank(torch.from_numpy(h))


PROBLEMS = (
    Exact("Frechet distance of given moments", "contrastive", frechet),
    Exact("Frechet distance as a multiple", "contrastive", multiple),
    Exact("kernel distance over all pairs", "contrastive", kernel),
    Exact("precision, recall, density, coverage by all distances", "contrastive", balls),
    Exact("precision, recall, density, coverage of whole numbers", "contrastive", lattice),
    Exact("memorisation and authenticity by all distances", "adversarial", memories),
    Exact("nearer than held-out rows: Mann and Whitney's U", "adversarial", nearer),
    Exact("Gower's distance with a gap", "every family", gower),
    Exact("effective rank of known singular values", "contrastive", ranks),
)
