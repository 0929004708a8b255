"""Affine, planar, radial and Sylvester maps: log-determinants of autograd Jacobians, round trips, implicit gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from jensen.errors import UsageError
from jensen.functional import affine, planar, radial, sylvester, tanh_root

EPS = torch.finfo(torch.float64).eps
D, M, N = 4, 3, 6


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def of_planar(seed: int, scale: float, each: bool) -> list[Tensor]:
    n = (N,) if each else ()
    return [
        normal(D, *n, seed=seed, scale=scale),
        normal(D, *n, seed=seed + 1, scale=scale),
        normal(*n, seed=seed + 2),
    ]


def of_radial(seed: int, scale: float, each: bool) -> list[Tensor]:
    n = (N,) if each else ()
    alpha, beta = radial.constrain(normal(*n, seed=seed), normal(*n, seed=seed + 1, scale=scale))
    return [normal(D, *n, seed=seed + 2), alpha, beta]


def of_sylvester(seed: int, scale: float, each: bool) -> list[Tensor]:
    n = (N,) if each else ()
    q = sylvester.orthonormal(normal(D, M, *n, seed=seed))
    r, s = (normal(M, M, *n, seed=seed + i, scale=scale) for i in (1, 2))
    return [q, r, s, normal(M, *n, seed=seed + 3)]


MAPS: dict[str, tuple[Any, Callable[[int, float, bool], list[Tensor]]]] = {
    "planar": (planar, of_planar),
    "radial": (radial, of_radial),
    "sylvester": (sylvester, of_sylvester),
}
ALL = pytest.mark.parametrize("name", MAPS)
EACH = pytest.mark.parametrize("each", [False, True], ids=["shared", "one a column"])


def log_dets(f: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Sign and log|det| (n,) of the Jacobian of every column by D reverse passes: columns do not mix."""
    z = z.detach().requires_grad_()
    x = f(z)
    rows = [torch.autograd.grad(row.sum(), z, retain_graph=True)[0] for row in x]
    return torch.linalg.slogdet(torch.stack(rows).permute(2, 0, 1))


@ALL
@EACH
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_log_det_is_that_of_the_autograd_jacobian_both_ways(name: str, each: bool, scale: float) -> None:
    module, parameters = MAPS[name]
    for seed in range(5):
        z, given = normal(D, N, seed=100 + seed, scale=2.0), parameters(10 * seed, scale, each)
        for way in (module.forward, module.inverse):
            sign, expected = log_dets(lambda x: way(x, *given)[0], z)  # noqa: B023
            assert (sign > 0).all()
            torch.testing.assert_close(way(z, *given)[1], expected, rtol=0, atol=1e-10)


@ALL
@EACH
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_the_inverse_undoes_the_map_both_ways(name: str, each: bool, scale: float) -> None:
    module, parameters = MAPS[name]
    for seed in range(5):
        z, given = normal(D, N, seed=100 + seed, scale=2.0), parameters(10 * seed, scale, each)
        for first, second in ((module.forward, module.inverse), (module.inverse, module.forward)):
            x, log_det = first(z, *given)[:2]
            back, log_back = second(x, *given)[:2]
            torch.testing.assert_close(back, z, rtol=0, atol=1e-9)
            torch.testing.assert_close(log_back, -log_det, rtol=0, atol=1e-9)


@ALL
@EACH
def test_gradients_of_both_ways_equal_finite_differences(name: str, each: bool) -> None:
    module, parameters = MAPS[name]
    z = normal(D, N, seed=9)
    leaves = [one.detach().requires_grad_() for one in (z, *parameters(3, 1.0, each))]
    for way in (module.forward, module.inverse):
        assert gradcheck(lambda *given: way(*given)[:2], leaves)  # noqa: B023


@pytest.mark.parametrize("name", ["planar", "sylvester"])
def test_second_derivatives_of_the_numerical_inverse_are_right_too(name: str) -> None:
    module, parameters = MAPS[name]
    leaves = [
        one.detach()[..., :2].requires_grad_() for one in (normal(D, N, seed=9), *parameters(3, 1.0, True))
    ]
    assert gradgradcheck(lambda *given: module.inverse(*given)[:2], leaves)


