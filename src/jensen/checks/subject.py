"""What is under audit, and the few ways in which the checks look at it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from jensen.functional.enumerate import row_count
from jensen.functional.module_state import device_of, float_type
from jensen.model import Can
from jensen.space import Space

Forward = Callable[[Tensor], Tensor]
Any_Module = TypeVar("Any_Module", bound=nn.Module)
GAPS = 0.2
"""The share of gaps in rows that are drawn, where there may be some."""
ENUMERABLE = 2**16
"""Spaces of at most this many rows are enumerated."""


class Bare(nn.Module):
    """Any torch module or callable that maps rows `(n, *input_shape)` to a batch, for the checks that need no more.

    `channel_order`: the channels of one position are ordered too (R before G before B). `dtype`: of the rows; integer
    rows take the values 0 .. `levels` - 1. `device`: where a function takes its rows that is no module with a state.
    """

    def __init__(
        self,
        function: Forward,
        input_shape: Sequence[int],
        *,
        channel_order: bool = False,
        dtype: torch.dtype | None = None,
        levels: int = 2,
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        self.function = function
        self.input_shape = tuple(int(size) for size in input_shape)
        self.channel_order, self.levels, self.device = channel_order, levels, device
        self.dtype = dtype or float_type(self)

    def forward(self, x: Tensor) -> Tensor:
        """(n, *input_shape) -> whatever the function returns."""
        return self.function(x)


class View(nn.Module):
    """A method of a model as a module, so that what takes modules can find its device, type and buffers."""

    def __init__(self, owner: nn.Module, function: Forward) -> None:
        super().__init__()
        self.owner, self.function = owner, function

    def forward(self, x: Tensor) -> Tensor:
        """The method's value."""
        return self.function(x)


def can(module: nn.Module) -> Can:
    """The abilities a module declares; none for a bare one."""
    found = getattr(module, "can", Can.NOTHING)
    return found if isinstance(found, Can) else Can.NOTHING


def enumerable(space: Space | None, limit: int = ENUMERABLE) -> bool:
    """Whether all sites are discrete and the space has at most `limit` rows."""
    return (
        space is not None
        and space.kind not in ("real", "mixed")
        and row_count(space.levels_by_site()) <= limit
    )


def indices(space: Space) -> Space:
    """The space of a discrete model's rows: the same sites with values 0 .. levels - 1; real sites as they are."""
    plain = [c if c.kind == "real" else replace(c, low=0.0, step=1.0) for c in space.columns]
    return space.with_columns(plain)


def some_rows(module: nn.Module, rows: Tensor | None, space: Space, n: int, seed: int) -> Tensor:
    """n legal rows for the module: the first ones given, else samples of a real model, else drawn uniformly."""
    if rows is not None and len(rows):
        return rows[:n].to(device_of(module))
    generator = torch.Generator().manual_seed(seed)
    levels = torch.tensor(space.levels_by_site()).reshape(space.shape)
    u = torch.rand(n, *space.shape, generator=generator, dtype=torch.float64)
    if space.measure == "mass" and not space.gaps:
        return (u * levels).long().to(device_of(module))
    x = torch.randn(n, *space.shape, generator=generator, dtype=torch.float64)
    x = torch.where(levels > 0, (u * levels).floor(), x)
    gappy = torch.as_tensor(space.may_gap()).expand(space.dims).reshape(space.shape)
    if bool(gappy.any()):
        x = x.masked_fill(gappy & (torch.rand(x.shape, generator=generator) < GAPS), torch.nan)
    return x.to(device_of(module), float_type(module))


def precise(module: Any_Module, call: Callable[[Any_Module], Tensor]) -> Any_Module:
    """A copy of the module in float64 and eval mode, if `call` then returns finite float64; else one as it is."""
    plain = copy.deepcopy(module).eval()
    try:
        exact = copy.deepcopy(plain).double()
        with torch.no_grad():
            value = call(exact)
        return exact if value.dtype == torch.float64 else plain
    except (RuntimeError, TypeError, ValueError):
        return plain  # some layer insists on its own type


def in_chunks(function: Forward, rows: Tensor, size: int = 4096) -> Tensor:
    """`function` over all rows (n, *shape), a chunk at a time, without gradient -> (n,) float64 on the CPU."""
    with torch.no_grad():
        return torch.cat([function(part).detach().double().cpu() for part in rows.split(size)])
