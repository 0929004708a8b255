"""Bounds from weights of latents with few values: expectations over every tuple of draws, by enumeration in plain Python."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from areas_under_densities import nodes
from latent_models import BITS, strong
from problem import Exact
from scipy.stats import norm

from jensen.functional import bounds
from jensen.functional.enumerate import all_rows
from jensen.functional.evidence import evidence
from jensen.functional.importance import effective_share
from jensen.quantity import Kind, Scores

Pairs = Iterator[tuple[Any, Any]]
double = partial(torch.tensor, dtype=torch.float64)

Q = (0.5, 0.3, 0.2)
"""q(z | x) of the three values of z."""
JOINT = (0.02, 0.1, 0.03)
"""p(x, z): log p(x) = log 0.15."""
WEIGHTS = tuple(p / q for p, q in zip(JOINT, Q))


def tuples(k: int) -> Iterator[tuple[float, tuple[float, ...]]]:
    """Every tuple of k draws of z: its probability and its weights."""
    for chosen in itertools.product(range(3), repeat=k):
        yield math.prod(Q[z] for z in chosen), tuple(WEIGHTS[z] for z in chosen)


def expected(k: int, bound: Any) -> float:
    """E of a bound over k draws, by the product's function of log weights."""
    shares, weights = zip(*tuples(k))
    return float((double(shares) * bound(double(weights).log())).sum())


def iwae() -> Pairs:
    """E L_k for k = 1 to 5, ever closer to log p(x)."""
    before = -math.inf
    for k in range(1, 6):
        truth = math.fsum(share * math.log(sum(w) / k) for share, w in tuples(k))
        assert before < truth < math.log(sum(JOINT))
        before = truth
        yield truth, expected(k, bounds.iwae)


def elbo() -> Pairs:
    """log p(x) - KL(q, p(z | x))."""
    kl = math.fsum(q * math.log(q / (p / sum(JOINT))) for p, q in zip(JOINT, Q))
    yield math.log(sum(JOINT)) - kl, expected(3, bounds.elbo)


def subsets() -> Pairs:
    """The mean over subsets of 2 of 4 draws has the expectation of L_2."""
    truth = math.fsum(share * math.log(sum(w) / 2) for share, w in tuples(2))
    yield truth, expected(4, lambda log_w: bounds.subsets(log_w, 2))
    yield truth, expected(4, lambda log_w: bounds.blocks(log_w, 2))


def renyi() -> Pairs:
    for alpha in (0.0, 0.5, 2.0):
        truth = math.fsum(
            share * math.log(math.fsum(v ** (1 - alpha) for v in w) / 3) / (1 - alpha)
            for share, w in tuples(3)
        )
        yield truth, expected(3, lambda log_w, alpha=alpha: bounds.renyi(log_w, alpha))


def jackknife() -> Pairs:
    def one(w: tuple[float, ...]) -> float:
        left = [math.log((sum(w) - v) / 2) for v in w]
        return 3 * math.log(sum(w) / 3) - 2 * math.fsum(left) / 3

    yield math.fsum(share * one(w) for share, w in tuples(3)), expected(3, bounds.jackknife)


def upper() -> Pairs:
    """E U_k over an exact posterior draw and k - 1 draws of q; E[1 / mean weight] is 1 / p(x) exactly."""
    posterior = [p / sum(JOINT) for p in JOINT]
    shares, firsts, others, logs, inverses = [], [], [], [], []
    for z, p in enumerate(posterior):
        for share, w in tuples(2):
            shares.append(p * share)
            firsts.append(math.log(WEIGHTS[z]))
            others.append([math.log(v) for v in w])
            logs.append(math.log((WEIGHTS[z] + sum(w)) / 3))
            inverses.append(3 / (WEIGHTS[z] + sum(w)))
    found = bounds.upper(double(firsts), double(others))
    weight = double(shares)
    yield math.fsum(s * v for s, v in zip(shares, logs)), (weight * found).sum()
    yield 1 / sum(JOINT), (weight * (-found).exp()).sum()
    yield 1 / sum(JOINT), math.fsum(s * v for s, v in zip(shares, inverses))


def certificates() -> Pairs:
    """mean - log(1 / alpha) / n, and its mirror."""
    values = np.linspace(-95.0, -85.0, 50)
    for alpha in (0.05, 0.001):
        truth = values.mean() + math.log(alpha) / 50
        yield truth, bounds.certified(torch.from_numpy(values), alpha)
        yield values.mean() - math.log(alpha) / 50, bounds.certified_upper(torch.from_numpy(values), alpha)
        scores = Scores(values, Kind.LOWER, "density", 1, "rows", how={"method": "importance"})
        yield truth, scores.certified(alpha).value


def integrals() -> Pairs:
    """log Z from weights: the average, and the effective sample size, of weights that are all of a law's."""
    log_w = double([w for z, w in enumerate(WEIGHTS) for _ in range(round(10 * Q[z]))]).log()
    yield math.log(sum(JOINT)), evidence(log_w).below.tight.value
    yield math.fsum(q * math.log(w) for q, w in zip(Q, WEIGHTS)), evidence(log_w).below.mean.value
    square = math.fsum(q * w * w for q, w in zip(Q, WEIGHTS))
    yield sum(JOINT) ** 2 / square, effective_share(log_w)
    exact = double([WEIGHTS[0]] * 2 + [WEIGHTS[1]] * 10 + [WEIGHTS[2]] * 3).log()
    above = evidence(log_w, exact).above
    assert above is not None
    yield math.log(sum(JOINT)), above.tight.value


def autoencoder() -> Pairs:
    """An autoencoder of four bits and one latent: p(x) as the integral of p(x | z) over the prior, by the product's decoder at
    the nodes, and as that of its importance weights over the noise of q."""
    model = strong(BITS, latents=1)
    at, weight = nodes(-9.0, 9.0, 600)
    share = weight * torch.from_numpy(norm.pdf(at.numpy()))
    rows = all_rows((2,) * 4, BITS.shape)
    with torch.no_grad():
        places = at[:, None].expand(len(rows), -1, 1)
        mass = (model.log_likelihood(rows, places).exp() * share).sum(1)
        log_w = model.weigh(model.encoded(rows), places.contiguous())
    yield 1.0, mass.sum()
    yield mass, (log_w.exp() * share).sum(1)


PROBLEMS = (
    Exact("L_k of a latent of three values, over all tuples", "latent", iwae),
    Exact("ELBO of a latent of three values", "latent", elbo),
    Exact("L_2 by subsets and blocks of four draws", "latent", subsets),
    Exact("Renyi bounds over all tuples", "latent", renyi),
    Exact("jackknifed bound over all tuples", "latent", jackknife),
    Exact("U_k over exact and other draws", "latent", upper),
    Exact("certificates: mean less log(1 / alpha) / n", "latent", certificates),
    Exact("log Z and effective share of all weights of a law", "flow", integrals),
    Exact("vae of 4 bits: mass by quadrature, twice", "latent", autoencoder),
)
