"""What the claims on latents stand on: the linear-Gaussian model, where log p(x) and the posterior are known."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from jensen.models.ppca import PPCA
from jensen.space import Space

VARIANCE = 0.5


def linear(
    latents: int = 5,
    columns: int = 20,
    posterior: str = "diagonal",
    *,
    seed: int = 0,
    size: float = 1.0,
    widen: float = 1.0,
) -> PPCA:
    """x = W z + mean + noise in float64, W about `size`; q as near to its posterior as the family goes, then so much wider."""
    torch.manual_seed(seed)
    model = PPCA(Space.real(columns), latents, posterior=posterior).double()
    with torch.no_grad():
        model.weight.copy_(size * torch.randn(columns, latents, dtype=torch.float64))
        model.mean.copy_(torch.randn(columns))
        model.log_scale.fill_(0.5 * math.log(VARIANCE))
        model.match_posterior()
        model.spread[:latents] += math.log(widen)  # far from their bound raw log scales are log scales
    return model.eval()


def rows_of(model: PPCA, n: int, seed: int) -> Tensor:
    """n rows (n, columns) of the model itself."""
    return model.sample(n, generator=torch.Generator().manual_seed(seed))


def closed_elbo(model: PPCA, x: Tensor) -> Tensor:
    """The ELBO (n,) without a draw: E_q log p(x | z) is a quadratic's expectation, KL(q || prior) is closed."""
    parameters = model.encode(x)
    centre, root = model.posterior.centre(parameters), _root(model, parameters)
    at_centre = model.log_likelihood(x, centre.unsqueeze(1))[:, 0]
    spread = (model.weight @ root).square().sum((1, 2)) * (-2 * model.log_scale).exp()
    kl = model.posterior.kl(parameters)
    assert kl is not None
    return at_centre - 0.5 * spread - kl.sum(1)


def closed_gap(model: PPCA, x: Tensor) -> Tensor:
    """KL(q || posterior) (n,) by torch's formula for Gaussians; the posterior from Bayes' rule, written out here."""
    parameters = model.encode(x)
    root = _root(model, parameters)
    q = MultivariateNormal(model.posterior.centre(parameters), root @ root.mT)
    one = torch.eye(model.latents, dtype=torch.float64)
    variance = (2 * model.log_scale).exp()
    precision = one + model.weight.T @ model.weight / variance
    mean = ((x - model.mean) @ model.weight / variance) @ torch.linalg.inv(precision)
    return kl_divergence(q, MultivariateNormal(mean, precision_matrix=precision.expand(len(x), -1, -1)))


def _root(model: PPCA, parameters: Tensor) -> Tensor:
    """Columns (n, d, d) that map standard noise to q's draws about its mean, read off q's own draws."""
    unit = torch.eye(model.latents, dtype=torch.float64).expand(len(parameters), -1, -1)
    centre = model.posterior.centre(parameters).unsqueeze(1)
    return (model.posterior.draw(parameters, unit)[0] - centre).mT
