"""One column's values as shares: bars for categories and few levels, a histogram for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from jensen.data.times import DAY
from jensen.report.svg import INK, MUTED, draw, series, short
from jensen.space import Column, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BARS = 12  # more levels than this are a histogram; more categories are gathered in the last bar
BINS = 30
YEARS = (-719_000, 2_932_000)  # days since 1970-01-01 of the years 1 and 9999
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
    there = real[~np.isnan(real)]
    low, high = (float(end) for end in np.percentile(there, [0.5, 99.5])) if len(there) else (0.0, 1.0)
    room = 0.08 * (high - low) or 0.5
    return np.linspace(low - room, high + room, BINS + 1)


def shares_in_bins(values: Values, edges: Values) -> Values:
    """The share of values in each bin, of all values, gaps (nan) included; the outer bins also take what lies beyond them.

    >>> shares_in_bins(np.array([0.1, 5.0]), np.array([0.0, 1.0, 2.0]))
    array([0.5, 0.5])
    """
    counts, _ = np.histogram(np.clip(values[~np.isnan(values)], edges[0], edges[-1]), edges)
    return counts / max(1, len(values))


def codes(column: Column, values: Values) -> NDArray[np.int64]:
    """The number of each value's level, 0 for the lowest; gaps are left out."""
    there = values[~np.isnan(values)]
    return np.clip(np.rint((there - column.low) / column.step), 0, (column.levels or 1) - 1).astype(np.int64)


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
    others = (len(counts) and counts.sum() / max(1, len(values))) - shares.sum()
    return shares if len(kept) == column.levels else np.append(shares, others)


def gap_share(values: Values) -> float:
    """The share of gaps."""
    return float(np.isnan(values).mean()) if len(values) else 0.0


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
        drawn = edges if column.time != "seconds" else edges / DAY
        axes.stairs(shares_in_bins(real, edges), drawn, fill=True, color=MUTED, alpha=0.35)
        for name, values in samples.items():
            axes.stairs(shares_in_bins(values, edges), drawn, color=colours[name], linewidth=1.3)
        if _gappy(column, real, samples):
            _paint_gaps(axes, drawn, real, samples, colours)
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
        if column.time:
            date_axis(axes.xaxis)
        elif not has_bars(column):
            axes.xaxis.set_major_locator(MaxNLocator(4))
        if not has_bars(column) and _gappy(column, real, samples):
            edges = bin_edges(column, real) / (DAY if column.time == "seconds" else 1)
            # none below the bar of gaps
            axes.set_xticks([tick for tick in axes.get_xticks() if edges[0] <= tick <= edges[-1]])
        axes.set_title(short(name, 30), loc="left", color=INK)

    others = ", ".join(samples) or "no model"
    said = f"samples of {others}" if grey == "real rows" else others
    label = f"Shares of the values of {name}: {grey}, and {said}."
    return draw(paint, (2.7, 1.7), label, f"column{site}")


def _gappy(column: Column, real: Values, samples: Mapping[str, Values]) -> bool:
    return column.gaps in ("value", "unseen") and any(map(gap_share, (real, *samples.values())))


def _paint_gaps(
    axes: Axes, edges: Values, real: Values, samples: Mapping[str, Values], colours: Mapping[str, str]
) -> None:
    """The share of gaps as a bar of its own to the right, lowered where it would dwarf the bins, its share beside it."""
    width = edges[-1] - edges[0]
    at, wide = edges[-1] + 0.14 * width, 0.09 * width
    top = max(axes.dataLim.intervaly) or 1.0
    tallest = max(map(gap_share, (real, *samples.values())))
    scale = min(1.0, top / tallest)
    axes.bar([at], [scale * gap_share(real)], width=wide, color=MUTED, alpha=0.35)
    for shift, (name, values) in zip(np.linspace(-0.5, 0.5, len(samples) + 2)[1:-1], samples.items()):
        axes.plot([at + shift * wide], [scale * gap_share(values)], "o", color=colours[name], markersize=3.5)
    text = f"gaps {100 * gap_share(real):.0f} %"
    axes.text(
        at, 1.0, text, ha="right", va="top", fontsize=7, color=MUTED, transform=axes.get_xaxis_transform()
    )


def date_axis(axis: Any, most: int = 5) -> None:
    """Ticks of days since 1970-01-01 as dates; as years where the axis leaves those that a date can have."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    low, high = axis.get_view_interval()
    if min(low, high) < YEARS[0] or max(low, high) > YEARS[1]:
        axis.set_major_locator(MaxNLocator(min(most, 3)))
        axis.set_major_formatter(FuncFormatter(lambda day, _: f"year {1970 + day / 365.2425:.0f}"))
        return
    locator = AutoDateLocator(minticks=2, maxticks=most)
    axis.set_major_locator(locator)
    axis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


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
    gaps = _gappy(column, real, samples)
    labels = [short(label, most) for label in labels] + ["gap"] * gaps
    places = np.arange(len(labels), dtype=np.float64)

    def shares(values: Values) -> Values:
        found = level_shares(column, values, kept)
        return np.append(found, gap_share(values)) if gaps else found

    axes.bar(places, shares(real), width=0.8, color=MUTED, alpha=0.35)
    for shift, (name, values) in zip(np.linspace(-0.25, 0.25, len(samples) + 2)[1:-1], samples.items()):
        axes.plot(places + shift, shares(values), "o", color=colours[name], markersize=3.5)
    slanted = sum(map(len, labels)) > (12 if most <= 8 else 18)  # short labels stand in a small plot
    axes.set_xticks(places, labels, rotation=90 if slanted else 0)
    axes.tick_params(axis="x", length=0)
