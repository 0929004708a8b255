"""Where two sets of rows differ: which columns, by themselves and for the critic, and which rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.critics.platt import log_losses
from jensen.data.times import date_text
from jensen.functional.intervals import half_sum_interval
from jensen.quantity import Kind, Quantity
from jensen.space import Column, Space

Array = NDArray[Any]

_MEASURES = ("Kolmogorov-Smirnov distance", "total variation")

MOST_SHUFFLED = 64
"""Columns; of more none is shuffled, for each takes a pass of the critic over all rows."""

ROWS_NAMED = 5

SIGNIFICANT, NEEDED_LEVEL = 0.05, 0.99
"""A p-value that counts, and the level of the interval of what a column is worth: there are many columns."""


@dataclass(frozen=True)
class ColumnShift:
    """How one column differs. site: its place among the columns compared.

    distance: between the two marginal laws alone, in [0, 1]: Kolmogorov-Smirnov for numbers, total variation for
    categories, a gap being a value of its own; an estimate. p_value: of equal marginal laws, asymptotic, corrected for
    the number of columns (Holm). loss: by how many nats the bound falls on the report's rows when the column is shuffled
    there; an estimate of what this critic, not every critic, would lose without it. None where it was not tried.
    change: a category's share, or median and quartiles, and the share of gaps, from a to b.
    """

    name: str
    distance: Quantity
    p_value: float
    loss: Quantity | None
    change: str
    site: int = 0

    @property
    def alone(self) -> bool:
        """Whether the column differs by itself."""
        return self.p_value <= SIGNIFICANT

    @property
    def needed(self) -> bool:
        """Whether the critic needs it: shuffling costs more than noise."""
        return self.loss is not None and self.loss.interval is not None and self.loss.interval[0] > 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        loss = None if self.loss is None else self.loss.to_dict()
        return {**vars(self), "distance": self.distance.to_dict(), "loss": loss}


@dataclass(frozen=True)
class RowShift:
    """A row that is unlike the other side: `row` counts from 0 in its source; `log_ratio` = log b/a there, in nats."""

    side: str
    row: int
    log_ratio: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def column_shifts(
    a: Array, b: Array, space: Space, names: Sequence[str], losses: Sequence[Quantity] | None
) -> tuple[ColumnShift, ...]:
    """Every column, those the critic needs most first; rows (n, d), images flattened."""
    columns = [space.column(site) for site in range(space.dims)]
    found = [marginal(a[:, site], b[:, site], column) for site, column in enumerate(columns)]
    corrected = holm([p for _, p in found])
    shifts = [
        ColumnShift(
            _place(site, space, names),
            Quantity(distance, Kind.ESTIMATE, how={"of": _MEASURES[column.kind == "categorical"]}),
            corrected[site],
            None if losses is None else losses[site],
            _change(a[:, site], b[:, site], column),
            site,
        )
        for site, (column, (distance, _)) in enumerate(zip(columns, found))
    ]
    worth = [
        (one.needed or one.alone, 0.0 if one.loss is None else round(one.loss.value, 4), one.distance.value)
        for one in shifts
    ]
    return tuple(shifts[at] for at in sorted(range(len(shifts)), key=lambda at: worth[at], reverse=True))


def marginal(a: Array, b: Array, column: Column) -> tuple[float, float]:
    """Distance and p-value of the two laws of one column, (n,) and (m,).

    >>> marginal(np.arange(100.0), np.arange(100.0) + 50, Column("real"))[0]
    0.5
    """
    return _total_variation(a, b) if column.kind == "categorical" else _kolmogorov_smirnov(a, b)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values that hold for all of them together (Holm 1979).

    >>> holm([0.01, 0.5, 0.02])
    [0.03, 0.5, 0.04]
    """
    order = np.argsort(p_values, kind="stable")
    out, most = [0.0] * len(p_values), 0.0
    for place, at in enumerate(order.tolist()):
        most = max(most, min(1.0, (len(p_values) - place) * p_values[at]))
        out[at] = most
    return out