@pytest.mark.parametrize("name", ["planar", "sylvester"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.5, 2.0, 6.0])
def test_the_error_that_the_inverse_reports_bounds_its_error(
    name: str, dtype: torch.dtype, scale: float
) -> None:
    module, parameters = MAPS[name]
    worst = 0.0
    for seed in range(30):
        z = normal(D, N, seed=100 + seed, scale=2.0).to(dtype)
        given = [one.to(dtype) for one in parameters(10 * seed, scale, True)]
        x = module.forward(z.double(), *(one.double() for one in given))[0].to(dtype)
        wide = [one.double() for one in given]
        back, _, error = module.inverse(x.double(), *wide)
        # the error of an x that was rounded to dtype, of an inverse that was not: reported for dtype
        error = module.inverse(x, *given)[2].double()
        off = (back - z.double()).detach()
        seen = (
            (wide[0] * off).sum(0).abs()
            if name == "planar"
            else torch.einsum("dmn,dn->mn", wide[0], off).abs().amax(0)
        )
        # once for the rounding on the way to x, and once, in float64 alone, for that on the way back
        assert (seen <= (1 if dtype == torch.float32 else 2) * error).all()
        worst = max(worst, (seen / error).max().item())
    # a bound that is a thousand times too wide would be no news
    assert worst > 1e-3


def test_zero_parameters_are_the_identity() -> None:
    z = normal(D, N)
    zero = torch.zeros(D, dtype=torch.float64)
    alpha, beta = radial.constrain(zero[0], zero[0])
    q = sylvester.orthonormal(normal(D, M))
    square = torch.zeros(M, M, dtype=torch.float64)
    assert torch.equal(planar.forward(z, normal(D, seed=1), zero, zero[0])[0], z)
    assert torch.equal(planar.forward(z, zero, zero, zero[0])[0], z)
    assert torch.equal(radial.forward(z, zero, alpha, beta)[0], z)
    assert torch.equal(sylvester.forward(z, q, square, normal(M, M), zero[:M])[0], z)


# --- the scalar map under planar and Sylvester --------------------------------------------------------------------


def test_m_rises_from_minus_one_and_delta_through_zero() -> None:
    s = torch.linspace(-50, 50, 2001, dtype=torch.float64)
    m = tanh_root.above_minus_one(s)
    shift = torch.tensor(0.99, dtype=torch.float64).expm1().log()
    direct = torch.nn.functional.softplus(s + shift, threshold=50) - 0.99
    torch.testing.assert_close(m, direct, rtol=0, atol=1e-13)
    assert (m.diff() >= 0).all() and (m >= -0.99).all() and tanh_root.above_minus_one(s.new_zeros(())) == 0


@pytest.mark.parametrize("s", [-800.0, -3.0, -1e-9, 0.0, 1e-9, 3.0, 800.0])
def test_m_has_its_derivative_at_zero_and_far_away(s: float) -> None:
    at = torch.tensor(s, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(tanh_root.above_minus_one(at), at)
    shift = torch.tensor(0.99, dtype=torch.float64).expm1().log()
    torch.testing.assert_close(slope, torch.sigmoid(at.detach() + shift), rtol=1e-12, atol=0)


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(-0.99, 1e4), st.floats(-1e3, 1e3))
def test_the_root_solves_its_equation_to_rounding(y: float, m: float, b: float) -> None:
    at = [torch.tensor([value], dtype=torch.float64) for value in (y, m, b)]
    a = tanh_root.solve(*at)
    t = torch.tanh(a + b)
    # a few roundings of y, m and a, where a + b is known to its rounding alone
    scale = abs(y) + abs(m) + (abs(b) + abs(y) + abs(m)) * (1 + abs(m) * (1 - t * t))
    assert (a + m * t - y).abs() <= 16 * EPS * scale


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-20, 1e-140, 1e-170, 0.0])
def test_w_times_v_is_m_and_v_stays_finite_as_w_goes_to_zero(scale: float) -> None:
    w, u = normal(D, 100, scale=scale), normal(D, 100, seed=1, scale=5.0)
    w.requires_grad_(), u.requires_grad_()
    v, m = tanh_root.constrain(w, u)
    # the correction of u is (m - s) / s of its part along w, and -0.64 < (m - s) / s < 0 in the small
    assert (v.norm(dim=0) <= 1.7 * u.norm(dim=0)).all() or scale == 1.0
    # where the square of w is no number any more, v is u: both sides are then of the size of w
    torch.testing.assert_close((w * v).sum(0), m, rtol=1e-9, atol=scale * (1e-13 if scale > 1e-150 else 100))
    for found in torch.autograd.grad((v.sum(), m.sum()), (w, u)):
        assert found.isfinite().all()


