"""F3: six divergences on both sides of a bijection, as integrals and from samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.course.bijections import (
    FLOWS,
    bent,
    both_spaces,
    draws,
    jacobian_log_det,
    law,
    log_normal,
    seeded,
)
from jensen.course.claim import Finding, Shown
from jensen.course.deciding import exactly
from jensen.course.figures import dots
from jensen.functional import planar
from jensen.functional.divergence import f_divergence
from jensen.functional.divergence_terms import FORMS
from jensen.quantity import Quantity

KINKED = 1e-5
"""Allowed where the integrand has kinks, |p - q|: the trapezium rule loses step^2 / 8 at each."""


def show(seed: int = 0, *, n: int = 3000, points: int = 8001) -> Shown:
    """Quadrature on a grid of x and on another of y = F(x), and samples through a spline flow."""
    integrals = {name: _integrals(name, points) for name in FORMS}
    sampled = _sampled(seed, n)
    findings = []
    for name in FORMS:
        in_x, in_y = integrals[name]
        within = KINKED if name == "total-variation" else 1e-9
        findings.append(
            exactly(f"{name}: the integral over x is that over F(x)", abs(in_x - in_y), within, **{"in x": in_x, "in F(x)": in_y})
        )  # fmt: skip
    findings.append(_as_sampled(sampled))
    worst = max(abs(a - b) for a, b in integrals.values())
    one = sampled["jensen-shannon"]
    figure = dots(
        "Six divergences, before and after a spline flow",
        "value (log), with 95 % intervals",
        sampled,
        log_x=True,
    )
    return Shown(
        tuple(findings),
        f"six integrals differ by {worst:.0e} at most across the bijection; JSD from samples {one['in x']} and {one['in u']}",
        (figure,),
    )


def _integrals(name: str, points: int) -> tuple[float, float]:
    """p = N(0, 1) and q = N(1/2, 1.2^2) on the line, F a planar map of it."""
    w, u, b = (torch.tensor([value], dtype=torch.float64) for value in (1.5, 2.0, 0.3))

    def log_densities(x: Tensor) -> tuple[Tensor, Tensor]:
        return log_normal(x[None]), log_normal((x[None] - 0.5) / 1.2) - math.log(1.2)

    def integral(log_p: Tensor, log_q: Tensor, step: float) -> float:
        return float(((log_p.exp() + log_q.exp()) / 2 * FORMS[name].term(log_p - log_q)).sum() * step)

    x = torch.linspace(-14, 14, points, dtype=torch.float64)
    in_x = integral(*log_densities(x), float(x[1] - x[0]))
    y = torch.linspace(-16, 16, points + 1000, dtype=torch.float64)
    back, _, _ = planar.inverse(y[None], w, u, b[0])
    along = -jacobian_log_det(lambda rows: planar.forward(rows, w, u, b[0])[0], back)
    log_p, log_q = log_densities(back[0].detach())
    return in_x, integral(log_p + along, log_q + along, float(y[1] - y[0]))


def _sampled(seed: int, n: int) -> dict[str, dict[str, Quantity]]:
    """Each divergence of target and flow from samples of both, in x and in u."""
    flow, mixture = bent(FLOWS["spline couplings"], seed, 0.05), law()
    rows = {"at_p": draws(mixture, n, seed + 1), "at_q": flow.sample(n, generator=seeded(seed + 2))}
    pairs = {side: both_spaces(flow, x, mixture.log_prob(x)) for side, x in rows.items()}
    return {
        name: {
            where: f_divergence(name, at_p=pairs["at_p"][number], at_q=pairs["at_q"][number])
            for number, where in enumerate(("in x", "in u"))
        }
        for name in FORMS
    }


def _as_sampled(sampled: dict[str, dict[str, Quantity]]) -> Finding:
    worst = max(abs(one["in x"].value - one["in u"].value) for one in sampled.values())
    return exactly("estimates from the same samples, in x and in u, are the same for all six", worst, 1e-8)
