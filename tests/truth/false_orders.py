"""Comparisons whose truth is known, through the product's own orders: how many of them prove an order that is false.

Most of the models are equally good, since that is where a proven order can be false most easily: with skewed, heavy, tied
and rounded scores, from two rows to a hundred, of up to twelve models, of weights and of methods with several seeds. An order
is false when it says that one of two equal models is better, or the worse of two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from intervals_of_divergences import fresh
from problem import Ordered
from scipy import stats

from jensen.comparison import Comparison
from jensen.quantity import Answer, Kind, Scores
from jensen.repeating import PairOrder, methods_of
from jensen.separation import separations

EACH = 640
"""Comparisons of a kind: seventeen kinds make 10,880."""

Table = np.ndarray
"""Scores (models, rows)."""


def scores(values: Table, kind: Kind = Kind.EXACT) -> Scores:
    return Scores(np.ascontiguousarray(values), kind, "density", 1, "rows")


def count(orders: Sequence[PairOrder], truth: dict[str, float]) -> tuple[int, int]:
    """How many are proven or refuted, and how many of those are false. `truth`: the means of log p."""
    decided = wrong = 0
    for one in orders:
        gap = truth[one.better] - truth[one.worse]
        if one.order.answer is not Answer.UNDECIDED:
            decided += 1
            wrong += gap <= 1e-12 if one.order.answer is Answer.PROVEN else gap >= -1e-12
    return decided, wrong


def compared(table: Table, truth: Sequence[float], kinds: Sequence[Kind] | None = None) -> tuple[int, int]:
    """The orders of a comparison of such scores."""
    names = [f"model {i}" for i in range(len(table))]
    kinds = kinds or [Kind.EXACT] * len(table)
    entries: list[Any] = [SimpleNamespace(name=name, scores=scores(row, kind)) for name, row, kind in zip(names, table, kinds)]  # fmt: skip
    return count(Comparison(None, entries, 0.95, {}).orders(), dict(zip(names, truth)))  # type: ignore[arg-type]


def weights(name: str, make: Callable[[np.random.Generator], tuple[Table, Sequence[float]]], repeats: int = EACH) -> Ordered:  # fmt: skip
    """A comparison a seed."""

    def draw(seed: int) -> tuple[int, int]:
        return compared(*make(np.random.default_rng([seed, 41, len(name)])))

    return Ordered(f"orders: {name}", "every family", draw, repeats)


def alike(rng: np.random.Generator, losses: Sequence[Table]) -> tuple[Table, Sequence[float]]:
    """Models of equal means on rows that all of them find more or less hard; every loss has mean 0."""
    hard = 5 * rng.normal(size=losses[0].shape)
    return np.stack([hard - loss for loss in losses]), [0.0] * len(losses)


def normal(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
    return alike(rng, [s * rng.normal(size=30) for s in (0.0, 0.1, 0.5, 1.0, 1.0, 2.0)])


def skewed(n: int, models: int) -> Callable[[np.random.Generator], tuple[Table, Sequence[float]]]:
    """Half of the losses have a long tail upwards: a few rows that a model finds nearly impossible."""

    def make(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
        return alike(
            rng, [0.2 * rng.normal(size=n) if i % 2 else rng.exponential(size=n) - 1 for i in range(models)]
        )

    return make


def squares(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
    """Log-likelihoods of one real column by models that are too wide or too narrow, and one that knows their mean."""
    n = 25
    return alike(rng, [np.zeros(n), *(s * (rng.normal(size=n) ** 2 - 1) for s in (0.5, 1.0, 3.0))])


def lognormal(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
    n = 100
    return alike(rng, [np.zeros(n), *(np.exp(rng.normal(size=n)) - np.exp(0.5) for _ in range(3))])


def heavy(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
    """Student's law with 3 degrees of freedom: no third moment."""
    return alike(rng, [rng.standard_t(3, 20) for _ in range(5)])


