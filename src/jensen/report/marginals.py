"""One column's values as shares: bars for categories and few levels, a histogram for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from jensen.report.svg import INK, MUTED, draw, series, short
from jensen.space import Column, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BARS = 12  # more levels than this are a histogram; more categories are gathered in the last bar
BINS = 30
Values = NDArray[np.float64]


def column_name(space: Space, site: int) -> str:
    """The user's name of a column, or its number."""
    return space.column(site).name or f"column {site + 1}"


def has_bars(column: Column) -> bool:
    """Whether a column is drawn as bars."""
    return column.kind in ("binary", "categorical") or (
        column.kind == "levels" and (column.levels or 0) <= BARS
    )


def bin_edges(column: Column, real: Values) -> Values:
    """Edges of a histogram, from the real rows alone so that every model is measured by the same ones."""
    if column.kind == "levels" and (column.levels or 0) <= 2 * BINS:
        steps = np.arange((column.levels or 0) + 1, dtype=np.float64) - 0.5
        return np.asarray(column.low + column.step * steps)
    low, high = (float(end) for end in np.percentile(real, [0.5, 99.5]))
    room = 0.08 * (high - low) or 0.5
    return np.linspace(low - room, high + room, BINS + 1)


def shares_in_bins(values: Values, edges: Values) -> Values:
    """The share of values in each bin; the outer bins also take what lies beyond them.

    >>> shares_in_bins(np.array([0.1, 5.0]), np.array([0.0, 1.0, 2.0]))
    array([0.5, 0.5])
    """
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return counts / max(1, len(values))


def codes(column: Column, values: Values) -> NDArray[np.int64]:
    """The number of each value's level: 0 for the lowest."""
    return np.clip(np.rint((values - column.low) / column.step), 0, (column.levels or 1) - 1).astype(np.int64)


def shown_levels(column: Column, real: Values) -> tuple[list[int], list[str]]:
    """The levels that get a bar, with labels: all, or the most frequent real ones when there are too many."""
    levels = column.levels or 1
    names = column.labels or [f"{column.low + column.step * code:g}" for code in range(levels)]
    if levels <= BARS:
        return list(range(levels)), [str(name) for name in names]
    counts = np.bincount(codes(column, real), minlength=levels)
    kept = sorted(int(code) for code in np.argsort(-counts, kind="stable")[: BARS - 1])
    return kept, [str(names[code]) for code in kept]


def level_shares(column: Column, values: Values, kept: list[int]) -> Values:
    """The share of each kept level, and of all others together when some are left out."""
    counts = np.bincount(codes(column, values), minlength=column.levels or 1)
    shares = counts[kept] / max(1, len(values))
    return shares if len(kept) == column.levels else np.append(shares, 1.0 - shares.sum())


def paint_marginal(
    axes: Axes,
    column: Column,
    real: Values,
    samples: Mapping[str, Values],
    colours: Mapping[str, str],
    most: int = 12,
) -> None:
    """Real values as a grey area or bars, every model's samples as a line or dots of its colour."""
    if has_bars(column):
        _paint_bars(axes, column, real, samples, colours, most)
    else:
        edges = bin_edges(column, real)
        axes.stairs(shares_in_bins(real, edges), edges, fill=True, color=MUTED, alpha=0.35)
        for name, values in samples.items():
            axes.stairs(shares_in_bins(values, edges), edges, color=colours[name], linewidth=1.3)
    axes.set_yticks([])
    axes.set_ylim(bottom=0)
    axes.spines["left"].set_visible(False)


def plot_marginal(
    space: Space,
    site: int,
    real: Values,
    samples: Mapping[str, Values],
    places: Mapping[str, int],
    grey: str = "real rows",
) -> Markup:
    """One column as a small plot of its own; `grey`: what the grey values are."""
    from matplotlib.ticker import MaxNLocator

    column, name = space.column(site), column_name(space, site)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        colours = {model: series(place) for model, place in places.items()}
        paint_marginal(axes, column, real, samples, colours)
        if not has_bars(column):
            axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title(short(name, 30), loc="left", color=INK)

    others = ", ".join(samples) or "no model"
    said = f"samples of {others}" if grey == "real rows" else others
    label = f"Shares of the values of {name}: {grey}, and {said}."
    return draw(paint, (2.7, 1.7), label, f"column{site}")


def _paint_bars(
    axes: Axes,
    column: Column,
    real: Values,
    samples: Mapping[str, Values],
    colours: Mapping[str, str],
    most: int,
) -> None:
    kept, labels = shown_levels(column, real)
    if len(kept) != column.levels:
        labels.append("others")
    labels = [short(label, most) for label in labels]
    places = np.arange(len(labels), dtype=np.float64)
    axes.bar(places, level_shares(column, real, kept), width=0.8, color=MUTED, alpha=0.35)
    for shift, (name, values) in zip(np.linspace(-0.25, 0.25, len(samples) + 2)[1:-1], samples.items()):
        axes.plot(
            places + shift, level_shares(column, values, kept), "o", color=colours[name], markersize=3.5
        )
    slanted = sum(map(len, labels)) > (12 if most <= 8 else 18)  # short labels stand in a small plot
    axes.set_xticks(places, labels, rotation=90 if slanted else 0)
    axes.tick_params(axis="x", length=0)
