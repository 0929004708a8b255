"""Intervals of distances of features and of tables. What is held fixed, or at how many rows an expectation is, is in `of`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from intervals_of_scores import Ends, ends
from problem import Covered
from scipy import stats
from scipy.integrate import quad

from jensen.metrics.authenticity import authenticity
from jensen.metrics.closeness import _nearer
from jensen.metrics.columns import column_distance
from jensen.metrics.coverage import prdc
from jensen.metrics.frechet import frechet_distance, frechet_multiple
from jensen.metrics.kernel import kernel_mmd
from jensen.metrics.memorisation import nearer_to_train
from jensen.metrics.pairs import pair_differences
from jensen.metrics.table import Tables
from jensen.quantity import Quantity
from jensen.space import Column, Space

OTHERS = 4000
"""Sets from whose mean an expectation is taken where there is no closed form: its error is a sixtieth of an interval."""


def expected(name: str, family: str, make: Callable[[np.random.Generator], Quantity], conservative: bool = False, repeats: int = 1000) -> Covered:  # fmt: skip
    """An interval about the expectation at these numbers of rows, which comes from other sets."""

    @cache
    def truth() -> float:
        return float(np.mean([make(np.random.default_rng([i, 99])).value for i in range(OTHERS)]))

    def draw(seed: int) -> Ends:
        return ends(make(np.random.default_rng([seed, 1])), truth())

    return Covered(name, family, draw, "the expectation at so many rows", repeats, 4 * repeats, conservative)


def frechet(n: int, d: int, shift: float, conservative: bool = False) -> Covered:
    def make(rng: np.random.Generator) -> Quantity:
        return frechet_distance(rng.normal(size=(n, d)), rng.normal(size=(n, d)) + shift)

    return expected(
        f"Frechet distance of {n} rows of {d} features, {shift:g} apart", "contrastive", make, conservative
    )


def multiple(n: int, shift: float) -> Covered:
    def make(rng: np.random.Generator) -> Quantity:
        x, y, t = rng.normal(size=(3, n, 4))
        return frechet_multiple(x, y + shift, t)

    return expected(
        f"Frechet distance as a multiple, {n} rows, {shift:g} apart", "contrastive", make, conservative=True
    )


def kernel(n: int, shift: float, conservative: bool = False) -> Covered:
    """In one dimension k = (x y + 1)^3, so that MMD^2 = sum of (3 over k) (E x^k - E y^k)^2."""
    truth = 3 * shift**2 + 3 * shift**4 + (shift**3 + 3 * shift) ** 2

    def draw(seed: int) -> Ends:
        rng = np.random.default_rng([seed, 3])
        return ends(kernel_mmd(rng.normal(size=(n, 1)), rng.normal(size=(n, 1)) + shift), truth)

    return Covered(f"kernel distance of {n} rows, {shift:g} apart", "contrastive", draw, "MMD^2 by moments", conservative=conservative)  # fmt: skip


def union(centres: np.ndarray, radii: np.ndarray, law: stats.rv_continuous) -> float:
    """The probability of a union of intervals."""
    total, end = 0.0, -np.inf
    for low, high in sorted(zip(centres - radii, centres + radii)):
        low = max(low, end)
        if high > low:
            total += law.cdf(high) - law.cdf(low)
            end = high
    return float(total)


def ball_share(name: str, n: int) -> Covered:
    """On a line, one side and its balls held fixed: the other side's probability of falling into them, in closed form."""
    k, rng = 3, np.random.default_rng(17)
    real_law, fake_law = stats.norm(0, 1), stats.norm(0.5, 1.5)
    fixed = rng.normal(size=60) if name != "recall" else 0.5 + 1.5 * rng.normal(size=60)
    radii = np.sort(np.abs(fixed[:, None] - fixed), 1)[:, k]
    if name == "density":
        truth = float((fake_law.cdf(fixed + radii) - fake_law.cdf(fixed - radii)).sum() / k)
    else:
        truth = union(fixed, radii, real_law if name == "recall" else fake_law)

    def draw(seed: int) -> Ends:
        rng = np.random.default_rng([seed, 18])
        other = rng.normal(size=n) if name == "recall" else 0.5 + 1.5 * rng.normal(size=n)
        real, fake = (other, fixed) if name == "recall" else (fixed, other)
        return ends(getattr(prdc(real[:, None], fake[:, None], k=k), name), truth)

    return Covered(f"{name} of {n} rows", "contrastive", draw, "by the law of the rows counted, the balls fixed", conservative=name != "density")  # fmt: skip


