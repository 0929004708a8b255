"""A Gaussian mixture, fitted by scikit-learn's EM and evaluated in torch."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.errors import DataError, UsageError
from jensen.functional.ancestral import uniforms
from jensen.functional.inversion import invert
from jensen.model import Model
from jensen.space import Space

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture


class Mixture(Model):
    """p(x) = sum_j w_j N(x; m_j, C_j) with full covariances, exact density of real rows.

    `components`: the most there may be; 1, 3, 10, ... up to it are tried on four fifths of the rows, and the number
    that scores the other fifth best is fitted to all (the places left over get weight zero). `ridge`: added to the
    variances, in units of standardised data. EM by sklearn.mixture.GaussianMixture, started by k-means with the seed
    of the fit, on at most 20,000 rows: seconds to a minute.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"real"})
    solve_rows: ClassVar[int | None] = 20_000
    log_weight: Tensor
    mean: Tensor
    precision_root: Tensor

    def __init__(self, space: Space, components: int = 10, ridge: float = 1e-3) -> None:
        super().__init__(space)
        if components < 1 or int(components) != components or not 0 <= ridge < math.inf:
            raise UsageError(
                "a mixture needs components >= 1 and ridge >= 0",
                f"got {components} and {ridge}",
                "correct it",
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
        self.refuse_context(c)
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
        self.refuse_context(c)
        device = self.mean.device
        which = invert(self.log_weight.exp().expand(n, -1), uniforms(n, (), generator, device))
        u = uniforms(n, (self.space.dims,), generator, device)
        z = torch.special.ndtri(u.clamp(min=torch.finfo(torch.float64).tiny))
        steps = torch.empty_like(z)
        for j in range(self.components):
            mine = which == j
            # R is upper triangular: x = m + R^-T z
            steps[mine] = torch.linalg.solve_triangular(self.precision_root[j].mT, z[mine].mT, upper=False).mT
        return (self.mean[which] + steps).reshape(n, *self.space.shape)

    @torch.no_grad()
    def solve(self, x: Tensor, c: Tensor | None = None, seed: int = 0) -> None:
        """EM on rows x (n, *shape), with the number of components that scores held-out rows best."""
        self.refuse_context(c)
        rows = x.flatten(1).double().cpu().numpy()
        em = self._em(self._count(rows, seed), rows, seed)
        found = len(em.weights_)
        self.log_weight.fill_(-math.inf)[:found] = torch.from_numpy(em.weights_).log()
        self.mean.zero_()[:found] = torch.from_numpy(em.means_)
        self.precision_root.copy_(torch.eye(self.space.dims))
        self.precision_root[:found] = torch.from_numpy(em.precisions_cholesky_)

    def _count(self, rows: NDArray[np.float64], seed: int) -> int:
        order = np.random.default_rng(seed).permutation(len(rows))
        judges, pupils = np.array_split(rows[order], [len(rows) // 5])
        tried = [1] + [n for n in (3, 10, 30, 100, 300) if n < self.components] + [self.components]
        tried = sorted({n for n in tried if n <= len(pupils)})
        if not len(judges) or len(tried) < 2:
            return 1
        return max(tried, key=lambda n: self._em(n, pupils, seed).score(judges))

    def _em(self, components: int, rows: NDArray[np.float64], seed: int) -> GaussianMixture:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        em = GaussianMixture(components, reg_covar=self.ridge, random_state=seed, max_iter=100)
        with warnings.catch_warnings():
            # an EM that is still creeping after 100 rounds is a valid, slightly worse model
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                return em.fit(rows)
            except ValueError as error:
                raise DataError(
                    "the mixture collapsed onto a few rows",
                    str(error).split(". ")[0],
                    "raise ridge or lower components",
                ) from None
