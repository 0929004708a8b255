"""Normalizing flows: a list of invertible maps between rows and a standard normal base."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.functional.normal import normals
from jensen.model import Model, Note
from jensen.transforms import Transform


class Flow(Model):
    """log p(x) = log N(z; 0, 1) + sum of log|det| with z = the maps applied to x in order, exact density of real rows.

    A leaf lists its maps with `flow_through`. Sampling applies them backwards. Both ways carry gradients, so that every
    flow can be fitted to rows and to a density; which of them is one pass is `cheap`.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"real"})
    takes_context: ClassVar[bool] = True
    """A leaf whose maps are the same for every row says False."""

    def flow_through(self, maps: Sequence[Transform]) -> None:
        """The maps from data to base, in order."""
        self.maps = nn.ModuleList(maps)

    @property
    def cheap(self) -> frozenset[str]:
        """Which of "score" and "sample" are one pass through the maps; the other takes a step a feature, or a root a map."""
        ways = {"score": "encode", "sample": "decode"}
        return frozenset(name for name, way in ways.items() if all(way in one.closed for one in self._maps()))

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Rows x (n, *shape) -> base points (d, n) and log|det dz/dx| (n,)."""
        given = self._given(c, len(x))
        z, total = self._columns(x), x.new_zeros(len(x))
        for one in self._maps():
            z, log_det = one.encode(z, given)
            total = total + log_det
        return z, total

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Base points z (d, n) -> rows (n, *shape) and log|det dx/dz| (n,)."""
        n = z.shape[1]
        given, total = self._given(c, n), z.new_zeros(n)
        for one in reversed(list(self._maps())):
            z, log_det = one.decode(z, given)
            total = total + log_det
        return z.T.reshape(n, *self.space.shape), total

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """log p(x | c) (n,), nats, exact."""
        z, log_det = self.encode(x, c)
        return _normal(z) + log_det

    def base_log_prob(self, z: Tensor) -> Tensor:
        """log density (n,) of base points z (d, n): standard normal."""
        return _normal(z)

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n rows (n, *shape)."""
        return self.decode(self._base(n, generator), c)[0]

    def sample_with_log_prob(
        self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """n reparameterised rows (n, *shape) and their log_prob (n,), from the pass that drew them."""
        z = self._base(n, generator)
        x, log_det = self.decode(z, c)
        return x, _normal(z) - log_det

    def _base(self, n: int, generator: torch.Generator | None) -> Tensor:
        weight = next(self.parameters())
        return normals(n, self.space.dims, like=weight, generator=generator).T.contiguous()

    def _columns(self, x: Tensor) -> Tensor:
        """Rows (n, *shape) as columns (d, n)."""
        return x.flatten(1).T.contiguous()

    def _given(self, c: Tensor | None, n: int) -> Tensor | None:
        """The context's features as columns (size, n)."""
        features = self.features_of(c, n)
        return None if features is None else features.T.contiguous()

    def _maps(self) -> Iterable[Transform]:
        return cast(Iterable[Transform], self.maps)


def check_count(transforms: int, usual: int) -> None:
    """Raise UsageError unless a flow has a map."""
    if transforms < 1:
        raise UsageError(
            "a flow has 1 or more transforms", f"got transforms={transforms}", f"{usual} is usual"
        )


OBJECTS = 4 << 10
"""Bytes of a map's modules beside their weights, at least: a small map is more object than number."""


def check_memory(first: Sequence[nn.Module], transforms: int) -> None:
    """Raise UsageError where `transforms` times the maps of the first layer would not fit into this machine's memory.

    Counted: each weight with its gradient and Adam's two averages, buffers, objects.
    """
    weights = sum(16 * p.numel() for one in first for p in one.parameters())
    others = sum(4 * b.numel() for one in first for b in one.buffers())
    needed, there = transforms * (weights + others + OBJECTS * len(first)), _memory()
    if needed > there:
        raise UsageError(
            "a flow does not fit into memory",
            f"got transforms={transforms}: {needed / 1e9:,.0f} GB to train it, the machine has {there / 1e9:,.0f} GB",
            "use fewer transforms or smaller hidden layers",
        )


def _memory() -> float:
    """Bytes of memory of this machine; no limit where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def normal_law(flow: Flow) -> list[Note]:
    """What to doubt of affine maps of one column: they stay affine, one after the other."""
    if flow.space.dims > 1:
        return []
    text = "one column through affine maps is a normal law, whatever its data: use spline-flow"
    return [Note("law", text, doubtful=True)]


def _normal(z: Tensor) -> Tensor:
    """log N(z; 0, 1) of columns (d, n) -> (n,)."""
    return -0.5 * (z.square().sum(0) + len(z) * math.log(2 * math.pi))
