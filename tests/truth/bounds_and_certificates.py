"""Numbers that are on one side of the truth with a stated probability: how often they are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from areas_under_densities import nodes
from known_pairs import FAR, NULL, ONE_D, SATURATED, TEN_D, KnownPair
from latent_models import BITS, linear, rows_of, seeded, strong
from problem import Bounded

from jensen.annealing import annealed_weights
from jensen.bracketing import tightness
from jensen.codec import Standardise
from jensen.critics.judgement import judge
from jensen.fitted import Fitted
from jensen.functional.betting import lower_limit
from jensen.functional.bounds import certified, iwae
from jensen.functional.critic_limits import betting_limits, fano_limit
from jensen.functional.enumerate import all_rows
from jensen.functional.evidence import evidence
from jensen.models.ppca import PPCA
from jensen.quantity import Kind, Scores
from jensen.space import Space

Pair = tuple[float, float]


@cache
def model(widen: float = 1.0) -> PPCA:
    return linear("diagonal", widen=widen)


def certificate(k: int, width: float, n: int = 20) -> Bounded:
    """Whatever the weights: of proposals narrower and wider than q, and of one draw."""

    def draw(seed: int) -> Pair:
        x = rows_of(model(), n, seed)
        with torch.no_grad():
            values = model().log_prob_lower(x, k=k, generator=seeded(seed + 10**6), width=width)
            return float(certified(values)), float(model().log_prob(x).mean())

    return Bounded(
        f"certified log-likelihood, k = {k}, q {width:g} times as wide", "latent", draw, repeats=600
    )


def annealed(n: int = 20) -> Bounded:
    def draw(seed: int) -> Pair:
        x = rows_of(model(0.6), n, seed)
        ahead, _ = annealed_weights(model(0.6), x, None, 1, seeded(seed + 10**6), levels=5)
        return float(certified(iwae(ahead))), float(model(0.6).log_prob(x).mean().detach())

    return Bounded("certified log-likelihood, annealed", "latent", draw, repeats=400)


def autoencoder() -> Bounded:
    """Rows of an autoencoder of four bits whose p(x) is an integral over one latent."""
    one = strong(BITS, latents=1)
    rows = all_rows((2,) * 4, BITS.shape)

    @cache
    def truth() -> torch.Tensor:
        at, weight = nodes(-9.0, 9.0, 300)
        with torch.no_grad():
            law = (-(at**2) / 2).exp() / math.sqrt(2 * math.pi) * weight
            return (one.log_likelihood(rows, at[:, None].expand(16, -1, 1)).exp() * law).sum(1).log()

    def draw(seed: int) -> Pair:
        with torch.no_grad():
            values = one.log_prob_lower(rows, k=2, generator=seeded(seed))
        scores = Scores(values.numpy(), Kind.LOWER, "mass", 4, "rows", how={"method": "importance"})
        return scores.certified().value, float(truth().mean())

    return Bounded("certified log-likelihood of a vae of 4 bits, k = 2", "latent", draw)


def low_end(n: int) -> Bounded:
    """The lower end of the interval of a mean bound lies below the mean of log p as well: at most 2.5 % are above it."""

    def draw(seed: int) -> Pair:
        x = rows_of(model(), n, seed)
        with torch.no_grad():
            values = model().log_prob_lower(x, k=64, generator=seeded(seed + 10**6)).numpy()
        found = Scores(values, Kind.LOWER, "density", 20, "rows").mean()
        assert found.interval is not None
        return found.interval[0], expected()

    return Bounded(f"lower end of a mean bound of {n} rows", "latent", draw, misses=0.025, repeats=800)


@cache
def expected() -> float:
    from gaussian_latents import law

    return -float(law(model()).entropy())


def looseness(n: int) -> Bounded:
    """`tightness` certifies that the lower bound is no farther from log p than this: about its own rows."""
    codec = Standardise(model().space, torch.zeros(20), torch.ones(20))

    def draw(seed: int) -> Pair:
        found = tightness(Fitted(model(0.6), codec, [], {}), n, 4, levels=0, seed=seed)
        x, _ = model(0.6).sample_with_latents(n, generator=seeded(seed))
        return found.certified.value, float(model(0.6).log_prob(x).mean().detach()) - found.lower.value

    return Bounded(f"tightness: certified, {n} rows", "latent", draw, above=True, repeats=600)


def surely(above: bool, width: float, n: int = 40) -> Bounded:
    """Markov's limit of log Z, from weights with a heavy tail: q = N(0, width^2) for p~ = exp(-x^2 / 2)."""
    truth = 0.5 * math.log(2 * math.pi)

    def log_w(x: torch.Tensor) -> torch.Tensor:
        return -(x**2) / 2 + (x / width) ** 2 / 2 + math.log(width) + truth

    def draw(seed: int) -> Pair:
        z = torch.randn(2, n, generator=seeded(seed), dtype=torch.float64)
        found = evidence(log_w(width * z[0]), log_w(z[1]))
        bounds = found.above if above else found.below
        assert bounds is not None
        return bounds.surely, truth

    side = "from above" if above else "from below"
    return Bounded(
        f"log Z surely, {side}, q {width:g} times as wide", "flow", draw, above=above, repeats=2000
    )


