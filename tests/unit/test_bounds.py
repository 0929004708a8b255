"""The mathematics of importance-weighted bounds, against enumeration and closed forms."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from jensen.errors import UsageError
from jensen.functional import bounds
from jensen.functional.importance import log_mean_exp


def weights(n: int, k: int, spread: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(n, k, generator=generator, dtype=torch.float64) - 90


@pytest.mark.parametrize("spread", [0.01, 1.0, 10.0, 200.0])
def test_the_mean_over_subsets_is_that_of_all_of_them(spread: float) -> None:
    log_w = weights(3, 7, spread)
    for k in range(1, 8):
        each = [log_mean_exp(log_w[:, list(chosen)]) for chosen in itertools.combinations(range(7), k)]
        assert torch.allclose(bounds.subsets(log_w, k), torch.stack(each).mean(0), rtol=0, atol=1e-9)


def test_the_mean_over_subsets_has_the_gradient_of_its_terms() -> None:
    log_w = weights(2, 5, 2.0).requires_grad_()
    pairs = [log_mean_exp(log_w[:, list(chosen)]) for chosen in itertools.combinations(range(5), 2)]
    want = torch.autograd.grad(torch.stack(pairs).mean(0).sum(), log_w)[0]
    found = torch.autograd.grad(bounds.subsets(log_w, 2).sum(), log_w)[0]
    assert torch.allclose(found, want, rtol=0, atol=1e-8)


@pytest.mark.parametrize("spread", [1e-4, 3.0, 30.0])
def test_means_over_subsets_never_fall(spread: float) -> None:
    curve = torch.stack([bounds.subsets(weights(20, 24, spread), k) for k in range(1, 25)])
    assert float(curve.diff(dim=0).min()) >= -1e-9  # the quadrature's error
    assert float((curve[-1] - curve[0]).min()) > 0


def test_a_subset_without_weight_makes_minus_infinity_and_no_nan() -> None:
    log_w = torch.tensor([[0.0, 1.0, -math.inf, -math.inf]])
    assert bounds.subsets(log_w, 2).tolist() == [-math.inf]
    assert bounds.subsets(log_w, 3).isfinite().all()


def test_means_over_blocks_never_fall_along_divisors_and_can_elsewhere() -> None:
    log_w = weights(2000, 12, 3.0)
    for small, large in ((1, 2), (2, 4), (4, 12), (1, 3), (3, 6), (6, 12)):
        assert float((bounds.blocks(log_w, large) - bounds.blocks(log_w, small)).min()) >= -1e-12
    assert float((bounds.blocks(log_w, 4) - bounds.blocks(log_w, 3)).min()) < 0


def test_elbo_and_iwae_are_the_two_ends() -> None:
    log_w = weights(4, 6, 2.0)
    assert torch.equal(bounds.elbo(log_w), bounds.blocks(log_w, 1))
    assert torch.equal(bounds.iwae(log_w), bounds.blocks(log_w, 6))
    assert torch.equal(bounds.renyi(log_w, 0.0), bounds.iwae(log_w))
    limit = bounds.renyi(log_w, 1 + 1e-7)
    assert torch.allclose(limit, bounds.renyi(log_w, 1.0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.0, 7.0])
def test_a_renyi_bound_lies_below_the_importance_weighted_one_on_every_draw(alpha: float) -> None:
    log_w = weights(200, 8, 5.0)
    assert bool((bounds.renyi(log_w, alpha) <= bounds.iwae(log_w) + 1e-12).all())


def test_the_jackknife_leaves_out_every_draw_once() -> None:
    log_w = weights(3, 5, 2.0)
    without = torch.stack([log_mean_exp(log_w[:, [j for j in range(5) if j != i]]) for i in range(5)]).mean(0)
    want = 5 * bounds.iwae(log_w) - 4 * without
    assert torch.allclose(bounds.jackknife(log_w), want, rtol=0, atol=1e-12)


def test_the_jackknife_takes_away_most_of_the_bias_of_well_spread_weights() -> None:
    # log-normal weights with variance 0.25: bias -0.0142 at k = 10 up to the next order
    log_w = (
        0.5 * torch.randn(100_000, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        - 0.125
    )
    plain, repaired = bounds.iwae(log_w), bounds.jackknife(log_w)
    error = float(repaired.std()) / math.sqrt(len(log_w))
    assert float(plain.mean()) < -0.012
    assert abs(float(repaired.mean())) < 0.003 + 4 * error


def test_a_certificate_holds_as_often_as_it_says() -> None:
    """Heavy weights: log-normal of variance 4, n = 20 rows, log p = 0; and the bare bound does not hold so often."""
    generator = torch.Generator().manual_seed(0)
    log_w = 2 * torch.randn(2000, 20, 10, generator=generator, dtype=torch.float64) - 2
    values = bounds.iwae(log_w)
    held = torch.stack([bounds.certified(row) for row in values]) <= 0
    # 5 % of 2000, and three standard errors
    assert float((~held).double().mean()) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)
    assert bounds.certified(values[0], 0.01) < bounds.certified(values[0], 0.05) < values[0].mean()
    mirrored = bounds.certified_upper(-values[0])
    assert torch.allclose(mirrored, -bounds.certified(values[0]))


@pytest.mark.parametrize(
    "call",
    [
        lambda: bounds.iwae(torch.zeros(3, 0)),
        lambda: bounds.elbo(torch.tensor(1.0)),
        lambda: bounds.blocks(torch.zeros(3, 4), 3),
        lambda: bounds.subsets(torch.zeros(3, 4), 5),
        lambda: bounds.subsets(torch.zeros(3, 4), 0),
        lambda: bounds.renyi(torch.zeros(3, 4), -0.5),
        lambda: bounds.jackknife(torch.zeros(3, 1)),
        lambda: bounds.certified(torch.zeros(3), 0.0),
        lambda: bounds.certified(torch.zeros(0)),
    ],
)
def test_what_is_no_bound_is_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as refused:
        call()
    assert refused.value.wrong and refused.value.given and refused.value.do


def test_weights_thousands_of_nats_apart_give_a_bound_that_is_finite_valid_and_grows_with_k() -> None:
    log_w = torch.tensor([[0.0, -3000.0, -8000.0, -1.0, -9.0e5]], dtype=torch.float64)
    found = [bounds.subsets(log_w, k).item() for k in range(2, 6)]
    assert all(math.isfinite(value) for value in found)
    assert found == sorted(found)
    assert found[-1] <= log_mean_exp(log_w[0]).item() + 1e-9
    # all pairs by hand, the far weights at 2,000 below the largest
    near = [0.0, -2000.0, -2000.0, -1.0, -2000.0]
    pairs = [
        log_mean_exp(torch.tensor([a, b], dtype=torch.float64)).item()
        for a, b in itertools.combinations(near, 2)
    ]
    assert found[0] == pytest.approx(sum(pairs) / 10, abs=1e-6)
