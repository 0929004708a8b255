"""What the claims on flows stand on: flows with weights that matter, laws of known density, and both sides of a bijection."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import agree, exactly, mean
from jensen.course.figures import dots
from jensen.data.targets import Target, target
from jensen.flow import Flow
from jensen.models.maf import MAF
from jensen.models.planar_flow import PlanarFlow
from jensen.models.realnvp import RealNVP
from jensen.models.spline_flow import SplineFlow
from jensen.quantity import Quantity
from jensen.space import Space
from jensen.transforms.linear import LULinear

D = 3
SPACE = Space.real(D)
Pair = tuple[Tensor, Tensor]
"""(log p, log q) of the same points, (n,) each."""

FLOWS: dict[str, Callable[[], Flow]] = {
    "affine couplings": lambda: RealNVP(SPACE, 3, (8,)),
    "affine autoregressive": lambda: MAF(SPACE, 3, (8,)),
    "spline couplings": lambda: SplineFlow(SPACE, 3, (8,), bins=5),
    "planar": lambda: PlanarFlow(SPACE, 4),
}


class LinearFlow(Flow):
    """One learned linear map: a Gaussian, whose divergences have a closed form."""

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self.flow_through([LULinear(space.dims)])


def seeded(seed: int) -> torch.Generator:
    """A generator of its own for every use."""
    return torch.Generator().manual_seed(seed)


def bent(build: Callable[[], Flow], seed: int, by: float = 0.1) -> Flow:
    """A flow in float64, away from the identity it starts near, where every claim would be true for nothing."""
    torch.manual_seed(seed)
    flow = build().double().eval()
    with torch.no_grad():
        for weight in flow.parameters():
            weight.add_(by * torch.randn_like(weight))
    return flow


def law() -> Target:
    """A mixture of Gaussians: known density, exact samples."""
    return target("mixture", dim=D, radius=1.0, scale=1.0)


def draws(of: Target, n: int, seed: int) -> Tensor:
    """Exact samples (n, d) of a target that has a sampler."""
    assert of.sample is not None
    return of.sample(n, seeded(seed))


def log_normal(u: Tensor) -> Tensor:
    """log N(u; 0, 1) of columns (d, n)."""
    return -0.5 * (u.square() + math.log(2 * math.pi)).sum(0)


def jacobian_log_det(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """log|det| (n,) of the Jacobian of columns x (d, n), by d backward passes: the flow's own is not asked."""
    x = x.clone().requires_grad_()
    y = function(x)
    rows = [torch.autograd.grad(y[i].sum(), x, retain_graph=True)[0] for i in range(len(y))]
    return torch.linalg.slogdet(torch.stack(rows).permute(2, 0, 1)).logabsdet


def both_spaces(flow: Flow, x: Tensor, log_p: Tensor) -> tuple[Pair, Pair]:
    """(log p, log q) at rows x, and of F^-1(X) and U at u = F^-1(x): q in x is the flow's, p in u has autograd's Jacobian."""
    with torch.no_grad():
        log_q, u = flow.log_prob(x), flow.encode(x)[0]
    along = jacobian_log_det(lambda rows: flow.encode(rows.T)[0], x.T)
    return (log_p, log_q), (log_p - along, log_normal(u))


class Gaussians(NamedTuple):
    """An affine flow whose law is `q`, a Gaussian `p`, its pull-back `moved` = F^-1(p), and the base."""

    flow: Flow
    p: MultivariateNormal
    q: MultivariateNormal
    moved: MultivariateNormal
    base: MultivariateNormal


def gaussians(seed: int) -> Gaussians:
    """The flow's matrix is read off what it does to the unit vectors; everything else follows in closed form."""
    flow = bent(lambda: LinearFlow(SPACE), seed, 0.5)
    one = torch.eye(D, dtype=torch.float64)
    with torch.no_grad():
        shift = flow.encode(torch.zeros(1, D, dtype=torch.float64))[0]
        matrix = flow.encode(one)[0] - shift
    back = torch.linalg.inv(matrix)
    q = MultivariateNormal(-(back @ shift)[:, 0], back @ back.T)
    root = torch.randn(D, D, generator=seeded(seed), dtype=torch.float64)
    p = MultivariateNormal(torch.tensor([1.0, -0.5, 2.0]).double(), root @ root.T + one)
    moved = MultivariateNormal(matrix @ p.mean + shift[:, 0], matrix @ p.covariance_matrix @ matrix.T)
    return Gaussians(flow, p, q, moved, MultivariateNormal(torch.zeros(D).double(), one))


def nodes(of: MultivariateNormal) -> Tensor:
    """2d points of equal weight: their mean of a quadratic is its expectation, without noise."""
    steps = math.sqrt(len(of.mean)) * of.scale_tril.T
    return of.mean + torch.cat([steps, -steps])


def kl_on_both_sides(seed: int, n: int, reverse: bool) -> Shown:
    """KL(p || q), or with `reverse` KL(q || p), in x and in u: row by row, from separate samples, in closed form.

    p is the target's law, q the flow's.
    """
    name = "KL(q || p)" if reverse else "KL(p || q)"
    findings, rows = [], {}
    worst = 0.0
    for number, (kind, build) in enumerate(FLOWS.items()):
        flow = bent(build, seed + number)
        in_x, in_u = (_terms(flow, n, seed + 2 * number + side, reverse) for side in (0, 1))
        worst = max(worst, float((in_x[0] - in_x[1]).abs().max()))
        first, second = in_x[0].numpy(), in_u[1].numpy()
        findings.append(
            agree(f"{name} of {kind} from samples in x is that from other samples in u", first, second)
        )
        rows[kind] = {"in x": mean(first), "in u": mean(second)}
    findings.insert(0, exactly("point by point the log ratios in x and in u are the same", worst, 1e-8))
    findings.append(_closed(gaussians(seed), reverse))
    one = rows["affine couplings"]
    summary = f"{name} in x {one['in x']}, in u {one['in u']} from separate samples; the same point by point to {worst:.0e}"
    figure = dots(f"{name} in x and in u, from separate samples", "nats, with 95 % intervals", rows)
    return Shown(tuple(findings), summary, (figure,))


def _terms(flow: Flow, n: int, seed: int, reverse: bool) -> tuple[Tensor, Tensor]:
    """Terms (n,) whose mean is the divergence, at samples of p or of q, in x and in u."""
    x = flow.sample(n, generator=seeded(seed)) if reverse else draws(law(), n, seed)
    in_x, in_u = both_spaces(flow, x, law().log_prob(x))
    sign = -1 if reverse else 1
    return sign * (in_x[0] - in_x[1]), sign * (in_u[0] - in_u[1])


def _closed(known: Gaussians, reverse: bool) -> Finding:
    """For an affine map of Gaussians: torch's closed form in both spaces, and the flow's terms at quadrature nodes."""
    flow, p, q, moved, base = known
    x = nodes(q if reverse else p)
    in_x, in_u = both_spaces(flow, x, p.log_prob(x))
    sign = -1 if reverse else 1
    truth = float(kl_divergence(q, p) if reverse else kl_divergence(p, q))
    found = [
        float(kl_divergence(base, moved) if reverse else kl_divergence(moved, base)),
        *(sign * float((pair[0] - pair[1]).mean()) for pair in (in_x, in_u)),
    ]
    worst = max(abs(one - truth) for one in found)
    return exactly(
        "for an affine map of Gaussians both sides have the same closed form", worst, 1e-10, truth=Quantity(truth, unit="nats")
    )  # fmt: skip
