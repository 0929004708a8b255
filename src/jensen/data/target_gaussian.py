"""Targets made of Gaussians: funnel, banana and mixture. They are normalised, log Z = 0 in any dimension."""

from __future__ import annotations

from math import cos, exp, log, pi, sin

import torch
from torch import Tensor

from jensen.data.target_draws import LOG_ROOT_2PI, normals, pick
from jensen.data.targets import Target
from jensen.errors import UsageError


def funnel(dim: int = 10, scale: float = 3.0) -> Target:
    """Neal's funnel: v ~ N(0, scale^2), then dim - 1 coordinates N(0, e^v) given v (Neal 2003, section 8).

    log_density overflows to -inf where its true value is below the dtype's range (|x| e^(-v/2) beyond 1e19 in float32,
    1e154 in float64). e^(-v/2) is held at the root of the dtype's largest number, which is reached below v = -88
    (float32) or -709 (float64): so far out 0 * inf does not make nan.

    >>> law = funnel(3)
    >>> law.mean, [round(v, 3) for v in law.variance]
    ((0.0, 0.0, 0.0), [9.0, 90.017, 90.017])
    """
    _check("funnel", dim, scale)

    def log_density(x: Tensor) -> Tensor:
        v, rest = x[:, 0], x[:, 1:]
        shrink = (-v / 2).clamp(max=0.5 * log(torch.finfo(x.dtype).max)).exp()
        normal = -0.5 * (rest * shrink[:, None]).square().sum(1) - (dim - 1) * (v / 2 + LOG_ROOT_2PI)
        return normal - 0.5 * (v / scale).square() - log(scale) - LOG_ROOT_2PI

    def sample(n: int, generator: torch.Generator) -> Tensor:
        z = normals(generator, n, dim)
        v = scale * z[:, :1]
        return torch.cat([v, z[:, 1:] * (v / 2).exp()], 1)

    return Target(
        "funnel",
        f"Neal's funnel: the log variance of {dim - 1} coordinates is the first one",
        dim,
        log_density,
        0.0,
        "closed form",
        sample=sample,
        mean=(0.0,) * dim,
        variance=(scale**2,) + (exp(scale**2 / 2),) * (dim - 1),
    )


def banana(dim: int = 2, scale: float = 10.0, curvature: float = 0.03) -> Target:
    """A bent Gaussian: x1 ~ N(0, scale^2), x2 ~ N(curvature (x1^2 - scale^2), 1), the others N(0, 1).

    The map from the Gaussian has determinant 1 (Haario, Saksman, Tamminen 1999).

    >>> round(banana().variance[1], 9)  # 1 + 2 curvature^2 scale^4
    19.0
    """
    _check("banana", dim, scale)

    def log_density(x: Tensor) -> Tensor:
        first, bent = x[:, 0] / scale, x[:, 1] - curvature * (x[:, 0].square() - scale**2)
        squares = first.square() + bent.square() + x[:, 2:].square().sum(1)
        return -0.5 * squares - log(scale) - dim * LOG_ROOT_2PI

    def sample(n: int, generator: torch.Generator) -> Tensor:
        z = normals(generator, n, dim)
        first = scale * z[:, :1]
        return torch.cat([first, z[:, 1:2] + curvature * (first.square() - scale**2), z[:, 2:]], 1)

    return Target(
        "banana",
        "a Gaussian bent along a parabola",
        dim,
        log_density,
        0.0,
        "closed form",
        sample=sample,
        mean=(0.0,) * dim,
        variance=(scale**2, 1 + 2 * curvature**2 * scale**4) + (1.0,) * (dim - 2),
    )


def mixture(dim: int = 2, modes: int = 4, radius: float = 4.0, scale: float = 0.5) -> Target:
    """Gaussians N(mean_j, scale^2 I) of weights j / sum, j = 1 .. modes, on a circle in the first two coordinates.

    The weights differ, so that a sampler that finds every mode but not its mass is found out.

    >>> [round(m, 3) for m in mixture().mean]  # (-0.2, -0.2) times the radius
    [-0.8, -0.8]
    """
    _check("mixture", dim, scale)
    if modes < 1:
        raise UsageError("a mixture has at least one mode", f"got modes={modes}", "4 is the default")
    shares = [2 * (j + 1) / (modes * (modes + 1)) for j in range(modes)]
    angles = [2 * pi * j / modes for j in range(modes)]
    points = [[radius * cos(a), radius * sin(a)] + [0.0] * (dim - 2) for a in angles]
    means = torch.tensor(points, dtype=torch.float64)
    weights = torch.tensor(shares, dtype=torch.float64)

    def log_density(x: Tensor) -> Tensor:
        gaps = (x[:, None] - means.to(x)) / scale
        normal = -0.5 * gaps.square().sum(2) - dim * (log(scale) + LOG_ROOT_2PI)
        return (weights.log().to(x) + normal).logsumexp(1)

    def sample(n: int, generator: torch.Generator) -> Tensor:
        chosen = means.to(generator.device)[pick(weights, n, generator)]
        return chosen + scale * normals(generator, n, dim)

    mean = weights @ means
    variance = weights @ means.square() - mean.square() + scale**2
    return Target(
        "mixture",
        f"{modes} Gaussians of unequal weights on a circle",
        dim,
        log_density,
        0.0,
        "closed form",
        sample=sample,
        mean=tuple(mean.tolist()),
        variance=tuple(variance.tolist()),
    )


def _check(name: str, dim: int, scale: float) -> None:
    if dim < 2 or not scale > 0:
        raise UsageError(
            f"a {name} has dim >= 2 and scale > 0", f"got dim={dim}, scale={scale}", "correct it"
        )
