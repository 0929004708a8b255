"""What the latents of a model say of its rows: active units, divergence by dimension, information, reconstruction."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from jensen.posteriors import Posterior
from jensen.priors import Prior

ROWS = 512
"""Rows looked at: every pair of them is weighed, and information beyond log 512 = 6.2 nats cannot be seen."""
AT_ONCE = 64
"""Posteriors that weigh all draws at once."""
ACTIVE = 0.01
"""Variance over rows of a unit's mean above which it counts as active (Burda et al. 2016)."""
SILENT = 0.03
"""A dimension of less divergence, nats, carries next to nothing."""
COLLAPSED = 0.1
"""Nats of information about a row below which the latents are as good as unused."""


class WithLatents(Protocol):
    """What a diagnosis needs of a `latent.LatentModel`."""

    latents: int
    posterior: Posterior
    prior: Prior

    def encoded(self, x: Tensor, c: Tensor | None = None) -> Any: ...

    def noise(self, rows: Any, k: int, generator: torch.Generator | None = None) -> Tensor: ...

    def log_likelihood(self, x: Tensor, z: Tensor, c: Tensor | None = None) -> Tensor: ...


@dataclass(frozen=True)
class Diagnosis:
    """Latents z of n rows, nats a row; estimates from one draw of z a row, of the lowest layer.

    active: units whose mean varies over rows by more than 0.01. kl: E KL(q(z | x), p(z)) of every dimension, empty where
    posterior or prior have no closed form; kl_total: of all. The two counts disagree: a unit may be active with hardly any
    divergence. information: a lower bound in expectation on that of x and z, at most `cap` = log n (Hoffman & Johnson
    2016). aggregate: the rest of kl_total, about KL(mean posterior, prior): how far samples start from where rows are.
    reconstruction: E log p(x | z). spread: the variance over rows of every unit's mean. mean, sd: of every unit over the
    draws of all rows.
    """

    n: int
    latents: int
    active: int
    kl: tuple[float, ...]
    kl_total: float
    information: float
    cap: float
    aggregate: float
    reconstruction: float
    spread: tuple[float, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]

    @property
    def by_use(self) -> list[int]:
        """The dimensions, the most used first: by their divergence, or else by the spread of their means."""
        used = self.kl or self.spread
        return sorted(range(self.latents), key=lambda one: -used[one])

    @property
    def collapsed(self) -> bool:
        """Whether z says next to nothing of x."""
        return self.information < COLLAPSED

    def describe(self) -> str:
        """One line."""
        silent = sum(one < SILENT for one in self.kl)
        of = f" ({silent} of {self.latents} dimensions under {SILENT} nats)" if self.kl else ""
        least = "at least " if self.information > self.cap - 1 else ""
        return (
            f"{self.active} of {self.latents} units active; KL to the prior ~ {self.kl_total:.3g} nats a row{of}, of which "
            f"information about the row {least}~ {self.information:.3g} (no more than {self.cap:.2g} can be seen on "
            f"{self.n} rows) and distance of all rows' latents from the prior ~ {max(self.aggregate, 0):.2g}; "
            f"reconstruction ~ {self.reconstruction:.4g} nats"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        found = {key: list(one) if isinstance(one, tuple) else one for key, one in asdict(self).items()}
        return {**found, "collapsed": self.collapsed}


COLLAPSE = (
    "the posterior has collapsed: the latents say next to nothing of a row, ~ {information:.2g} nats, and the decoder models "
    "the rows alone. Try free bits (objective elbo:free_bits=0.1) or less weight on the divergence (elbo:beta=0.5), "
    "more samples (iwae:k=5), a smaller decoder, or a longer training"
)


@torch.no_grad()
def diagnose(model: WithLatents, x: Tensor, c: Tensor | None = None, seed: int = 0) -> Diagnosis:
    """Look at the latents of rows x (n, *shape), the first 512 of them.

    >>> from jensen.models.ppca import PPCA
    >>> from jensen.space import Space
    >>> model = PPCA(Space.real(3), 1)
    >>> diagnose(model, torch.zeros(4, 3)).active  # rows that are all alike tell no latents apart
    0
    """
    x, c = x[:ROWS], None if c is None else c[:ROWS]
    n = len(x)
    rows = model.encoded(x, c)
    noise = model.noise(rows, 1, torch.Generator().manual_seed(seed))
    own, above = noise.split((model.latents, model.prior.noise), -1)
    z, log_q = model.posterior.draw(rows.parameters, own)
    log_prior = model.prior(z, above, rows.pseudo)[:, 0].double()
    closed = model.posterior.kl(rows.parameters) if model.prior.standard else None
    total = (
        float((log_q[:, 0].double() - log_prior).mean()) if closed is None else float(closed.sum(1).mean())
    )
    # log q of every z under every row's posterior
    every = z[:, 0].expand(AT_ONCE, -1, -1)
    each = torch.cat(
        [model.posterior(part, every[: len(part)]).double() for part in rows.parameters.split(AT_ONCE)]
    )
    mixture = each.logsumexp(0) - math.log(n)
    spread = model.posterior.centre(rows.parameters).double().var(0, correction=0)
    drawn = z[:, 0].double()
    return Diagnosis(
        n,
        model.latents,
        int((spread > ACTIVE).sum()),
        tuple(closed.mean(0).tolist()) if closed is not None and closed.shape[1] == model.latents else (),
        total,
        float((each.diagonal() - mixture).mean()),
        math.log(n),
        float((mixture - log_prior).mean()),
        float(model.log_likelihood(x, z, c).mean()),
        tuple(spread.tolist()),
        tuple(drawn.mean(0).tolist()),
        tuple(drawn.std(0, correction=0).tolist()),
    )
