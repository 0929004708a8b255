"""Every pair of columns of a small table: real rows and one model's samples on the same axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from jensen.data.times import DAY
from jensen.report.marginals import bin_edges, column_name, date_axis, has_bars, paint_marginal
from jensen.report.svg import MUTED, draw, series, short
from jensen.space import Column, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 8  # columns of a table that still gets a pair plot
LAYERS = 5  # of dots, real and sampled in turns
Values = NDArray[np.float64]


def points(d: int) -> int:
    """Dots of each cloud: fewer for more columns, for more hide one another and weigh on the page."""
    return min(400, 1200 // d)


def plot_pairs(
    space: Space,
    real: Values,
    samples: Values,
    name: str,
    place: int,
    key: str = "pairs",
    *,
    clouds: tuple[str, str] = ("real rows", "samples of {name}"),
) -> Markup:
    """The lower triangle of all pairs, with each column's own shares on the diagonal. `key`: of the plots of a section;
    `clouds`: what is grey and what is in the model's colour."""
    d, colour = space.dims, series(place)
    rng = np.random.default_rng(0)  # the spread of codes is for the eye only

    def paint(figure: Figure) -> None:
        grid = figure.add_gridspec(d, d)
        for row in range(d):
            for site in range(row + 1):
                axes = figure.add_subplot(grid[row, site])
                if site == row:
                    values = {name: samples[:, site]}
                    paint_marginal(axes, space.column(site), real[:, site], values, {name: colour}, most=8)
                else:
                    _clouds(axes, space, (site, row), (real, samples), colour, rng)
                _frame(axes, space, row, site)

    side = max(4.4, 1.12 * d)
    grey, coloured = (one.format(name=name) for one in clouds)
    label = f"Pairs of columns: {grey} in grey, {coloured} in colour, each column's shares on the diagonal."
    return draw(paint, (side, 0.92 * side), label, f"{key}{place}")


def _clouds(
    axes: Axes,
    space: Space,
    sites: tuple[int, int],
    clouds: tuple[Values, Values],
    colour: str,
    rng: np.random.Generator,
) -> None:
    spread = (
        np.array([_spread(space.column(site), rows[: points(space.dims), site], rng) for site in sites])
        for rows in clouds
    )
    real, samples = (
        cloud[:, ~np.isnan(cloud).any(0)] for cloud in spread
    )  # no dot where one of the two is a gap
    for part in range(LAYERS):  # so that neither cloud hides the other
        here = slice(part, None, LAYERS)
        _dots(axes, real[0][here], real[1][here], MUTED, 0.7)
        _dots(axes, samples[0][here], samples[1][here], colour, 0.75)
    axes.set_xlim(_limits(space.column(sites[0]), clouds[0][:, sites[0]]))
    axes.set_ylim(_limits(space.column(sites[1]), clouds[0][:, sites[1]]))


def _limits(column: Column, real: Values) -> tuple[float, float]:
    if has_bars(column):
        return -0.6, (column.levels or 1) - 0.4
    edges = bin_edges(column, real) / (DAY if column.time == "seconds" else 1)
    return float(edges[0]), float(edges[-1])


def _spread(column: Column, values: Values, rng: np.random.Generator) -> Values:
    if not has_bars(column):
        return values / DAY if column.time == "seconds" else values
    return np.rint((values - column.low) / column.step) + rng.uniform(-0.28, 0.28, len(values))


def _dots(axes: Axes, x: Values, y: Values, colour: str, alpha: float) -> None:
    """All dots as one path of lines without length whose round ends are the dots: a tenth of the bytes."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    corners = np.repeat(np.stack([x, y], axis=1), 2, axis=0)
    kinds = np.tile(np.array([Path.MOVETO, Path.LINETO], dtype=np.uint8), len(x))
    path = Path(corners, kinds)
    path.should_simplify = False
    patch = PathPatch(path, fill=False, edgecolor=colour, linewidth=2.3, alpha=alpha, capstyle="round")
    axes.add_patch(patch)


def _frame(axes: Axes, space: Space, row: int, site: int) -> None:
    from matplotlib.ticker import MaxNLocator

    d, last = space.dims, row == space.dims - 1
    axes.tick_params(labelsize=7.5, length=2)
    bars = has_bars(space.column(site))
    for axis, column in ((axes.xaxis, space.column(site)), (axes.yaxis, space.column(row))):
        if column.time and (row != site or axis is axes.xaxis):
            date_axis(axis, 3)
    if not bars and not space.column(site).time:
        axes.xaxis.set_major_locator(MaxNLocator(2))
    elif bars and row != site:
        axes.set_xticks([])
    if row != site and has_bars(space.column(row)):
        axes.set_yticks([])
    elif row != site and not space.column(row).time:
        axes.yaxis.set_major_locator(MaxNLocator(2))
    most = 14 if d > 2 else 24
    if last:
        axes.set_xlabel(short(column_name(space, site), most), fontsize=8.5)
    elif row != site or not bars:
        axes.tick_params(labelbottom=False)
    if site == 0:
        axes.set_ylabel(short(column_name(space, row), most), fontsize=8.5)
        axes.yaxis.set_label_coords(-0.42, 0.5)
    else:
        axes.tick_params(labelleft=False)
