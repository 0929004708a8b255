"""Targets around the origin of the plane: rings, and two moons in the forms of two sources."""

from __future__ import annotations

from math import erf, exp, log, pi, sqrt

import torch
from torch import Tensor

from jensen.data.target_draws import normals, pick, reject, uniforms
from jensen.data.targets import Target
from jensen.errors import UsageError


def rings(count: int = 3, width: float = 0.15) -> Target:
    """sum over R = 1 .. count of exp(-(r - R)^2 / (2 width^2)), r = ||x||: rings of about equal density in the plane.

    The outer ring has count times the mass of the inner one, about. `width` in (0, 1].

    >>> round(rings(1, 0.1).log_z, 6)  # about log(2 pi R width sqrt(2 pi))
    0.454231
    """
    if count < 1 or not 0 < width <= 1:
        raise UsageError(
            "rings need count >= 1 and 0 < width <= 1", f"got count={count}, width={width}", "use 3 and 0.15"
        )
    radii = torch.arange(1, count + 1, dtype=torch.float64)
    moments = torch.tensor([_radial_moments(float(radius), width) for radius in radii], dtype=torch.float64)
    total = moments[:, 0].sum()

    def log_density(x: Tensor) -> Tensor:
        r = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        return (-0.5 * ((r - radii.to(x)) / width).square()).logsumexp(1)

    def sample(n: int, generator: torch.Generator) -> Tensor:
        # every ring is asked for n radii: wasteful, and exact
        each = torch.stack([_radii(n, float(radius), width, generator) for radius in radii], 1)
        ring = pick(moments[:, 0], n, generator)
        return _around(each.gather(1, ring[:, None])[:, 0], generator)

    half_square = float(moments[:, 1].sum() / total / 2)
    return Target(
        "rings",
        f"{count} rings of radius 1 to {count}",
        2,
        log_density,
        log(2 * pi * float(total)),
        "closed form",
        sample=sample,
        mean=(0.0, 0.0),
        variance=(half_square, half_square),
    )


def u1() -> Target:
    """U1 of Rezende and Mohamed 2015, table 1: a ring of radius 2, kept near z1 = -2 and z1 = 2."""
    return _moons("u1", 0.4, 0.6, 1.877501626110, (3.303501601324, 1.395277829408))


def two_moons() -> Target:
    """Two moons as normflows' `TwoMoons.log_prob` has them, where they are not normalised: log Z = 0.804.

    -((r - 2) / 0.2)^2 / 2 - ((|z1| - 2) / 0.3)^2 / 2 + log(1 + exp(-4 |z1| / 0.09)), which is U1 with other widths.

    >>> import torch
    >>> z = torch.tensor([[2.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    >>> [round(v, 4) + 0.0 for v in two_moons()(z).tolist()]  # at the second point -(2 / 0.3)^2 / 2 + log 2
    [0.0, -21.5291]
    """
    return _moons("two-moons", 0.2, 0.3, 0.804214448632, (3.588282654058, 0.693354999531))


def _moons(name: str, radial: float, across: float, log_z: float, variance: tuple[float, float]) -> Target:
    """exp(-((r - 2) / radial)^2 / 2) times the sum over both signs of exp(-((z1 -+ 2) / across)^2 / 2).

    log Z and the variances are by quadrature; the samples exact, by rejection from the ring.
    """

    def sides(z: Tensor) -> Tensor:
        z1 = z[:, 0]
        left, right = (-0.5 * ((z1 + side) / across).square() for side in (2.0, -2.0))
        return torch.logaddexp(left, right)

    def log_density(z: Tensor) -> Tensor:
        r = torch.linalg.vector_norm(z, dim=1)
        return -0.5 * ((r - 2) / radial).square() + sides(z)

    most = log(1 + exp(-2 / across**2))  # one term is at most 1, the other one at most its value at z1 = 0

    def sample(n: int, generator: torch.Generator) -> Tensor:
        return reject(
            lambda count, source: _around(_radii(count, 2.0, radial, source), source),
            lambda z: sides(z) - most,
            n,
            generator,
        )

    return Target(
        name,
        "two moons, left and right on a ring of radius 2",
        2,
        log_density,
        log_z,
        "quadrature in float64",
        log_z_error=1e-11,
        sample=sample,
        mean=(0.0, 0.0),
        variance=variance,
    )


def _radial_moments(radius: float, width: float) -> tuple[float, float]:
    """The integrals over r > 0 of r and r^3 times exp(-(r - radius)^2 / (2 width^2)).

    By parts: I_0 = width sqrt(2 pi) Phi(radius / width), I_1 = radius I_0 + width^2 exp(-radius^2 / (2 width^2)),
    I_(k+1) = radius I_k + k width^2 I_(k-1).
    """
    zeroth = width * sqrt(2 * pi) * 0.5 * (1 + erf(radius / width / sqrt(2)))
    first = radius * zeroth + width**2 * exp(-0.5 * (radius / width) ** 2)
    second = radius * first + width**2 * zeroth
    return first, radius * second + 2 * width**2 * first


def _radii(n: int, radius: float, width: float, generator: torch.Generator) -> Tensor:
    """Exact draws (n,) of the density proportional to r exp(-(r - radius)^2 / (2 width^2)) on r > 0.

    r <= radius exp((r - radius) / radius), so that a Gaussian of mean radius + width^2 / radius is an envelope.
    """
    middle = radius + width**2 / radius

    def log_accept(r: Tensor) -> Tensor:
        share = r / radius
        return torch.where(share > 0, share.clamp(min=1e-300).log() - (share - 1), -torch.inf)

    return reject(lambda count, source: middle + width * normals(source, count), log_accept, n, generator)


def _around(r: Tensor, generator: torch.Generator) -> Tensor:
    """Points (n, 2) at distances r (n,) in directions drawn uniformly."""
    angle = 2 * pi * uniforms(generator, len(r))
    return r[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
