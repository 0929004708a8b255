"""Intervals of divergences of two known laws, of a critic's bound, of ratios: how often they hold the truth."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from intervals_of_scores import Ends, ends
from known_pairs import SATURATED, exact_jsd
from problem import Covered
from scipy import stats
from scipy.integrate import quad

from jensen.critics.platt import log_losses
from jensen.freshness import Fresh
from jensen.functional.divergence import f_divergence, jsd_lower
from jensen.functional.ratio import normaliser
from jensen.quantity import Kind, Quantity
from jensen.separation import bound_difference
from jensen.shifts import _fall

SHIFT = 0.8
"""p = N(0, 1) against q = N(0.8, 1)."""


@cache
def truths() -> dict[str, float]:
    p, q = stats.norm(0, 1), stats.norm(SHIFT, 1)
    gap = (
        quad(lambda x: abs(p.pdf(x) - q.pdf(x)) / 2, -12, 0.4)[0]
        + quad(lambda x: abs(p.pdf(x) - q.pdf(x)) / 2, 0.4, 12)[0]
    )
    return {
        "kl": SHIFT**2 / 2,
        "reverse-kl": SHIFT**2 / 2,
        "jensen-shannon": exact_jsd(lambda x: SHIFT**2 / 2 - SHIFT * x[:, 0], SHIFT, 1.0),
        "chi-squared": math.exp(SHIFT**2) - 1,
        "squared-hellinger": 1 - math.exp(-(SHIFT**2) / 8),
        "total-variation": gap,
    }


def ratio(x: np.ndarray, shift: float = SHIFT) -> np.ndarray:
    """log p - log q."""
    return shift**2 / 2 - shift * x


def pair(x: np.ndarray) -> Any:
    return torch.from_numpy(stats.norm.logpdf(x)), torch.from_numpy(stats.norm.logpdf(x, SHIFT))


def divergence(name: str, sides: str, n: int) -> Covered:
    def draw(seed: int) -> Ends:
        rng = np.random.default_rng([seed, 2])
        x, y = rng.normal(size=n), SHIFT + rng.normal(size=n)
        given = {f"at_{side}": pair(at) for side, at in (("p", x), ("q", y)) if side in sides}
        return ends(f_divergence(name, **given), truths()[name])

    return Covered(f"{name} from {n} samples of {' and '.join(sides)}", "adversarial", draw, "its value")


def critic(n: int, slope: float) -> Covered:
    """The bound of a fixed critic, `slope` times the log ratio: about the bound's expectation, by quadrature."""

    def loss(x: float, sign: int, mean: float) -> float:
        return -float(np.logaddexp(0, -sign * slope * ratio(np.array(x)))) * stats.norm.pdf(x, mean)

    @cache
    def truth() -> float:
        return (
            math.log(2)
            + (quad(loss, -12, 12, args=(1, 0.0))[0] + quad(loss, -12, 12, args=(-1, SHIFT))[0]) / 2
        )

    def draw(seed: int) -> Ends:
        rng = np.random.default_rng([seed, 4])
        real, fake = (
            torch.from_numpy(slope * ratio(x)) for x in (rng.normal(size=n), SHIFT + rng.normal(size=n // 2))
        )
        return ends(jsd_lower(real, fake), truth())

    return Covered(f"G[D] / 2 + log 2 of {n} and {n // 2} rows, {slope:g} times the log ratio", "adversarial", draw, "its expectation")  # fmt: skip


def saturated(n: int) -> Covered:
    """Two laws 12.5 nats apart, told by their log ratio: nearly all of the loss is in a few rows."""

    def draw(seed: int) -> Ends:
        fake, real = SATURATED.draw(n, seed)
        found = jsd_lower(*(torch.from_numpy(SATURATED.log_ratio(x)) for x in (real, fake)))
        return ends(found, SATURATED.jsd)

    return Covered(f"G[D] / 2 + log 2 of {n} rows near saturation", "adversarial", draw, "the JSD")


def total(n: int, shift: float) -> Covered:
    def draw(seed: int) -> Ends:
        x = shift + np.random.default_rng([seed, 9]).normal(size=n)
        return ends(normaliser(torch.from_numpy(ratio(x, shift))), 1.0)

    return Covered(f"normaliser of the log ratio at {n} rows, {shift} apart", "adversarial", draw, "1")


def fresh(shift: float, rows: np.ndarray, samples: np.ndarray) -> Fresh:
    """Samples of N(shift, 1) against rows of N(0, 1), told by the exact log ratio."""
    l0, l1 = (shift**2 / 2 - shift * x for x in (samples, rows))
    on_samples, on_rows = log_losses(l0, l1)
    value = math.log(2) - (on_samples.mean() + on_rows.mean()) / 2
    return Fresh(
        Quantity(float(value), Kind.LOWER, "nats"), on_samples, on_rows, tuple(range(len(rows))), len(samples)
    )


def separated(n: int, samples: int) -> Covered:
    """The difference of two critics' bounds by the studentised bootstrap; samples in pairs where they are as many."""

    @cache
    def truth() -> float:
        far, near = (exact_jsd(lambda x, s=s: s**2 / 2 - s * x[:, 0], s, 1.0) for s in (1.2, 0.8))
        return far - near

    def draw(seed: int) -> Ends:
        rng = np.random.default_rng([seed, 10])
        rows, z = rng.normal(size=n), rng.normal(size=n)
        other = z if samples == n else rng.normal(size=samples)
        return ends(
            bound_difference(fresh(1.2, rows, 1.2 + z), fresh(0.8, rows, 0.8 + other), seed=seed), truth()
        )

    return Covered(f"difference of two critics' bounds, {n} rows and {samples} samples", "adversarial", draw, "that of two JSDs", 1000, 4000)  # fmt: skip


def needed(n: int) -> Covered:
    """The fall of a bound when a column is shuffled, from the rise of every row's loss: skewed terms of a known mean."""

    def draw(seed: int) -> Ends:
        rng = np.random.default_rng([seed, 12])
        found = _fall(rng.exponential(size=n) - 0.5, 0.4 * rng.normal(size=n // 2) + 0.1)
        assert found.interval is not None
        return (*found.interval, 0.3)

    return Covered(f"what the bound needs of a column, {n} rows", "adversarial", draw, "its expectation, at its own level", conservative=True)  # fmt: skip


PROBLEMS = (
    *(divergence(name, "pq", 300) for name in truths()),
    *(
        divergence(name, side, 600)
        for name, side in (
            ("kl", "p"),
            ("reverse-kl", "q"),
            ("jensen-shannon", "p"),
            ("total-variation", "q"),
            ("squared-hellinger", "p"),
        )
    ),
    critic(100, 1.0),
    critic(400, 2.5),
    saturated(400),
    total(1000, 0.8),
    separated(100, 100),
    separated(100, 60),
    needed(100),
)
