"""Wells: a quartic with two minima of unequal depth, beside a normal coordinate; alone, or many at once."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from jensen.data.target_draws import LOG_ROOT_2PI, normals, pick, reject
from jensen.data.targets import Target
from jensen.errors import UsageError

LOG_Z_QUARTIC = 9.374541173869195
"""log of the integral of exp(x/2 + 6 x^2 - x^4), by quadrature in float64; the tests integrate it again."""

MEAN_QUARTIC = 1.1879609833761462
VARIANCE_QUARTIC = 1.5485547924649163
LEFT_WELL_MASS = 0.15569290378886
"""P(x < 0): a sampler that misses or overfills the shallow well is off this."""

LOG_Z_PAIR = LOG_Z_QUARTIC + LOG_ROOT_2PI
QUADRATURE = "quadrature in float64"


def double_well() -> Target:
    """exp(x/2 + 6 x^2 - x^4 - y^2/2) on R^2 (Noe, Olsson, Kohler, Wu 2019; the constants of Midgley et al. 2023).

    Samples are exact, by rejection under two Gaussians.

    >>> import torch
    >>> draws = double_well().sample(4000, torch.Generator().manual_seed(0))
    >>> abs((draws[:, 0] < 0).double().mean().item() - LEFT_WELL_MASS) < 0.02
    True
    """
    return Target(
        "double-well",
        "x in two wells of masses 0.156 and 0.844, y normal",
        2,
        _log_density,
        LOG_Z_PAIR,
        QUADRATURE,
        log_z_error=1e-12,
        sample=lambda n, generator: _sample(n, 2, generator),
        mean=(MEAN_QUARTIC, 0.0),
        variance=(VARIANCE_QUARTIC, 1.0),
    )


def many_well(dim: int = 32) -> Target:
    """dim / 2 independent double wells, coordinates (x1, y1, x2, y2, ...): 2^(dim/2) modes.

    >>> round(many_well(32).log_z, 9)
    164.695675313
    """
    if dim < 2 or dim % 2:
        raise UsageError("a many-well has an even number of coordinates", f"got dim={dim}", "use dim=32")
    pairs = dim // 2
    return Target(
        "many-well",
        f"{pairs} double wells at once, 2^{pairs} modes",
        dim,
        _log_density,
        pairs * LOG_Z_PAIR,
        QUADRATURE,
        log_z_error=pairs * 1e-12,
        sample=lambda n, generator: _sample(n, dim, generator),
        mean=(MEAN_QUARTIC, 0.0) * pairs,
        variance=(VARIANCE_QUARTIC, 1.0) * pairs,
    )


def _log_density(rows: Tensor) -> Tensor:
    x, y = rows[:, ::2], rows[:, 1::2]
    square = x.square()
    return (0.5 * x + square * (6 - square) - 0.5 * y.square()).sum(1)


def _sample(n: int, dim: int, generator: torch.Generator) -> Tensor:
    pairs = dim // 2
    rows = torch.empty(n, pairs, 2, dtype=torch.float64, device=generator.device)
    rows[..., 0] = _quartic(n * pairs, generator).reshape(n, pairs)
    rows[..., 1] = normals(generator, n, pairs)
    return rows.reshape(n, dim)


def _quartic(n: int, generator: torch.Generator) -> Tensor:
    """Exact draws (n,) of exp(x/2 + 6 x^2 - x^4); about half of the proposals are kept.

    1. 6 x^2 - x^4 = 9 - (|x| - m)^2 (|x| + m)^2 <= 9 - 3 (|x| - m)^2 with m^2 = 3.
    2. On the side of sign s: x/2 - 3 (x - s m)^2 is, up to s m/2 + 1/48, -3 (x - s m - 1/12)^2: a Gaussian of variance 1/6.
    3. Choose a side with mass e^(s m / 2), propose, refuse what falls on the other side.
    """
    m = sqrt(3.0)
    masses = torch.tensor([-m / 2, m / 2], dtype=torch.float64).exp()

    def propose(count: int, source: torch.Generator) -> Tensor:
        side = 2.0 * pick(masses, count, source) - 1
        return torch.stack([side * m + 1 / 12 + normals(source, count) / sqrt(6.0), side], 1)

    def log_accept(proposal: Tensor) -> Tensor:
        x, side = proposal.unbind(1)
        gap = (x.abs() - m).square() * (3 - (x.abs() + m).square())
        return torch.where(x * side > 0, gap, -torch.inf)

    return reject(propose, log_accept, n, generator)[:, 0]
