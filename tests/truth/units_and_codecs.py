"""Units, and the log-determinants between a user's rows and a model's numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from problem import Exact
from scipy import stats

from jensen.codec import Chain, Dequantise, Integers, Logit, Standardise
from jensen.fitted import Fitted
from jensen.mixed import Columns
from jensen.models import model_class
from jensen.quantity import Kind, Quantity, Scores, paired_difference
from jensen.space import Column, Space

Pairs = Iterator[tuple[Any, Any]]


def bits() -> Pairs:
    """A uniform guess among 256 levels costs 8 bits a pixel; 100 nats over 784 pixels are 100 / (784 log 2) bits."""
    guess = Scores(np.full(5, -784 * math.log(256)), Kind.EXACT, "mass", 784, "rows")
    yield 8.0, guess.bits_per_dim.mean().value
    yield 100 / (784 * math.log(2)), Quantity(-100.0, Kind.LOWER, "nats").bits_per_dim(784).value


def uniform_guess() -> Pairs:
    """An independent model as built is that guess, from the rows on."""
    space = Space.levels((1, 2, 2), 256)
    fitted = Fitted(model_class("independent")(space), Integers(space), [], {})
    rows = np.random.default_rng(0).integers(0, 256, (7, 1, 2, 2))
    yield np.full(7, 8.0), fitted.score(rows).bits_per_dim.values


def standardised() -> Pairs:
    """A standard normal model behind mean and scale is the normal law with that mean and scale."""
    space = Space.real(3)
    mean, scale = torch.tensor([1.0, -5.0, 1e4]).double(), torch.tensor([2.0, 0.01, 300.0]).double()
    model = model_class("independent")(space)
    fitted = Fitted(model, Standardise(space, mean, scale), [], {})
    x = mean + scale * torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    yield stats.norm.logpdf(x.numpy(), mean.numpy(), scale.numpy()).sum(1), fitted.score(x.numpy()).values


def squashed() -> Pairs:
    """Behind a logit the law is logit-normal, cut off at the margins."""
    space = Space.real(2)
    codec = Logit(space, -1.0, 3.0, 0.05)
    x = torch.tensor([[-0.9, 2.0], [0.0, 1.0], [2.95, -1.0]]).double()
    inside = 0.05 + 0.9 * (x.numpy() + 1) / 4
    truth = (
        stats.norm.logpdf(np.log(inside / (1 - inside))) - np.log(inside * (1 - inside)) + math.log(0.9 / 4)
    )
    found = Fitted(model_class("independent")(space), codec, [], {}).score(x.numpy()).values
    yield truth.sum(1), found


def chained() -> Pairs:
    """Log-determinants of a chain add: dequantised levels that are standardised, by the slope of the map."""
    space = Space.levels(2, 10)
    inner = Standardise(Space.real(2), torch.tensor([4.0, 5.0]), torch.tensor([3.0, 0.5]))
    codec = Chain([Dequantise(space), inner])
    z, log_det = codec.encode(torch.tensor([[3, 7], [0, 9]]), torch.Generator().manual_seed(0))
    yield np.full(2, -math.log(1.5)), log_det
    yield [[3.0, 7.0], [0.0, 9.0]], codec.decode(z).double()


def flat_noise() -> Pairs:
    """A density that is flat over every level's cell loses nothing by dequantisation: the bound is the mass."""
    space = Space.levels(1, 8)

    class Flat(model_class("independent")):  # type: ignore[misc]
        """Uniform on [0, 8)."""

        def log_prob(self, x: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
            return torch.full((len(x),), -math.log(8), dtype=torch.float64)

    found = Fitted(Flat(Space.real(1)), Dequantise(space), [], {}).score(np.arange(8)[:, None], k=3)
    assert found.kind is Kind.LOWER
    yield np.full(8, -math.log(8)), found.values


def mixed() -> Pairs:
    """A table of a number with gaps, a category and levels: the mixed law, column by column."""
    space = Space(
        (3,),
        (Column("real", gaps="value"), Column("categorical", 3), Column("levels", 4, low=10.0, step=5.0)),
    )
    rows = torch.tensor([[2.0, 0, 10], [math.nan, 1, 25], [6.0, 1, 10], [4.0, 2, 15]]).double()
    codec = Columns.fit(space, rows)
    model = model_class("independent")(codec.model_space)
    model.solve(codec.encode(rows)[0])
    found = Fitted(model, codec, [], {}).score(rows.numpy()).values
    gap = (1 + 1) / (4 + 2)  # one pretended gap, and one pretended value
    centre, spread = 4.0, math.sqrt(8 / 3)
    first = [
        gap if math.isnan(v) else (1 - gap) * stats.norm.pdf(v, centre, spread) for v in rows[:, 0].tolist()
    ]
    second = {0: 2 / 7, 1: 3 / 7, 2: 2 / 7}
    third = {10: 3 / 8, 15: 2 / 8, 20: 1 / 8, 25: 2 / 8}
    truth = [math.log(a * second[int(b)] * third[int(c)]) for a, (_, b, c) in zip(first, rows.tolist())]
    yield truth, found


def arithmetic() -> Pairs:
    """Sums, multiples and paired differences of numbers with intervals."""
    a, b = (Quantity(v, Kind.EXACT, "nats", interval=(v - 1, v + 1)) for v in (-3.0, -5.0))
    total = a + 2 * b
    yield [-13.0, -16.0, -10.0, 0.9], [total.value, *(total.interval or ()), total.level]
    one, two = (
        Scores(np.array(v), Kind.EXACT, "mass", 1, "r") for v in ([-1.0, -2.0, -3.0], [-2.0, -2.0, -5.0])
    )
    yield 1.0, paired_difference(one, two).value


PROBLEMS = (
    Exact("bits/dim of a uniform guess", "every family", bits),
    Exact("independent model as built: 8 bits/dim", "every family", uniform_guess),
    Exact("standardised rows: log-determinant", "every family", standardised),
    Exact("rows behind a logit: log-determinant", "every family", squashed),
    Exact("a chain of codecs: log-determinants add", "every family", chained),
    Exact("dequantised levels under a flat density", "flow", flat_noise),
    Exact("a mixed table with gaps, column by column", "every family", mixed),
    Exact("sums and differences of numbers", "every family", arithmetic),
)
