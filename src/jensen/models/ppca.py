"""Probabilistic principal components (Tipping & Bishop 1999): the linear-Gaussian autoencoder, whose likelihood is known."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from jensen.errors import SpaceError, UsageError
from jensen.functional.affine import LIMIT
from jensen.functional.normal import HALF_LOG_2PI, normals
from jensen.latent import LatentModel, latent_sizes
from jensen.posteriors import posterior_for
from jensen.priors import prior_for
from jensen.space import Space

SMALLEST = 1e-6
"""Of the noise's variance, as a share of the rows' mean variance: rows in a subspace have none outside it."""


class PPCA(LatentModel):
    """x = W z + mean + scale noise with z and noise standard normal: exact likelihood, solved in one call.

    `latents`: columns of W, fewer than those of the rows; default: half of them, 20 at most. `posterior`: of the bounds,
    which need none of the exact likelihood: "full" (the true posterior, once solved) or "diagonal". As an autoencoder
    with a linear decoder and encoder it can be trained by any bound as well; a law for such bounds knows its truth.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"real"})

    def __init__(self, space: Space, latents: int | None = None, *, posterior: str = "full") -> None:
        super().__init__(space)
        d = space.dims
        if d < 2:
            raise SpaceError(
                "ppca needs two columns or more", f"got {space.describe()}", "use mixture or maf"
            )
        (self.latents,) = latent_sizes(min(20, d // 2) if latents is None else latents)
        if self.latents >= d:
            raise UsageError(
                "ppca has fewer latents than columns",
                f"got latents={latents} for {d} columns",
                f"use {d - 1} or fewer",
            )
        if posterior not in ("full", "diagonal"):
            raise UsageError(
                "the posterior of ppca is normal", f"got {posterior!r}", "use 'full' or 'diagonal'"
            )
        self.posterior = posterior_for(posterior, self.latents)
        self.prior = prior_for("normal", (self.latents,), ())
        self.weight = nn.Parameter(torch.randn(d, self.latents) / math.sqrt(self.latents))
        self.mean = nn.Parameter(torch.zeros(d))
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.encoder = nn.Linear(d, self.latents)
        self.spread = nn.Parameter(torch.zeros(self.posterior.size - self.latents))

    def encode(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters (n, posterior.size): a mean linear in x, and a spread that all rows share."""
        self.refuse_context(c)
        return torch.cat([self.encoder(x.flatten(1)), self.spread.expand(len(x), -1)], 1)

    def log_likelihood(
        self, x: Tensor, z: Tensor, c: Tensor | None = None, observed: Tensor | None = None
    ) -> Tensor:
        """log N(x; W z + mean, scale^2) (n, k), nats, of all columns or the observed ones."""
        rest = (x.flatten(1) - self.mean).unsqueeze(1) - z @ self.weight.T
        columns: int | Tensor = self.space.dims
        if observed is not None:
            seen = observed.flatten(1).unsqueeze(1)
            rest, columns = rest.masked_fill(~seen, 0), seen.sum(2)
        squares = rest.square().sum(2, dtype=self.sum_type()) * (-2 * self.log_scale).exp()
        return -0.5 * squares - columns * (self.log_scale + HALF_LOG_2PI)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """log p(x) (n,), nats, exact: N(mean, W W^T + scale^2), in float64, by the matrix inversion lemma."""
        self.refuse_context(c)
        y = x.flatten(1).double() - self.mean.double()
        weight, root, log_scale = self.weight.double(), self._precision_root(), self.log_scale.double()
        inside = torch.linalg.solve_triangular(root, (y @ weight).T * (-2 * log_scale).exp(), upper=False)
        squares = y.square().sum(1) * (-2 * log_scale).exp() - inside.square().sum(0)
        log_det = 2 * self.space.dims * log_scale + 2 * root.diagonal().log().sum()
        return -0.5 * (squares + log_det) - self.space.dims * HALF_LOG_2PI

    def rows_at(self, z: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Rows (n, *shape): W z + mean, with noise."""
        self.refuse_context(c)
        noise = normals(len(z), self.space.dims, like=z, generator=generator)
        return (z @ self.weight.T + self.mean + self.log_scale.exp() * noise).reshape(-1, *self.space.shape)

    def embed(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The exact posterior mean of z (n, d)."""
        self.refuse_context(c)
        mean: Tensor = self._posterior_mean()
        return ((x.flatten(1).double() - self.mean.double()) @ mean.T).to(self.mean.dtype)

    @torch.no_grad()
    def solve(self, x: Tensor, c: Tensor | None = None, seed: int = 0) -> None:
        """Maximum likelihood by the eigenvectors of the covariance; then q as near to the posterior as its family goes."""
        self.refuse_context(c)
        rows = x.flatten(1).double()
        mean = rows.mean(0)
        values, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
        rest, first = values.split((len(values) - self.latents, self.latents))
        variance = max(float(rest.mean()), SMALLEST * float(values.mean()), 1e-12)
        self.weight.copy_(vectors[:, -self.latents :] * (first - variance).clamp(min=0).sqrt())
        self.mean.copy_(mean)
        self.log_scale.fill_(0.5 * math.log(variance))
        self.match_posterior()

    @torch.no_grad()
    def match_posterior(self) -> None:
        """Set q to the true posterior, or to the diagonal law of the least KL(q, posterior)."""
        mean, root = self._posterior_mean(), self._precision_root()
        self.encoder.weight.copy_(mean)
        self.encoder.bias.copy_(-mean @ self.mean.double())
        precision = root @ root.T
        if self.posterior.size == 2 * self.latents:
            log_scale, below = -0.5 * precision.diagonal().log(), precision.new_zeros(0)
        else:
            covariance_root = torch.linalg.cholesky(torch.cholesky_inverse(root))
            log_scale = covariance_root.diagonal().log()
            rows, columns = torch.tril_indices(self.latents, self.latents, -1)
            below = covariance_root[rows, columns]
        kept = log_scale.clamp(-0.999 * LIMIT, 0.999 * LIMIT)
        self.spread.copy_(torch.cat([kept / (1 - kept.abs() / LIMIT), below]))  # undoes `bounded`

    def _precision_root(self) -> Tensor:
        """The Cholesky factor of 1 + W^T W / scale^2, the posterior's precision; float64."""
        weight = self.weight.double()
        inner = weight.T @ weight * (-2 * self.log_scale.double()).exp()
        return torch.linalg.cholesky(inner + torch.eye(self.latents, dtype=inner.dtype, device=inner.device))

    def _posterior_mean(self) -> Tensor:
        """The matrix (latents, d) that makes the posterior mean of x - mean; float64."""
        scaled = self.weight.double().T * (-2 * self.log_scale.double()).exp()
        return torch.cholesky_solve(scaled, self._precision_root())
