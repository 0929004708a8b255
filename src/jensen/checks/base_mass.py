"""The integral of a flow's density, taken in base coordinates, where it is smooth.

With x = decode(z), the integral of p(x) dx over all that decode reaches is that of h(z) = p(x) |det dx/dz| dz. Where the
flow is right h is the density of the base, however rough p is: a spline's density has a ridge at every knot, h none. The
determinant is that of the Jacobian of `encode` at x, by autograd, and never the one that the flow states. Points that
encode does not bring back are not counted as reached.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jensen.checks.maps import encoded
from jensen.functional.module_state import device_of, float_type

REACH, STEP = 9.0, 0.25
"""The grid ends nine spreads out: a normal law has 2e-19 beyond. Its trapezoid rule is exact to rounding at h = 1/2 already
(Poisson summation: exp(-2 pi^2 / h^2)), so that this grid and the coarser one in it agree on whatever is smooth."""
RETURNS = 1e-6
"""Of its distance from the centre: a base point that comes back within is reached."""
POINTS = 2**14
"""Points times features beyond two dimensions."""
WIDE = (0.7, 1.5)
"""Draws of the base's own spread, and the factor of the wider rest: no weight of a normal law exceeds 1 / 0.7."""


class Mass(NamedTuple):
    """`total` within `error`; `missed`: the mass of points that do not come back; `text`: how it was found."""

    total: float
    error: float
    missed: float
    text: str


class Pulled(NamedTuple):
    """log h (n,) at base points, nats; whether each came back; and what rounding hides of log h, (n,)."""

    log_h: Tensor
    back: Tensor
    lost: Tensor


@torch.no_grad()
def centre_and_spread(subject: Any, near: Tensor) -> tuple[Tensor, Tensor]:
    """Median and spread (d,) of the base points of rows: half the width of their middle 68 percent."""
    z = subject.encode(near.to(device_of(subject), float_type(subject)))[0].double().cpu()
    cut = torch.tensor([0.16, 0.5, 0.84], dtype=torch.float64)
    low, middle, high = z.quantile(cut, dim=1)
    return middle, ((high - low) / 2).clamp(min=1e-3)


def pulled(subject: Any, z: Tensor) -> Pulled:
    """log h and whether encode(decode(z)) is z, at base points z (d, n), a few thousand at a time."""
    found = [
        _pulled(subject, part.to(device_of(subject), float_type(subject))) for part in z.split(8192, dim=1)
    ]
    return Pulled(*(torch.cat(some) for some in zip(*found)))


def _pulled(subject: Any, z: Tensor) -> Pulled:
    with torch.no_grad():
        x = subject.decode(z)[0]
        again, _ = subject.encode(x)
        log_p = subject.log_prob(x).double()
    log_det, _, _, lost = encoded(subject, x.flatten(1).T)
    back = ((again - z).abs() <= RETURNS * (1 + z.abs())).all(0)
    return Pulled((log_p - log_det).cpu(), back.cpu(), lost.cpu())


def on_a_grid(subject: Any, centre: Tensor, spread: Tensor) -> Mass:
    """One or two dimensions: the trapezoid rule, its error the difference to every other point of the grid."""
    count = 2 * round(REACH / STEP) + 1
    t = torch.linspace(-REACH, REACH, count, dtype=torch.float64)
    axes = [c + s * t for c, s in zip(centre, spread)]
    z = torch.cartesian_prod(*axes).reshape(-1, len(axes)).T
    found = pulled(subject, z)
    cell = float(STEP ** len(axes) * spread.prod())
    mass = (found.log_h.exp() * cell).nan_to_num(nan=math.inf).reshape([count] * len(axes))
    coarse = float(mass[tuple(slice(None, None, 2) for _ in axes)].sum()) * 2 ** len(axes)
    total = float(mass.sum())
    # mass on the rim says that there is more beyond it
    rim = total - float(mass[tuple(slice(1, -1) for _ in axes)].sum())
    missed = float(mass.flatten()[~found.back].sum()) + rim
    text = (
        f"the density integrates to {_near_one(total)} on a grid of {z.shape[1]} points in base coordinates"
    )
    return Mass(total, abs(total - coarse) + float((mass.flatten() * found.lost).sum()), missed, text)


def by_draws(subject: Any, centre: Tensor, spread: Tensor, seed: int) -> Mass:
    """Any dimension: the integral of the base, times the ratio of that of h to it, by draws from a wide normal law.

    Where h is a multiple of the base the ratio is exact, whatever is drawn; `error` is four standard errors. The integral of a
    standard normal base is known, that of another is found from a hundred times as many draws.
    """
    z, log_t = _wide(centre, spread, max(256, POINTS // len(centre)), seed)
    found = pulled(subject, z)
    base = _base(subject, z)
    whole, doubt = _base_mass(subject, base, z, centre, spread, seed + 1)
    weight = (found.log_h - log_t).exp().nan_to_num(nan=math.inf)
    mine, its = weight[found.back], (base - log_t).exp()[found.back]
    if len(mine) < 2 or not float(its.sum()) > 0:
        return Mass(math.nan, math.inf, 1.0, "no base point comes back from the rows")
    ratio = float(mine.sum() / its.sum())
    total = whole * ratio
    error = 4 * float((mine - ratio * its).std() / its.mean()) / math.sqrt(len(mine)) + doubt
    apart = float((found.log_h - base)[found.back].abs().nan_to_num(nan=math.inf).max())
    missed = float(weight[~found.back].sum()) / len(weight)
    text = (
        f"in base coordinates the density is that of the base within {apart:.1g} nats at {len(weight)} points, "
        f"so that it integrates to {_near_one(total)} (four standard errors: {error:.1g})"
    )
    return Mass(total, error, missed, text)


def _base(subject: Any, z: Tensor) -> Tensor:
    with torch.no_grad():
        log_p: Tensor = subject.base_log_prob(z.to(device_of(subject), float_type(subject)))
    return log_p.double().cpu()


def _base_mass(
    subject: Any, base: Tensor, z: Tensor, centre: Tensor, spread: Tensor, seed: int
) -> tuple[float, float]:
    """The integral of the base's density and four standard errors of it: none for a standard normal."""
    d = len(centre)
    normal = -0.5 * (z.square().sum(0) + d * math.log(2 * math.pi))
    if torch.allclose(base, normal, rtol=1e-12, atol=1e-12):
        return 1.0, 0.0
    many, log_t = _wide(centre, spread, 200_000 if d <= 64 else 20_000, seed)
    weight = (_base(subject, many) - log_t).exp()
    return float(weight.mean()), 4 * float(weight.std()) / math.sqrt(len(weight))


def _wide(centre: Tensor, spread: Tensor, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points (d, n) from a mixture of a normal law and a wider one, and their log density (n,)."""
    generator = torch.Generator().manual_seed(seed)
    share, factor = WIDE
    d = len(centre)
    wider = torch.rand(n, generator=generator, dtype=torch.float64) >= share
    u = torch.randn(d, n, generator=generator, dtype=torch.float64) * torch.where(wider, factor, 1.0)
    square, constant = u.square().sum(0), d * math.log(2 * math.pi) / 2 + float(spread.log().sum())
    narrow = math.log(share) - square / 2
    wide = math.log(1 - share) - square / 2 / factor**2 - d * math.log(factor)
    return centre[:, None] + spread[:, None] * u, torch.logaddexp(narrow, wide) - constant


def _near_one(total: float) -> str:
    error = abs(total - 1)
    return f"1 within {max(error, 1e-16):.1g}" if error < 1e-3 else f"{total:.6g}"
