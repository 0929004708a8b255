"""Codecs of tables whose columns differ: numbers beside categories, and gaps among both.

`Columns` keeps what each column is, for models that take mixed rows; `Spread` makes real numbers of all, for those that do
not, which bounds the likelihood from below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from jensen.errors import DataError, SpaceError
from jensen.functional import share
from jensen.heads import MANY
from jensen.quantity import Kind
from jensen.space import Column, Space


class Columns:
    """Real columns standardised, discrete ones as indices 0 .. levels - 1; exact.

    A gap that is a value of its own is one index more in a column of categories or few levels and stays nan in the others.
    A gap that is unseen stays nan. log|det| is that of the real values which are there, so it differs from row to row.
    Raises DataError for a real column without two different values.
    """

    kind: Kind = Kind.EXACT
    random: bool = False

    def __init__(self, space: Space, mean: Tensor, scale: Tensor) -> None:
        self.space = space
        self.mean, self.scale = mean.double(), scale.double()
        refuse_unusable(space, self.mean, self.scale)
        columns = [_as_index(column) for column in space.columns]
        self.model_space = space.with_columns(columns).binarised(None)
        # what every batch needs: which sites are discrete, which take a gap for one index more, and that index
        levels = torch.tensor(space.levels_by_site()).view(space.shape)
        self.index, self.gap = levels > 0, levels.double()
        self.valued = _sites(space, [column.gaps == "level" for column in columns])
        # what is subtracted from the values of each site, and what they are divided by
        start, step = (torch.as_tensor(side) for side in space.grid())
        start, step = (side if len(side) > 1 else side.expand(space.shape) for side in (start, step))
        self.low, self.unit = (
            torch.where(self.index, start, self.mean),
            torch.where(self.index, step, self.scale),
        )
        self.slopes = torch.where(self.index, 0.0, -self.unit.log())

    @classmethod
    def fit(cls, space: Space, x: Tensor) -> Columns:
        """Mean and standard deviation (1/n) of the values that are there, of real columns of rows x (n, *shape)."""
        return cls(space, *moments(space, x))

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        device = x.device
        # float64 first: a float32 time in seconds has lost its minutes before it is divided
        z = (x.double() - self.low.to(device)) / self.unit.to(device)
        z = torch.where(self.index.to(device), z.round(), z)
        z = torch.where(z.isnan() & self.valued.to(device), self.gap.to(device), z)
        log_det = self.log_slopes(x).flatten(1).sum(1)
        if self.model_space.kind not in ("real", "mixed"):
            return z.long(), log_det.float()
        dtype = x.dtype if x.is_floating_point() else torch.float32
        return z.to(dtype), log_det.to(dtype)

    def decode(self, z: Tensor) -> Tensor:
        device = z.device
        z = z.double()
        gap = self.valued.to(device) & (z == self.gap.to(device))
        return z.masked_fill(gap, math.nan) * self.unit.to(device) + self.low.to(device)

    def log_slopes(self, x: Tensor) -> Tensor:
        """log |dz_i / dx_i| (n, *shape) of the values of x that are there: 0 at gaps and for discrete columns."""
        return self.slopes.to(x.device).expand(x.shape).masked_fill(x.isnan(), 0.0)

    def to_dict(self) -> dict[str, Any]:
        return {
            "codec": "Columns",
            "space": self.space.to_dict(),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Columns:
        mean, scale = (torch.tensor(record[key], dtype=torch.float64) for key in ("mean", "scale"))
        return cls(Space.from_dict(record["space"]), mean, scale)


class Spread:
    """Every column as a real number, with noise where it is none: a density of the result bounds the likelihood from below.

    A discrete value is its index + u, u uniform on [0, 1), a gap among few being one index more (Theis, van den Oord &
    Bethge 2016). The order of categories is that of their codes, which costs tightness and not validity. A column of real
    numbers or many levels that has gaps gets a second coordinate, behind all others: u where the value is there, 1 + u at a
    gap, where the value's own place is taken by a draw of q: the normal law of the values that are there, or any level. For
    such a row

        P(gap, rest) = integral of p(1 + u, v, rest) >= exp E[log p(1 + u, v, rest) - log q(v)]

    by Jensen's inequality: log|det| is minus log q(v). Raises SpaceError for gaps that are unseen: there is no draw of a
    value that is there and was not seen.
    """

    kind: Kind = Kind.LOWER
    random: bool = True

    def __init__(self, space: Space, mean: Tensor, scale: Tensor) -> None:
        if space.is_image or "unseen" in space.gaps:
            raise SpaceError(
                "only the columns of a table whose gaps are values are spread",
                f"got {space.describe()}",
                "pass gaps='value' where the rows are read",
            )
        self._columns = Columns(space, mean, scale)
        self.space = space
        seen = self._columns.model_space
        self._gappy = [site for site in range(space.dims) if seen.column(site).gaps == "value"]
        self._top = torch.tensor(seen.levels_by_site()) - 1
        self.model_space = Space.real(space.dims + len(self._gappy))

    @classmethod
    def fit(cls, space: Space, x: Tensor) -> Spread:
        """Rows x (n, d)."""
        return cls(space, *moments(space, x))

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = self._columns.encode(x)
        z, log_det = z.double(), log_det.double()
        size = (len(x), self.space.dims + len(self._gappy))
        u = share.rand(*size, generator=generator, device=x.device, dtype=torch.float64)
        gap = z.isnan()
        q = share.randn(*z.shape, generator=generator, device=x.device, dtype=torch.float64)
        log_q = -0.5 * q.square() - 0.5 * math.log(2 * math.pi)
        # of many levels any index, alike, which the noise below spreads
        index, levels = self._columns.index.to(x.device), self._columns.gap.to(x.device)
        any_level = share.rand(*z.shape, generator=generator, device=x.device, dtype=torch.float64) * levels
        q = torch.where(index, any_level.floor(), q)
        log_q = torch.where(index, -levels.clamp(min=1).log(), log_q)
        z = torch.where(gap, q, z)
        # q is drawn in the units of the index or standardised ones, in which the model's density is too
        log_det = log_det - log_q.masked_fill(~gap, 0.0).sum(1)
        z = torch.where(index, z + u[:, : self.space.dims], z)
        flags = gap[:, self._gappy].double() + u[:, self.space.dims :]
        dtype = x.dtype if x.is_floating_point() else torch.float32
        return torch.cat([z, flags], 1).to(dtype), log_det.to(dtype)

    def decode(self, z: Tensor) -> Tensor:
        d = self.space.dims
        index = torch.minimum(z[:, :d].floor().clamp(min=0), self._top.to(z.device))
        out = torch.where(self._columns.index.to(z.device), index, z[:, :d]).double()
        if self._gappy:
            out[:, self._gappy] = out[:, self._gappy].masked_fill(z[:, d:] >= 1, math.nan)
        return self._columns.decode(out)

    def to_dict(self) -> dict[str, Any]:
        return {**self._columns.to_dict(), "codec": "Spread"}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Spread:
        same = Columns.from_dict(record)
        return cls(same.space, same.mean, same.scale)


def moments(space: Space, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (1/n) of every real site's values that are there; 0 and 1 of discrete sites.

    An image's sites share one pair a channel.
    """
    x = x.double()
    there = ~x.isnan()
    axes = (0, 2, 3) if space.is_image else (0,)
    n = there.sum(axes, keepdim=True)[0]
    mean = x.masked_fill(~there, 0.0).sum(axes, keepdim=True)[0] / n
    scale = ((x - mean).masked_fill(~there, 0.0).square().sum(axes, keepdim=True)[0] / n).sqrt()
    real = torch.tensor(space.levels_by_site()).view(space.shape) == 0
    return torch.where(real, mean, 0.0), torch.where(real, scale, 1.0)


