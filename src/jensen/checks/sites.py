"""The integral of an autoregressive density: site by site, which is the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.checks.subject import precise
from jensen.checks.verdict import Verdict
from jensen.functional.module_state import float_type
from jensen.space import Space

NAME = "mass_sums"
SITES = 16
"""Sites whose densities are integrated, for every row: spread over the order, the last one included."""
FLAT = 8.0
"""The temperature of half of the draws that quadrature starts on: components of a weight of 1e-5 are met as well."""
ALLOWED = 1e-6
"""Quadrature stops at 1e-8, and neither tails of normals so far out nor float64 sums are seen beside it."""


def site_densities(module: Any, x: Tensor, space: Space, seed: int) -> Verdict:
    """Integrate the density of sites given the earlier ones: if each is one, and no site looks ahead, so is the whole.

    Adaptive Gauss-Kronrod quadrature over 64 times the spread of the head's own draws to each side, started on a grid of
    those draws, so that narrow components are met. A float32 model that insists on its type is allowed 1e-3. And log_prob
    must be the sum of its sites.
    """
    subject = precise(module, lambda m: m.log_prob(x.double()))
    dtype = float_type(subject)
    exact = dtype == torch.float64
    x = x.to(dtype)
    with torch.no_grad():
        parameters = subject.conditionals(x)
        chain = subject.head.log_prob(parameters, x).double().flatten(1).sum(1)
        gap = float((chain - subject.log_prob(x)).abs().max()) / (1 + float(chain.abs().max()))
    order = subject.order.cpu()
    sites = order[torch.linspace(0, len(order) - 1, min(SITES, len(order))).round().long().unique()]
    totals, unsettled = _totals(subject.head, parameters.reshape(len(x), space.dims, -1), sites, space)
    error = float(np.abs(totals - 1).max())
    allowed = ALLOWED if exact else 1e-3
    what, total = ("densities", "integrate") if space.kind == "real" else ("laws", "sum or integrate")
    text = (
        f"the {what} of {len(sites)} of {space.dims} sites given the earlier ones {total} to 1 within {error:.1g} "
        f"on {len(x)} rows, and log_prob is the sum of its sites within {gap:.1g} of itself"
    )
    if not unsettled <= allowed:
        return Verdict(NAME, None, f"{text}: not settled, quadrature error {unsettled:.1g}")
    holds = error <= allowed and gap <= (1e-10 if exact else 1e-4)
    return Verdict(
        NAME,
        bool(holds),
        text,
        {"total": float(totals.flat[np.abs(totals - 1).argmax()]), "allowed": allowed},
    )


def _totals(head: Any, parameters: Tensor, sites: Tensor, space: Space) -> tuple[NDArray[np.float64], float]:
    """The totals (n, m) of some sites' laws with parameters (n, d, size): integrals of real ones with the mass of a gap,
    sums of discrete ones; and the error of the integrals."""
    if space.kind == "real":
        return _integrals(head, parameters[:, sites.to(parameters.device)], sites)
    found, unsettled = [], 0.0
    for site in sites.tolist():
        column, at = space.column(site), torch.tensor([site], device=parameters.device)
        some = parameters[:, at]
        nothing = torch.full((len(some), 1), torch.nan, dtype=parameters.dtype, device=parameters.device)
        if column.kind == "real":
            total, error = _integrals(head, some, at.cpu())
            unsettled = max(unsettled, error)
            levels = [nothing] if column.gaps == "value" else []
        else:
            total = _sums(head, some, at, column.levels or 0)
            levels = [nothing] if column.gaps == "value" else []
        with torch.no_grad():
            for x in levels:
                total = total + head.log_prob(some, x, at).double().exp().cpu().numpy()
        found.append(total)
    return np.concatenate(found, 1), unsettled


def _sums(head: Any, parameters: Tensor, site: Tensor, levels: int) -> NDArray[np.float64]:
    """The sums (n, 1) of the masses of all levels of a site with parameters (n, 1, size)."""
    level = torch.arange(levels, dtype=parameters.dtype, device=parameters.device).unsqueeze(1)
    with torch.no_grad():
        masses = [
            head.log_prob(row.expand(levels, -1, -1), level, site).double().exp().sum() for row in parameters
        ]
    return np.array([[float(mass)] for mass in masses])


def _integrals(head: Any, parameters: Tensor, sites: Tensor) -> tuple[NDArray[np.float64], float]:
    """The integrals (n, m) over the real line of the densities with parameters (n, m, size), and the error of each."""
    n, m, _ = parameters.shape
    sites = sites.to(parameters.device)
    with torch.no_grad():
        # a mixture draws its component first: not the quantiles of u, but where the mass lies
        drawn = torch.stack(
            [
                head.sample(parameters, u.expand(n, m), sites, temperature)
                for temperature in (1.0, FLAT)
                for u in torch.linspace(0, 1, 1026, dtype=torch.float64, device=parameters.device)[1:-1]
            ],
            -1,
        ).double()
    if bool(drawn.isnan().any()):  # a gap is no place on the line
        drawn = torch.where(drawn.isnan(), drawn.nanmedian(-1, keepdim=True).values.nan_to_num(0.0), drawn)
    inner = drawn.sort(-1).values[..., ::16]
    span = inner[..., -1:] - inner[..., :1]
    tails = span * torch.tensor([64.0, 16.0, 4.0, 1.0, 0.25], dtype=span.dtype, device=span.device)
    points = torch.cat([inner[..., :1] - tails, inner, inner[..., -1:] + tails.flip(-1)], -1)
    # one variable t for all: piece i of every density is t in [i, i + 1], mapped linearly
    low, width = points[..., :-1], points.diff(dim=-1)

    def density(t: float) -> NDArray[np.float64]:
        piece = min(int(t), width.shape[-1] - 1)
        at = low[..., piece] + width[..., piece] * (t - piece)
        with torch.no_grad():
            log_p = head.log_prob(parameters, at.to(parameters.dtype), sites).double()
        return np.asarray((log_p.exp() * width[..., piece]).flatten().cpu().numpy())

    from scipy.integrate import quad_vec

    pieces = width.shape[-1]
    total, error = quad_vec(
        density, 0, pieces, epsabs=1e-8, epsrel=0, norm="max", limit=2000, points=np.arange(1, pieces)
    )
    return np.asarray(total).reshape(n, m), float(error)
