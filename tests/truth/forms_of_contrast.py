"""The contrastive loss and what is said of a representation, where directions are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from problem import Exact
from scipy.special import hyp0f1, logsumexp

from jensen.functional.contrastive import chance_level, nt_xent, view_losses
from jensen.functional.representation import alignment, partner_found, uniformity
from jensen.functional.votes import nearest_by_angle, vote

Pairs = Iterator[tuple[Any, Any]]


def orthogonal() -> Pairs:
    """n orthogonal rows, each its own partner: log(1 + (2n - 2) e^(-1 / t))."""
    for n, t in ((2, 0.5), (8, 0.1), (16, 1.0)):
        views = torch.eye(n, dtype=torch.float64)
        yield math.log1p((2 * n - 2) * math.exp(-1 / t)), nt_xent(views, 3 * views, t)


def collapsed() -> Pairs:
    """All views alike: nobody can tell, log(2n - 1)."""
    for n in (2, 64):
        views = torch.ones(n, 5, dtype=torch.float64)
        yield math.log(2 * n - 1), nt_xent(views, views, 0.2)
        yield math.log(2 * n - 1), chance_level(n)


def opposite() -> Pairs:
    """Two rows at angle 180 degrees: log(1 + 2 e^(-2 / t))."""
    a = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    yield math.log1p(2 * math.exp(-2 / 0.3)), nt_xent(a, a, 0.3)


def any_views() -> Pairs:
    """Random views, every similarity by numpy; in one tile and in several; each view's own loss."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(9, 4)), rng.normal(size=(9, 4))
    z = np.concatenate([a, b])
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    similar = z @ z.T / 0.25
    np.fill_diagonal(similar, -np.inf)
    partner = (np.arange(18) + 9) % 18
    each = logsumexp(similar, axis=1) - similar[np.arange(18), partner]
    ta, tb = torch.from_numpy(a), torch.from_numpy(b)
    yield each.mean(), nt_xent(ta, tb, 0.25)
    yield each.mean(), nt_xent(ta, tb, 0.25, tile=5)
    yield each, view_losses(ta, tb, 0.25)
    np.fill_diagonal(similar, -np.inf)
    yield (similar.argmax(1) == partner).astype(float), partner_found(ta, tb).double()


def in_float32() -> Pairs:
    """The same in the default precision: similarities of size 1 / t carry 6e-8 / t, the loss at most 2e-5 of itself."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(64, 16)), rng.normal(size=(64, 16))
    truth = nt_xent(torch.from_numpy(a), torch.from_numpy(b), 0.1)
    yield truth, nt_xent(torch.from_numpy(a).float(), torch.from_numpy(b).float(), 0.1)


def shapes() -> Pairs:
    """Alignment and uniformity: right angles, opposites, and the circle, where the mean of exp(-2 |u - v|^2) is known."""
    square = torch.tensor([[1.0, 0], [0, 1.0], [-1.0, 0], [0, -1.0]], dtype=torch.float64)
    yield [2.0, 2.0, 2.0, 2.0], alignment(square, square.roll(1, 0))
    yield [4.0, 4.0, 4.0, 4.0], alignment(square, -square)
    yield math.log((2 * math.exp(-4) + math.exp(-8)) / 3), uniformity(square)
    n = 500
    angles = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    circle = torch.stack([angles.cos(), angles.sin()], 1)
    # over all pairs exp(-4) 0F1(; 1; 4), the trapezoid rule being exact to 1e-15; the n pairs of a row with itself leave
    every = math.exp(-4) * float(hyp0f1(1, 4))
    yield math.log((n * every - 1) / (n - 1)), uniformity(circle)


def neighbours() -> Pairs:
    """Nearest directions and their votes, by hand."""
    references = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]])
    places, cosines = nearest_by_angle(torch.tensor([[2.0, 0.1], [0.0, 5.0]]), references, 1)
    yield [0.0, 1.0], places[:, 0].double()
    yield [2 / math.hypot(2, 0.1), 1.0], cosines[:, 0].double()
    labels = torch.tensor([1, 0, 1, 0])
    yield [1.0, 0.0], vote(labels[places], cosines, 2).double()


PROBLEMS = (
    Exact("NT-Xent of orthogonal rows", "contrastive", orthogonal),
    Exact("NT-Xent of collapsed views is chance", "contrastive", collapsed),
    Exact("NT-Xent of opposite rows", "contrastive", opposite),
    Exact("NT-Xent of any views, pair by pair", "contrastive", any_views),
    Exact("NT-Xent in float32", "contrastive", in_float32, 2e-5, "float32: 2e-5 by its docstring"),
    Exact("alignment and uniformity of known directions", "contrastive", shapes),
    Exact("nearest directions and their votes", "contrastive", neighbours, 1e-6),
)