def refuse_unusable(space: Space, mean: Tensor, scale: Tensor) -> None:
    """Raise DataError for real columns without two different finite values."""
    stuck = (~(scale > 0) | ~scale.isfinite() | ~mean.isfinite()).flatten().nonzero().flatten().tolist()
    if stuck:
        names = [space.column(i).name or f"site {i}" for i in stuck[:5]]
        more = f" and {len(stuck) - 5} more" if len(stuck) > 5 else ""
        raise DataError(
            "a column without two different values in the training rows cannot be standardised",
            f"got {', '.join(names)}{more}",
            "drop it",
        )


def _as_index(column: Column) -> Column:
    """The column as a model sees it: a gap that is a value is one category more."""
    if column.kind == "real":
        return replace(column, grain=None, seen=None, time="")
    if column.gaps == "value" and (column.kind != "levels" or (column.levels or 0) <= MANY):
        levels = (column.levels or 0) + 1
        labels = None if column.labels is None else (*column.labels, "")
        return replace(
            column,
            kind="categorical",
            levels=levels,
            low=0.0,
            step=1.0,
            gaps="level",
            labels=labels,
            seen=None,
        )
    return replace(column, low=0.0, step=1.0, seen=None)


def _sites(space: Space, flags: list[bool]) -> Tensor:
    """One flag for all sites, or one a site, as (*shape)."""
    found = torch.tensor(flags)
    return found.expand(space.dims).view(space.shape) if len(flags) == 1 else found.view(space.shape)
