"""What the targets say of themselves is true: log Z, moments, masses and samples, each against an independent oracle."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import multivariate_normal, multivariate_t, norm
from torch import Tensor

from jensen.data.target_regression import MODE_LOGISTIC, linear_rows, logistic_rows
from jensen.data.target_wells import LEFT_WELL_MASS
from jensen.data.targets import TARGETS, Target, describe_targets, target
from jensen.errors import SpaceError, UsageError

N = 20_000
Z = 5.0
"""How many standard errors a check allows: for a true claim one miss in 1.7 million."""

PUBLISHED = {
    "funnel": 0.0,
    "banana": 0.0,
    "mixture": 0.0,
    "double-well": 10.293479707074,
    "many-well": 164.695675313,
    "u1": 1.877501626110,
    "u2": 2.082089343010,
    "u3": 2.641705130946,
    "u4": 2.710698002433,
    "two-moons": 0.804214448632,
    "linear-regression": -53.055181832953,
}


def draws(law: Target, n: int = N, seed: int = 0) -> Tensor:
    assert law.sample is not None
    return law.sample(n, torch.Generator().manual_seed(seed))


def legendre(low: float, high: float, panels: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of composite Gauss-Legendre quadrature, 20 nodes a panel."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(low, high, panels + 1)
    half = (edges[1:] - edges[:-1])[:, None] / 2
    middle = (edges[1:] + edges[:-1])[:, None] / 2
    return torch.from_numpy((middle + half * nodes).ravel()), torch.from_numpy((half * weights).ravel())


def integrals(
    log_density: Callable[[Tensor], Tensor],
    box: tuple[tuple[float, float], tuple[float, float]],
    panels: int = 30,
) -> tuple[float, Tensor, Tensor]:
    """log Z, mean and variance of a law on the plane, by quadrature over a box."""
    (a, wa), (b, wb) = (legendre(*side, panels) for side in box)
    points = torch.cartesian_prod(a, b)
    logs = log_density(points) + torch.outer(wa, wb).reshape(-1).log()
    log_z = logs.logsumexp(0)
    masses = (logs - log_z).exp()
    mean = masses @ points
    return float(log_z), mean, masses @ points.square() - mean.square()


PLANE = {
    "mixture": ((-9.0, 9.0), (-9.0, 9.0)),
    "double-well": ((-4.0, 4.0), (-9.0, 9.0)),
    "rings": ((-5.0, 5.0), (-5.0, 5.0)),
    "two-moons": ((-5.0, 5.0), (-5.0, 5.0)),
    "u1": ((-7.0, 7.0), (-7.0, 7.0)),
    "u2": ((-4.0, 4.0), (-6.0, 6.0)),
    "u3": ((-4.0, 4.0), (-9.0, 6.0)),
    "u4": ((-4.0, 4.0), (-9.0, 6.0)),
}


@pytest.mark.parametrize("name", PLANE)
def test_log_z_and_moments_are_those_of_quadrature_over_the_plane(name: str) -> None:
    law = target(name)
    log_z, mean, variance = integrals(law, PLANE[name])
    assert log_z == pytest.approx(law.log_z, abs=2e-9)
    assert mean.tolist() == pytest.approx(law.mean, abs=1e-8)
    assert variance.tolist() == pytest.approx(law.variance, abs=1e-8)


@pytest.mark.parametrize("count, width", [(1, 1.0), (2, 0.4), (4, 0.05)])
def test_log_z_of_rings_counts_the_radius_that_cannot_be_negative(count: int, width: float) -> None:
    def density(r: float, radius: int) -> float:
        return r * math.exp(-(((r - radius) / width) ** 2) / 2)

    total = sum(quad(density, 0, 20, args=(k,), points=[k], limit=200)[0] for k in range(1, count + 1))
    assert target("rings", count=count, width=width).log_z == pytest.approx(
        math.log(2 * math.pi * total), abs=1e-9
    )


@pytest.mark.parametrize("name, value", PUBLISHED.items())
def test_log_z_is_the_reference_value(name: str, value: float) -> None:
    assert target(name).log_z == pytest.approx(value, abs=1e-9)


def test_the_funnel_integrates_to_one_in_its_own_coordinates() -> None:
    law = target("funnel", dim=2)

    def straight(rows: Tensor) -> Tensor:  # x = s e^(v/2), whose Jacobian is e^(v/2)
        v, s = rows.unbind(1)
        return law(torch.stack([v, s * (v / 2).exp()], 1)) + v / 2

    assert integrals(straight, ((-30.0, 30.0), (-10.0, 10.0)))[0] == pytest.approx(0, abs=1e-10)


def test_the_banana_integrates_to_one_along_its_bend() -> None:
    law = target("banana")

    def straight(rows: Tensor) -> Tensor:
        x, s = rows.unbind(1)
        return law(torch.stack([x, s + 0.03 * (x.square() - 100)], 1))

    assert integrals(straight, ((-100.0, 100.0), (-10.0, 10.0)))[0] == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("dim", [2, 5, 40])
def test_densities_made_of_gaussians_are_those_of_scipy_in_any_dimension(dim: int) -> None:
    x = np.random.default_rng(0).normal(0, 2, (50, dim))
    rows = torch.from_numpy(x)
    rest = norm.logpdf(x[:, 1:], 0, np.exp(x[:, :1] / 2)).sum(1)
    funnel = norm.logpdf(x[:, 0], 0, 3) + rest
    banana = norm.logpdf(x[:, 0], 0, 10) + norm.logpdf(x[:, 1], 0.03 * (x[:, 0] ** 2 - 100))
    banana = banana + norm.logpdf(x[:, 2:]).sum(1)
    corners = [[4, 0], [0, 4], [-4, 0], [0, -4]]
    mixture = sum(
        (j + 1) / 10 * multivariate_normal(corners[j] + [0] * (dim - 2), 0.25).pdf(x) for j in range(4)
    )
    for name, oracle in {"funnel": funnel, "banana": banana, "mixture": np.log(mixture)}.items():
        assert target(name, dim=dim)(rows).numpy() == pytest.approx(oracle, rel=1e-10)


def test_the_quartic_well_has_its_published_integral_and_left_mass() -> None:
    def density(x: float) -> float:
        return math.exp(x / 2 + 6 * x * x - x**4 - 9)

    left, right = (quad(density, *side, epsabs=1e-12, epsrel=1e-13)[0] for side in ((-5, 0), (0, 5)))
    assert math.log(left + right) + 9 == pytest.approx(9.374541173869, abs=1e-11)
    assert left / (left + right) == pytest.approx(LEFT_WELL_MASS, abs=1e-11)
    assert round(LEFT_WELL_MASS, 6) == 0.155693


def test_every_pair_of_the_many_well_is_a_double_well() -> None:
    law, pair = target("many-well", dim=6), target("double-well")
    x = draws(law, 1000)
    apart = sum((pair(x[:, 2 * i : 2 * i + 2]) for i in range(3)), torch.zeros(1000))
    assert torch.allclose(law(x), apart, rtol=1e-12)
    left = (x[:, ::2] < 0).double().mean()
    assert abs(left - LEFT_WELL_MASS) < Z * math.sqrt(LEFT_WELL_MASS * (1 - LEFT_WELL_MASS) / 3000)


def test_samples_of_the_double_well_follow_its_distribution_function() -> None:
    x = np.sort(draws(target("double-well"))[:, 0].numpy())
    nodes, weights = (t.numpy() for t in legendre(-4, 4, 200))
    mass = weights * np.exp(nodes / 2 + 6 * nodes**2 - nodes**4 - 9.374541173869195)
    truth = np.interp(x, nodes, np.cumsum(mass) - mass / 2)
    gap = np.abs(truth - (np.arange(N) + 0.5) / N).max()
    assert gap < math.sqrt(math.log(2 / 1e-6) / (2 * N))  # Dvoretzky-Kiefer-Wolfowitz, one miss in a million


def test_the_evidence_of_the_linear_regression_is_that_of_its_answers() -> None:
    x, y = linear_rows()
    oracle = multivariate_normal(np.zeros(50), 0.25 * np.eye(50) + x @ x.T).logpdf(y)
    assert target("linear-regression").log_z == pytest.approx(oracle, abs=1e-10)


def logistic_posterior(w: np.ndarray) -> np.ndarray:
    x, y = logistic_rows()
    logits = w @ x.T
    return (y * logits - np.logaddexp(0, logits)).sum(1) + norm.logpdf(w).sum(1)


def logistic_curvature() -> np.ndarray:
    x, _ = logistic_rows()
    chance = 1 / (1 + np.exp(-x @ np.array(MODE_LOGISTIC)))
    return (x * (chance * (1 - chance))[:, None]).T @ x + np.eye(5)


def test_the_evidence_of_the_logistic_regression_is_that_of_gauss_hermite_quadrature() -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(14)
    root = np.linalg.cholesky(np.linalg.inv(logistic_curvature()))
    grid = np.stack(np.meshgrid(*[nodes] * 5, indexing="ij"), -1).reshape(-1, 5)
    log_weights = sum(np.meshgrid(*[np.log(weights) + nodes**2 / 2] * 5, indexing="ij")).ravel()
    logs = logistic_posterior(np.array(MODE_LOGISTIC) + 1.1 * grid @ root.T) + log_weights
    log_z = np.logaddexp.reduce(logs) + np.log(1.1 * np.diag(root)).sum()
    assert target("logistic-regression").log_z == pytest.approx(log_z, abs=2e-6)


def test_the_evidence_of_the_logistic_regression_is_that_of_importance_sampling() -> None:
    law = target("logistic-regression")
    assert law.mean is not None
    proposal = multivariate_t(law.mean, np.linalg.inv(logistic_curvature()) * 1.2, df=12, seed=0)
    w = proposal.rvs(100_000)
    weights = np.exp(logistic_posterior(w) - proposal.logpdf(w) - law.log_z)
    error = weights.std() / math.sqrt(len(weights))
    assert error < 3e-3
    assert abs(weights.mean() - 1) < Z * error


# ---------------------------------------------------------------------------------------------------------------
# Laws over the whole catalogue
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_samples_have_the_mean_and_variance_that_the_target_states(name: str) -> None:
    law = (
        target(name, dim=4, scale=1.5) if name == "funnel" else target(name)
    )  # at scale 3 the tail of e^v is too long
    x = draws(law)
    mean, variance = (torch.tensor(m, dtype=torch.float64) for m in (law.mean, law.variance))
    off = x - mean
    assert ((x.mean(0) - mean).abs() < Z * x.std(0) / math.sqrt(N)).all()
    assert ((off.square().mean(0) - variance).abs() < Z * off.square().std(0) / math.sqrt(N)).all()


@pytest.mark.parametrize("name", TARGETS)
def test_samples_and_gradient_satisfy_the_identity_of_stein(name: str) -> None:
    """E[cos x_i + sin(x_i) d log p / dx_i] = 0 for every coordinate whose range has no edge."""
    law = target(name)
    x = draws(law).requires_grad_()
    (gradient,) = torch.autograd.grad(law(x).sum(), x)
    terms = (x.cos() + x.sin() * gradient).detach()[:, 1 if law.support else 0 :]
    assert (terms.mean(0).abs() < Z * terms.std(0) / math.sqrt(N)).all()


@pytest.mark.parametrize("name", TARGETS)
def test_a_generator_of_the_same_seed_gives_the_same_samples(name: str) -> None:
    law = target(name)
    assert torch.equal(draws(law, 7), draws(law, 7))
    assert not torch.equal(draws(law, 7), draws(law, 7, seed=1))
    assert draws(law, 0).shape == (0, law.dim)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", TARGETS)
def test_far_points_give_no_nan_and_minus_infinity_only_where_documented(
    name: str, dtype: torch.dtype
) -> None:
    law = target(name)
    signs = torch.randint(-1, 2, (200, law.dim), generator=torch.Generator().manual_seed(0)).to(dtype)
    x = torch.cat([1e4 * signs, 30 * signs, 1e-30 * signs, torch.eye(law.dim).to(dtype) * 1e4])
    x.requires_grad_()
    values = law(x)
    (gradient,) = torch.autograd.grad(values.sum(), x)
    assert values.dtype == dtype
    assert not values.isnan().any() and not gradient.isnan().any() and not (values == torch.inf).any()
    if law.support:
        outside = x[:, 0].abs() > 4
        assert torch.equal(values == -torch.inf, outside)
        assert (gradient[outside] == 0).all()
    elif name != "funnel":
        assert values.isfinite().all() and gradient.isfinite().all()


def test_the_funnel_is_finite_wherever_its_density_can_be_represented() -> None:
    v = torch.linspace(-600, 1e4, 1001, dtype=torch.float64)
    x = torch.stack([v, 3 * (v / 2).clamp(max=0).exp()], 1)
    assert target("funnel", dim=2)(x).isfinite().all()


def test_the_normalised_density_is_the_other_one_less_log_z() -> None:
    law = target("u1")
    x = draws(law, 9)
    assert torch.equal(law.log_prob(x), law(x) - law.log_z)


def test_a_catalogue_line_describes_every_target() -> None:
    listing = dict(describe_targets())
    assert list(listing) == list(TARGETS) and all(listing.values())
    assert [target(name).name for name in TARGETS] == list(TARGETS)


def test_what_is_no_target_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="did you mean funnel"):
        target("funel")
    with pytest.raises(SpaceError, match="expected rows of shape"):
        target("u1")(torch.zeros(3, 3))
    for name, hyper in {
        "funnel": {"dim": 1},
        "banana": {"scale": 0.0},
        "mixture": {"modes": 0},
        "many-well": {"dim": 3},
        "rings": {"width": 2.0},
    }.items():
        with pytest.raises(UsageError, match="got"):
            target(name, **hyper)
