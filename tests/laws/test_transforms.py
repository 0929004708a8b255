"""Every invertible map is what it says: its log-determinant is that of its Jacobian, and both ways undo each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

import jensen
from jensen.errors import SpaceError, UsageError
from jensen.flow import Flow
from jensen.models.iaf import IAF
from jensen.models.maf import MAF
from jensen.models.planar_flow import PlanarFlow
from jensen.models.realnvp import RealNVP
from jensen.models.spline_flow import SplineFlow
from jensen.nn.elementwise import Elementwise, affine_map, spline_map
from jensen.plan import Plan
from jensen.space import Column, Space
from jensen.transforms import Transform
from jensen.transforms.actnorm import ActNorm
from jensen.transforms.autoregressive import AutoregressiveMap
from jensen.transforms.coupling import Coupling
from jensen.transforms.householder import Householder
from jensen.transforms.inverse import Inverse
from jensen.transforms.linear import LULinear
from jensen.transforms.permutation import Permutation
from jensen.transforms.planar import Planar
from jensen.transforms.radial import Radial
from jensen.transforms.sylvester import Sylvester

D, N, C = 5, 7, 3

MAPS: dict[str, Callable[[], Transform]] = {
    "affine coupling": lambda: Coupling(D, affine_map(), (8, 8), context=C),
    "affine coupling, flipped": lambda: Coupling(D, affine_map(), (8,), context=C, flip=True),
    "spline coupling": lambda: Coupling(D, spline_map(5, 2.0), (8,), context=C),
    "coupling without hidden layers": lambda: Coupling(D, affine_map(), (), context=C),
    "affine autoregressive": lambda: AutoregressiveMap(D, affine_map(), (9, 8), context=C),
    "spline autoregressive": lambda: AutoregressiveMap(D, spline_map(5, 2.0), (9,), context=C),
    "autoregressive, fewer units than features": lambda: AutoregressiveMap(D, affine_map(), (2,), context=C),
    "reversal": lambda: Permutation(D),
    "permutation": lambda: Permutation(D, seed=3),
    "inverse of affine autoregressive": lambda: Inverse(
        AutoregressiveMap(D, affine_map(), (9, 8), context=C)
    ),
    "rotation": lambda: Householder(D),
    "rotation by two reflections": lambda: Householder(D, 2),
    "actnorm": lambda: ActNorm(D),
    "linear": lambda: LULinear(D),
    "planar": lambda: Planar(D),
    "planar, towards the data": lambda: Planar(D, "data"),
    "radial": lambda: Radial(D),
    "Sylvester": lambda: Sylvester(D, 3),
    "Sylvester of full rank, towards the data": lambda: Sylvester(D, D, "data"),
}


def strong(build: Callable[[], nn.Module]) -> nn.Module:
    """In float64, with weights that matter: as built a map is close to the identity, and a wrong one would pass."""
    torch.manual_seed(0)
    built = build().double().eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return built


@pytest.fixture(params=MAPS.values(), ids=MAPS.keys())
def one(request: pytest.FixtureRequest) -> Transform:
    built = strong(request.param)
    assert isinstance(built, Transform)
    return built


def columns(scale: float = 1.5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = scale * torch.randn(D, N, generator=generator, dtype=torch.float64)
    return x, torch.randn(C, N, generator=generator, dtype=torch.float64)


def jacobian_log_det(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """log|det| of the Jacobian of each column by D backward passes, (n,)."""
    x = x.clone().requires_grad_()
    y = function(x)
    rows = [torch.autograd.grad(y[i].sum(), x, retain_graph=True)[0] for i in range(len(y))]
    return torch.linalg.slogdet(torch.stack(rows).permute(2, 0, 1)).logabsdet


def test_encode_states_the_log_determinant_of_its_jacobian(one: Transform) -> None:
    x, c = columns()
    found = jacobian_log_det(lambda value: one.encode(value, c)[0], x)
    torch.testing.assert_close(one.encode(x, c)[1].detach(), found, rtol=1e-10, atol=1e-10)


def test_decode_undoes_encode_and_its_log_determinant(one: Transform) -> None:
    for scale in (0.3, 1.5, 6.0):
        x, c = columns(scale)
        z, log_det = one.encode(x, c)
        back, log_back = one.decode(z, c)
        torch.testing.assert_close(back, x, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(log_back, -log_det, rtol=1e-9, atol=1e-9)
        there, _ = one.encode(one.decode(x, c)[0], c)
        torch.testing.assert_close(there, x, rtol=1e-9, atol=1e-9)


def test_decode_carries_the_gradient_of_its_jacobian(one: Transform) -> None:
    x, c = columns()
    found = jacobian_log_det(lambda value: one.decode(value, c)[0], x)
    torch.testing.assert_close(one.decode(x, c)[1].detach(), found, rtol=1e-10, atol=1e-10)


def test_both_ways_carry_gradients_to_input_weights_and_context(one: Transform) -> None:
    """Central differences in float64 are the oracle; both results at once, so that neither hides the other."""
    x, c = (value[:, :3].clone().requires_grad_() for value in columns(0.8))
    names, weights = zip(*one.named_parameters()) if list(one.parameters()) else ((), ())

    for way in ("encode", "decode"):

        def through(x: Tensor, c: Tensor, *weights: Tensor, way: str = way) -> tuple[Tensor, Tensor]:
            return functional_call(_Way(one, way), {f"one.{n}": w for n, w in zip(names, weights)}, (x, c))

        assert torch.autograd.gradcheck(through, (x, c, *weights), fast_mode=True)


@pytest.mark.parametrize("each", [affine_map(), spline_map(5, 2.0)])
def test_the_gradient_of_an_autoregressive_decode_is_that_of_its_unrolled_steps(each: Elementwise) -> None:
    """x <- m^-1(z; network(x)) has found feature i after i + 1 rounds, and autograd sees every one of them."""
    one = strong(lambda: AutoregressiveMap(D, each, (9, 8), context=C))
    assert isinstance(one, AutoregressiveMap)
    z, c = (value.requires_grad_() for value in columns())

    def unrolled() -> tuple[Tensor, Tensor]:
        x = torch.zeros_like(z)
        for _ in range(D):
            x, log_slope = each.inverse(z, one.network(x, c))
        return x, log_slope.sum(0)

    found = []
    for x, log_det in (one.decode(z, c), unrolled()):
        loss = (x.sin().sum(0) * log_det).sum()
        found.append(torch.autograd.grad(loss, (z, c, *one.parameters())))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


class _Way(nn.Module):
    def __init__(self, one: Transform, way: str) -> None:
        super().__init__()
        self.one, self.way = one, way

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = getattr(self.one, self.way)(x, c)
        return found


FLOWS: dict[str, Callable[[Space, Space | None], Flow]] = {
    "realnvp": lambda space, context: RealNVP(space, 3, (8,), context=context),
    "realnvp, reversed": lambda space, context: RealNVP(space, 3, (8,), mix="reverse", context=context),
    "maf": lambda space, context: MAF(space, 3, (8,), context=context),
    "maf, rotated": lambda space, context: MAF(
        space, 3, (8,), mix="householder", actnorm=True, context=context
    ),
    "iaf": lambda space, context: IAF(space, 3, (8,), context=context),
    "coupled splines": lambda space, context: SplineFlow(space, 3, (8,), bins=5, context=context),
    "splines towards the data": lambda space, context: SplineFlow(
        space, 3, (8,), coupling=False, towards="data", bins=5, context=context
    ),
    "autoregressive splines": lambda space, context: SplineFlow(
        space, 3, (8,), coupling=False, bins=5, context=context
    ),
}


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("conditional", [False, True])
def test_a_flow_is_its_maps_both_ways(name: str, conditional: bool) -> None:
    """Rows to base and back; the density by change of variables from the Jacobian of the whole."""
    context = Space((2,), (Column("categorical", 3), Column("real"))) if conditional else None
    flow = strong(lambda: FLOWS[name](Space.real((1, 2, 2)), context))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, 1, 2, 2, generator=generator, dtype=torch.float64)
    c = None
    if conditional:
        classes = torch.randint(3, (N, 1), generator=generator).double()
        c = torch.cat([classes, torch.randn(N, 1, generator=generator, dtype=torch.float64)], 1)
    z, log_det = flow.encode(x, c)
    back, log_back = flow.decode(z, c)
    # three splines with slopes down to 1e-3 stretch a rounding of 1e-16 by up to 1e9
    torch.testing.assert_close(back, x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(log_back, -log_det, rtol=1e-6, atol=1e-6)
    whole = jacobian_log_det(lambda value: flow.encode(value.T.reshape(x.shape), c)[0], x.flatten(1).T)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(z.detach()).sum(0)
    torch.testing.assert_close(flow.log_prob(x, c).detach(), normal + whole, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", FLOWS)
def test_a_new_flow_is_nearly_a_standard_normal(name: str) -> None:
    torch.manual_seed(0)
    flow = FLOWS[name](Space.real(4), None)
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(1))
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)
    with torch.no_grad():
        assert float((flow.log_prob(x) - normal).abs().mean()) < 0.2


@pytest.mark.parametrize(
    "build, cheap",
    [
        (lambda: RealNVP(Space.real(3)), {"score", "sample"}),
        (lambda: MAF(Space.real(3)), {"score"}),
        (lambda: IAF(Space.real(3)), {"sample"}),
        (lambda: SplineFlow(Space.real(3)), {"score", "sample"}),
        (lambda: SplineFlow(Space.real(3), coupling=False), {"score"}),
        (lambda: SplineFlow(Space.real(3), coupling=False, towards="data"), {"sample"}),
        (lambda: SplineFlow(Space.real(1)), {"score"}),
        (lambda: PlanarFlow(Space.real(3)), {"score"}),
        (lambda: PlanarFlow(Space.real(3), towards="data"), {"sample"}),
        (lambda: PlanarFlow(Space.real(3), kind="radial"), {"score", "sample"}),
    ],
)
def test_which_way_is_cheap_is_declared_and_either_way_has_gradients(
    build: Callable[[], Flow], cheap: set[str]
) -> None:
    flow = build()
    assert flow.cheap == cheap
    x, log_q = flow.sample_with_log_prob(6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(flow.log_prob(x), log_q, rtol=1e-4, atol=1e-4)
    for loss in (x.square().sum(), log_q.sum(), flow.log_prob(x.detach()).sum()):
        gradients = torch.autograd.grad(loss, list(flow.parameters()), allow_unused=True, retain_graph=True)
        assert any(g is not None and bool(g.any()) for g in gradients)


@pytest.mark.parametrize("name", [name for name in FLOWS if "splines" in name])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("far", [5.0, 1e3, 1e6])
def test_no_gradient_is_nan_at_or_beyond_the_bound(name: str, dtype: torch.dtype, far: float) -> None:
    """Rows and base points on the bound, far beyond it, and next to nothing from the middle."""
    flow = strong(lambda: FLOWS[name](Space.real(4), None)).to(dtype)
    x = torch.tensor([[far, -far, 0.0, -far], [-far, 1e-30, far, 5.0]], dtype=dtype)
    for through in (flow.log_prob, lambda x: sum(one.sum() for one in flow.decode(x.T.contiguous()))):
        flow.zero_grad()
        given = x.clone().requires_grad_()
        value = through(given)
        value.sum().backward()
        assert bool(value.isfinite().all())
        for g in (given.grad, *(parameter.grad for parameter in flow.parameters())):
            assert g is None or bool(g.isfinite().all())


def test_the_share_beyond_the_bound_is_that_of_the_values_each_spline_would_move() -> None:
    x = torch.tensor([[0.1, 3.0], [0.2, -0.3], [-2.5, 0.4], [0.0, 2.0]])
    autoregressive = SplineFlow(Space.real(2), 2, (8,), coupling=False, bound=2.0)
    # the mixing starts as the identity, and 2.0 itself is inside
    assert float(autoregressive.tails(x)[0]) == 2 / 8
    coupled = SplineFlow(Space.real(2), 2, (8,), bound=2.0)
    # the second column moves first; then the first one, which no map has touched
    assert coupled.tails(x).tolist() == [1 / 4, 1 / 4]
    turned = SplineFlow(Space.real(2), 1, (8,), coupling=False, towards="data", bound=2.0)
    assert turned.tails(x).tolist() == [2 / 8]


def test_a_rotation_is_orthogonal() -> None:
    one = strong(lambda: Householder(D, 3))
    q, _ = one.encode(torch.eye(D, dtype=torch.float64))  # type: ignore[operator]
    torch.testing.assert_close(q @ q.T, torch.eye(D, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "name, hyper, precision",
    [
        ("iaf", {"mix": "lu"}, "float32"),
        ("spline-flow", {"coupling": False, "towards": "data"}, "bf16"),
    ],
)
def test_the_slow_way_can_be_trained(name: str, hyper: dict[str, Any], precision: str) -> None:
    """Maximum likelihood of a flow that samples in one pass, against the law of the rows, on the same held-out rows."""
    mix = np.array([[1.0, 0.0], [1.8, 0.6]])
    rows = jensen.rows(np.random.default_rng(0).normal(size=(1500, 2)) @ mix.T)
    plan = Plan(precision=precision, rate=1e-2)
    fitted = jensen.fit(name, rows, plan=plan, steps=100, transforms=1, hidden=(8,), **hyper)
    held_out = torch.as_tensor(rows.test[:])
    covariance = torch.as_tensor(mix @ mix.T)
    truth = torch.distributions.MultivariateNormal(torch.zeros(2).double(), covariance).log_prob(held_out)
    assert abs(float(truth.mean()) - fitted.score(rows).mean().value) < 0.1


def test_bad_arguments_say_what_to_do() -> None:
    for build in (
        lambda: RealNVP(Space.real(1)),
        lambda: MAF(Space.real(2), 0),
        lambda: RealNVP(Space.real(2), 0),
        lambda: SplineFlow(Space.real(2), bins=1),
        lambda: SplineFlow(Space.real(2), bound=0.0),
        lambda: MAF(Space.real(2), hidden=(0,)),
        lambda: MAF(Space.real(2), mix="shuffle"),
        lambda: SplineFlow(Space.real(2), towards="left"),
        lambda: SplineFlow(Space.real(2), towards="data"),
        lambda: Householder(2, 3),
        lambda: Space.real(0),
        lambda: SplineFlow(Space.real(2), 10**9),
        lambda: RealNVP(Space.real(2), 10**9),
        lambda: PlanarFlow(Space.real(2), 10**9),
        lambda: MAF(Space.real(2), context=Space.categorical(1, 3)).sample(2),
        lambda: IAF(Space.real(2), context=Space.categorical(1, 3)).sample_with_log_prob(2),
    ):
        with pytest.raises((UsageError, SpaceError)) as caught:
            build()
        assert caught.value.given and caught.value.do
