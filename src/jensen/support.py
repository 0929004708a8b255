"""Rows of a box, a half-line or all of R, and the unbounded numbers a model sees: exact, with its log-determinant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jensen.errors import SpaceError
from jensen.quantity import Kind
from jensen.space import Space

EDGE = 34.0
"""|z| beyond which float64 cannot tell x from the end of its interval: 1 / (1 + exp(-34)) is 1 - 2e-15."""


class Support:
    """z = logit((x - low) / (high - low)), log(x - low) or -log(high - x), x itself where neither end is finite.

    `low`, `high`: of every site, (dims,), -inf and inf where there is none. The open interval and R in bijection: nothing
    lies beyond the ends. Computed in float64. Raises SpaceError for rows outside, and where low is not below high.

    >>> codec = Support(Space.real(2), torch.tensor([0.0, 0.0]), torch.tensor([1.0, torch.inf]))
    >>> z, log_det = codec.encode(torch.tensor([[0.5, 1.0]], dtype=torch.float64))
    >>> z.tolist(), round(log_det.exp().item(), 12)
    ([[0.0, 0.0]], 4.0)
    """

    kind: Kind = Kind.EXACT
    random: bool = False

    def __init__(self, space: Space, low: Tensor, high: Tensor) -> None:
        low, high = low.double().flatten(), high.double().flatten()
        if space.kind != "real" or len(low) != space.dims or len(high) != space.dims:
            raise SpaceError(
                "a support is two ends for every real site",
                f"got {len(low)} and {len(high)} for {space.describe()}",
                "pass -inf and inf where a site has no end",
            )
        if not bool((low < high).all()):
            bad = int((~(low < high)).nonzero()[0])
            raise SpaceError(
                "a support runs from low to high",
                f"site {bad} got {low[bad]:g} to {high[bad]:g}",
                "swap them or widen it",
            )
        self.space, self.low, self.high = space, low, high
        self.below, self.above = low.isfinite(), high.isfinite()
        # where an end is missing, 0 keeps nan out of the branch that is not taken
        self._low = torch.where(self.below, low, 0.0)
        self._high = torch.where(self.above, high, 0.0)
        self._width = torch.where(self.below & self.above, high - low, 1.0)

    @property
    def model_space(self) -> Space:
        return self.space

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        rows = x.double().flatten(1)
        low, high, width, below, above = self._on(x)
        if not bool(((rows > low) | ~below).all() and ((rows < high) | ~above).all()):
            outside = ((rows <= low) & below) | ((rows >= high) & above)
            site = int(outside.any(0).nonzero()[0])
            raise SpaceError(
                f"expected site {site} between {self.low[site]:g} and {self.high[site]:g}",
                f"got {rows[outside[:, site], site][0]:g}",
                "leave out rows outside the support",
            )
        up = torch.where(below, rows - low, 1.0).log()
        down = torch.where(above, high - rows, 1.0).log()
        z = torch.where(below | above, up - down, rows)
        log_det = (width.log() * (below & above) - up - down).sum(1)
        return z.reshape(x.shape), log_det

    def decode(self, z: Tensor) -> Tensor:
        rows = z.double().flatten(1)
        low, high, width, below, above = self._on(z)
        held = rows.clamp(-EDGE, EDGE)
        inside = low + width * held.sigmoid()
        x = torch.where(
            below & above,
            inside,
            torch.where(below, low + held.exp(), torch.where(above, high - (-held).exp(), rows)),
        )
        return x.reshape(z.shape)

    def to_dict(self) -> dict[str, Any]:
        ends = {"low": _plain(self.low), "high": _plain(self.high)}
        return {"codec": "Support", "space": self.space.to_dict(), **ends}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Support:
        low = [-torch.inf if end is None else end for end in record["low"]]
        high = [torch.inf if end is None else end for end in record["high"]]
        space = Space.from_dict(record["space"])
        return cls(space, *(torch.tensor(ends, dtype=torch.float64) for ends in (low, high)))

    def _on(self, x: Tensor) -> tuple[Tensor, ...]:
        ends = (self._low, self._high, self._width, self.below, self.above)
        return tuple(end.to(x.device) for end in ends)


def _plain(ends: Tensor) -> list[float | None]:
    """JSON has no infinity."""
    return [end if abs(end) < torch.inf else None for end in ends.tolist()]
