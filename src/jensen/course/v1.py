"""V1: p(x) from draws of the prior, at one budget, by the dimension of z."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from jensen.course.claim import Shown
from jensen.course.deciding import above, difference, mean
from jensen.course.figures import curves
from jensen.course.known_latents import linear, rows_of
from jensen.functional.bounds import iwae
from jensen.functional.importance import effective_share
from jensen.quantity import Kind

Array = NDArray[np.float64]


def show(
    seed: int = 0, *, dims: Sequence[int] = (1, 2, 4, 8, 16, 32), columns: int = 64, n: int = 100, k: int = 500
) -> Shown:  # fmt: skip
    """How far log of the mean of p(x | z) over k draws of z falls short of log p(x), from the prior and from q."""
    from_prior: dict[int, Array] = {}
    from_q: dict[int, Array] = {}
    shares: dict[int, Array] = {}
    for dim in dims:
        from_prior[dim], from_q[dim], shares[dim] = _short(dim, columns, n, k, seed)
    low, high, middle = dims[0], dims[-1], dims[len(dims) // 2]
    findings = (
        above(f"at {high} dimensions the estimate from the prior falls shorter than at {middle}", difference(from_prior[high], from_prior[middle])),
        above(f"at {middle} than at {low}", difference(from_prior[middle], from_prior[low])),
        above(f"at {high} dimensions as many draws of q fall less short", difference(from_prior[high], from_q[high])),
        above(f"from {high} dimensions the draws of the prior that carry the estimate are fewer", difference(shares[low], shares[high], unit="")),
    )  # fmt: skip
    series = {
        "z from the prior": [mean(from_prior[dim]) for dim in dims],
        "z from q(z | x)": [mean(from_q[dim]) for dim in dims],
    }
    figure = curves(
        f"How far the log of {k} averaged p(x | z) falls short of log p(x)", ("dimension of z", list(dims)),
        "nats short, with 95 % intervals", series, log_x=True,
    )  # fmt: skip
    told = {dim: mean(from_prior[dim], kind=Kind.ESTIMATE) for dim in (low, middle, high)}
    return Shown(
        findings,
        f"{k} draws of the prior fall short of log p(x) by " + ", ".join(f"{one.value:.2g} nats at {dim}" for dim, one in told.items()) + " dimensions",
        (figure,),
    )  # fmt: skip


def _short(dim: int, columns: int, n: int, k: int, seed: int) -> tuple[Array, Array, Array]:
    """log p(x) less the estimate (n,), by draws of the prior and of q, and the effective number of prior draws (n,)."""
    model = linear(dim, columns, seed=seed, size=0.25)
    x = rows_of(model, n, seed + 1)
    with torch.no_grad():
        truth = model.log_prob(x)
        z = torch.randn(n, k, dim, generator=torch.Generator().manual_seed(seed + 2), dtype=torch.float64)
        likelihoods = model.log_likelihood(x, z)
        weights = model.log_weights(x, k=k, generator=torch.Generator().manual_seed(seed + 3))
        used = np.array([k * effective_share(row) for row in likelihoods])
        return (truth - iwae(likelihoods)).numpy(), (truth - iwae(weights)).numpy(), used
