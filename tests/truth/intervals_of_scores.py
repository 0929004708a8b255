"""Intervals of mean log-likelihoods, of their differences, and over seeds: how often they hold the expectation."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from gaussian_latents import law, posterior
from latent_models import linear, rows_of, seeded
from problem import Covered
from scipy import stats

from jensen.bracketing import tightness
from jensen.codec import Standardise
from jensen.fitted import Fitted
from jensen.models.ppca import PPCA
from jensen.quantity import Kind, Quantity, Scores, paired_difference
from jensen.repeating import interval_of
from jensen.weighing import Weighing

Ends = tuple[float, float, float]


def ends(found: Quantity, truth: float) -> Ends:
    assert found.interval is not None
    return (*found.interval, truth)


def exact(values: np.ndarray, kind: Kind = Kind.EXACT) -> Scores:
    return Scores(values, kind, "density", 2, "rows")


def normal_columns(d: int, n: int) -> Covered:
    """Scores of d standard normal columns under their own law: minus half a chi-squared, skewed to the left."""

    def draw(seed: int) -> Ends:
        x = np.random.default_rng([seed, d]).normal(size=(n, d))
        truth = -d / 2 * (math.log(2 * math.pi) + 1)
        return ends(exact(stats.norm.logpdf(x).sum(1)).mean(), truth)

    return Covered(
        f"mean score of {n} rows of {d} normal column{'s' * (d > 1)}",
        "every family",
        draw,
        "minus the entropy",
    )


def categories(n: int) -> Covered:
    """Scores of five categories under another law. Of 60 rows the skew is that of about five in the rarest two: on a lattice so
    coarse t covers in 93 to 94 %, and t widened for skew in 99 %."""
    p, q = np.array([0.4, 0.3, 0.2, 0.07, 0.03]), np.array([0.3, 0.3, 0.3, 0.05, 0.05])

    def draw(seed: int) -> Ends:
        x = np.random.default_rng([seed, 5]).choice(5, n, p=p)
        scores = Scores(np.log(q)[x], Kind.EXACT, "mass", 1, "rows")
        return ends(scores.mean(), float(p @ np.log(q)))

    return Covered(
        f"mean score of {n} categories",
        "autoregressive",
        draw,
        "minus the cross-entropy",
        conservative=n < 100,
    )


def heavy(n: int) -> Covered:
    """Student's law with 3 degrees of freedom scored by the standard normal one would have no fourth moment: scored by
    itself its scores have logarithmic tails."""

    def draw(seed: int) -> Ends:
        x = np.random.default_rng([seed, 3]).standard_t(3, n)
        return ends(exact(stats.t.logpdf(x, 3)).mean(), -float(stats.t.entropy(3)))

    return Covered(f"mean score of {n} rows with heavy tails", "flow", draw, "minus the entropy")


def bits(n: int) -> Covered:
    def draw(seed: int) -> Ends:
        x = np.random.default_rng([seed, 8]).normal(size=(n, 4))
        scores = Scores(stats.norm.logpdf(x).sum(1), Kind.EXACT, "density", 4, "rows")
        return ends(scores.bits_per_dim.mean(), (math.log(2 * math.pi) + 1) / (2 * math.log(2)))

    return Covered(f"bits/dim of {n} rows of 4 normal columns", "every family", draw, "the entropy in bits")


@cache
def model(kind: str) -> PPCA:
    return linear(kind)


@cache
def expectations() -> tuple[float, float]:
    """E log p(x) over the model's own rows, and KL(q, posterior) of its best mean-field q: both in closed form."""
    one = model("diagonal")
    covariance = posterior(one, np.zeros((1, 20)))[1]
    variance = 1 / np.diag(np.linalg.inv(covariance))
    gap = 0.5 * (np.trace(np.linalg.solve(covariance, np.diag(variance))) - len(variance)
                 + np.linalg.slogdet(covariance)[1] - np.log(variance).sum())  # fmt: skip
    return -float(law(one).entropy()), float(gap)


def fitted_rows(n: int) -> Covered:
    """The product's whole path: rows of a linear-Gaussian law, its own model, `score`, `mean`."""

    def draw(seed: int) -> Ends:
        codec = Standardise(model("diagonal").space, torch.zeros(20), torch.ones(20))
        rows = rows_of(model("diagonal"), n, seed).numpy()
        return ends(Fitted(model("diagonal"), codec, [], {}).score(rows).mean(), expectations()[0])

    return Covered(f"mean score of {n} rows of ppca", "latent", draw, "minus the entropy")


