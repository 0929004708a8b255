"""What a model with latents makes of latents: the rows to be expected there, in the user's units, and how far off they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.fitted import Fitted
from jensen.latent import LatentModel
from jensen.space import Column, Space

Rows = NDArray[np.float64]

DRAWS = 256
"""Of the rows at a point, to average."""
LEAST = 16
MOST = 1 << 25
"""Numbers drawn in all: large rows get fewer draws, LEAST at least."""


@dataclass(frozen=True)
class ColumnError:
    """How far rebuilt values of a column are from its own, and how far a constant would be, on the same rows.

    error: root mean square in the column's units, or of categories and bits (`share`) the share that is wrong. constant: the
    same of the best constant, the column's mean or its most common value. A gap is a category of its own; numbers are
    measured where there are any, and a rebuilt gap there stands for the mean.
    """

    name: str
    share: bool
    error: float
    constant: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


@torch.no_grad()
def expected_rows(fitted: Fitted, model: LatentModel, z: Tensor, c: Tensor | None, seed: int = 0) -> Rows:
    """Rows (n, *shape) to be expected at latents z (n, d), contexts c (n, size): estimates from up to 256 draws each.

    The mean of draws of p(x | z), and of a categorical column, whose codes have no mean, the most common. All points see
    the same noise, so that two neighbours differ by their latents alone.
    """
    draws = min(DRAWS, max(LEAST, MOST // (len(z) * fitted.space.dims)))
    generator = torch.Generator()
    found = []
    for n, point in enumerate(z):
        generator.manual_seed(seed)
        each = None if c is None else c[n].expand(draws, -1)
        drawn = model.rows_at(point.expand(draws, -1), each, generator).cpu()
        rows = fitted.codec.decode(drawn.double() if drawn.is_floating_point() else drawn)
        found.append(_middle(rows.double().numpy(), fitted.space))
    return np.stack(found)


def column_errors(space: Space, real: Rows, rebuilt: Rows) -> list[ColumnError]:
    """The errors of every column of vectors (n, d) rebuilt from their latents.

    >>> column_errors(Space.real(1), np.array([[0.0], [2.0]]), np.array([[0.0], [1.0]]))[0].constant
    1.0
    """
    found = []
    for site in range(space.dims):
        column, own, other = space.column(site), real[:, site], rebuilt[:, site]
        name = column.name or f"column {site + 1}"
        if _of_kinds(column):
            index, known = (_levels(column, values) for values in (other, own))
            common = np.bincount(known).max() / len(known)
            found.append(ColumnError(name, True, float((index != known).mean()), float(1 - common)))
        else:
            there = ~np.isnan(own)
            own, other = own[there], other[there]
            filled = np.where(np.isnan(other), own.mean() if len(own) else 0.0, other)
            error = float(np.sqrt(((own - filled) ** 2).mean())) if len(own) else np.nan
            found.append(ColumnError(name, False, error, float(own.std()) if len(own) else np.nan))
    return found


def _middle(rows: Rows, space: Space) -> Rows:
    """The mean (*shape) of draws (k, *shape) that are no gaps, and the most common code, or a gap, where codes have no order."""
    there = ~np.isnan(rows)
    count = there.sum(0)
    found: Rows = np.where(count, np.where(there, rows, 0.0).sum(0) / np.maximum(count, 1), np.nan)
    flat = found.reshape(-1)
    for site in range(space.dims):
        column = space.column(site)
        if column.kind == "categorical":
            common = np.bincount(_levels(column, rows.reshape(len(rows), -1)[:, site])).argmax()
            flat[site] = np.nan if common == column.levels else column.low + column.step * common
    return found


def _of_kinds(column: Column) -> bool:
    """Whether values are right or wrong, rather than near or far."""
    return column.kind in ("categorical", "binary")


def _levels(column: Column, values: Rows) -> NDArray[np.intp]:
    """The level of every value, the nearest one of a mean; of a gap one beyond the last."""
    level = np.rint((values - column.low) / column.step)
    return np.where(np.isnan(level), column.levels or 0, level).astype(np.intp)
