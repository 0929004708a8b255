"""The rational-quadratic spline: the fast one against the plain one, autograd Jacobians, finite differences and its box."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from jensen.errors import UsageError
from jensen.functional import spline, spline_plain

BOUND, MINIMUM = 5.0, 1e-3
BOTH = pytest.mark.parametrize("way", ["forward", "inverse"])
EPS = torch.finfo(torch.float64).eps


def pair(way: str) -> tuple[Callable, Callable]:
    """The fast and the plain version of one direction, with the limits filled in."""
    return getattr(spline, way), lambda x, logits: getattr(spline_plain, way)(x, logits, BOUND, MINIMUM)


def draw(scale: float = 1.0, bins: int = 8, n: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    """x (2, n), one in ten beyond the bound, and logits (3K-1, 2, n), float64."""
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(2, n, generator=generator, dtype=torch.float64)
    return x, scale * torch.randn(3 * bins - 1, 2, n, generator=generator, dtype=torch.float64)


def away_from_knots(
    x: Tensor, logits: Tensor, way: str, by: float = 1e-3, bound: float = BOUND
) -> tuple[Tensor, Tensor]:
    """Only the elements whose second derivative exists around them: finite differences need it."""
    bins = (len(logits) + 1) // 3
    sizes = MINIMUM + (1 - bins * MINIMUM) * logits[: 2 * bins].unflatten(0, (2, bins)).softmax(1)
    knots = bound * (2 * sizes.cumsum(1)[int(way == "inverse")] - 1)
    near = (knots - x).abs().amin(0).minimum((x + bound).abs()) < by
    return x[~near], logits[:, ~near]


# --- the plain version is the spline of the paper ---------------------------------------------------------------


@BOTH
def test_log_slope_is_the_log_of_the_derivative_that_autograd_finds(way: str) -> None:
    x, logits = draw(2.0)
    x.requires_grad_()
    y, log_slope = pair(way)[1](x, logits)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_slope, slope.log(), rtol=0, atol=1e-10)


def test_knots_go_to_knots_with_the_slopes_that_were_asked_for() -> None:
    logits = torch.tensor([0.0, 1, 2, 2, 1, 0, -1, 1.5], dtype=torch.float64)
    width, height = logits[:3].softmax(0), logits[3:6].softmax(0)
    share = 1 - 3 * MINIMUM
    x = BOUND * (2 * (share * width + MINIMUM).cumsum(0)[:-1] - 1)
    y = BOUND * (2 * (share * height + MINIMUM).cumsum(0)[:-1] - 1)
    shift = math.log(math.expm1(1 - MINIMUM))
    slopes = MINIMUM + (1 + (logits[6:] + shift).exp()).log()
    found, log_slope = spline.forward(x, logits[:, None].expand(-1, 2))
    torch.testing.assert_close(found, y, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_slope, slopes.log(), rtol=0, atol=1e-10)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_logits_are_the_identity(way: str, dtype: torch.dtype) -> None:
    x = torch.linspace(-7, 7, 1001, dtype=dtype)
    y, log_slope = pair(way)[0](x, torch.zeros(23, 1001, dtype=dtype))
    # a few roundings of numbers up to 2B, and of slopes near 1 divided by an eighth
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(y, x, rtol=0, atol=4 * 2 * BOUND * eps)
    torch.testing.assert_close(log_slope, torch.zeros_like(x), rtol=0, atol=100 * eps)


@BOTH
def test_outside_the_bound_it_is_the_identity_bit_for_bit(way: str) -> None:
    x = torch.tensor([-math.inf, -1e30, -5.000001, 5.000001, 6.0, 1e30, math.inf])
    y, log_slope = pair(way)[0](x, torch.randn(23, 7, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(y, x) and torch.equal(log_slope, torch.zeros(7))


@BOTH
def test_a_missing_value_stays_missing_and_touches_no_other_element(way: str) -> None:
    x, logits = draw(n=3)
    expected = pair(way)[0](x, logits)
    x = x.clone()
    x[0, 1] = math.nan
    for found, known in zip(pair(way)[0](x, logits), expected):
        assert found[0, 1].isnan()
        assert found.isnan().sum() == 1 and torch.equal(found[1], known[1])


@pytest.mark.parametrize("bins", [2, 3, 8, 16])
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0, 30.0])
def test_the_inverse_undoes_the_spline_both_ways(scale: float, bins: int) -> None:
    x, logits = draw(scale, bins)
    y, log_slope = spline.forward(x, logits)
    back, log_back = spline.inverse(y, logits)
    # y is known to a few eps of 2B, divided by bin shares that may be 1e-3: x to that over the slope
    error = 100 * 2 * BOUND * EPS * (1 + (-log_slope).exp()) / MINIMUM**0.5
    assert ((back - x).abs() <= error).all()
    if scale <= 1:
        torch.testing.assert_close(back, x, rtol=0, atol=1e-9)
        torch.testing.assert_close(log_back, -log_slope, rtol=0, atol=1e-9)
    z, _ = spline.inverse(x, logits)
    again, log_again = spline.forward(z, logits)
    error = 100 * 2 * BOUND * EPS * (1 + log_again.exp()) / MINIMUM**0.5
    assert ((again - x).abs() <= error).all()


@BOTH
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_it_rises_everywhere(way: str, scale: float) -> None:
    x = torch.linspace(-6, 6, 20001, dtype=torch.float64)
    for seed in range(5):
        logits = scale * torch.randn(
            23, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        y, _ = pair(way)[0](x, logits.expand(-1, len(x)))
        assert (y.diff() > 0).all()


# --- the fast version is the plain version ----------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("bins", [2, 8, 13])
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0])
def test_fast_equals_plain_in_values_and_gradients(way: str, scale: float, bins: int) -> None:
    x, logits = draw(scale, bins)
    leaves = [x.requires_grad_(), logits.requires_grad_()]
    weights = [torch.randn_like(x), torch.randn_like(x)]
    found, known = (version(*leaves) for version in pair(way))
    torch.testing.assert_close(found, known, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        torch.autograd.grad(found, leaves, weights),
        torch.autograd.grad(known, leaves, weights),
        rtol=1e-9,
        atol=1e-9,
    )


@BOTH
def test_float32_is_float64_to_its_own_precision(way: str) -> None:
    x, logits = draw(1.0)
    x, logits = x.float(), logits.float()
    exact = pair(way)[1](x.double(), logits.double())
    for found, known in zip(pair(way)[0](x, logits), exact):
        # gate of the field's table for splines in float32
        torch.testing.assert_close(found.double(), known, rtol=0, atol=1e-3)


@BOTH
@pytest.mark.parametrize("which", [(True, False), (False, True)])
def test_either_gradient_alone_is_the_same(way: str, which: tuple[bool, bool]) -> None:
    x, logits = draw()
    both = [x.clone().requires_grad_(), logits.clone().requires_grad_()]
    alone = [given.clone().requires_grad_(need) for given, need in zip((x, logits), which)]
    sum(part.sum() for part in pair(way)[0](*both)).backward()
    sum(part.sum() for part in pair(way)[0](*alone)).backward()
    for mine, theirs, need in zip(alone, both, which):
        assert (mine.grad is not None) == need
        if need:
            assert torch.equal(mine.grad, theirs.grad)


@BOTH
def test_gradients_pass_gradcheck_once_and_twice(way: str) -> None:
    x, logits = away_from_knots(*draw(1.0, bins=3, n=8), way)
    leaves = (x.requires_grad_(), logits.requires_grad_())
    assert len(x) > 8
    assert gradcheck(pair(way)[0], leaves)
    assert gradgradcheck(pair(way)[0], leaves)


@BOTH
def test_gradients_pass_gradcheck_for_another_bound(way: str) -> None:
    leaves = away_from_knots(*draw(1.0, bins=4, n=8), way, bound=2.0)
    version = getattr(spline, way)
    assert gradcheck(
        lambda x, logits: version(x, logits, bound=2.0), [leaf.requires_grad_() for leaf in leaves]
    )


def test_layout_does_not_matter_only_speed() -> None:
    x, logits = draw()
    expected = spline.forward(x, logits)
    other = logits.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert not other.is_contiguous()
    for found, known in zip(spline.forward(x.T.contiguous().T, other), expected):
        assert torch.equal(found, known)


@BOTH
def test_half_precision_is_computed_and_returned_in_float32(way: str) -> None:
    x, logits = (given.bfloat16() for given in draw())
    found = pair(way)[0](x, logits)
    expected = pair(way)[0](x.float(), logits.float())
    for one, other in zip(found, expected):
        assert one.dtype == torch.float32 and torch.equal(one, other)


@BOTH
def test_function_transforms_see_it(way: str) -> None:
    x, logits = draw(n=5)
    version = pair(way)[0]
    y, log_slope = version(x, logits)
    mapped = torch.func.vmap(version, in_dims=(0, 1))(x, logits)
    torch.testing.assert_close(mapped, (y, log_slope), rtol=1e-9, atol=1e-9)
    for jacobian in (torch.func.jacrev, torch.func.jacfwd):
        found = jacobian(lambda x: version(x, logits[:, 0])[0])(x[0])
        torch.testing.assert_close(found, log_slope[0].exp().diag(), rtol=1e-9, atol=1e-9)


# --- nothing breaks it --------------------------------------------------------------------------------------------

extreme = st.sampled_from([0.0, 1.0, -1.0, 50.0, -50.0, 1e4, -1e4]) | st.floats(-1e4, 1e4, width=32)
anywhere = st.sampled_from([-5.0, 5.0, 0.0, 1e30, -1e30, 4.9999995, -4.9999995]) | st.floats(
    -1e6, 1e6, width=32
)


@BOTH
@settings(max_examples=300, deadline=None)
@given(st.lists(extreme, min_size=11, max_size=11), st.lists(anywhere, min_size=1, max_size=8))
def test_no_number_makes_a_nan_in_float32(way: str, logits: list[float], x: list[float]) -> None:
    at = torch.tensor(x, requires_grad=True)
    given_logits = torch.tensor(logits)[:, None].repeat(1, len(x)).requires_grad_()
    for version in pair(way):
        image, log_slope = version(at, given_logits)
        grads = torch.autograd.grad((image.sum(), log_slope.sum()), (at, given_logits))
        for found in (image, log_slope, *grads):
            assert found.isfinite().all()
        assert (image[at.abs() <= BOUND].abs() <= BOUND * (1 + 1e-6)).all()


@pytest.mark.parametrize(
    "x, logits, options",
    [
        ((3,), (22, 3), {}),
        ((3,), (2, 3), {}),
        ((3,), (23, 4), {}),
        ((3, 2), (23, 3), {}),
        ((3,), (23, 3), {"minimum": 0.125}),
        ((3,), (23, 3), {"minimum": 0.0}),
        ((3,), (23, 3), {"bound": 0.0}),
        ((3,), (23, 3), {"bound": math.inf}),
    ],
)
def test_what_is_no_spline_is_refused(x: tuple, logits: tuple, options: dict) -> None:
    with pytest.raises(UsageError, match="expected"):
        spline.forward(torch.zeros(x), torch.zeros(logits), **options)


def test_integers_are_refused() -> None:
    with pytest.raises(UsageError, match="floating"):
        spline.forward(torch.zeros(3, dtype=torch.long), torch.zeros(23, 3))
