"""One site's law from its parameters, against scipy.stats: what every autoregressive model and autoencoder is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from problem import Exact
from scipy import stats
from scipy.special import expit, softmax

from jensen.heads import head_for
from jensen.heads.gaussian import BOUND
from jensen.space import Space

Pairs = Iterator[tuple[Any, Any]]


def parameters(size: int, scale: float = 1.5) -> np.ndarray:
    return scale * np.random.default_rng(0).normal(size=(5, 2, size))


def bernoulli() -> Pairs:
    """scipy's Bernoulli law at sigmoid(logit)."""
    given, head = parameters(1, 4.0), head_for(Space.binary(2), "bernoulli")
    for bit in (0, 1):
        x = torch.full((5, 2), bit)
        yield stats.bernoulli.logpmf(bit, expit(given[..., 0])), head.log_prob(torch.from_numpy(given), x)


def categorical() -> Pairs:
    given, head = parameters(4), head_for(Space.categorical(2, 4), "categorical")
    for level in range(4):
        x = torch.full((5, 2), level)
        yield np.log(softmax(given, -1)[..., level]), head.log_prob(torch.from_numpy(given), x)


def logistic() -> Pairs:
    """One component: P(level) is a difference of logistic distribution functions, with the ends at infinity."""
    levels, head = 5, head_for(Space.levels(2, 5), "logistic", 1)
    head.double()  # type: ignore[attr-defined]
    given = parameters(3)
    mean = given[..., 1] + 2 * 0.5 - 1  # the head's own offset: the centre of [-1, 1]
    raw = given[..., 2]
    found = torch.stack(
        [head.log_prob(torch.from_numpy(given), torch.full((5, 2), j)) for j in range(levels)], -1
    )
    bounded = raw / (1 + np.abs(raw) / head.bound)  # type: ignore[attr-defined]
    scale = head.scale * np.exp(bounded)  # type: ignore[attr-defined]
    ends = np.array([-np.inf, *(2 * (j + 0.5) / (levels - 1) - 1 for j in range(levels - 1)), np.inf])
    upper = stats.logistic.cdf(ends[1:], mean[..., None], scale[..., None])
    lower = stats.logistic.cdf(ends[:-1], mean[..., None], scale[..., None])
    yield np.log(upper - lower), found


def gaussian() -> Pairs:
    """Three components, by scipy's normal density."""
    head = head_for(Space.real(2), "gaussian", 3)
    head.double()  # type: ignore[attr-defined]
    given = parameters(9)
    weight, mean, raw = np.split(given, 3, -1)
    centre = head.centre.numpy()  # type: ignore[attr-defined]
    spread = head.spread * np.exp(raw / (1 + np.abs(raw) / BOUND))  # type: ignore[attr-defined]
    for x in (-2.0, 0.3, 5.0):
        density = (softmax(weight, -1) * stats.norm.pdf(x, mean + centre, spread)).sum(-1)
        yield np.log(density), head.log_prob(torch.from_numpy(given), torch.full((5, 2), x).double())


PROBLEMS = (
    Exact("Bernoulli head: scipy's law", "autoregressive", bernoulli),
    Exact("categorical head: softmax", "autoregressive", categorical),
    Exact("logistic head: differences of a distribution function", "autoregressive", logistic),
    Exact("gaussian mixture head: scipy's densities", "autoregressive", gaussian),
)