def coverage(n: int) -> Covered:
    def make(rng: np.random.Generator) -> Quantity:
        return prdc(rng.normal(size=(n, 2)), 0.5 + 1.5 * rng.normal(size=(n, 2)), k=3).coverage

    return expected(f"coverage of {n} rows", "contrastive", make, conservative=True)


def memory(n: int) -> Covered:
    """On a line, training and held-out rows fixed: where a sample is nearer to a training row, in closed form."""
    rng = np.random.default_rng(23)
    train, held = rng.normal(size=(2, 40))
    both = np.sort(np.concatenate([train, held]))
    middles = np.concatenate([[-np.inf], (both[1:] + both[:-1]) / 2, [np.inf]])
    mass = np.diff(stats.norm(0, 1.3).cdf(middles))
    truth = float(mass[np.isin(both, train)].sum())

    def draw(seed: int) -> Ends:
        fake = 1.3 * np.random.default_rng([seed, 19]).normal(size=(n, 1))
        return ends(nearer_to_train(train[:, None], held[:, None], fake), truth)

    return Covered(f"nearer to training rows, of {n} samples", "adversarial", draw, "by the samples' law, all else fixed", conservative=True)  # fmt: skip


def authentic(n: int) -> Covered:
    """On a line: a sample counts where it is farther from its nearest training row than that one from its own."""
    train = np.sort(np.random.default_rng(24).normal(size=40))
    apart = np.diff(train)
    own = np.minimum(np.concatenate([[np.inf], apart]), np.concatenate([apart, [np.inf]]))
    cells = np.concatenate([[-np.inf], (train[1:] + train[:-1]) / 2, [np.inf]])
    law = stats.norm(0, 1.3)
    inside = [
        law.cdf(min(t + o, b)) - law.cdf(max(t - o, a))
        for t, o, a, b in zip(train, own, cells[:-1], cells[1:])
    ]
    truth = 1 - float(sum(inside))

    def draw(seed: int) -> Ends:
        fake = 1.3 * np.random.default_rng([seed, 20]).normal(size=(n, 1))
        return ends(authenticity(train[:, None], fake), truth)

    return Covered(f"authenticity of {n} samples", "adversarial", draw, "by the samples' law, training rows fixed", conservative=True)  # fmt: skip


def nearer(n: int, m: int) -> Covered:
    """P(one exponential distance is below another), by quadrature."""
    truth, _ = quad(lambda x: stats.expon.pdf(x, scale=0.6) * stats.gamma.sf(x, 2), 0, 40)

    def draw(seed: int) -> Ends:
        rng = np.random.default_rng([seed, 21])
        _, found = _nearer(rng.exponential(0.6, n), rng.gamma(2, size=m))
        return (*found, float(truth))

    return Covered(
        f"nearer than held-out rows, {n} samples and {m} rows", "adversarial", draw, "by quadrature"
    )


def column(n: int, kind: str, shift: float) -> Covered:
    def make(rng: np.random.Generator) -> Quantity:
        if kind == "bit":
            return column_distance(
                (rng.random(n) < 0.3) * 1.0, (rng.random(n) < 0.3 + shift) * 1.0, Column("binary")
            )
        return column_distance(rng.normal(size=n), rng.normal(size=n) + shift, Column("real"))

    return expected(
        f"distance of a column, a {kind}, {n} rows, {shift:g} apart", "every family", make, conservative=True
    )


def pairs(n: int, agree: float) -> Covered:
    """Three bits, two of them tied: a tie of `agree` in samples against one of 0.8."""

    def make(rng: np.random.Generator) -> Quantity:
        sides = []
        for share in (0.8, agree):
            first, other = rng.integers(0, 2, (2, n))
            tied = np.where(rng.random(n) < share, first, 1 - first)
            sides.append(np.stack([first, tied, other], 1).astype(float))
        return pair_differences(Tables(*sides, None, Space.binary(3)), usual=(0.0, 0.0)).mean

    return expected(
        f"difference of association, {n} rows, {agree:g} against 0.8", "every family", make, conservative=True
    )


PROBLEMS = (
    frechet(60, 2, 1.0),
    frechet(200, 8, 1.0),
    frechet(300, 4, 0.0, conservative=True),
    multiple(100, 0.5),
    kernel(60, 1.0),
    kernel(200, 0.5),
    kernel(100, 0.0, conservative=True),
    *(ball_share(name, 80) for name in ("precision", "recall", "density")),
    coverage(100),
    memory(80),
    authentic(80),
    nearer(50, 30),
    nearer(300, 200),
    column(200, "bit", 0.2),
    column(200, "number", 0.5),
    pairs(400, 0.3),
    pairs(400, 0.8),
)
