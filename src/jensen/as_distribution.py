"""A fitted model as a `torch.distributions.Distribution` over the user's own rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from jensen.context import contexts_to_sample
from jensen.data import Contexts
from jensen.errors import Cannot
from jensen.model import Can, one_a_row
from jensen.quantity import Kind
from jensen.scoring import on_device, place
from jensen.space import Space


class InSpace(constraints.Constraint):
    """Rows of a space: finite numbers, on the grid where a site is discrete."""

    def __init__(self, space: Space) -> None:
        self.space, self._event = space, len(space.shape)
        levels = torch.tensor(space.levels_by_site(), dtype=torch.float64).reshape(space.shape)
        self.top = torch.where(levels > 0, levels - 1, math.inf)

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Whether rows have a mass."""
        return self.space.measure == "mass"

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """Axes of one row."""
        return self._event

    def check(self, value: Tensor) -> Tensor:
        """(..., *shape) -> (...) bool."""
        low, step = (torch.as_tensor(one, device=value.device) for one in self.space.grid())
        top = self.top.to(value.device)
        place = (value.double() - low) / step
        on_grid = ((place - place.round()).abs() < 1e-3) & (place > -0.5) & (place < top + 0.5)
        fine = torch.where(top.isinf(), value.isfinite(), on_grid)
        return fine.flatten(-self._event).all(-1)


class FittedDistribution(Distribution):
    """The law of a fitted model's rows in the user's own units: what `fitted.score` scores and `fitted.sample` draws.

    `event_shape` is the shape of one row; `batch_shape` is () or (m,), for m contexts of a conditional model. `log_prob`
    has a gradient with respect to real rows and to the weights; the values are those of `fitted.score`, nats. `sample`
    draws from torch's global generator, without gradient (`has_rsample` is False), in `dtype` where rows are real and in
    whole numbers where their grid is. No moments, entropy or cdf: use draws. The model is not copied; calls put it into
    eval mode.
    """

    arg_constraints: dict[str, Any] = {}
    has_rsample = False

    def __init__(
        self,
        fitted: Any,
        contexts: Contexts | None = None,
        batch_shape: Sequence[int] = (),
        *,
        dtype: torch.dtype = torch.float32,
        validate_args: bool | None = None,
    ) -> None:
        """`contexts`: one for each place of `batch_shape`, in its order. Raises Cannot without an exact log_prob."""
        self.fitted, self.contexts, self.dtype = fitted, contexts, dtype
        # the default of all distributions is no choice of the user's: torch.compile turns it off for the process
        super().__init__(torch.Size(batch_shape), torch.Size(fitted.space.shape), validate_args is not False)

    @property
    def support(self) -> InSpace:
        """The rows of the space."""
        return InSpace(self.fitted.space)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, mass or both, nats: rows (..., *event_shape) -> (...), broadcast with `batch_shape`.

        Raises ValueError for rows outside the support, unless arguments are not validated.
        """
        if self._validate_args:
            self._validate_sample(value)
        lead = torch.broadcast_shapes(value.shape[: value.ndim - len(self.event_shape)], self.batch_shape)
        rows = value.expand(lead + self.event_shape).reshape(-1, *self.event_shape)
        model, codec = self.fitted.model.eval(), self.fitted.codec
        device, dtype = place(model)
        z, log_det = codec.encode(rows)
        c = self._encoded(lead)
        found = one_a_row(model.log_prob(on_device(z, device, dtype), c), len(rows))
        found = (found.to(value.device) + log_det).reshape(lead)
        return found.to(value.dtype) if value.is_floating_point() else found

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Rows (*sample_shape, *batch_shape, *event_shape), on the CPU. Raises Cannot for a model that does not sample."""
        lead = torch.Size(sample_shape) + self.batch_shape
        contexts = None if self.contexts is None else self.contexts[self._places(lead)]
        seed = int(torch.randint(2**62, ()))
        drawn = self.fitted.sample(lead.numel(), seed=seed, context=contexts)
        rows = torch.from_numpy(drawn).reshape(lead + self.event_shape)
        return rows.to(self.dtype) if rows.is_floating_point() else rows

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> FittedDistribution:
        """The same distribution for every place of a larger batch."""
        wide = torch.Size(batch_shape)
        contexts = None if self.contexts is None else self.contexts[self._places(wide)]
        made = FittedDistribution(self.fitted, contexts, wide, dtype=self.dtype, validate_args=False)
        made._validate_args = self._validate_args
        return made

    def __repr__(self) -> str:
        batch = f"batch_shape={tuple(self.batch_shape)}, " if self.batch_shape else ""
        return f"FittedDistribution({self.fitted.name}, {batch}event_shape={tuple(self.event_shape)})"

    def _places(self, lead: torch.Size) -> Any:
        """Which context each row of a shape that ends in, or broadcasts from, `batch_shape` has."""
        own = torch.arange(self.batch_shape.numel()).reshape(self.batch_shape)
        return own.expand(lead).reshape(-1).numpy()

    def _encoded(self, lead: torch.Size) -> Tensor | None:
        if self.contexts is None:
            return None
        encoded = self.fitted.context_codec.encode(self.contexts.values)
        return on_device(encoded[torch.from_numpy(self._places(lead))], *place(self.fitted.model))


def as_distribution(fitted: Any, context: Any, batch: int | None, dtype: torch.dtype) -> FittedDistribution:
    """What `Fitted.distribution` gives.

    Raises Cannot for a model without exact log_prob and behind a codec that gives bounds, UsageError for a missing
    context.
    """
    if Can.LOG_PROB not in fitted.can:
        raise fitted.model.cannot(Can.LOG_PROB)
    if fitted.codec.kind is not Kind.EXACT:
        raise Cannot(
            "a distribution needs an exact log_prob",
            f"{fitted.name} gives a {fitted.codec.kind.value} bound of these rows: {fitted.space.describe()}",
            "use fitted.score, or fit a model that takes such rows as they are",
        )
    contexts = contexts_to_sample(fitted.context_codec, fitted.name, context, batch or 1)
    return FittedDistribution(fitted, contexts, () if batch is None else (batch,), dtype=dtype)