def test_planar_is_sylvester_with_one_column() -> None:
    z, w, u, b = normal(D, N), normal(D, seed=1), normal(1, seed=2), normal(1, seed=3)
    length = w.norm()
    q = (w / length)[:, None]
    found = sylvester.forward(z, q, u[:, None], length.expand(1, 1), b)
    known = planar.forward(z, w, u * q[:, 0], b[0])
    torch.testing.assert_close(found, known, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "each", [(True, False, False, False), (False, True, False, True), (False, False, True, False)]
)
def test_sylvester_takes_shared_parameters_and_one_a_column_mixed(each: tuple[bool, ...]) -> None:
    z = normal(D, N, seed=9)
    shared = of_sylvester(0, 1.0, False)
    every = [one[..., None].expand(*one.shape, N) for one in shared]
    mixed = [wide if take else one for one, wide, take in zip(shared, every, each)]
    torch.testing.assert_close(
        sylvester.forward(z, *mixed), sylvester.forward(z, *shared), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(
        sylvester.inverse(z, *mixed), sylvester.inverse(z, *shared), rtol=1e-9, atol=1e-12
    )


def test_orthonormal_columns_are_orthonormal_and_keep_their_directions() -> None:
    for shape in ((D, M), (D, M, N)):
        raw = normal(*shape)
        q = sylvester.orthonormal(raw)
        product = torch.einsum("dm...,dk...->mk...", q, q)
        eye = torch.eye(M, dtype=torch.float64).reshape(M, M, *(1 for _ in shape[2:])).expand_as(product)
        torch.testing.assert_close(product, eye, rtol=0, atol=1e-14)
        assert ((q * raw).sum(0) > 0).all()


# --- no NaN ---------------------------------------------------------------------------------------------------------

wild = st.sampled_from([0.0, 1.0, -1.0, 100.0, -100.0, 1e-12, -1e-15, 1e-30]) | st.floats(-100, 100, width=32)


def values(draw: Any, *shape: int) -> Tensor:
    count = int(torch.Size(shape).numel())
    return torch.tensor(draw(st.lists(wild, min_size=count, max_size=count))).reshape(shape)


@ALL
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_number_makes_a_nan_in_float32(name: str, data: st.DataObject) -> None:
    draw, d = data.draw, 2
    if name == "planar":
        raw = [values(draw, d), values(draw, d), values(draw)]
    elif name == "radial":
        raw = [values(draw, d), *radial.constrain(values(draw), values(draw))]
    else:
        raw = [torch.eye(d), values(draw, d, d), values(draw, d, d), values(draw, d)]
    leaves = [one.requires_grad_() for one in (values(draw, d, 3), *raw)]
    for way in (MAPS[name][0].forward, MAPS[name][0].inverse):
        x, log_det = way(*leaves)[:2]
        grads = torch.autograd.grad((x.sum(), log_det.sum()), leaves)
        for found in (x, log_det, *grads):
            assert found.isfinite().all()


# --- affine -------------------------------------------------------------------------------------------------------


def test_affine_log_slope_round_trip_and_gradients() -> None:
    x, parameters = normal(D, N).requires_grad_(), normal(2, D, N, seed=1, scale=5.0).requires_grad_()
    y, log_slope = affine.forward(x, parameters)
    (slope,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    torch.testing.assert_close(log_slope, slope.log(), rtol=0, atol=1e-12)
    back, log_back = affine.inverse(y, parameters)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    assert torch.equal(log_back, -log_slope)
    assert gradcheck(affine.forward, (x, parameters)) and gradcheck(affine.inverse, (x, parameters))


@given(st.floats(-1e30, 1e30))
def test_log_scale_stays_within_its_limit_and_rises(logit: float) -> None:
    at = torch.tensor(logit, dtype=torch.float64, requires_grad=True)
    scale = affine.bounded(at)
    (slope,) = torch.autograd.grad(scale, at)
    assert abs(scale.item()) <= affine.LIMIT * (1 + 2 * EPS)
    assert abs(slope.item() - (1 + abs(logit) / affine.LIMIT) ** -2) <= 4 * EPS
    assert torch.isfinite(affine.bounded(torch.tensor(logit)))


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda z: affine.forward(z, torch.zeros(3, D, N)),
        lambda z: planar.forward(z, torch.zeros(N), torch.zeros(D), torch.zeros(())),
        lambda z: planar.inverse(z[0], torch.zeros(D), torch.zeros(D), torch.zeros(())),
        lambda z: radial.forward(z, torch.zeros(N), torch.ones(()), torch.ones(())),
        lambda z: radial.inverse(z, torch.zeros(D), torch.ones(3), torch.ones(())),
        lambda z: sylvester.forward(
            z, torch.zeros(N, M), torch.zeros(M, M), torch.zeros(M, M), torch.zeros(M)
        ),
        lambda z: sylvester.inverse(
            z, torch.zeros(D, M), torch.zeros(M, M), torch.zeros(M, D), torch.zeros(M)
        ),
        lambda z: sylvester.orthonormal(torch.zeros(2, 3)),
    ],
)
def test_shapes_that_do_not_fit_are_refused_with_what_to_do(call: Callable[[Tensor], Any]) -> None:
    with pytest.raises(UsageError, match=r"expected .*; got .*: "):
        call(torch.zeros(D, N))
