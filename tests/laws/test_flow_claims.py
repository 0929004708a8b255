"""Claims on normalizing flows x = F(u): divergences on both sides of a bijection, both objectives, both ways of a planar flow."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from jensen.data.target_regression import linear_rows
from jensen.data.targets import target
from jensen.flow import Flow
from jensen.functional import planar
from jensen.functional.divergence import f_divergence
from jensen.functional.divergence_terms import FORMS
from jensen.functional.intervals import mean_interval
from jensen.model import Can
from jensen.models.maf import MAF
from jensen.models.planar_flow import PlanarFlow
from jensen.models.realnvp import RealNVP
from jensen.models.spline_flow import SplineFlow
from jensen.objectives.likelihood import Likelihood
from jensen.space import Space
from jensen.transforms.linear import LULinear

D = 3
SPACE = Space.real(D)
SURE = 0.999999
"""The level of an interval that a sound estimate misses once in a million."""

FLOWS: dict[str, Callable[[], Flow]] = {
    "affine couplings": lambda: RealNVP(SPACE, 3, (8,)),
    "affine autoregressive": lambda: MAF(SPACE, 3, (8,)),
    "spline couplings": lambda: SplineFlow(SPACE, 3, (8,), bins=5),
    "autoregressive splines": lambda: SplineFlow(SPACE, 2, (8,), coupling=False, bins=5),
    "planar, towards the base": lambda: PlanarFlow(SPACE, 4),
    "planar, towards the data": lambda: PlanarFlow(SPACE, 4, towards="data"),
    "radial": lambda: PlanarFlow(SPACE, 4, kind="radial"),
}


class Linear(Flow):
    """One learned linear map: a Gaussian, whose divergences have a closed form."""

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self.flow_through([LULinear(space.dims)])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bent(build: Callable[[], Flow], by: float = 0.15) -> Flow:
    """In float64, with weights that matter: as built a flow is close to the identity, and a wrong one would pass."""
    torch.manual_seed(0)
    flow = build().double().eval()
    with torch.no_grad():
        for weight in flow.parameters():
            weight.add_(by * torch.randn_like(weight))
    return flow


@pytest.fixture(params=FLOWS.values(), ids=FLOWS.keys())
def flow(request: pytest.FixtureRequest) -> Flow:
    return bent(request.param)


def log_normal(u: Tensor) -> Tensor:
    """log N(u; 0, 1) of columns (d, n)."""
    return -0.5 * (u.square() + math.log(2 * math.pi)).sum(0)


def jacobian_log_det(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """log|det| of the Jacobian of each column by d backward passes, (n,)."""
    x = x.clone().requires_grad_()
    y = function(x)
    rows = [torch.autograd.grad(y[i].sum(), x, retain_graph=True)[0] for i in range(len(y))]
    return torch.linalg.slogdet(torch.stack(rows).permute(2, 0, 1)).logabsdet


def both_spaces(flow: Flow, x: Tensor, log_p: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(log p, log q) of rows x and, at u = F^-1(x), of F^-1(X) and of U; the second has its Jacobian from autograd."""
    with torch.no_grad():
        log_q, u = flow.log_prob(x), flow.encode(x)[0]
    along = jacobian_log_det(lambda rows: flow.encode(rows.T)[0], x.T)
    return (log_p, log_q), (log_p - along, log_normal(u))


# ---------------------------------------------------------------------------------------------------------------
# F1 and F2: KL(P_X || P_F(U)) = KL(P_F^-1(X) || P_U), and the reverse
# ---------------------------------------------------------------------------------------------------------------


def test_forward_kl_is_the_same_row_by_row_in_x_and_in_u(flow: Flow) -> None:
    law = target("mixture", dim=D, radius=1.5)
    assert law.sample is not None
    x = law.sample(200, seeded())
    (log_p, log_q), (log_p_u, log_q_u) = both_spaces(flow, x, law.log_prob(x))
    torch.testing.assert_close(log_p - log_q, log_p_u - log_q_u, rtol=1e-10, atol=1e-10)


