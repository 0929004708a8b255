"""The linear-Gaussian autoencoder: its likelihood, its posterior, and how far each bound lies below, in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from latent_models import COLUMNS, linear, rows_of, seeded
from problem import Exact
from scipy import stats

from jensen.codec import Standardise
from jensen.fitted import Fitted
from jensen.functional.normal import kl_to_standard
from jensen.models.ppca import PPCA
from jensen.space import Space

Pairs = Iterator[tuple[Any, Any]]


def law(model: PPCA) -> Any:
    """x is normal: its covariance is W W^T and the noise."""
    weight = model.weight.detach().numpy()
    noise = math.exp(2 * float(model.log_scale.detach())) * np.eye(len(weight))
    return stats.multivariate_normal(model.mean.detach().numpy(), weight @ weight.T + noise)


def posterior(model: PPCA, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (n, d) and covariance (d, d) of z given x, by conditioning the joint normal law."""
    weight = model.weight.detach().numpy()
    inside = weight @ weight.T + math.exp(2 * float(model.log_scale.detach())) * np.eye(len(weight))
    gain = weight.T @ np.linalg.inv(inside)
    return (x - model.mean.detach().numpy()) @ gain.T, np.eye(weight.shape[1]) - gain @ weight


def likelihood() -> Pairs:
    model = linear()
    x = rows_of(model, 40)
    yield law(model).logpdf(x.numpy()), model.log_prob(x).detach()


def in_users_units() -> Pairs:
    """Scores of rows that were standardised: the law of mean + scale z."""
    model = linear()
    rng = np.random.default_rng(0)
    mean, scale = rng.normal(size=COLUMNS), rng.uniform(0.3, 3, COLUMNS)
    codec = Standardise(model.space, torch.from_numpy(mean), torch.from_numpy(scale))
    inside = law(model)
    outside = stats.multivariate_normal(mean + scale * inside.mean, np.outer(scale, scale) * inside.cov)
    x = codec.decode(rows_of(model, 40)).numpy()
    scores = Fitted(model, codec, [], {}).score(x)
    yield outside.logpdf(x), scores.values
    yield -outside.logpdf(x).mean() / (COLUMNS * math.log(2)), scores.bits_per_dim.mean().value


def in_float32() -> Pairs:
    """The default precision of weights and rows: log p is computed in float64 from numbers rounded to 24 bits."""
    model = linear(dtype=torch.float32)
    x = rows_of(model, 40)
    yield law(model.double()).logpdf(x.double().numpy()), linear(dtype=torch.float32).log_prob(x).detach()


def solved() -> Pairs:
    """Maximum likelihood by eigenvectors: the noise is the mean of the eigenvalues that are left out (Tipping & Bishop)."""
    x = np.random.default_rng(0).normal(size=(300, 6)) @ np.random.default_rng(1).normal(size=(6, 6))
    model = PPCA(Space.real(6), 2).double()
    model.solve(torch.from_numpy(x))
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))
    noise = values[:-2].mean()
    d = x.shape[1]
    # tr(C^-1 S) = d at the maximum
    truth = -(d * math.log(2 * math.pi) + np.log(values[-2:]).sum() + (d - 2) * math.log(noise) + d) / 2
    yield truth, model.log_prob(torch.from_numpy(x)).mean().detach()


def centres() -> Pairs:
    model = linear()
    x = rows_of(model, 40)
    yield posterior(model, x.numpy())[0], model.embed(x).detach()


def weights_of_the_true_posterior() -> Pairs:
    """Where q is the posterior every weight is p(x), so that every bound is log p(x) itself."""
    model = linear("full")
    x = rows_of(model, 10)
    truth = law(model).logpdf(x.numpy())
    with torch.no_grad():
        yield np.repeat(truth[:, None], 7, 1), model.log_weights(x, k=7, generator=seeded())
        for k in (1, 5, 80):
            yield truth, model.log_prob_lower(x, k=k, generator=seeded())