def bet(pair: KnownPair, name: str, n: int, slope: float = 1.0) -> Bounded:
    """The betting limit of the JSD by a critic that is the log ratio, or `slope` times it."""

    def draw(seed: int) -> Pair:
        fake, real = pair.draw(n, seed)
        low, _ = betting_limits(slope * pair.log_ratio(real), slope * pair.log_ratio(fake), math.log(n))
        return low, pair.jsd

    return Bounded(
        f"JSD at least, by betting: {name}, {n} rows, {slope:g} times the log ratio", "adversarial", draw
    )


def fano(pair: KnownPair, name: str, n: int) -> Bounded:
    def draw(seed: int) -> Pair:
        fake, real = pair.draw(n, seed)
        return fano_limit(pair.log_ratio(real), pair.log_ratio(fake)), pair.jsd

    return Bounded(f"JSD at least, by errors: {name}, {n} rows", "adversarial", draw)


def judged(pair: KnownPair, name: str, n: int, repeats: int) -> Bounded:
    """A critic trained, calibrated and chosen anew: the limit that `jensen.divergence` prints."""

    def draw(seed: int) -> Pair:
        x0, x1 = pair.draw(n, seed)
        found = judge(x0, x1, Space.real(x0.shape[1]), seed=seed, names=("quadratic",), permutations=1)
        return found.limit, pair.jsd

    return Bounded(
        f"JSD at least, by a trained critic: {name}, {n} rows", "adversarial", draw, repeats=repeats
    )


def chance(n: int) -> Bounded:
    """The p-value under one law: 0.05 or below in at most 5 % of the comparisons. A small p-value counts as a wrong bound."""

    def draw(seed: int) -> Pair:
        x0, x1 = NULL.draw(n, seed)
        found = judge(x0[:, :2], x1[:, :2], Space.real(2), seed=seed, names=("quadratic",), permutations=199)
        return 0.05, found.p_value - 1e-8

    return Bounded(f"p-value of one law at {n} rows", "adversarial", draw, repeats=500)


BOUNDED: dict[str, tuple[Callable[[np.random.Generator, int], np.ndarray], float]] = {
    "coins": (lambda rng, n: (rng.random(n) < 0.5) * 1.0, 0.5),
    "rare ones": (lambda rng, n: (rng.random(n) < 0.02) * 1.0, 0.02),
    "rare zeros": (lambda rng, n: (rng.random(n) > 0.02) * 1.0, 0.98),
    "a skewed law": (lambda rng, n: rng.beta(0.2, 2.0, n), 0.2 / 2.2),
}


def betting(name: str, n: int) -> Bounded:
    make, truth = BOUNDED[name]

    def draw(seed: int) -> Pair:
        return lower_limit(make(np.random.default_rng([seed, 31]), n)), truth

    return Bounded(f"mean at least, by betting: {n} values of {name}", "adversarial", draw)


PROBLEMS = (
    *(certificate(k, width) for k, width in ((1, 1.0), (10, 0.5), (10, 2.5), (100, 1.0))),
    annealed(),
    autoencoder(),
    low_end(30),
    looseness(30),
    *(surely(above, width) for above, width in ((False, 0.6), (False, 1.5), (True, 0.8), (True, 2.0))),
    bet(ONE_D, "1.0 apart", 100),
    bet(TEN_D, "ten columns", 300, 2.0),
    bet(SATURATED, "12.5 nats", 300),
    bet(FAR, "32 nats", 300),
    bet(NULL, "one law", 200),
    fano(SATURATED, "12.5 nats", 300),
    fano(ONE_D, "1.0 apart", 100),
    judged(NULL, "one law", 200, 400),
    judged(ONE_D, "1.0 apart", 400, 400),
    chance(200),
    *(betting(name, 100) for name in BOUNDED),
)