def test_reverse_kl_is_the_same_row_by_row_in_x_and_in_u(flow: Flow) -> None:
    """Here rows are drawn from the flow: u first, then x = F(u) with the log-determinant of the way down."""
    law = target("mixture", dim=D, radius=1.5)
    u = torch.randn(D, 200, generator=seeded(), dtype=torch.float64)
    with torch.no_grad():
        x, log_det = flow.decode(u)
        in_x = flow.log_prob(x) - law.log_prob(x)
    in_u = log_normal(u) - (law.log_prob(x) + log_det)
    # a slope of a spline may be small: a rounding of 1e-16 grows by up to 1e6 on the way back
    torch.testing.assert_close(in_x, in_u, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("side", ["p", "q"])
def test_kl_of_separate_samples_in_x_and_in_u_agrees_within_its_interval(side: str) -> None:
    """p the target, q the flow: forward from samples of p, reverse from samples of q, drawn anew for each space."""
    flow, law = bent(FLOWS["affine couplings"]), target("mixture", dim=D, radius=1.0, scale=1.0)
    assert law.sample is not None
    terms = []
    for seed in (1, 2):
        x = law.sample(5000, seeded(seed)) if side == "p" else flow.sample(5000, generator=seeded(seed))
        spaces = both_spaces(flow, x, law.log_prob(x))
        log_p, log_q = spaces[seed - 1]
        terms.append(log_p - log_q if side == "p" else log_q - log_p)
    in_x, in_u = terms
    low, high = mean_interval((in_x - in_u).numpy(), SURE)
    assert low <= 0 <= high and high - low < 0.4
    assert float(in_x.mean()) > (high - low) / 2  # the divergence itself is above its noise


def gaussians() -> tuple[Flow, MultivariateNormal, MultivariateNormal, MultivariateNormal]:
    """An affine flow with its law q in closed form, a Gaussian p, and F^-1 of p."""
    flow = bent(lambda: Linear(SPACE), 0.5)
    with torch.no_grad():
        shift = flow.encode(torch.zeros(1, D, dtype=torch.float64))[0]
        matrix = flow.encode(torch.eye(D, dtype=torch.float64))[0] - shift
    back = torch.linalg.inv(matrix)
    q = MultivariateNormal(-(back @ shift)[:, 0], back @ back.T)
    root = torch.randn(D, D, generator=seeded(3), dtype=torch.float64)
    p = MultivariateNormal(
        torch.tensor([1.0, -0.5, 2.0]).double(), root @ root.T + torch.eye(D, dtype=torch.float64)
    )
    moved = MultivariateNormal(matrix @ p.mean + shift[:, 0], matrix @ p.covariance_matrix @ matrix.T)
    return flow, p, q, moved


def nodes(law: MultivariateNormal) -> Tensor:
    """2d points of equal weight whose mean of any quadratic is its expectation under the Gaussian."""
    steps = math.sqrt(D) * law.scale_tril.T
    return law.mean + torch.cat([steps, -steps])


def test_forward_kl_of_gaussians_under_an_affine_flow_is_its_closed_form_in_both_spaces() -> None:
    flow, p, q, moved = gaussians()
    base = MultivariateNormal(torch.zeros(D).double(), torch.eye(D).double())
    x = nodes(p)
    in_x, in_u = both_spaces(flow, x, p.log_prob(x))
    for found in (
        kl_divergence(moved, base),
        (in_x[0] - in_x[1]).mean(),
        (in_u[0] - in_u[1]).mean(),
    ):
        torch.testing.assert_close(found, kl_divergence(p, q), rtol=1e-12, atol=1e-12)


def test_reverse_kl_of_gaussians_under_an_affine_flow_is_its_closed_form_in_both_spaces() -> None:
    flow, p, q, moved = gaussians()
    base = MultivariateNormal(torch.zeros(D).double(), torch.eye(D).double())
    x = nodes(q)
    in_x, in_u = both_spaces(flow, x, p.log_prob(x))
    for found in (
        kl_divergence(base, moved),
        (in_x[1] - in_x[0]).mean(),
        (in_u[1] - in_u[0]).mean(),
    ):
        torch.testing.assert_close(found, kl_divergence(q, p), rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------------
# F3: every f-divergence is unchanged by a bijection
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMS)
def test_a_divergence_estimated_in_x_is_the_one_estimated_in_u(name: str) -> None:
    flow, law = bent(FLOWS["spline couplings"], 0.05), target("mixture", dim=D, radius=0.5, scale=1.0)
    assert law.sample is not None
    rows = {"at_p": law.sample(2000, seeded()), "at_q": flow.sample(2000, generator=seeded(1))}
    pairs = {side: both_spaces(flow, x, law.log_prob(x)) for side, x in rows.items()}
    in_x, in_u = (f_divergence(name, **{side: pair[i] for side, pair in pairs.items()}) for i in (0, 1))
    assert in_x.value == pytest.approx(in_u.value, rel=1e-9)
    assert in_x.interval == pytest.approx(in_u.interval, rel=1e-9)
    assert in_x.value > 1e-3


@pytest.mark.parametrize("name", FORMS)
def test_a_divergence_is_the_same_integral_on_both_sides_of_a_bijection(name: str) -> None:
    """Quadrature on a grid of x and on another of y = F(x): p = N(0, 1), q = N(1/2, 1.2^2), F a planar map of the line."""
    w, u, b = (torch.tensor([value], dtype=torch.float64) for value in (1.5, 2.0, 0.3))

    def log_densities(x: Tensor) -> tuple[Tensor, Tensor]:
        return log_normal(x[None]), log_normal((x[None] - 0.5) / 1.2) - math.log(1.2)

    def integral(log_p: Tensor, log_q: Tensor, step: float) -> float:
        return float(((log_p.exp() + log_q.exp()) / 2 * FORMS[name].term(log_p - log_q)).sum() * step)

    x = torch.linspace(-14, 14, 8001, dtype=torch.float64)
    in_x = integral(*log_densities(x), float(x[1] - x[0]))
    y = torch.linspace(-16, 16, 9001, dtype=torch.float64)
    back, _, _ = planar.inverse(y[None], w, u, b[0])
    along = -jacobian_log_det(lambda rows: planar.forward(rows, w, u, b[0])[0], back)
    log_p, log_q = log_densities(back[0])
    in_y = integral(log_p + along, log_q + along, float(y[1] - y[0]))
    # the trapezium rule is exact to rounding for smooth integrands; |p - q| has two kinks, each worth step^2 / 8
    assert in_y == pytest.approx(in_x, abs=1e-5 if name == "total-variation" else 1e-10)
    truths = {"kl": math.log(1.2) + 1.25 / 2.88 - 0.5, "reverse-kl": -math.log(1.2) + 1.69 / 2 - 0.5}
    assert in_x == pytest.approx(truths.get(name, in_x), abs=1e-10)


# ---------------------------------------------------------------------------------------------------------------
# F4: what one has decides the objective
# ---------------------------------------------------------------------------------------------------------------


def test_the_likelihood_objective_is_forward_kl_plus_the_entropy_of_the_target() -> None:
    flow, p, q, _ = gaussians()
    (turn,) = Likelihood().turns(flow)
    with torch.no_grad():
        loss = turn(nodes(p))
    torch.testing.assert_close(loss, kl_divergence(p, q) + p.entropy(), rtol=1e-12, atol=1e-12)


def test_the_likelihood_objective_leaves_out_the_entropy_and_nothing_else(flow: Flow) -> None:
    """On exact samples of the banana, whose map from the Gaussian has determinant 1 and so its entropy."""
    law = target("banana", dim=D, scale=1.0, curvature=0.5)
    assert law.sample is not None
    x = law.sample(5000, seeded())
    (turn,) = Likelihood().turns(flow)
    with torch.no_grad():
        loss, log_q = float(turn(x)), flow.log_prob(x)
    surprise = law.log_prob(x).neg()
    low, high = mean_interval(surprise.numpy(), SURE)
    entropy = D * 0.5 * math.log(2 * math.pi * math.e)
    assert low <= entropy <= high
    kl = float((-surprise - log_q).mean())
    assert kl > 0
    assert loss == pytest.approx(kl + float(surprise.mean()), rel=1e-12)


def test_the_objective_of_a_density_is_reverse_kl_less_log_z() -> None:
    """E_u[log p_U(u) - log|det dF/du| - log p~(F(u))] on an unnormalised Gaussian posterior with known log Z."""
    law = target("linear-regression")
    flow = bent(lambda: Linear(Space.real(law.dim)), 0.2)
    d, (inputs, _) = law.dim, linear_rows()
    inputs = torch.as_tensor(inputs, dtype=torch.float64)
    u = math.sqrt(d) * torch.cat([torch.eye(d), -torch.eye(d)], 1).double()
    with torch.no_grad():
        x, log_det = flow.decode(u)
        loss = (log_normal(u) - log_det - law(x)).mean()
        q = MultivariateNormal(x.mean(0), (x - x.mean(0)).T @ (x - x.mean(0)) / (2 * d))
    precision = torch.eye(d, dtype=torch.float64) + inputs.T @ inputs / 0.25
    assert law.mean is not None
    p = MultivariateNormal(torch.tensor(law.mean, dtype=torch.float64), precision_matrix=precision)
    assert float(loss) == pytest.approx(float(kl_divergence(q, p)) - law.log_z, abs=1e-8)


# ---------------------------------------------------------------------------------------------------------------
# F5: a planar flow is cheap one way, and does both
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("towards, cheap", [("base", "encode"), ("data", "decode")])
@pytest.mark.parametrize("kind", ["planar", "sylvester"])
def test_a_planar_flow_declares_its_cheap_way(kind: str, towards: str, cheap: str) -> None:
    flow = PlanarFlow(SPACE, 2, kind=kind, towards=towards)
    assert [one.closed for one in flow._maps()][1:] == [{cheap}] * 2
    assert flow.cheap == {{"encode": "score", "decode": "sample"}[cheap]}
    assert Can.SAMPLE | Can.LOG_PROB | Can.SAMPLE_WITH_LOG_PROB in flow.can


@pytest.mark.parametrize("towards", ["base", "data"])
def test_a_planar_flow_scores_and_samples_whichever_way_is_closed(towards: str) -> None:
    """Its rows are scored by the density that drew them, with the Jacobian of autograd."""
    flow = bent(lambda: PlanarFlow(SPACE, 6, towards=towards), 0.5)
    u = torch.randn(D, 300, generator=seeded(), dtype=torch.float64)
    with torch.no_grad():
        x = flow.decode(u)[0]
        torch.testing.assert_close(flow.encode(x)[0], u, rtol=1e-9, atol=1e-9)
    drawn = log_normal(u) - jacobian_log_det(lambda base: flow.decode(base)[0].T, u)
    torch.testing.assert_close(flow.log_prob(x).detach(), drawn, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("towards", ["base", "data"])
def test_the_density_of_a_planar_flow_integrates_to_one_either_way(towards: str) -> None:
    flow = bent(lambda: PlanarFlow(Space.real(2), 6, towards=towards), 0.5)
    with torch.no_grad():
        for weight in flow.parameters():
            weight.mul_(0.5)
        side = torch.linspace(-14, 14, 141, dtype=torch.float64)
        mass = flow.log_prob(torch.cartesian_prod(side, side)).exp().sum() * (side[1] - side[0]) ** 2
    assert float(mass) == pytest.approx(1, abs=1e-6)
