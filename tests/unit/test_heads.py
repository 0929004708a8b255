"""Likelihood heads: masses and densities against scipy in float64, samples against masses by inversion of a grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from torch import Tensor

from jensen.checks import run
from jensen.checks.twin import strengthen
from jensen.errors import SpaceError, UsageError
from jensen.functional.inversion import component
from jensen.heads import HEADS, head_for
from jensen.heads.gaussian import GaussianMixture
from jensen.heads.logistic import LogisticMixture
from jensen.models.made import MADE
from jensen.nn.sites import SiteInput
from jensen.space import Column, Space

GRID = 20_000
"""Uniform numbers (i + 1/2) / GRID: an interval of length p holds GRID * p of them, give or take less than one."""
U = (torch.arange(GRID, dtype=torch.float64) + 0.5) / GRID
TABLE = Space((3,), (Column("levels", 3), Column("binary"), Column("levels", 5)))
MIXED = Space((2,), (Column("real"), Column("levels", 4)))
CATEGORIES = Space((2,), (Column("categorical", 3), Column("levels", 3)))


def parameters(head: Any, n: int = 1, m: int = 1, spread: float = 1.0, seed: int = 0) -> Tensor:
    return spread * torch.randn(n, m, head.size, generator=torch.Generator().manual_seed(seed))


def unbound(value: float, bound: float) -> float:
    """The parameter l with l / (1 + |l| / bound) = value."""
    return value / (1 - abs(value) / bound)


def masses(head: Any, at: Tensor, levels: int, site: int = 0) -> Tensor:
    """(levels,) of one site with parameters `at` (size,)."""
    x = torch.arange(levels)[:, None]
    log_mass = head.log_prob(at.expand(levels, 1, -1), x, torch.tensor([site]))
    return log_mass[:, 0].double().exp()


def shares(head: Any, at: Tensor, levels: int, site: int = 0, temperature: float = 1.0) -> Tensor:
    """The share (levels,) of the grid's uniform numbers that give each level."""
    x = head.sample(at.expand(GRID, 1, -1), U[:, None], torch.tensor([site]), temperature)
    assert x.shape == (GRID, 1) and x.dtype == torch.int64
    return torch.bincount(x[:, 0], minlength=levels).double() / GRID


def logistic_masses(head: LogisticMixture, at: Tensor, levels: int) -> np.ndarray:
    """The definition in float64: differences of scipy's logistic CDF at v -+ d, ends open."""
    weight, mean, log_scale = at.double().reshape(3, -1).numpy()
    k = head.components
    mean = mean + (2 * np.arange(k) + 1) / k - 1
    scale = 0.5 / k * np.exp(log_scale / (1 + abs(log_scale) / head.bound))
    edges = (2 * np.arange(levels - 1) + 1) / (levels - 1) - 1
    below = scipy.stats.logistic.cdf((edges[:, None] - mean) / scale)
    ends = np.vstack([np.zeros(k), below, np.ones(k)])
    return np.diff(ends, axis=0) @ scipy.special.softmax(weight)


# ---- masses and densities


