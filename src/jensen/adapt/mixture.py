"""A Gaussian mixture, fitted by scikit-learn's EM and evaluated in torch."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.ancestral import uniforms
from jensen.heads.categorical import invert
from jensen.model import Model, refuse_context
from jensen.space import Space


class Mixture(Model):
    """p(x) = sum_j w_j N(x; m_j, C_j) with full covariances, exact density of real rows.

    `components`: their number, at most one a ten rows of data. `ridge`: added to the variances, in units of
    standardised data. EM by sklearn.mixture.GaussianMixture, started by k-means with the seed of the fit.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"real"})
    log_weight: Tensor
    mean: Tensor
    precision_root: Tensor

    def __init__(self, space: Space, components: int = 10, ridge: float = 1e-3) -> None:
        super().__init__(space)
        if components < 1 or not ridge >= 0:
            raise UsageError(
                "a mixture needs components >= 1 and ridge >= 0", f"got {components} and {ridge}"
            )
        self.components, self.ridge = components, ridge
        d = space.dims
        self.register_buffer(
            "log_weight", torch.full((components,), -math.log(components), dtype=torch.float64)
        )
        self.register_buffer("mean", torch.zeros(components, d, dtype=torch.float64))
        self.register_buffer("precision_root", torch.eye(d, dtype=torch.float64).repeat(components, 1, 1))

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """log p(x) (n,), nats, exact; rows x (n, *shape), computed in float64."""
        refuse_context(self, c)
        flat = x.flatten(1).double()
        # root R with R R^T = C^-1: (x - m) R is standard normal
        z = torch.einsum("nd,kde->nke", flat, self.precision_root) - torch.einsum(
            "kd,kde->ke", self.mean, self.precision_root
        )
        log_det = self.precision_root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = -0.5 * self.space.dims * math.log(2 * math.pi)
        return (self.log_weight + constant + log_det - 0.5 * z.square().sum(-1)).logsumexp(-1)

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n rows (n, *shape)."""
        refuse_context(self, c)
        device = self.mean.device
        which = invert(self.log_weight.exp().expand(n, -1), uniforms(n, (), generator, device))
        u = uniforms(n, (self.space.dims,), generator, device)
        z = torch.special.ndtri(u.clamp(min=torch.finfo(torch.float64).tiny))
        steps = torch.empty_like(z)
        for j in range(self.components):
            mine = which == j
            # R is upper triangular: x = m + R^-T z
            steps[mine] = torch.linalg.solve_triangular(self.precision_root[j].mT, z[mine].mT, upper=False).mT
        return (self.mean[which] + steps).reshape(n, *self.space.shape).to(torch.float32)

    @torch.no_grad()
    def solve(self, x: Tensor, c: Tensor | None = None, seed: int = 0) -> None:
        """EM on rows x (n, *shape). Raises UsageError with too few rows for the components."""
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        refuse_context(self, c)
        if len(x) < self.components:
            raise UsageError(
                "a mixture needs at least a row a component",
                f"got {len(x)} rows and {self.components} components",
                "lower components",
            )
        em = GaussianMixture(self.components, reg_covar=self.ridge, random_state=seed, max_iter=200)
        with warnings.catch_warnings():
            # an EM that is still creeping after 200 rounds is a valid, slightly worse model
            warnings.simplefilter("ignore", ConvergenceWarning)
            em.fit(x.flatten(1).double().cpu().numpy())
        self.log_weight.copy_(torch.from_numpy(em.weights_).log())
        self.mean.copy_(torch.from_numpy(em.means_))
        self.precision_root.copy_(torch.from_numpy(em.precisions_cholesky_))
