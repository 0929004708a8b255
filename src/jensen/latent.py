"""Models with latents z: log p(x) is bounded by draws of an approximate posterior, whatever the networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import overload

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from jensen.arguments import is_whole
from jensen.diagnosis import COLLAPSE, diagnose
from jensen.errors import UsageError
from jensen.functional import counts
from jensen.functional.normal import normals
from jensen.functional.paths import Tap
from jensen.functional.tally import Tally
from jensen.model import Model, Note
from jensen.posteriors import Posterior
from jensen.priors import Path, Prior

POOL = 64
"""Draws that the bounds for all k up to it share, so that none of them falls as k grows."""
ROWS = 512
"""Rows encoded and weighed at once by log_prob_lower."""
TILE = {"cpu": 512}
"""Pairs of a row and a draw decoded at once, by device."""
LARGE_TILE = 1 << 14
"""On every other device."""


@dataclass(frozen=True)
class Encoded:
    """Rows with all that their draws need: parameters of q (n, size), and those of a vamp prior's pseudo-rows."""

    x: Tensor
    c: Tensor | None
    parameters: Tensor
    pseudo: Tensor | None

    def __len__(self) -> int:
        return len(self.x)


class LatentModel(Model):
    """p(x | c) = integral of p(x | z, c) p(z) dz, bounded from below by draws of q(z | x, c).

    A leaf sets `posterior` and `prior`, and writes `encode`, `log_likelihood` and `rows_at`.
    """

    posterior: Posterior
    prior: Prior
    latents: int
    """Dimensions of z, the lowest layer."""

    def encode(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters (n, posterior.size) of q(z | x, c)."""
        raise NotImplementedError

    def log_likelihood(
        self, x: Tensor, z: Tensor, c: Tensor | None = None, observed: Tensor | None = None
    ) -> Tensor:
        """log p(x | z, c) (n, k), nats, of rows x (n, *shape) at draws z (n, k, d); sums in `sum_type()`.

        `observed` (n, *shape) bool: of those sites alone, which given z are independent of the others.
        """
        raise NotImplementedError

    def rows_at(self, z: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Rows (n, *shape) drawn from p(x | z, c), z (n, d)."""
        raise NotImplementedError

    def pseudo_parameters(self) -> Tensor | None:
        """Parameters (components, posterior.size) of the posteriors that the prior is made of, if it is."""
        return None

    def log_weights(
        self,
        x: Tensor,
        c: Tensor | None = None,
        k: int = 1,
        generator: torch.Generator | None = None,
        *,
        width: float = 1.0,
        tap: Tap | None = None,
    ) -> Tensor:
        """log p(x, z_j | c) / q(z_j | x, c) (n, k), nats: rows are encoded once, their draws decoded in one call.

        exp of each has mean p(x | c); noise is fresh for every row and draw. `width`: z_j from a proposal so much wider
        than q, with its own density. `tap`: every z passes through it, and the parameters of q are constants in
        log q (`functional.paths`). Without gradients sums run in float64. Raises UsageError for k < 1.
        """
        check_draws(k, width)
        rows = self.encoded(x, c)
        return self.weigh(rows, self.noise(rows, k, generator), width, tap)

    def elbo_terms(
        self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """log p(x | z, c) (n,) at one draw z, and KL(q, prior): (n, d) or (n, 1), exact where there is a closed form.

        Elsewhere the second is log q(z) - log p(z) at that draw.
        """
        rows = self.encoded(x, c)
        noise = self.noise(rows, 1, generator)
        if self.prior.standard and (exact := self.posterior.draw_with_kl(rows.parameters, noise)) is not None:
            return self.log_likelihood(rows.x, exact[0], rows.c)[:, 0], exact[1]
        likelihood, log_q, log_prior = self._terms(rows, noise, 1.0, None)
        return likelihood[:, 0], log_q - log_prior

    def log_prob_lower(
        self,
        x: Tensor,
        c: Tensor | None = None,
        k: int = 1,
        generator: torch.Generator | None = None,
        *,
        width: float = 1.0,
        tile: int | None = None,
    ) -> Tensor:
        """L_k (n,), nats: E log of the mean of k weights, a lower bound on log p(x | c) in expectation; k = 1 the ELBO.

        Up to k = 64 the same 64 draws serve every k, by their mean over all subsets of k (`functional.bounds.subsets`):
        with an equal generator L_k <= L_{k+1} then holds on every row, up to rounding (1e-9), and any such k costs what
        64 does. That cannot be had of all k at once: values that never fall and reach log p(x) would never exceed it.
        Larger k draw k times. Noise is independent from row to row; exp of a value has mean at most p(x | c).

        `tile` pairs of row and draw are decoded at once, and no more is kept of them than a number a row: memory does
        not grow with k, and tiles change the value by rounding only. Raises UsageError for k < 1.
        """
        parts = [tally.bound() for tally in self.tallies(x, c, k, generator, width=width, tile=tile)]
        return torch.cat(parts) if parts else x.new_zeros(0, dtype=torch.float64)

    def tallies(
        self,
        x: Tensor,
        c: Tensor | None = None,
        k: int = 1,
        generator: torch.Generator | None = None,
        *,
        width: float = 1.0,
        tile: int | None = None,
        tails: int = 0,
    ) -> Iterator[Tally]:
        """The weights behind `log_prob_lower`, up to 512 rows at a time: bound, noise, effective sample size, tails."""
        check_draws(k, width)
        c = self.given.shaped(c, len(x)) if self.given is not None else c
        for start in range(0, len(x), ROWS):
            part = slice(start, start + ROWS)
            rows = self.encoded(x[part], None if c is None else c[part])
            draws = max(k, POOL)
            tally = Tally(draws, k if k < POOL else None, max(0, tails - start))
            for log_w in self.tiles(rows, draws, generator, width, tile):
                tally.add(log_w)
            yield tally

    def embed(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The centre of q(z | x, c) (n, d): its mean, but for a flow posterior, where it is what the mean noise becomes."""
        return self.posterior.centre(self.encode(x, c))

    def notes(self, x: Tensor, c: Tensor | None = None) -> list[Note]:
        """What the latents carry, and a warning where that is next to nothing."""
        if len(x) < 2:
            return []
        found = diagnose(self, x, c)
        notes = [Note("latents", found.describe())]
        if found.collapsed:
            notes.append(Note("collapse", COLLAPSE.format(information=found.information), doubtful=True))
        return notes

    def sum_type(self) -> torch.dtype | None:
        """The type that likelihoods are summed in: float64 where nothing is differentiated, else that of the terms."""
        return None if torch.is_grad_enabled() else torch.float64

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n rows (n, *shape): z from the prior, then x given z."""
        return self.sample_with_latents(n, c, generator)[0]

    @torch.no_grad()
    def sample_with_latents(
        self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """n rows (n, *shape) and the latents of all layers (n, d) that made them: exact posterior draws of these rows."""
        if n < 1:
            raise UsageError("expected at least one row to sample", f"got n={n}", "pass n=16, say")
        z = self.prior.sample(n, next(self.parameters()), generator, self.pseudo_parameters())
        return self.rows_at(z[:, : self.latents], c, generator), z

    def encoded(self, x: Tensor, c: Tensor | None = None) -> Encoded:
        """Rows with the parameters of q, for `noise` and `weigh`."""
        # under autocast the networks run in half precision; densities do not
        return Encoded(x, c, _full(self.encode(x, c)), _full(self.pseudo_parameters()))

    def noise(self, rows: Encoded, k: int, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal numbers (n, k, d) that k draws of the latents of all layers are made of."""
        return normals(
            len(rows), k, self.latents + self.prior.noise, like=rows.parameters, generator=generator
        )

    def weigh(self, rows: Encoded, noise: Tensor, width: float = 1.0, tap: Tap | None = None) -> Tensor:
        """Log weights (n, k) at given noise (n, k, d): see `log_weights`."""
        likelihood, log_q, log_prior = self._terms(rows, noise, width, tap)
        return likelihood + (log_prior - log_q)

    def noise_of(self, rows: Encoded, z: Tensor, width: float = 1.0) -> Tensor:
        """The noise (n, k, d) that makes latents z (n, k, d) of all layers."""
        own, above = z.split((self.latents, self.prior.noise), -1)
        first = self.posterior.noise_of(rows.parameters, own, width)
        return torch.cat([first, self.prior.noise_of(own, above)], -1)

    def _terms(
        self, rows: Encoded, noise: Tensor, width: float, tap: Tap | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """log p(x | z), log q(z), log p(z), each (n, k)."""
        own, rest = noise.split((self.latents, self.prior.noise), -1)
        z, log_q = self.posterior.draw(rows.parameters, own, width)
        path = None
        if tap is not None:
            path, z = Path(z, tap), tap(z)
            log_q = _still(self.posterior, rows.parameters, z)
        return (
            self.log_likelihood(rows.x, z, rows.c),
            log_q,
            self.prior(z, rest, rows.pseudo, path),
        )

    def tiles(
        self,
        rows: Encoded,
        draws: int,
        generator: torch.Generator | None = None,
        width: float = 1.0,
        tile: int | None = None,
    ) -> Iterator[Tensor]:
        """Log weights (n, draws) in float64, some draws at a time. Each draw's noise is made by a call of its own, so
        that it does not depend on the tile."""
        if tile is None:
            tile = TILE.get(rows.x.device.type, LARGE_TILE)
        at_once = max(1, tile // max(len(rows), 1))
        for start in range(0, draws, at_once):
            some = range(start, min(start + at_once, draws))
            noise = torch.cat([self.noise(rows, 1, generator) for _ in some], 1)
            yield self.weigh(rows, noise, width, None).double()


def latent_sizes(latents: int | Sequence[int]) -> tuple[int, ...]:
    """The dimensions of each layer of latents, the lowest first. Raises UsageError for none.

    >>> latent_sizes(20), latent_sizes([100, 50])
    ((20,), (100, 50))
    """
    sizes = tuple(latents) if isinstance(latents, (Sequence, np.ndarray)) else (latents,)
    if not sizes or not all(is_whole(size, 1) for size in sizes):
        raise UsageError(
            "a layer of latents has 1 or more dimensions",
            f"got latents={latents!r}",
            "20, or [100, 50] for two layers",
        )
    return tuple(int(size) for size in sizes)


def check_draws(k: int, width: float = 1.0) -> None:
    """Raise UsageError unless k draws can be weighed, from a proposal of such a width."""
    counts.check_draws(k)
    if not isinstance(width, Real) or not 0 < width < math.inf:
        raise UsageError(
            "a proposal's width is a number above 0", f"got {width!r}", "1 is q itself, 1.4 is often better"
        )


@overload
def _full(parameters: Tensor) -> Tensor: ...
@overload
def _full(parameters: Tensor | None) -> Tensor | None: ...
def _full(parameters: Tensor | None) -> Tensor | None:
    """At least single precision."""
    half = parameters is not None and parameters.dtype in (torch.bfloat16, torch.float16)
    return parameters.float() if parameters is not None and half else parameters


def _still(posterior: Posterior, parameters: Tensor, z: Tensor) -> Tensor:
    """log q(z) (n, k) with all that q is made of held constant: gradients go through z alone."""
    weights = {name: weight.detach() for name, weight in posterior.named_parameters()}
    found: Tensor = functional_call(posterior, weights, (parameters.detach(), z))
    return found