def tied(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
    """Four rows of five are told alike, scores are rounded to a tenth."""
    n = 40
    table, truth = alike(rng, [(rng.random(n) < 0.2) * rng.choice([-1.0, 1.0], n) for _ in range(5)])
    return np.round(table, 1), truth


def rare(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
    """One row of ten costs a model 2, the others gain 0.2, and nothing else differs."""
    n = 60
    return alike(rng, [np.zeros(n), *(np.where(rng.random(n) < 0.1, 1.8, -0.2) for _ in range(2))])


def unseen(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
    """The same of nine rows, of which four samples in ten hold no row that costs: one number, again and again."""
    return alike(rng, [np.zeros(9), np.where(rng.random(9) < 0.1, 1.8, -0.2)])


def tiny(n: int) -> Callable[[np.random.Generator], tuple[Table, Sequence[float]]]:
    def make(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
        return alike(rng, [rng.normal(size=n), rng.normal(size=n), rng.uniform(-1, 1, n)])

    return make


def unequal(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
    """Some are better: what is proven of these has to be right, and of the equal ones nothing."""
    gains = [0.0, 0.0, 0.3, 0.3, 1.0, -0.5]
    table, _ = alike(rng, [rng.exponential(size=80) - 1 - gain for gain in gains])
    return table, gains


def laws(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
    """Rows of N(0, 1) under N(0.4, 1), N(-0.4, 1), the mixture of both, N(0, 1.3^2) and itself: by closed form and quadrature."""
    x = rng.normal(size=50)
    each = [
        stats.norm(0.4).logpdf(x),
        stats.norm(-0.4).logpdf(x),
        stats.norm(0, 1.3).logpdf(x),
        stats.norm.logpdf(x),
    ]
    truth = [-0.08, -0.08, -np.log(1.3) - 0.5 / 1.69 + 0.5, 0.0]
    return np.stack(each), truth


def categories(rng: np.random.Generator) -> tuple[Table, Sequence[float]]:
    """A uniform law of four values under four laws that are one another's permutations."""
    x, law = rng.integers(0, 4, 30), np.log([0.55, 0.25, 0.15, 0.05])
    return np.stack([np.roll(law, i)[x] for i in range(4)]), [0.0] * 4


def bounded(seed: int) -> tuple[int, int]:
    """Exact scores, lower bounds that are tight and some that are not, all of equally good models and one better one."""
    rng = np.random.default_rng([seed, 43])
    n, gaps = 40, [0.0, 0.0, 0.0, 0.2, 1.0]
    truth = [0.0, 0.0, 0.0, 0.0, 0.6]
    table, _ = alike(rng, [rng.exponential(size=n) - 1 for _ in gaps])
    table += np.array(truth)[:, None] - np.array(gaps)[:, None] * rng.exponential(size=(5, n))
    return compared(table, truth, [Kind.EXACT, Kind.EXACT, Kind.LOWER, Kind.LOWER, Kind.LOWER])


def methods(seeds: int, rows: int) -> Ordered:
    """Methods whose weights differ from seed to seed, equal in the mean of all seeds."""

    def draw(seed: int) -> tuple[int, int]:
        rng = np.random.default_rng([seed, 44, seeds])
        hard = 5 * rng.normal(size=rows)
        tables = {
            f"method {i}": [
                scores(hard + 0.3 * rng.normal() + spread * (1 - own) + 0.1 * rng.normal(size=rows))
                for _ in range(seeds)
            ]
            for i, spread in enumerate((0.2, 0.5, 1.0))
            for own in [rng.exponential(size=rows)]
        }
        return count(methods_of(tables, range(seeds), 0.95).orders, dict.fromkeys(tables, 0.0))

    return Ordered(f"orders: methods with {seeds} seeds, {rows} rows", "every family", draw, EACH)


def told_apart(seed: int) -> tuple[int, int]:
    """Three models as far from the rows as each other: none is told apart more easily."""
    rng = np.random.default_rng([seed, 45])
    rows, n = rng.normal(size=60), 60
    told = {name: fresh(0.8, rows, 0.8 + rng.normal(size=n)) for name in "abc"}
    decided = sum(one.decided for one in separations(told, seed=seed))
    return decided, decided


PROBLEMS = (
    weights("6 equal models, normal, 30 rows", normal),
    weights("4 equal models, skewed, 12 rows", skewed(12, 4)),
    weights("12 equal models, skewed, 50 rows", skewed(50, 12)),
    weights("4 equal models, squares of normal, 25 rows", squares),
    weights("4 equal models, log-normal, 100 rows", lognormal),
    weights("5 equal models, heavy tails, 20 rows", heavy),
    weights("5 equal models, ties, 40 rows", tied),
    weights("3 equal models, rare losses, 60 rows", rare),
    weights("2 equal models, losses unseen, 9 rows", unseen),
    weights("3 equal models, 2 rows", tiny(2)),
    weights("3 equal models, 5 rows", tiny(5)),
    weights("6 models, some better, 80 rows", unequal),
    weights("4 normal laws, two equal, 50 rows", laws),
    weights("4 equal laws of categories, 30 rows", categories),
    Ordered("orders: lower bounds among exact scores, 40 rows", "every family", bounded, EACH),
    methods(3, 60),
    methods(5, 40),
    Ordered("orders: three models told apart as easily, 60 rows", "adversarial", told_apart, 1000),
)