@pytest.mark.parametrize("scale", [1e-5, 1e-3, 1e-2, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_logistic_masses_of_a_component_sum_to_one_in_float32_at_any_mean_and_scale(
    levels: int, scale: float
) -> None:
    head = LogisticMixture(Space.levels(1, levels), components=1)
    at = torch.zeros(300, 1, 3)
    at[:, 0, 1] = torch.linspace(-1.5, 1.5, 300)
    at[:, 0, 2] = unbound(max(math.log(scale / head.scale), -0.99 * head.bound), head.bound)
    x = torch.arange(levels)[:, None, None].expand(levels, 300, 1)
    total = head.log_prob(at.expand(levels, 300, 1, 3), x).double().exp().sum(0)
    assert (total - 1).abs().max() < 2e-7


@pytest.mark.parametrize("components", [1, 3, 10])
@pytest.mark.parametrize("levels", [2, 3, 17, 256])
def test_logistic_log_masses_are_differences_of_the_logistic_cdf(levels: int, components: int) -> None:
    head = LogisticMixture(Space.levels(1, levels), components).double()
    for seed in range(5):
        at = parameters(head, seed=seed)[0, 0].double()
        want = logistic_masses(head, at, levels)
        # scipy's differences cancel to 1e-16; offsets stored in float32 shift means by 1e-7 of their distance, and
        # with scales of 1/200 at the least, masses by 1e-5 of themselves
        np.testing.assert_allclose(masses(head, at, levels), want, rtol=1e-5, atol=1e-15)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_float32_log_masses_are_those_of_float64_down_to_the_tails(levels: int) -> None:
    head, exact = (LogisticMixture(Space.levels(1, levels), components=1) for _ in range(2))
    exact = exact.double()
    at = torch.zeros(100, 1, 3)
    at[:, 0, 1], at[:, 0, 2] = -3.0, torch.linspace(-50, 3, 100)
    x = torch.full((100, 1), levels - 1)
    want = exact.log_prob(at.double(), x)
    assert want.min() < -1000 and want.max() > -10
    # the log mass is a = (edge - m) w. Three operations bound |y| < 7, so exp(y) is off by 21 of 2^-24, and exp, the
    # two of m, the difference, the two of 2 / (scale top) and two products add one each
    torch.testing.assert_close(head.log_prob(at, x).double(), want, rtol=29 * 2.0**-24, atol=2 * 2.0**-24)


@pytest.mark.parametrize("components", [1, 2, 10])
@pytest.mark.parametrize("levels", [2, 4, 17, 256])
def test_zero_parameters_are_the_uniform_law_within_5_percent_of_log_levels(
    levels: int, components: int
) -> None:
    head = LogisticMixture(Space.levels(1, levels), components)
    cost = -masses(head, torch.zeros(head.size), levels).log().mean()
    assert math.log(levels) - 1e-6 <= cost <= 1.05 * math.log(levels)  # uniform is the least there is


@pytest.mark.parametrize("components", [1, 3, 10])
def test_gaussian_log_density_is_the_mixture_of_scipys_normals(components: int) -> None:
    head = GaussianMixture(Space.real(1), components).double()
    at = parameters(head, seed=1)[0, 0].double()
    weight, mean, log_spread = at.reshape(3, -1).numpy()
    centre = scipy.stats.norm.ppf((np.arange(components) + 0.5) / components)
    spread = np.sqrt(1.5 - np.mean(centre**2)) * np.exp(log_spread / (1 + abs(log_spread) / 6.9))
    x = np.linspace(-8, 8, 101)
    each = scipy.stats.norm.logpdf(x[:, None], mean + centre, spread)
    want = scipy.special.logsumexp(np.log(scipy.special.softmax(weight)) + each, axis=1)
    found = head.log_prob(at.expand(101, 1, -1), torch.from_numpy(x)[:, None])[:, 0]
    # offsets stored in float32: 1e-7 of a mean, times (x - mean) / spread^2 < 10 / 0.1^2
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("components", [1, 4])
def test_gaussian_density_integrates_to_one(components: int) -> None:
    head = GaussianMixture(Space.real(1), components).double()
    at = parameters(head, spread=0.5, seed=2)[0, 0].double()

    def density(x: float) -> float:
        return float(head.log_prob(at.reshape(1, 1, -1), torch.tensor([[x]], dtype=torch.float64)).exp())

    total, error = scipy.integrate.quad(density, -30, 30, points=[-2, 0, 2], limit=200, epsabs=1e-9)
    assert abs(total - 1) < 1e-8 + error


@pytest.mark.parametrize("components", [1, 2, 10, 30])
def test_zero_parameters_cost_standard_normal_rows_at_most_a_twentieth_of_a_nat(components: int) -> None:
    head = GaussianMixture(Space.real(1), components)
    node, weight = np.polynomial.hermite_e.hermegauss(60)
    x = torch.from_numpy(node)[:, None]
    log_p = head.log_prob(torch.zeros(60, 1, head.size, dtype=torch.float64), x)[:, 0].numpy()
    cost = -(weight * log_p).sum() / weight.sum()
    entropy = 0.5 * math.log(2 * math.pi * math.e)
    assert entropy <= cost <= entropy + 0.05


# ---- samples


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0, 1e-3])
@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("bernoulli", 2),
        ("categorical", 2),
        ("categorical", 5),
        ("logistic", 2),
        ("logistic", 5),
        ("logistic", 40),
    ],
)
def test_the_share_of_uniform_numbers_that_give_a_level_is_its_tempered_mass(
    name: str, levels: int, temperature: float
) -> None:
    space = Space.binary(1) if name == "bernoulli" else Space.levels(1, levels)
    head: Any = head_for(space, name, components=4)
    # one interval a level, or one for each of four components; float32 masses are off by 1e-6
    allowed = (4 if name == "logistic" else 1) / GRID + 1e-6
    for seed in range(3):
        at = parameters(head, seed=seed)[0, 0]
        want = masses(head, at, levels).pow(1 / temperature)
        if temperature < 0.1:
            want = (masses(head, at, levels).log() / temperature).softmax(0)
            allowed = 1 / GRID + 1e-2  # 1000 times the error of a float32 log mass
        found = shares(head, at, levels, temperature=temperature)
        assert (found - want / want.sum()).abs().max() <= allowed


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("name", ["categorical", "logistic"])
def test_sites_with_different_numbers_of_levels_keep_to_their_own(name: str, temperature: float) -> None:
    head: Any = head_for(TABLE, name, components=3)
    at = parameters(head, 1, 3, seed=4)[0]
    for site, levels in enumerate(TABLE.levels_by_site()):
        want = masses(head, at[site], levels, site)
        assert abs(want.sum() - 1) < 1e-6
        want = want.pow(1 / temperature)
        found = shares(head, at[site], levels, site, temperature)
        assert len(found) == levels
        assert (found - want / want.sum()).abs().max() <= 3 / GRID + 1e-6


