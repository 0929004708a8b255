"""Intervals of probabilities: exact ones, which cover at least as often as they say, whatever the probability."""

from __future__ import annotations

from functools import cache

import numpy as np
from intervals_of_scores import Ends, ends
from known_pairs import ONE_D
from problem import Covered
from scipy import stats

from jensen.critics.judgement import _accuracy, judge
from jensen.functional.binomial import clopper_pearson
from jensen.functional.intervals import mean_interval
from jensen.probing import _accuracy as probed
from jensen.space import Space


def share(p: float, n: int) -> Covered:
    def draw(seed: int) -> Ends:
        hits = int(np.random.default_rng([seed, n]).binomial(n, p))
        return (*clopper_pearson(hits, n), p)

    return Covered(f"a share of {p:g} from {n}", "every family", draw, "the probability", conservative=True)


def probe(p: float, n: int) -> Covered:
    """The accuracy of a probe on frozen features, over held-out rows."""

    def draw(seed: int) -> Ends:
        return ends(probed(np.random.default_rng([seed, n, 1]).random(n) < p), p)

    return Covered(
        f"accuracy {p:g} of a probe on {n} rows", "contrastive", draw, "the accuracy", conservative=True
    )


def gain(n: int) -> Covered:
    """The paired gain of one probe over another: differences of -1, 0 and 1."""

    def draw(seed: int) -> Ends:
        u = np.random.default_rng([seed, n, 2]).random(n)
        more = (u < 0.15).astype(float) - (u > 0.95)
        return (*mean_interval(more), 0.10)

    return Covered(f"paired gain of a probe on {n} rows", "contrastive", draw, "the difference of accuracies")


def told_apart(n: int) -> Covered:
    """The two-sample test's accuracy for a critic that is the log ratio itself, N(0, 1) against N(1, 0.49)."""

    @cache
    def truth() -> float:
        # log ratio > 0 between the roots of a quadratic
        a, b, c = 1 / 0.49 - 1, -2 / 0.49, 1 / 0.49 + 2 * np.log(0.7)
        low, high = np.sort(np.roots([a, b, c]).real)
        near = stats.norm(1, 0.7)
        own = 1 - (stats.norm.cdf(high) - stats.norm.cdf(low))
        return float((own + near.cdf(high) - near.cdf(low)) / 2)

    def draw(seed: int) -> Ends:
        fake, real = ONE_D.draw(n, seed)
        return ends(_accuracy(ONE_D.log_ratio(fake), ONE_D.log_ratio(real)), truth())

    return Covered(f"accuracy of the two-sample test, {n} rows a side", "adversarial", draw, "by the laws' quantiles", conservative=True)  # fmt: skip


def trained(n: int) -> Covered:
    """A critic trained anew each time: about its own accuracy, on 20,000 fresh rows a side."""
    fresh = None

    def draw(seed: int) -> Ends:
        nonlocal fresh
        if fresh is None:
            fresh = ONE_D.draw(20_000, 10**6)
        x0, x1 = ONE_D.draw(n, seed)
        found = judge(x0, x1, Space.real(1), seed=seed, names=("quadratic",), permutations=1)
        truth = ((found.critic(fresh[0]) < 0).mean() + (found.critic(fresh[1]) > 0).mean()) / 2
        return ends(found.accuracy, float(truth))

    return Covered(f"accuracy of a critic trained on half of {n} rows", "adversarial", draw, "on fresh rows", 1200, 1200, conservative=True)  # fmt: skip


PROBLEMS = (
    *(share(p, n) for p, n in ((0.5, 20), (0.98, 50), (0.003, 400))),
    *(probe(p, n) for p, n in ((0.99, 50), (0.9, 200))),
    gain(200),
    told_apart(35),
    trained(400),
)
