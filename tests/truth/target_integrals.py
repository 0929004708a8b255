"""Targets whose log Z the product states: the integral again, by quadrature of their log density, and their moments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from areas_under_densities import nodes
from problem import Exact
from scipy.integrate import quad

from jensen.data.target_regression import linear_rows
from jensen.data.targets import target

Pairs = Iterator[tuple[Any, Any]]


def plane(name: str, x: tuple[float, float], y: tuple[float, float], panels: int = 60, within: float = 1e-5, **hyper: Any) -> Exact:  # fmt: skip
    """log Z, and the means where they are stated, of a law on the plane."""

    def compute() -> Pairs:
        law = target(name, **hyper)
        (a, wa), (b, wb) = nodes(*x, panels), nodes(*y, panels)
        points = torch.cartesian_prod(a, b)
        mass = law(points).exp() * torch.outer(wa, wb).flatten()
        yield float(mass.sum().log()), law.log_z
        if law.mean is not None:
            yield (points * mass[:, None]).sum(0) / mass.sum(), law.mean

    return Exact(f"target {name}: log Z and mean by quadrature", "flow", compute, within)


def many_wells() -> Pairs:
    """Sixteen independent wells, each x^4 - 6 x^2 - x / 2 and a normal law: by quadrature along one line."""
    law = target("many-well")
    along, _ = quad(lambda x: math.exp(-(x**4) + 6 * x**2 + x / 2), -8, 8, epsabs=1e-12, epsrel=1e-13)
    yield law.dim / 2 * (math.log(along) + 0.5 * math.log(2 * math.pi)), law.log_z


def funnel() -> Pairs:
    """Normalised: the density at points is that of its own definition, v ~ N(0, 9), x | v ~ N(0, e^v)."""
    from scipy.stats import norm

    law = target("funnel")
    x = np.random.default_rng(0).normal(size=(20, law.dim)) * 2
    truth = norm.logpdf(x[:, 0], 0, 3) + norm.logpdf(x[:, 1:], 0, np.exp(x[:, :1] / 2)).sum(1)
    yield truth, law.log_prob(torch.from_numpy(x))


def regression() -> Pairs:
    """Bayesian linear regression: the evidence of its data under a normal prior, in closed form, with scipy."""
    from scipy.stats import multivariate_normal

    law = target("linear-regression")
    x, y = linear_rows()
    # p~ at any point less the log posterior density there is the evidence: two points, both by scipy
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(4, law.dim)))
    mean, variance = np.array(law.mean), np.array(law.variance)
    hessian = -torch.autograd.functional.hessian(lambda w: law(w[None])[0], points[0]).numpy()
    posterior = multivariate_normal(mean, np.linalg.inv(hessian))
    yield np.diag(np.linalg.inv(hessian)), variance
    yield np.full(4, law.log_z), law(points).numpy() - posterior.logpdf(points.numpy())
    assert len(x) == len(y)


PROBLEMS = (
    plane("double-well", (-5.0, 5.0), (-9.0, 9.0)),
    plane("banana", (-90.0, 90.0), (-270.0, 270.0), 220),
    plane("mixture", (-9.0, 9.0), (-9.0, 9.0)),
    plane("u1", (-8.0, 8.0), (-8.0, 8.0), 120),
    plane("two-moons", (-8.0, 8.0), (-8.0, 8.0), 120),
    plane("rings", (-6.0, 6.0), (-6.0, 6.0), 150),
    Exact("target many-well: log Z by quadrature", "flow", many_wells),
    Exact("target funnel: its density by scipy", "flow", funnel),
    Exact("target linear-regression: evidence by its posterior", "flow", regression),
)
