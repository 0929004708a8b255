"""A fitted model as a torch distribution says what it says elsewhere, and fits in where torch expects one."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)
from torch.distributions.transforms import AffineTransform

import jensen
from jensen.as_distribution import InSpace
from jensen.errors import Cannot, UsageError
from jensen.fitted import Fitted
from jensen.plan import Plan
from jensen.space import Column, Space

PLAN = Plan(steps=30, checks=2)
pytestmark = pytest.mark.filterwarnings("ignore::jensen.errors.JensenWarning")


def rows(n: int = 400) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(n, 2)) @ np.array([[3.0, 1.0], [0.0, 2.0]])
    return 100 + 10 * x


@cache
def flow() -> Fitted:
    return jensen.fit("maf", rows(), plan=PLAN, transforms=2, hidden=(16,))


@cache
def gaussian() -> Fitted:
    return jensen.fit("ppca", rows(4000), latents=1)


@cache
def given_class() -> Fitted:
    y = np.arange(400) % 3
    return jensen.fit(
        "maf",
        rows() + 50 * y[:, None],
        context=y,
        plan=Plan(steps=300, checks=2, rate=1e-2),
        transforms=1,
        hidden=(16,),
    )


def test_log_prob_is_the_score_in_the_user_s_units() -> None:
    x = rows(50)
    law = flow().distribution()
    assert (law.event_shape, law.batch_shape, law.has_rsample) == ((2,), (), False)
    found = law.log_prob(torch.from_numpy(x))
    np.testing.assert_allclose(found.detach().numpy(), flow().score(x).values, rtol=0, atol=1e-9)
    shaped = law.log_prob(torch.from_numpy(x).reshape(5, 10, 2))
    torch.testing.assert_close(shaped, found.reshape(5, 10), rtol=0, atol=1e-5)
    assert law.log_prob(torch.from_numpy(x[0])).shape == ()
    assert law.log_prob(torch.from_numpy(x).float()).dtype == torch.float32


def test_a_density_integrates_to_one_in_the_user_s_units() -> None:
    sides = [torch.linspace(float(a) - 250, float(a) + 250, 400) for a in rows().mean(0)]
    grid = torch.stack(torch.meshgrid(*sides, indexing="ij"), -1)
    with torch.no_grad():
        mass = flow().distribution().log_prob(grid).double().exp().sum() * (500 / 399) ** 2
    # a smooth density by the trapezium rule, less what lies beyond: 8 standard deviations
    assert float(mass) == pytest.approx(1, abs=2e-3)


def test_the_gradient_goes_to_the_rows() -> None:
    law, x = gaussian().distribution(), torch.from_numpy(rows(5)).requires_grad_()
    (slope,) = torch.autograd.grad(law.log_prob(x).sum(), x)
    step = 1e-2
    for site in range(2):
        move = torch.zeros(2, dtype=torch.float64)
        move[site] = step
        with torch.no_grad():
            rise = (law.log_prob(x + move) - law.log_prob(x - move)) / (2 * step)
        # log_prob in float32: 1e-6 of a number about 10, over 2e-2
        torch.testing.assert_close(slope[:, site], rise, rtol=0, atol=2e-3)


def test_samples_are_those_of_the_model_and_repeat_under_torch_s_seed() -> None:
    law = gaussian().distribution()
    torch.manual_seed(3)
    first = law.sample((2000, 2))
    torch.manual_seed(3)
    assert torch.equal(first, law.sample((2000, 2))) and not torch.equal(first, law.sample((2000, 2)))
    assert first.shape == (2000, 2, 2) and first.dtype == torch.float32
    assert (
        law.sample().shape == (2,)
        and gaussian().distribution(dtype=torch.float64).sample().dtype == torch.float64
    )
    flat = first.reshape(-1, 2).double().numpy()
    # 4000 draws: five standard errors of a mean, and of a variance, of at most 37^2
    assert np.abs(flat.mean(0) - rows(4000).mean(0)).max() < 5 * 37 * np.sqrt(1 / 4000 + 1 / 4000)
    assert np.abs(np.cov(flat.T) - np.cov(rows(4000).T)).max() < 5 * 37**2 * np.sqrt(2 / 4000 + 2 / 4000)


def test_a_divergence_by_draws_agrees_with_the_closed_form() -> None:
    """Probabilistic PCA is a Gaussian: KL from it to another one is known."""
    model, law = gaussian().model, gaussian().distribution()
    scale = gaussian().codec.scale
    weight = model.weight.detach().double()
    covariance = weight @ weight.T + torch.eye(2).double() * model.log_scale.detach().double().exp() ** 2
    mean = gaussian().codec.mean + scale * model.mean.detach().double()
    own = MultivariateNormal(mean, scale[:, None] * covariance * scale)
    x = law.sample((4000,)).double()
    torch.testing.assert_close(law.log_prob(x).detach(), own.log_prob(x), rtol=0, atol=1e-3)
    other = MultivariateNormal(mean + 20, 2000 * torch.eye(2).double())
    ratio = (law.log_prob(x) - other.log_prob(x)).detach()
    exact = torch.distributions.kl_divergence(own, other)
    assert abs(float(ratio.mean() - exact)) < 5 * float(ratio.std()) / np.sqrt(4000)


def test_it_mixes_with_torch_s_own_laws() -> None:
    law = flow().distribution()
    x = law.sample((7,)).double()
    wide = law.expand((3,))
    assert wide.batch_shape == (3,) and wide.sample((4,)).shape == (4, 3, 2)
    torch.testing.assert_close(
        wide.log_prob(x[:, None]), law.log_prob(x)[:, None].expand(7, 3), rtol=0, atol=1e-5
    )
    both = Independent(wide, 1)
    assert both.event_shape == (3, 2)
    triples = both.sample((2,)).double()
    torch.testing.assert_close(both.log_prob(triples), law.log_prob(triples).sum(1), rtol=0, atol=1e-5)
    moved = TransformedDistribution(law, [AffineTransform(1.0, 2.0, event_dim=1)])
    torch.testing.assert_close(moved.log_prob(2 * x + 1), law.log_prob(x) - 2 * np.log(2), rtol=0, atol=1e-4)


def test_contexts_are_a_batch_and_a_mixture_over_them_is_the_marginal() -> None:
    fitted = given_class()
    x = rows(20)
    law = fitted.distribution([0, 1, 2], batch=3)
    assert law.batch_shape == (3,)
    found = law.log_prob(torch.from_numpy(x)[:, None])
    for k in range(3):
        scores = fitted.score(x, context=k).values
        np.testing.assert_allclose(found[:, k].detach().numpy(), scores, rtol=0, atol=1e-5)
        one = fitted.distribution(k).log_prob(torch.from_numpy(x))
        np.testing.assert_allclose(one.detach().numpy(), scores, rtol=0, atol=1e-9)
    shares = torch.tensor([0.2, 0.3, 0.5])
    mixture = MixtureSameFamily(Categorical(shares), law)
    expected = (found + shares.log()).logsumexp(1)
    torch.testing.assert_close(mixture.log_prob(torch.from_numpy(x)), expected, rtol=0, atol=1e-5)
    drawn = law.sample((300,)).mean(0)
    assert mixture.sample((5,)).shape == (5, 2) and bool((drawn.diff(dim=0) > 10).all())


def test_masses_of_all_rows_sum_to_one_and_rows_off_the_grid_are_refused() -> None:
    x = np.random.default_rng(0).integers(0, 3, size=(200, 2)) * 0.5
    law = jensen.fit("made", x, space=Space.levels(2, 3, 0.0, 0.5), plan=PLAN, hidden=(8,)).distribution()
    grid = torch.cartesian_prod(torch.arange(3), torch.arange(3)) * 0.5
    assert float(law.log_prob(grid).detach().double().exp().sum()) == pytest.approx(1, abs=1e-6)
    assert law.support.is_discrete and set(law.sample((50,)).unique().tolist()) <= {0, 0.5, 1}
    for wrong in ([0.25, 0.0], [1.5, 0.0], [-0.5, 0.0], [float("nan"), 0.0]):
        with pytest.raises(ValueError, match="support"):
            law.log_prob(torch.tensor([wrong]))
    whole = jensen.fit("independent", "digits").distribution()
    assert whole.sample((2,)).shape == (2, 1, 8, 8) and not whole.sample().is_floating_point()


def test_rows_are_checked_where_the_process_has_turned_the_checks_of_distributions_off() -> None:
    before = torch.distributions.Distribution._validate_args
    try:  # as torch.compile does
        torch.distributions.Distribution.set_default_validate_args(False)
        law = jensen.fit("independent", "digits").distribution()
    finally:
        torch.distributions.Distribution.set_default_validate_args(before)
    with pytest.raises(ValueError, match="support"):
        law.log_prob(torch.full((1, 8, 8), 0.5))


def test_the_support_of_rows_with_both_kinds_asks_for_each_what_it_is() -> None:
    inside = InSpace(Space((2,), (Column("real"), Column("levels", 3, 1.0, 2.0))))
    x = torch.tensor([[0.3, 1.0], [9e9, 5.0], [0.0, 2.0], [float("inf"), 1.0], [0.0, 7.0]])
    assert inside.check(x).tolist() == [True, True, False, False, False] and not inside.is_discrete


def test_what_has_no_exact_log_prob_is_no_distribution() -> None:
    with pytest.raises(Cannot, match="log_prob"):
        jensen.fit("vae", rows(60), plan=Plan(steps=2), latents=1, hidden=(8,)).distribution()
    with pytest.raises(Cannot, match="lower bound"):
        jensen.fit("maf", "digits", plan=Plan(steps=1), transforms=1, hidden=(8,)).distribution()
    with pytest.raises(Cannot, match="without a context"):
        flow().distribution(context=1)
    with pytest.raises(UsageError, match="needs a context"):
        given_class().distribution()
    assert "maf" in repr(flow().distribution()) and Normal.has_rsample
