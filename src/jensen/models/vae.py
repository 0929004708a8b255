"""Variational autoencoder (Kingma & Welling 2014; Rezende, Mohamed & Wierstra 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.functional.ancestral import uniforms
from jensen.heads import Head, head_for
from jensen.latent import LatentModel, latent_sizes
from jensen.nn.autoencoder import DenseDecoder, DenseEncoder, ImageDecoder, ImageEncoder, net_for
from jensen.nn.sites import input_for
from jensen.posteriors import posterior_for
from jensen.priors import prior_for
from jensen.space import Space


class VAE(LatentModel):
    """Latents z with a learned approximate posterior: a lower bound on the likelihood, samples in one pass, an embedding.

    `latents`: dimensions of z, or of each stochastic layer from the lowest up: [100, 50]. `net`: "mlp", "conv" or
    "residual"; default: mlp, and conv for images of more than 1,024 sites. `hidden`: units of the dense layers (a
    convolutional net takes the first); `channels`: of the convolutions, each halving the image. `posterior`: "diagonal",
    "full" (any covariance) or "flow". `prior`: "normal", "flow", or "vamp" (the mean posterior of `pseudo` learned
    pseudo-rows, which needs a diagonal posterior); in a hierarchy, that of the highest layer. `head`: "bernoulli",
    "categorical", "logistic" (a mixture over levels), "gaussian" (variance learned, for each row and column), "columns" (what
    suits each column of a table, gaps too); default: what suits the space, logistic for levels. `components`: of a mixture
    head. `inputs`: "scaled", "onehot" or "columns". Of rows with unseen gaps the likelihood is that of the sites which are
    there, and a bound of many draws trains on it (MIWAE: Mattei & Frellsen 2019).
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"binary", "levels", "categorical", "real", "mixed"})
    takes_context: ClassVar[bool] = True
    takes_unseen: ClassVar[bool] = True
    unseen: Tensor | None

    def __init__(
        self,
        space: Space,
        latents: int | Sequence[int] = 20,
        *,
        net: str | None = None,
        hidden: Sequence[int] = (400, 400),
        channels: Sequence[int] = (32, 64),
        posterior: str = "diagonal",
        prior: str = "normal",
        pseudo: int = 100,
        head: str | None = None,
        components: int = 1,
        inputs: str | None = None,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context)
        sizes = latent_sizes(latents)
        self.latents = sizes[0]
        _check(posterior, prior, sizes)
        whole = space.filled()
        self.head: Head = _head(whole, head, components)
        self.discrete = whole.measure == "mass" and not whole.gaps
        self.register_buffer("unseen", _unseen(space), persistent=False)
        self.input = input_for(space, inputs)
        self.posterior = posterior_for(posterior, self.latents)
        self.prior = prior_for(prior, sizes, hidden, pseudo)
        size, given, shape = self.input.size, self.context_size, space.shape
        self.encoder: nn.Module
        self.decoder: nn.Module
        net = net_for(space, net)
        if net == "mlp":
            self.encoder = DenseEncoder(shape, size, hidden, self.posterior.size, given)
            self.decoder = DenseDecoder(self.latents + given, hidden[::-1], shape, self.head.size)
        else:
            dense, deep = hidden[0], net == "residual"
            self.encoder = ImageEncoder(shape, size, channels, dense, self.posterior.size, given, deep)
            self.decoder = ImageDecoder(self.latents + given, dense, channels, shape, self.head.size, deep)
        self.pseudo: nn.Parameter | None = None
        if self.prior.components:
            self.pseudo = nn.Parameter(torch.randn(self.prior.components, *shape, size))

    def encode(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters (n, posterior.size) of q(z | x, c)."""
        found: Tensor = self.encoder(self.input(x), self.features_of(c, len(x)))
        return found

    def log_likelihood(
        self, x: Tensor, z: Tensor, c: Tensor | None = None, observed: Tensor | None = None
    ) -> Tensor:
        """log p(x | z, c) (n, k), nats, of all sites or the observed ones; an unseen gap (nan) is not observed."""
        if self.unseen is not None:
            gap = x.isnan() & self.unseen
            observed = ~gap if observed is None else observed & ~gap
            x = x.masked_fill(gap, 0.0)  # of any model space
            x = x.long() if self.discrete else x
        parameters = self._site_parameters(z, self.features_of(c, len(x)))
        each = self.head.log_prob(parameters, x.unsqueeze(1))
        if observed is not None:
            each = each.masked_fill(~observed.unsqueeze(1), 0)
        return each.flatten(2).sum(2, dtype=self.sum_type())

    def rows_at(self, z: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Rows (n, *shape) given z (n, d), every site from its head."""
        n = len(z)
        parameters = self._site_parameters(z.unsqueeze(1), self.features_of(c, n)).reshape(
            n, self.space.dims, -1
        )
        sites = torch.arange(self.space.dims, device=z.device)
        u = uniforms(n, (self.space.dims,), generator, z.device)
        return self.head.sample(parameters, u, sites).reshape(n, *self.space.shape)

    def pseudo_parameters(self) -> Tensor | None:
        """Posteriors of the vamp prior's pseudo-rows, without a context."""
        if self.pseudo is None:
            return None
        given = self.pseudo.new_zeros(len(self.pseudo), self.context_size) if self.context_size else None
        found: Tensor = self.encoder(self.pseudo, given)
        return found

    def _site_parameters(self, z: Tensor, given: Tensor | None) -> Tensor:
        """Parameters (n, k, *shape, size) of every site at draws z (n, k, d)."""
        if given is not None:
            z = torch.cat([z, given.unsqueeze(1).expand(-1, z.shape[1], -1)], -1)
        parameters: Tensor = self.decoder(z)
        if parameters.dtype in (torch.bfloat16, torch.float16):
            # under autocast the network runs in half precision; a likelihood does not
            parameters = parameters.float()
        return parameters


def _head(space: Space, name: str | None, components: int) -> Head:
    """Levels share what they learn: on 17-level digits a logistic head is better by 6 nats a row than a categorical one."""
    ordered = {column.kind for column in space.columns} <= {"levels", "binary"} and not space.gaps
    if name is None and ordered and (space.max_levels or 0) > 2:
        name = "logistic"
    return head_for(space, name, components)


def _unseen(space: Space) -> Tensor | None:
    """Which sites (*shape) may hold a gap that is unseen; None where no site does."""
    flags = torch.tensor([space.column(site).gaps == "unseen" for site in range(space.dims)])
    return flags.view(space.shape) if bool(flags.any()) else None


def _check(posterior: str, prior: str, sizes: Sequence[int]) -> None:
    """Raise UsageError for parts that do not go together."""
    if prior == "vamp" and posterior != "diagonal":
        raise UsageError("a vamp prior needs a diagonal posterior", f"got {posterior!r}", "use prior='flow'")
    if (posterior == "flow" and sizes[0] < 2) or (prior == "flow" and sizes[-1] < 2):
        raise UsageError(
            "a flow over latents needs two of them: one half moves the other", f"got latents={sizes}", "use 2"
        )
