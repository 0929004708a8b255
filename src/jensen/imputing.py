"""Missing sites drawn given the observed ones, of a model with latents: importance resampling (Mattei & Frellsen 2019).

1. Latents z are drawn from the prior, and drawn again by p(observed | z).
2. The missing sites are drawn given each z, and the encoder reads the rows so filled: posteriors that have seen every
   observed site, each through a filling of its own. They and a normal law like the z so far make a proposal q.
3. New draws z are weighed by p(observed | z) p(z) / q(z) and drawn again by weight, a few rounds (population Monte Carlo:
   Cappe, Guillin, Marin & Robert 2004). In each, q is fixed before it is drawn from, so that the mean weight is unbiased
   for p(observed). In the end one z a system is chosen by weight, and the missing sites are drawn given it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.functional.ancestral import uniforms
from jensen.functional.importance import log_mean_exp
from jensen.functional.normal import standard_log_prob
from jensen.functional.particles import effective_sample_size, pick, systematic
from jensen.latent import Encoded, LatentModel
from jensen.sampling.particles import Chosen

ROUNDS = 5
"""Of filling rows and drawing latents anew."""
AT_ONCE = 2**20
"""Numbers of draws weighed by posteriors at once, unless one system alone has more."""
SMALLEST, WIDER = 8, 1.15
"""The normal law takes this many particles at least, and is so much wider than they are."""


@torch.no_grad()
def impute(
    model: LatentModel,
    given: Tensor,
    missing: Tensor,
    c: Tensor | None,
    generator: torch.Generator | None,
    particles: int,
) -> Chosen:
    """One completion of each of g rows `given` (g, *shape), by a system of particles of its own; contexts c (g, d).

    `missing` (g, *shape): True where a site is to be drawn; what it holds does not matter. x is (g, d), its type that of
    the rows.
    """
    systems = len(given)
    x, drawn = given.repeat_interleave(particles, 0), missing.repeat_interleave(particles, 0)
    each = None if c is None else c.repeat_interleave(particles, 0)
    u = uniforms(systems, (ROUNDS + 1,), generator, given.device)

    def filled(z: Tensor) -> Tensor:
        return torch.where(drawn, model.rows_at(z, each, generator).to(x.dtype), x)

    z = model.sample_with_latents(len(x), each, generator)[1][:, : model.latents]
    seen = model.log_likelihood(x, z.unsqueeze(1), each, ~drawn)[:, 0].double()
    first = torch.arange(systems, device=z.device).unsqueeze(1) * particles
    log_w = seen.view(systems, -1)
    for anew in u[:, :-1].unbind(1):
        z = z[(first + systematic(log_w, anew)).flatten()]
        rows = model.encoded(filled(z), each)
        noise = model.noise(rows, 1, generator)
        # all that the proposal is made of is fixed before the noise
        z, log_q = _propose(model, rows, z, noise, particles)
        likelihood = model.log_likelihood(x, z.unsqueeze(1), each, ~drawn)
        log_prior = model.prior(z.unsqueeze(1), noise[..., model.latents :], rows.pseudo)
        log_w = ((likelihood.double() + log_prior)[:, 0] - log_q).view(systems, particles)
    chosen = z[first[:, 0] + pick(log_w, u[:, -1])]
    found = torch.where(missing, model.rows_at(chosen, c, generator).to(x.dtype), given)
    return Chosen(found.flatten(1), effective_sample_size(log_w), log_mean_exp(log_w))


def _draw(model: LatentModel, rows: Encoded, noise: Tensor) -> Tensor:
    """The latents (m, d) that noise (m, 1, d) makes."""
    return model.posterior.draw(rows.parameters, noise[..., : model.latents])[0][:, 0]


def _propose(
    model: LatentModel, rows: Encoded, seen: Tensor, noise: Tensor, particles: int
) -> tuple[Tensor, Tensor]:
    """Latents (m, d) and log q of them (m,): of every system the first half from a normal law, the rest from posteriors.

    The normal law has the mean and covariance of the system's earlier draws `seen` (m, d); q is the mixture of it and of
    all the system's posteriors. Weights by the mixture vary less than by each draw's own law, and their mean stays
    unbiased (the balance heuristic of Veach & Guibas 1995).
    """
    z, d = _draw(model, rows, noise), model.latents
    half = particles // 2 if particles >= SMALLEST else 0
    points = seen.view(-1, particles, d).double()
    mean, root = points.mean(1), _root(points)
    by_system = z.view(-1, particles, d).clone()
    own = noise[:, 0, :d].view(-1, particles, d)[:, :half].double()
    by_system[:, :half] = (mean.unsqueeze(1) + own @ root.mT).to(z.dtype)
    rest = by_system.double() - mean.unsqueeze(1)
    normal = standard_log_prob(torch.linalg.solve_triangular(root, rest.mT, upper=False).mT)
    normal = normal - root.diagonal(dim1=-2, dim2=-1).log().sum(-1, keepdim=True)
    shares = [half / particles, 1 - half / particles]
    both = torch.stack([normal, _mixture(model, rows.parameters, by_system)])
    log_q = (both + normal.new_tensor(shares).log().view(2, 1, 1)).logsumexp(0)
    return by_system.flatten(0, 1), log_q.flatten()


def _mixture(model: LatentModel, parameters: Tensor, z: Tensor) -> Tensor:
    """log of the mean of a system's posteriors at its latents z (g, k, d) -> (g, k), a bounded number of pairs at once."""
    k, d = z.shape[1:]
    posteriors = parameters.unflatten(0, (-1, k))
    together = max(1, AT_ONCE // (k * k * d))
    found = []
    for some, points in zip(posteriors.split(together), z.split(together)):
        parts = [
            model.posterior(part.flatten(0, 1), points.repeat_interleave(part.shape[1], 0))
            .double()
            .unflatten(0, (-1, part.shape[1]))
            .logsumexp(1)
            for part in some.split(max(1, AT_ONCE // (k * d * len(some))), 1)
        ]
        found.append(torch.stack(parts).logsumexp(0) - math.log(k))
    return torch.cat(found)


def _root(points: Tensor) -> Tensor:
    """The Cholesky factor (g, d, d) of the covariance of points (g, k, d), a little wider, shrunk towards its diagonal."""
    k, d = points.shape[1:]
    rest = points - points.mean(1, keepdim=True)
    covariance = WIDER**2 * rest.mT @ rest / k
    shrink = d / (d + k)
    diagonal = covariance.diagonal(dim1=-2, dim2=-1)
    return torch.linalg.cholesky((1 - shrink) * covariance + torch.diag_embed(shrink * diagonal + 1e-9))
