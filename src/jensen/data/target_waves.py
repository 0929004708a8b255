"""U2, U3 and U4 of Rezende and Mohamed 2015, table 1: waves along z1, cut to |z1| <= 4.

On the whole plane they have no integral: nothing bounds z1, and a reverse KL on them has no optimum. Here their density
is 0 beyond |z1| = 4 (-inf, gradient 0): `ends` say so, and a fit maps z1 into the interval.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, pi, sqrt

import torch
from torch import Tensor

from jensen.data.target_draws import normals, uniforms
from jensen.data.targets import Target

EDGE = 4.0


def u2() -> Target:
    """exp(-((z2 - sin(pi z1 / 2)) / 0.4)^2 / 2) on |z1| <= 4: a wave.

    >>> u2()(torch.tensor([[0.0, 0.4], [5.0, 0.0]])).tolist()
    [-0.5, -inf]
    """
    return _waves("u2", "a wave", None, 0.4, 0.4, (0.0, 0.66))


def u3() -> Target:
    """Two waves of width 0.35 that part near z1 = 1 by 3 exp(-((z1 - 1) / 0.6)^2 / 2)."""
    return _waves(
        "u3", "a wave that parts and meets again", _bump, 0.35, 0.35, (-0.281995600061, 0.779448551201)
    )


def u4() -> Target:
    """Two waves of widths 0.4 and 0.35 that part at z1 = 1, by 3 sigmoid((z1 - 1) / 0.3)."""
    return _waves("u4", "a wave that parts in two", _step, 0.4, 0.35, (-0.525002380409, 2.007201880877))


def _bump(z1: Tensor) -> Tensor:
    return 3 * (-0.5 * ((z1 - 1) / 0.6).square()).exp()


def _step(z1: Tensor) -> Tensor:
    return 3 * ((z1 - 1) / 0.3).sigmoid()


def _waves(
    name: str,
    description: str,
    gap: Callable[[Tensor], Tensor] | None,
    first: float,
    second: float,
    moments: tuple[float, float],
) -> Target:
    """Given z1, uniform on its interval, z2 is Gaussian around the wave, or around the wave less `gap`.

    So log Z is in closed form: 8 sqrt(2 pi) (first + second), or without a gap 8 sqrt(2 pi) first.
    """

    def log_density(z: Tensor) -> Tensor:
        inside = z[:, 0].abs() <= EDGE
        z1 = z[:, 0].clamp(-EDGE, EDGE)
        off = z[:, 1] - (pi / 2 * z1).sin()
        value = -0.5 * (off / first).square()
        if gap is not None:
            value = torch.logaddexp(value, -0.5 * ((off + gap(z1)) / second).square())
        return torch.where(inside, value, -torch.inf)

    def sample(n: int, generator: torch.Generator) -> Tensor:
        z1 = EDGE * (2 * uniforms(generator, n) - 1)
        noise, wave = normals(generator, n), (pi / 2 * z1).sin()
        z2 = wave + first * noise
        if gap is not None:
            lower = uniforms(generator, n) < second / (first + second)
            z2 = torch.where(lower, wave - gap(z1) + second * noise, z2)
        return torch.stack([z1, z2], 1)

    width = first if gap is None else first + second
    return Target(
        name,
        f"{description}, on |z1| <= 4",
        2,
        log_density,
        log(2 * EDGE * sqrt(2 * pi) * width),
        "closed form",
        sample=sample,
        mean=(0.0, moments[0]),
        variance=(EDGE**2 / 3, moments[1]),
        support="|z1| <= 4",
        ends=((-4.0, -inf), (4.0, inf)),
    )
