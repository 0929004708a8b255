"""The user's rows <-> the tensors a model sees, with the log-determinant that keeps scores in the user's units.

A codec maps one space into another. `encode` gives z and log|det dz/dx| a row, so that

    log p(x) = log p_model(z) + log|det|            (exact codecs)
    log p(x) >= E[log p_model(z) + log|det|]        (Dequantise: kind LOWER)

Everything here works on tensors; the data layer turns files and frames into rows first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from jensen.arguments import number, one_of, said
from jensen.errors import DataError, SpaceError
from jensen.functional import share
from jensen.mixed import Columns, Spread
from jensen.quantity import Kind
from jensen.space import Column, Space
from jensen.support import Support


class Codec(Protocol):
    """A map from `space` (the user's side) into `model_space`, and back."""

    space: Space
    kind: Kind
    random: bool

    @property
    def model_space(self) -> Space:
        """The space that encoded rows live in."""
        ...

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Rows (n, *shape) -> (z (n, *model_space.shape), log|det| (n,)), nats."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """The inverse of encode; for a random codec, the one row that z can come from."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, from which `codec_from_dict` makes the same codec."""
        ...


class Integers:
    """Discrete rows as integer indices 0 .. levels - 1 (int64). A mass has no units: log|det| is 0."""

    kind: Kind = Kind.EXACT
    random: bool = False

    def __init__(self, space: Space) -> None:
        check_space(space)
        if space.kind in ("real", "mixed") or space.gaps:
            raise SpaceError(
                "integer codes need discrete rows without gaps",
                f"got {space.describe()}",
                "pass kinds='levels' if the values lie on a grid, or choose a model of real rows",
            )
        self.space = space

    @property
    def model_space(self) -> Space:
        columns = [replace(column, low=0.0, step=1.0) for column in self.space.columns]
        # how bits were made is a fact about the user's rows; the model sees bits
        return self.space.with_columns(columns).binarised(None)

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        if not x.is_floating_point() and all(c.low == 0 and c.step == 1 for c in self.space.columns):
            z = x.long()
        else:
            low, step = self._grid(x.device)
            z = ((x.double() - low) / step).round_().long()
        return z, torch.zeros(len(x), device=x.device)

    def decode(self, z: Tensor) -> Tensor:
        if all(_in_int64(c) for c in self.space.columns):
            low, step = (side.long() for side in self._grid(z.device))
            return z.long() * step + low
        low, step = self._grid(z.device)
        return z.double() * step + low

    def to_dict(self) -> dict[str, Any]:
        return {"codec": "Integers", "space": self.space.to_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Integers:
        return cls(Space.from_dict(record["space"]))

    def _grid(self, device: torch.device) -> tuple[Tensor, Tensor]:
        low, step = self.space.grid()
        return torch.as_tensor(low, device=device), torch.as_tensor(step, device=device)


def _in_int64(column: Column) -> bool:
    """Whether all values of a column are whole numbers that int64 holds."""
    whole = float(column.low).is_integer() and float(column.step).is_integer()
    return whole and max(abs(column.low), abs(column.high), column.step) < 2**63


class Standardise:
    """z = (x - mean) / scale for every site; log|det| = -sum log scale, the same for all rows.

    >>> x = torch.tensor([[0.0, 10.0], [2.0, 30.0]])
    >>> codec = Standardise.fit(Space.real(2), x)
    >>> z, log_det = codec.encode(x)
    >>> z.tolist(), [round(v, 4) for v in log_det.exp().tolist()]
    ([[-1.0, -1.0], [1.0, 1.0]], [0.1, 0.1])
    """

    kind: Kind = Kind.EXACT
    random: bool = False

    def __init__(self, space: Space, mean: Tensor, scale: Tensor) -> None:
        check_space(space)
        mean, scale = _moments("mean", mean, space), _moments("scale", scale, space)
        if space.kind != "real":
            raise SpaceError(
                "only real rows are standardised", f"got {space.describe()}", "dequantise levels first"
            )
        if not (scale.isfinite().all() and mean.isfinite().all()):
            raise DataError(
                "rows to standardise must be finite", "got nan, inf or an overflow", "drop such rows"
            )
        if not (scale > 0).all():
            stuck = (scale <= 0).flatten().nonzero().flatten().tolist()
            names = [space.column(i).name or f"site {i}" for i in stuck[:5]]
            more = f" and {len(stuck) - 5} more" if len(stuck) > 5 else ""
            raise DataError(
                "a constant column (constant in the training rows) cannot be standardised",
                f"got {', '.join(names)}{more}",
                "drop it",
            )
        self.space = space
        self.mean, self.scale = mean, scale

    @classmethod
    def fit(cls, space: Space, x: Tensor) -> Standardise:
        """Mean and standard deviation (1/n) of every site of rows x (n, *shape); images share one pair a channel."""
        axes = (0, 2, 3) if space.is_image else (0,)
        mean = x.double().mean(axes, keepdim=True)[0]
        scale = x.double().std(axes, correction=0, keepdim=True)[0]
        return cls(space, mean, scale)

    @property
    def model_space(self) -> Space:
        return self.space

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        scale = self.scale.to(x.device)
        z = (x.double() - self.mean.to(x.device)) / scale
        log_det = -scale.log().expand(self.space.shape).sum()
        return z.to(_float(x)), log_det.to(_float(x)).expand(len(x))

    def decode(self, z: Tensor) -> Tensor:
        return (z.double() * self.scale.to(z.device) + self.mean.to(z.device)).to(_float(z))

    def to_dict(self) -> dict[str, Any]:
        return {
            "codec": "Standardise",
            "space": self.space.to_dict(),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Standardise:
        mean, scale = (torch.tensor(record[key], dtype=torch.float64) for key in ("mean", "scale"))
        return cls(Space.from_dict(record["space"]), mean, scale)


class Dequantise:
    """z = index + u, u uniform on [0, 1) for every site: a density model of z bounds the mass of x from below.

    P(x) = integral over the unit cube of p(x + u) >= exp E_u log p(x + u), by Jensen's inequality (Theis, van den
    Oord & Bethge 2016). log|det| is 0, because z is measured in levels; the bound is LOWER in expectation.
    """

    kind: Kind = Kind.LOWER
    random: bool = True

    def __init__(self, space: Space) -> None:
        self._integers = Integers(space)
        self.space = space

    @property
    def model_space(self) -> Space:
        return Space.real(self.space.shape)

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        index, log_det = self._integers.encode(x)
        noise = share.rand(*index.shape, generator=generator, device=x.device, dtype=torch.float64)
        return index + noise, log_det

    def decode(self, z: Tensor) -> Tensor:
        top = torch.tensor(self.space.levels_by_site(), device=z.device).reshape(self.space.shape) - 1
        return self._integers.decode(torch.minimum(z.floor().long().clamp(min=0), top))

    def to_dict(self) -> dict[str, Any]:
        return {"codec": "Dequantise", "space": self.space.to_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Dequantise:
        return cls(Space.from_dict(record["space"]))


class Logit:
    """z = logit(margin + (1 - 2 margin) (x - low) / (high - low)), for real rows in [low, high].

    `margin` keeps the ends finite (Dinh, Sohl-Dickstein & Bengio 2017, section 4.1). What a model puts beyond the
    ends decodes to them and counts for no row: the density of the rows integrates to one less that mass, so scores
    are never too high. Raises SpaceError for values outside [low, high].
    """

    kind: Kind = Kind.EXACT
    random: bool = False

    def __init__(self, space: Space, low: float, high: float, margin: float = 0.05) -> None:
        check_space(space)
        low, high, margin = number("low", low), number("high", high), number("margin", margin)
        if space.kind != "real":
            raise SpaceError(
                "only real rows have a logit", f"got {space.describe()}", "dequantise levels first"
            )
        if not (-math.inf < low < high < math.inf and 0 < margin < 0.5):
            raise SpaceError(
                "expected low < high and 0 < margin < 0.5", f"got {low}, {high}, {margin}", "pass 0, 1, 0.05"
            )
        self.space, self.low, self.high, self.margin = space, float(low), float(high), float(margin)

    @property
    def model_space(self) -> Space:
        return self.space

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        unit = (x.double() - self.low) / (self.high - self.low)
        slack = 1e-6  # the ends as float32 may round outside
        if not ((unit >= -slack) & (unit <= 1 + slack)).all():
            given = f"got {x.min().item():g} to {x.max().item():g}"
            raise SpaceError(
                f"expected values from {self.low:g} to {self.high:g}", given, "widen low and high"
            )
        inside = self.margin + (1 - 2 * self.margin) * unit.clamp(0, 1)
        log_slope = math.log1p(-2 * self.margin) - math.log(self.high - self.low)
        log_det = (log_slope - inside.log() - (-inside).log1p()).flatten(1).sum(1)
        return inside.logit().to(_float(x)), log_det.to(_float(x))

    def decode(self, z: Tensor) -> Tensor:
        unit = (z.double().sigmoid() - self.margin) / (1 - 2 * self.margin)
        return (self.low + (self.high - self.low) * unit.clamp(0, 1)).to(_float(z))

    def to_dict(self) -> dict[str, Any]:
        own = {"low": self.low, "high": self.high, "margin": self.margin}
        return {"codec": "Logit", "space": self.space.to_dict(), **own}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Logit:
        return cls(Space.from_dict(record["space"]), record["low"], record["high"], record["margin"])


class Chain:
    """Codecs one after another: log-determinants add, kinds add."""

    def __init__(self, parts: Sequence[Codec]) -> None:
        plain = isinstance(parts, (list, tuple)) and all(hasattr(part, "model_space") for part in parts)
        if not plain or not parts:
            raise SpaceError(
                "a chain needs at least one codec", f"got {said(parts)}", "pass a list of codecs"
            )
        for before, after in itertools.pairwise(parts):
            left, right = before.model_space, after.space
            if (left.shape, left.kind) != (right.shape, right.kind):
                raise SpaceError(
                    "codecs of a chain must fit", f"{left.describe()} meets {right.describe()}", "reorder"
                )
        self.parts = tuple(parts)
        self.space = self.parts[0].space
        self.kind = sum((part.kind for part in self.parts), start=Kind.EXACT)
        self.random = any(part.random for part in self.parts)

    @property
    def model_space(self) -> Space:
        return self.parts[-1].model_space

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        z, total = self.parts[0].encode(x, generator)
        for part in self.parts[1:]:
            z, log_det = part.encode(z, generator)
            total = total + log_det
        return z, total

    def decode(self, z: Tensor) -> Tensor:
        for part in reversed(self.parts):
            z = part.decode(z)
        return z

    def to_dict(self) -> dict[str, Any]:
        return {"codec": "Chain", "parts": [part.to_dict() for part in self.parts]}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Chain:
        return cls([codec_from_dict(part) for part in record["parts"]])


_CODECS: dict[str, Callable[[Mapping[str, Any]], Codec]] = {
    "Integers": Integers.from_dict,
    "Standardise": Standardise.from_dict,
    "Dequantise": Dequantise.from_dict,
    "Logit": Logit.from_dict,
    "Support": Support.from_dict,
    "Columns": Columns.from_dict,
    "Spread": Spread.from_dict,
    "Chain": Chain.from_dict,
}


def check_space(space: Any) -> None:
    """Raise UsageError unless this is a Space."""
    one_of("space", space, Space, "a Space", "pass Space.real(3), say")


def _moments(name: str, value: Any, space: Space) -> Tensor:
    """One number for all sites or one each, float64."""
    one_of(name, value, Tensor, "a tensor", "pass one of the shape of a row")
    try:
        fits = not value.is_complex() and torch.broadcast_shapes(value.shape, space.shape) == space.shape
    except RuntimeError:
        fits = False
    if not fits or value.is_meta or value.layout is not torch.strided:
        raise SpaceError(
            f"{name} has a number a site", f"got {said(value)}", f"pass a tensor {tuple(space.shape)}"
        )
    return value.double()


def codec_from_dict(record: Mapping[str, Any]) -> Codec:
    """The inverse of `to_dict`. Raises DataError for a codec this version does not know."""
    name = record.get("codec")
    if name not in _CODECS:
        raise DataError(
            "unknown codec in the record", f"got {name!r}", f"this version knows {', '.join(_CODECS)}"
        )
    return _CODECS[name](record)


def codec_for(accepts: frozenset[str], space: Space, sample: Tensor) -> Codec:
    """The codec that brings `space` to a model that accepts these kinds; data-dependent parts are fitted on `sample`.

    Discrete rows stay discrete where the model takes them and are dequantised where it only takes real ones.
    Raises SpaceError when there is no honest way.
    """
    if space.gaps or (space.kind == "mixed" and "mixed" in accepts):
        return _mixed(accepts, space, sample)
    if space.kind in accepts and space.kind != "real":
        return Integers(space)
    if "real" not in accepts:
        raise SpaceError(
            f"the model takes {' or '.join(sorted(accepts))} rows",
            f"got {space.describe()}",
            _other_rows(accepts, space),
        )
    if space.kind == "real":
        return Standardise.fit(space, sample)
    if all(column.kind in ("levels", "binary") for column in space.columns):
        return _standardised(Dequantise(space), sample)
    return _standardised(Spread.fit(space, sample), sample)


def _mixed(accepts: frozenset[str], space: Space, sample: Tensor) -> Codec:
    """Columns as they are where the model takes such, else all of them spread over real numbers."""
    plain = Columns.fit(space, sample)
    if plain.model_space.kind in accepts:
        return plain
    if "unseen" in space.gaps:
        raise SpaceError(
            "the model cannot leave out what was not seen: it takes "
            + " or ".join(sorted(accepts))
            + " rows without gaps",
            f"got {space.describe()}",
            "choose vae, or take gaps as values of their own with gaps='value'",
        )
    if "real" not in accepts:
        raise SpaceError(
            f"the model takes {' or '.join(sorted(accepts))} rows",
            f"got {space.describe()}",
            "choose another model: made, transformer, vae, gan and independent take any columns",
        )
    return _standardised(Spread.fit(space, sample), sample)


def _standardised(noisy: Codec, sample: Tensor) -> Codec:
    z, _ = noisy.encode(sample, torch.Generator(sample.device).manual_seed(0))
    return Chain([noisy, Standardise.fit(noisy.model_space, z)])


def _other_rows(accepts: frozenset[str], space: Space) -> str:
    """What to do about rows that a model of discrete rows does not take."""
    if accepts == {"binary"} and space.kind in ("levels", "real"):
        return "make bits of grey rows with binarise='dynamic' or binarise=0.5, or choose another model"
    return "choose a model of real rows, or pass kinds='levels' if the values lie on a grid"


def _float(x: Tensor) -> torch.dtype:
    return x.dtype if x.is_floating_point() else torch.float32


def as_tensor(rows: np.ndarray[Any, Any]) -> Tensor:
    """Rows as a CPU tensor of their own: uint8 and floats keep their type, other integers become int64.

    Whole numbers beyond int64 become float64: they would come out negative.
    """
    if rows.dtype == np.uint64 and rows.size and rows.max() > np.iinfo(np.int64).max:
        return torch.from_numpy(np.array(rows, dtype=np.float64))
    if np.issubdtype(rows.dtype, np.floating):
        return torch.from_numpy(np.array(rows, dtype=np.float32 if rows.dtype.itemsize <= 4 else np.float64))
    return torch.from_numpy(
        np.array(rows, dtype=np.uint8 if rows.dtype.itemsize == 1 and rows.dtype.kind in "ub" else np.int64)
    )