def bound(n: int) -> Covered:
    """The mean ELBO over rows and draws: about the expectation of the bound, E log p - KL."""

    def draw(seed: int) -> Ends:
        x = rows_of(model("diagonal"), n, seed)
        weigh = Weighing(model("diagonal"), "importance", 1, seeded(seed + 10**6))
        with torch.no_grad():
            scores = exact(weigh(x, None).numpy(), Kind.LOWER)
        return ends(scores.mean(), expectations()[0] - expectations()[1])

    return Covered(f"mean ELBO of {n} rows of ppca", "latent", draw, "E log p - KL(q, posterior)")


def noise_alone(n: int) -> Covered:
    """The same rows, other draws: about the mean of log p(x_i) - KL, which for these rows is known."""
    x = None
    truth = math.nan

    def draw(seed: int) -> Ends:
        nonlocal x, truth
        if x is None:
            x = rows_of(model("diagonal"), n)
            truth = float(law(model("diagonal")).logpdf(x.numpy()).mean()) - expectations()[1]
        weigh = Weighing(model("diagonal"), "importance", 1, seeded(seed))
        with torch.no_grad():
            values = weigh(x, None).numpy()
        scores = Scores(values, Kind.LOWER, "density", 20, "rows", how=weigh.facts())
        return ends(scores.on_these_rows(), truth)

    return Covered(
        f"Monte-Carlo noise of the ELBO of the same {n} rows",
        "latent",
        draw,
        "log p of these rows - KL",
        1000,
    )


def paired(n: int) -> Covered:
    """Two laws scored on the same rows of N(0, 1): themselves and N(0.3, 1.2^2). The difference is KL."""
    kl = math.log(1.2) + (1 + 0.09) / (2 * 1.44) - 0.5

    def draw(seed: int) -> Ends:
        x = np.random.default_rng([seed, 6]).normal(size=n)
        return ends(paired_difference(exact(stats.norm.logpdf(x)), exact(stats.norm.logpdf(x, 0.3, 1.2))), kl)

    return Covered(f"paired difference of {n} scores", "every family", draw, "KL; widened for what orders rest on it", conservative=True)  # fmt: skip


def over_seeds(seeds: int, rows: int, noise: float) -> Covered:
    """v = mu + a_s + b_r + e, with skewed rows."""

    def draw(seed: int) -> Ends:
        rng = np.random.default_rng([seed, seeds])
        a, b = 0.3 * rng.normal(size=(seeds, 1)), 1 - rng.exponential(size=(1, rows))
        return (*interval_of(a + b + noise * rng.normal(size=(seeds, rows)), 0.95), 0.0)

    return Covered(f"mean of a method over {seeds} seeds and {rows} rows", "every family", draw, "both drawn at random; counts e twice", conservative=True)  # fmt: skip


def looseness(n: int) -> Covered:
    """`tightness` of k = 4 draws on n simulated rows: the expected gap of U_4 and L_4 from 40,000 other rows."""
    codec = None

    def fitted() -> Fitted:
        nonlocal codec
        codec = codec or Standardise(model("diagonal").space, torch.zeros(20), torch.ones(20))
        return Fitted(model("diagonal"), codec, [], {})

    @cache
    def truth() -> float:
        return float(
            np.mean([tightness(fitted(), 2000, 4, levels=0, seed=10**6 + i).gap.value for i in range(20)])
        )

    def draw(seed: int) -> Ends:
        return ends(tightness(fitted(), n, 4, levels=0, seed=seed).gap, truth())

    return Covered(f"tightness: the gap of bounds over {n} rows", "latent", draw, "the expected gap", 1000)


PROBLEMS = (
    *(normal_columns(d, n) for d, n in ((1, 30), (1, 200), (4, 20), (4, 100))),
    *map(categories, (60, 400)),
    heavy(60),
    bits(50),
    fitted_rows(40),
    bound(60),
    *map(noise_alone, (3, 25)),
    *map(paired, (20, 150)),
    over_seeds(3, 60, 0.5),
    over_seeds(5, 200, 0.1),
    looseness(100),
)