def wide_weights() -> Pairs:
    """log w of a wider proposal at its own draws, density by density."""
    model = linear("full")
    x = rows_of(model, 6)
    mean, covariance = posterior(model, x.numpy())
    with torch.no_grad():
        rows = model.encoded(x)
        noise = model.noise(rows, 4, seeded())
        found = model.weigh(rows, noise, 1.7)
        z, _ = model.posterior.draw(rows.parameters, noise, 1.7)
    weight, centre = model.weight.detach().numpy(), model.mean.detach().numpy()
    spread = math.exp(float(model.log_scale.detach()))
    truth = np.empty(found.shape)
    for i, j in np.ndindex(*truth.shape):
        one = z[i, j].numpy()
        truth[i, j] = (
            stats.norm.logpdf(x[i].numpy(), weight @ one + centre, spread).sum()
            + stats.norm.logpdf(one).sum()
            - stats.multivariate_normal(mean[i], 1.7**2 * covariance).logpdf(one)
        )
    yield truth, found


def kl_of_normals() -> Pairs:
    """KL(N(m, s^2), N(0, 1)) by quadrature."""
    from scipy.integrate import quad

    for mean, spread in ((0.0, 1.0), (1.5, 0.3), (-2.0, 2.5)):
        one = stats.norm(mean, spread)
        truth, _ = quad(lambda z, one=one: one.pdf(z) * (one.logpdf(z) - stats.norm.logpdf(z)), mean - 12 * spread, mean + 12 * spread, epsabs=1e-12, limit=200)  # fmt: skip
        yield truth, kl_to_standard(torch.tensor(mean).double(), torch.tensor(spread).double().log())


def elbo_gap() -> Pairs:
    """The ELBO's two terms at a mean-field q: the expected likelihood and the KL to the prior, both in closed form.

    log p(x) - ELBO = KL(q, posterior). The expected likelihood is that at q's mean less tr(W^T W C_q) / (2 s^2), exact
    also for the product's single draw once its square around the mean is taken out: so the product's KL is compared, and
    the gap by the mean of its weights over the 2^5 sign patterns of a symmetric five-point cubature of degree 3.
    """
    model = linear("diagonal")
    x = rows_of(model, 8)
    mean, covariance = posterior(model, x.numpy())
    variance = 1 / np.diag(np.linalg.inv(covariance))  # the best diagonal law
    gap = 0.5 * (np.trace(np.linalg.solve(covariance, np.diag(variance))) - 5
                 + np.linalg.slogdet(covariance)[1] - np.log(variance).sum())  # fmt: skip
    with torch.no_grad():
        rows = model.encoded(x)
        _, kl = model.elbo_terms(x, generator=seeded())
        points = math.sqrt(5) * torch.cat([torch.eye(5), -torch.eye(5)]).double()
        # log w is a quadratic polynomial of the noise, which these ten points integrate exactly
        mean_weight = model.weigh(rows, points.expand(len(x), 10, 5).contiguous()).mean(1)
    yield 0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(1), kl.sum(1)
    yield law(model).logpdf(x.numpy()) - gap, mean_weight


PROBLEMS = (
    Exact("ppca: log p(x) is a normal law's", "latent", likelihood),
    Exact("ppca: scores and bits/dim in the user's units", "latent", in_users_units),
    Exact("ppca in float32: log p(x)", "latent", in_float32),
    Exact("ppca: the likelihood at its maximum", "latent", solved),
    Exact("ppca: the posterior mean", "latent", centres),
    Exact(
        "ppca: weights and bounds of the true posterior are log p(x)", "latent", weights_of_the_true_posterior
    ),
    Exact("ppca: weights of a wider proposal", "latent", wide_weights),
    Exact("KL of a normal law to the standard one", "latent", kl_of_normals),
    Exact("ppca, mean field: the ELBO lies KL(q, posterior) below", "latent", elbo_gap),
)