@pytest.mark.parametrize("name", ["categorical", "logistic"])
def test_naming_sites_gives_what_the_whole_row_gives_there(name: str) -> None:
    head: Any = head_for(TABLE, name, components=3)
    at = parameters(head, 6, 3)
    x = torch.tensor([[0, 1, 4], [2, 0, 0], [1, 1, 2], [0, 0, 3], [2, 1, 1], [1, 0, 4]])
    whole = head.log_prob(at, x)
    sites = torch.tensor([2, 0])
    assert torch.equal(head.log_prob(at[:, sites], x[:, sites], sites), whole[:, sites])
    for temperature in (1.0, 0.5):
        u = torch.rand(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        rows = head.sample(at, u, torch.arange(3), temperature)
        assert torch.equal(head.sample(at[:, sites], u[:, sites], sites, temperature), rows[:, sites])


def test_a_table_made_in_parts_gives_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    head = LogisticMixture(TABLE, components=3)
    at, u = parameters(head, 7, 3), torch.linspace(0, 0.99, 21, dtype=torch.float64).reshape(7, 3)
    whole = head.sample(at, u, torch.arange(3), 0.5)
    monkeypatch.setattr("jensen.heads.logistic.TABLE", 5 * 3 * 4)
    assert torch.equal(head.sample(at, u, torch.arange(3), 0.5), whole)


@pytest.mark.parametrize("temperature", [1.0, 0.25, 4.0])
def test_gaussian_samples_have_the_mixtures_cdf_with_tempered_weights_and_spreads(temperature: float) -> None:
    head = GaussianMixture(Space.real(1), components=3)
    at = parameters(head, seed=3)[0, 0]
    x = head.sample(at.expand(GRID, 1, -1), U[:, None], torch.tensor([0]), temperature)[:, 0]
    assert x.dtype == torch.float32
    weight, mean, log_spread = at.double().reshape(3, -1).numpy()
    mean = mean + head.centre.double().numpy()
    spread = math.sqrt(temperature) * head.spread * np.exp(log_spread / (1 + abs(log_spread) / 6.9))
    cdf = scipy.stats.norm.cdf((np.sort(x.double().numpy())[:, None] - mean) / spread)
    cdf = cdf @ scipy.special.softmax(weight / temperature)
    # below any value lie the first numbers of three intervals: less than one astray in each; float32 moves 1e-6
    assert abs(cdf - (np.arange(GRID) + 0.5) / GRID).max() <= 3.5 / GRID + 1e-6


def test_at_temperature_t_one_gaussian_is_p_to_the_1_over_t() -> None:
    head = GaussianMixture(Space.real(1), components=1)
    at = torch.tensor([0.3, 0.5, -0.4]).expand(GRID, 1, 3)
    sites = torch.tensor([0])
    x = head.sample(at.double(), U[:, None], sites)
    tempered = head.sample(at.double(), U[:, None], sites, 0.3)
    # p^(1/t): quadratic exponent divided by t, so deviations shrink by sqrt(t)
    torch.testing.assert_close(tempered - 0.5, (x - 0.5) * math.sqrt(0.3))


def test_the_rest_of_a_uniform_number_is_uniform_inside_its_component() -> None:
    logits = torch.tensor([0.3, -2.0, 1.1, 0.0], dtype=torch.float64)
    weights, above = logits.softmax(0), logits.softmax(0).cumsum(0)
    k, rest = component(logits.expand(GRID, 4), U)
    # inverting the map gives u back
    torch.testing.assert_close((above - weights)[k] + rest * weights[k], U[:, None], rtol=0, atol=1e-14)
    counts = torch.bincount(k[:, 0], minlength=4) / GRID
    assert (counts - weights).abs().max() <= 1 / GRID


def test_a_component_without_weight_is_never_drawn() -> None:
    logits = torch.tensor([-1e4, 0.0, -1e4, 1.0, -1e4], dtype=torch.float64)
    ends = torch.tensor([0.0, 0.5, 1 - 2.0**-53], dtype=torch.float64)
    k, rest = component(logits.expand(3, 5), ends)
    assert set(k.flatten().tolist()) <= {1, 3} and bool(rest.isfinite().all())


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("extreme", [0.0, 1e4, -1e4])
def test_the_ends_of_the_uniform_numbers_give_values_of_the_space(name: str, extreme: float) -> None:
    space = {"bernoulli": Space.binary(2), "gaussian": Space.real(2)}.get(name, Space.levels(2, 7))
    head: Any = head_for(space, name)
    u = torch.tensor([[0.0, 1 - 2.0**-53]], dtype=torch.float64)
    for temperature in (1.0, 1e-300, 1e300):
        x = head.sample(torch.full((1, 2, head.size), extreme), u, torch.arange(2), temperature)
        if name == "gaussian":
            # spreads beyond float32 overflow, as they should
            assert temperature > 1e200 or bool(x.isfinite().all())
        else:
            assert int(x.min()) >= 0 and int(x.max()) < (space.max_levels or 0)


# ---- gradients


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("size", [0.0, 10.0, 1e4])
def test_log_probs_and_gradients_are_finite_at_extreme_parameters_and_values(name: str, size: float) -> None:
    space = {"bernoulli": Space.binary(1), "gaussian": Space.real(1)}.get(name, Space.levels(1, 256))
    head: Any = head_for(space, name)
    values = {"bernoulli": [0, 1], "gaussian": [-1e4, 0.0, 1e4]}.get(name, [0, 1, 128, 254, 255])
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(-1, 2, (200, 1, 1, head.size), generator=generator).float()
    at = (size * signs).expand(200, len(values), 1, head.size).clone().requires_grad_()
    log_p = head.log_prob(at, torch.tensor(values)[:, None].expand(200, len(values), 1))
    (gradient,) = torch.autograd.grad(log_p.sum(), at)
    assert bool(log_p.isfinite().all()) and bool(gradient.isfinite().all())


@pytest.mark.parametrize("name", ["logistic", "gaussian"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    head: Any = head_for(Space.real(1) if name == "gaussian" else Space.levels(1, 5), name, components=3)
    head = head.double()
    x = torch.tensor([[-1.5], [0.2]], dtype=torch.float64) if name == "gaussian" else torch.tensor([[0], [3]])
    at = parameters(head, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: head.log_prob(p, x), at)


# ---- which head, and errors


@pytest.mark.parametrize(
    ("space", "name"),
    [
        (Space.binary(3), "Bernoulli"),
        (Space.levels(3, 2), "Bernoulli"),
        (Space.levels((1, 2, 2), 256), "Categorical"),
        (TABLE, "Categorical"),
        (CATEGORIES, "Categorical"),
        (Space.real(3), "GaussianMixture"),
    ],
    ids=str,
)
def test_the_default_head_suits_the_space(space: Space, name: str) -> None:
    assert type(head_for(space)).__name__ == name


@pytest.mark.parametrize(
    ("name", "space", "do"),
    [
        ("bernoulli", Space.levels(2, 3), "categorical"),
        ("bernoulli", Space.real(2), "gaussian"),
        ("categorical", Space.real(2), "gaussian"),
        ("categorical", MIXED, "columns"),
        ("logistic", Space.real(2), "gaussian"),
        ("logistic", CATEGORIES, "categorical"),
        ("logistic", MIXED, "columns"),
        ("gaussian", Space.binary(2), "categorical"),
        ("gaussian", MIXED, "columns"),
    ],
)
def test_an_unsuitable_space_is_refused_with_the_head_that_fits(
    name: str | None, space: Space, do: str
) -> None:
    with pytest.raises(SpaceError) as caught:
        head_for(space, name)
    assert space.describe() in caught.value.given and do in caught.value.do


def test_an_unknown_head_is_named_with_its_neighbours() -> None:
    with pytest.raises(UsageError) as caught:
        head_for(Space.real(2), "gausian")
    assert "gausian" in caught.value.given and "did you mean gaussian" in caught.value.do


@pytest.mark.parametrize("components", [0, -3, 1.5])
@pytest.mark.parametrize("name", ["logistic", "gaussian", "categorical"])
def test_fewer_than_one_component_is_refused(name: str, components: Any) -> None:
    space = Space.real(2) if name == "gaussian" else Space.levels(2, 3)
    with pytest.raises(UsageError, match="component"):
        head_for(space, name, components)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_outside_the_positive_numbers_is_refused(name: str, temperature: float) -> None:
    space = {"bernoulli": Space.binary(1), "gaussian": Space.real(1)}.get(name, Space.levels(1, 3))
    head: Any = head_for(space, name)
    with pytest.raises(UsageError, match="temperature"):
        head.sample(parameters(head), torch.tensor([[0.5]]), torch.tensor([0]), temperature)


# ---- inside a model


@pytest.mark.parametrize("check", ["mass_sums", "sampler_matches_log_prob", "save_load_same"])
@pytest.mark.parametrize("space", [TABLE, Space.levels((1, 2, 3), 4)], ids=str)
def test_a_model_with_a_logistic_head_keeps_the_laws(space: Space, check: str) -> None:
    torch.manual_seed(0)
    model = MADE(space, (24,), head="logistic")
    strengthen(model, seed=1)
    verdict = run(check, model.eval(), None, space, seed=2)
    assert verdict.holds, verdict.evidence


def test_real_sites_are_their_own_features_and_have_no_one_hot_form() -> None:
    x = torch.tensor([[-1e6, 0.25, 3.0]])
    layer = SiteInput(Space.real(3))
    assert layer.size == 1 and torch.equal(layer(x), x.unsqueeze(-1))
    for space in (Space.real(3), MIXED):
        with pytest.raises(UsageError, match="one-hot"):
            SiteInput(space, "onehot")


def test_real_sites_beside_discrete_ones_stay_as_they_are() -> None:
    x = torch.tensor([[-1e6, 0.0], [0.1, 3.0], [7.7, 1.0]])
    found = SiteInput(MIXED)(x)[..., 0]
    assert torch.equal(found[:, 0], x[:, 0])
    torch.testing.assert_close(found[:, 1], torch.tensor([-1.0, 1.0, -1 / 3]))
