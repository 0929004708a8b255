"""What is shown of latents, against the linear-Gaussian model: there every picture is a known combination of columns of W."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from latent_models import seeded

import jensen
from jensen.fitted import Fitted
from jensen.functional.interpolation import linear, spherical
from jensen.insight import QUANTILES, STEPS, Insight, insight
from jensen.models.ppca import PPCA
from jensen.models.vae import VAE
from jensen.rebuilding import DRAWS, column_errors, expected_rows
from jensen.space import Column, Space

STEP = torch.linspace(0, 1, 7, dtype=torch.float64)


@pytest.fixture(scope="module")
def data() -> jensen.Rows:
    rng = np.random.default_rng(0)
    return jensen.rows((rng.normal(size=(400, 3)) @ rng.normal(size=(3, 9))).reshape(-1, 1, 3, 3) + 5.0)


@pytest.fixture(scope="module")
def fitted(data: jensen.Rows) -> Fitted:
    return jensen.fit("ppca", data, latents=2)


@pytest.fixture(scope="module")
def seen(fitted: Fitted, data: jensen.Rows) -> Insight:
    found = insight(fitted, data)
    assert found is not None
    return found


def linear_map(fitted: Fitted) -> tuple[np.ndarray, np.ndarray]:
    """W (9, 2) and the mean (9,) in the user's units."""
    model = fitted.model
    assert isinstance(model, PPCA)
    corners = torch.cat([torch.zeros(1, 2), torch.eye(2)]).double()
    rows = (corners @ model.weight.double().T + model.mean.double()).reshape(3, 1, 3, 3).detach()
    decoded = fitted.codec.decode(rows).numpy().reshape(3, 9)
    return (decoded[1:] - decoded[0]).T, decoded[0]


def test_rows_to_expect_are_the_decoders_mean_and_neighbours_see_the_same_noise(fitted: Fitted) -> None:
    z = torch.randn(5, 2, generator=seeded())
    assert isinstance(fitted.model, PPCA)
    found = expected_rows(fitted, fitted.model, z, None).reshape(5, 9)
    weight, mean = linear_map(fitted)
    truth = z.double().numpy() @ weight.T + mean
    scale = torch.full((1, 1, 3, 3), float(fitted.model.log_scale.detach().exp()))
    noise = (fitted.codec.decode(scale) - fitted.codec.decode(0 * scale)).abs().numpy().reshape(9)
    assert (np.abs(found - truth) < 5 * noise / math.sqrt(DRAWS)).all()
    assert np.abs(found - truth).max() > 0  # the mean of draws, not the formula
    assert found[1:] - found[0] == pytest.approx(truth[1:] - truth[0], abs=1e-4)


def test_a_walk_moves_along_one_column_of_the_decoder_over_the_priors_quantiles(
    fitted: Fitted, seen: Insight
) -> None:
    weight, _ = linear_map(fitted)
    assert [walk.latent for walk in seen.walks] == seen.diagnosis.by_use
    for walk in seen.walks:
        normal = torch.distributions.Normal(0.0, 1.0)
        assert normal.cdf(torch.tensor(walk.values)).tolist() == pytest.approx(QUANTILES, abs=1e-6)
        moved = (walk.rows - walk.rows[0]).reshape(len(QUANTILES), 9)
        steps = np.array(walk.values) - walk.values[0]
        assert moved == pytest.approx(np.outer(steps, weight[:, walk.latent]), abs=1e-3)


def test_a_path_ends_at_what_is_rebuilt_of_its_ends(seen: Insight) -> None:
    assert seen.spherical and seen.rebuilt is not None and seen.real is not None
    for place, path in enumerate(seen.paths):
        assert path.rows[[0, STEPS - 1]] == pytest.approx(seen.rebuilt[2 * place : 2 * place + 2], abs=1e-3)
        assert (path.ends == seen.real[2 * place : 2 * place + 2]).all()


def test_moments_and_clouds_are_of_the_latents_and_the_prior(seen: Insight) -> None:
    """The true posterior of rows of the model: all rows' latents have the prior's law, within 5 standard errors."""
    n = seen.diagnosis.n
    assert np.abs(seen.diagnosis.mean).max() < 5 / math.sqrt(n)
    assert np.abs(np.array(seen.diagnosis.sd) - 1).max() < 5 / math.sqrt(2 * n)
    assert seen.prior == ((0.0, 0.0), (1.0, 1.0))
    for cloud in seen.clouds:
        assert cloud.mean(0) == pytest.approx([0, 0], abs=5 / math.sqrt(len(cloud)))
    record = seen.to_dict()
    assert record["active"] == sum(one > 0.01 for one in record["spread"]) == 2
    assert record["kl"] == [] and record["spread"][record["by_use"][0]] == max(record["spread"])


def test_other_priors_are_looked_at_over_their_own_quantiles() -> None:
    data = jensen.rows("iris")
    flat = jensen.fit("independent", data)
    model = VAE(flat.model.space, latents=2, prior="flow", hidden=(8,))
    fitted = Fitted(model, flat.codec, [], {})
    with torch.no_grad():
        for weight in model.prior.parameters():
            weight.add_(0.5 * torch.randn(weight.shape, generator=seeded()))
    found = insight(fitted, data)
    assert found is not None and not found.spherical and found.diagnosis.kl == ()
    assert len(found.columns) == 4 and found.walks == ()
    draws = model.prior.sample(4000, torch.zeros(()), seeded(9)).detach()
    assert found.prior[0] == pytest.approx(draws.mean(0).tolist(), abs=0.15 * float(draws.std()))
    assert insight(flat, data) is None


def test_errors_of_columns_are_those_of_the_values_and_of_the_best_constant() -> None:
    space = Space((3,), (Column("real", name="a"), Column("categorical", 3), Column("binary", 2)))
    real = np.array([[0.0, 0, 0], [2, 1, 0], [4, 1, 1], [6, 2, 0]])
    rebuilt = np.array([[1.0, 0, 0.4], [2, 2, 0.2], [4, 1, 0.7], [5, 2, 0.9]])
    number, code, bit = column_errors(space, real, rebuilt)
    assert (number.name, number.error, number.constant) == ("a", math.sqrt(0.5), math.sqrt(5))
    assert (code.error, code.constant, code.share) == (0.25, 0.5, True)
    assert (bit.error, bit.constant) == (0.25, 0.25)


def test_a_spherical_way_turns_evenly_and_a_straight_one_does_not() -> None:
    a, b = (torch.randn(6, generator=seeded(n), dtype=torch.float64) for n in (1, 2))
    points = spherical(a, b, STEP)
    assert torch.allclose(points[[0, -1]], torch.stack([a, b]), rtol=0, atol=1e-12)
    lengths = points.norm(dim=1)
    assert torch.allclose(lengths, torch.lerp(a.norm(), b.norm(), STEP), rtol=0, atol=1e-12)
    cosines = (points[1:] * points[:-1]).sum(1) / (lengths[1:] * lengths[:-1])
    assert float(cosines.acos().std()) < 1e-7
    assert linear(a, b, STEP).norm(dim=1).min() < lengths.min()
    for other in (torch.zeros_like(a), -a, 2 * a):  # no great circle: the line
        assert torch.equal(spherical(a, other, STEP), linear(a, other, STEP))
