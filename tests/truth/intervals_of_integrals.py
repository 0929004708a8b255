"""Intervals of log Z by importance weights, and of what a fitted model says of it."""

from __future__ import annotations

import math
from functools import cache

import torch
from intervals_of_scores import Ends, ends
from problem import Covered

from jensen.codec import Standardise
from jensen.density import pose
from jensen.fitted import Fitted
from jensen.functional.evidence import evidence
from jensen.models import model_class
from jensen.normaliser import log_z
from jensen.space import Space

WIDE = 1.3
"""q = N(0, 1.3^2) for p~ = exp(-x^2 / 2) in two dimensions."""
LOG_Z = math.log(2 * math.pi)


def log_weight(x: torch.Tensor) -> torch.Tensor:
    """log p~ - log q (n,) at rows (n, 2)."""
    return (-(x**2) / 2 + (x / WIDE) ** 2 / 2 + math.log(WIDE) + 0.5 * math.log(2 * math.pi)).sum(1)


def drawn(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def averaged(n: int, above: bool) -> Covered:
    """Through the average weight, whose expectation is Z (or 1 / Z) itself."""

    def draw(seed: int) -> Ends:
        z = drawn(n, seed)
        found = evidence(log_weight(WIDE * z), log_weight(z))
        bounds = found.above if above else found.below
        assert bounds is not None
        return ends(bounds.tight, LOG_Z)

    side = "exact samples" if above else "samples of a wider law"
    return Covered(f"log Z by the mean weight of {n} {side}", "flow", draw, "log Z")


def mean(n: int, above: bool) -> Covered:
    """The mean log weight: about its own expectation, log Z - KL(q || p), or log Z + KL(p || q)."""
    reverse = 2 * (-math.log(WIDE) + (WIDE**2 - 1) / 2)
    forward = 2 * (math.log(WIDE) + (1 / WIDE**2 - 1) / 2)

    def draw(seed: int) -> Ends:
        z = drawn(n, seed)
        found = evidence(log_weight(WIDE * z), log_weight(z))
        bounds = found.above if above else found.below
        assert bounds is not None
        return ends(bounds.mean, LOG_Z + forward if above else LOG_Z - reverse)

    side = "exact samples" if above else "samples"
    return Covered(f"mean log weight of {n} {side}", "flow", draw, "log Z less or plus KL")


@cache
def fitted() -> Fitted:
    """A normal model a little too wide for its target."""
    model = model_class("independent")(Space.real(2))
    with torch.no_grad():
        model.log_scale.fill_(math.log(1.4))  # type: ignore[operator]
    codec = Standardise(Space.real(2), torch.zeros(2), torch.ones(2))
    return Fitted(model, codec, [], {})


def by_model(n: int, search: bool) -> Covered:
    """`log_z` of a law with a bend: p~ = exp(-x^2 / 2 - (y - x^2 / 5)^2 / 2), whose log Z is log 2 pi."""
    density = pose(lambda x: -(x[:, 0] ** 2) / 2 - (x[:, 1] - x[:, 0] ** 2 / 5) ** 2 / 2, 2)

    def draw(seed: int) -> Ends:
        return ends(log_z(fitted(), density, n=n, search=search, seed=seed).value, LOG_Z)

    return Covered(f"log_z of a model by {n} samples{', after a search' if search else ''}", "flow", draw, "log Z",
                   400 if search else 2000, 800 if search else 8000)  # fmt: skip


PROBLEMS = (
    averaged(200, False),
    averaged(1000, True),
    mean(50, False),
    mean(50, True),
    by_model(1000, False),
    by_model(1000, True),
)