def shuffle_losses(
    l0: Array, l1: Array, x0: Array, x1: Array, critic: Callable[[Array], Array], seed: int
) -> list[Quantity] | None:
    """By how much the bound falls when one column of the pooled rows is shuffled, column by column; None for many."""
    d = x0.shape[1]
    if d > MOST_SHUFFLED:
        return None
    rng = np.random.default_rng([seed, 19])
    pooled, n = np.concatenate([x0, x1]), len(x0)
    whole = log_losses(l0, l1)
    falls = []
    for site in range(d):
        kept = pooled[:, site].copy()
        pooled[:, site] = rng.permutation(kept)
        logit = critic(pooled)
        pooled[:, site] = kept
        rises = [now - was for now, was in zip(log_losses(logit[:n], logit[n:]), whole)]
        falls.append(_fall(*rises))
    return falls


def row_shifts(l0: Array, l1: Array, where: tuple[Array, Array]) -> tuple[RowShift, ...]:
    """The rows of either side that are most unlike the other, among those the critic was not trained on."""
    low, high = np.argsort(l0, kind="stable")[:ROWS_NAMED], np.argsort(-l1, kind="stable")[:ROWS_NAMED]
    return (
        *(RowShift("a", int(where[0][i]), float(l0[i])) for i in low),
        *(RowShift("b", int(where[1][i]), float(l1[i])) for i in high),
    )


def _fall(rise0: Array, rise1: Array) -> Quantity:
    value = float(rise0.mean() + rise1.mean()) / 2
    ends = half_sum_interval(rise0, rise1, NEEDED_LEVEL)
    how = {
        "of": "the fall of the bound when the column is shuffled",
        "interval": "Welch, over rows, this critic",
    }
    return Quantity(value, Kind.ESTIMATE, "nats", interval=ends, level=NEEDED_LEVEL, how=how)


def _kolmogorov_smirnov(a: Array, b: Array) -> tuple[float, float]:
    """A gap counts as below every number. Ties make the p-value larger than need be."""
    from scipy.special import kolmogorov

    a, b = (np.sort(np.where(np.isnan(x), -np.inf, x)) for x in (a, b))
    both = np.concatenate([a, b])
    shares = [np.searchsorted(x, both, side="right") / len(x) for x in (a, b)]
    distance = float(np.abs(shares[0] - shares[1]).max())
    return distance, float(kolmogorov(math.sqrt(len(a) * len(b) / len(both)) * distance))


def _total_variation(a: Array, b: Array) -> tuple[float, float]:
    """Total variation, and Pearson's chi-squared of homogeneity; rare categories are taken together."""
    from scipy.special import chdtrc

    table = _counts(a, b)
    shares = table / table.sum(1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    rare = expected.min(0) < 5
    if rare.any():
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(1)])
        expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    freedom = table.shape[1] - 1
    return distance, float(chdtrc(freedom, ((table - expected) ** 2 / expected).sum())) if freedom else 1.0


def _counts(a: Array, b: Array) -> Array:
    codes, place = np.unique(np.nan_to_num(np.concatenate([a, b]), nan=-2.0), return_inverse=True)
    return np.stack([np.bincount(part, minlength=len(codes)) for part in np.split(place, [len(a)])])


def _place(site: int, space: Space, names: Sequence[str]) -> str:
    """The column's name; a pixel's place, counted from 1."""
    if not space.is_image:
        return names[site]
    channel, row, column = (int(i) + 1 for i in np.unravel_index(site, space.shape))
    return f"row {row}, column {column}" + (f", channel {channel}" if space.shape[0] > 1 else "")


def _change(a: Array, b: Array, column: Column) -> str:
    """In words: the category whose share changed most, or median and quartiles, and the share of gaps."""
    gaps = [float(np.isnan(x).mean()) for x in (a, b)]
    missing = f"missing {gaps[0]:.1%} -> {gaps[1]:.1%}" if max(gaps) > 0 else ""
    if column.kind == "categorical":
        shares = [[float((x == code).mean()) for code in range(column.levels or 0)] for x in (a, b)]
        code = int(np.argmax(np.abs(np.subtract(shares[0], shares[1]))))
        label = column.labels[code] if column.labels else str(code)
        text = f"{label!r} {shares[0][code]:.1%} -> {shares[1][code]:.1%}"
    else:
        shown = date_text if column.time else "{:.4g}".format
        text = " -> ".join(_quartiles(x[~np.isnan(x)], shown) for x in (a, b))
    return "; ".join(part for part in (text, missing) if part)


def _quartiles(x: Array, shown: Callable[[float], str]) -> str:
    if len(x) == 0:
        return "none"
    low, middle, high = (shown(float(value)) for value in np.quantile(x, [0.25, 0.5, 0.75]))
    return f"{middle} ({low} to {high})"
