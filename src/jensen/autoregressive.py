"""Models that give every site a distribution conditioned on the earlier sites, whatever their network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from jensen.errors import UsageError, nearest
from jensen.functional.ancestral import uniforms
from jensen.functional.masks import site_order
from jensen.heads import Head, head_for
from jensen.model import Model
from jensen.nn.sites import input_for
from jensen.sampling.naive import naive
from jensen.sampling.walk import Walk
from jensen.space import Space

Sampler = Callable[[Walk], None]


class Autoregressive(Model):
    """p(x) = product over sites of p(x_i | earlier sites, c), exact: a mass on discrete rows, a density on real ones.

    A leaf writes `conditionals`; `samplers` names exact samplers that are faster than a pass a site. What all have:
    `head`, the distribution of a site; `input`, sites as features; `order` (d,), the flat sites as they are drawn.
    `inputs`, `head`, `components` are those of MADE.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"binary", "levels", "categorical", "real"})
    takes_context: ClassVar[bool] = True
    order: Tensor

    def __init__(
        self,
        space: Space,
        context: Space | None,
        *,
        inputs: str | None,
        head: str | None,
        components: int,
        order: str | Sequence[int] | None = None,
    ) -> None:
        super().__init__(space, context)
        self.head: Head = head_for(space, head, components)
        self.input = input_for(space, inputs)
        self.register_buffer("order", site_order(space.shape, order), persistent=False)

    def conditionals(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters (n, *shape, size) of every site's distribution given the earlier sites of rows x (n, *shape)."""
        raise NotImplementedError

    def samplers(self, n: int, c: Tensor | None = None) -> Mapping[str, Sampler]:
        """Exact samplers of n rows beside the naive one, the fastest first, with the weights as they are now."""
        return {}

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """log p(x | c) (n,), nats, exact."""
        parameters = self.conditionals(x, c)
        if parameters.dtype in (torch.bfloat16, torch.float16):
            # under autocast the network runs in half precision; a likelihood does not
            parameters = parameters.float()
        return self.head.log_prob(parameters, x).flatten(1).sum(1)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        c: Tensor | None = None,
        generator: torch.Generator | None = None,
        *,
        temperature: float = 1.0,
        sampler: str = "auto",
    ) -> Tensor:
        """n rows (n, *shape), by the fastest exact sampler or the one named: "naive" makes a full pass a site.

        The same generator gives the same rows with every sampler, but for uniform numbers that lie within rounding
        (about 1e-6) of a border between two values. Rows drawn at a `temperature` other than 1 do not follow
        log_prob: every site is drawn from its tempered distribution.
        """
        if n < 1:
            raise UsageError("expected at least one row to sample", f"got n={n}", "pass n=16, say")
        if not 0 < temperature < float("inf"):
            raise UsageError(
                "a temperature is a number above 0",
                f"got {temperature!r}",
                "1 follows log_prob, below 1 sharpens",
            )
        u = uniforms(n, self.space.shape, generator, self.order.device)
        floats = self.space.kind in ("real", "mixed")
        dtype = next(self.parameters()).dtype if floats else torch.long
        walk = Walk(self.head.sample, u, dtype, temperature)
        self.walk(walk, c, sampler)
        return walk.x.reshape(n, *self.space.shape)

    def walk(self, walk: Walk, c: Tensor | None = None, sampler: str = "auto") -> None:
        """Draw the sites of a walk. Raises UsageError for a sampler that this model does not have."""
        n = len(walk.x)
        if self.given is not None:
            self.given.check(c, n)
            c = self.given.shaped(c, n)
        known: dict[str, Sampler] = dict(self.samplers(n, c)) if sampler != "naive" else {}
        plain = partial(self.conditionals, c=c) if c is not None else self.conditionals
        known["naive"] = partial(naive, plain, self.space.shape, self.order)
        if sampler == "auto":
            sampler = next(iter(known))
        if sampler not in known:
            raise UsageError("unknown sampler", f"got {sampler!r}", nearest(sampler, [*known, "auto"]))
        known[sampler](walk)
