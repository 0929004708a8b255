"""Figures of the course: their data come with the claims, plain, and are drawn here in the style of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from jensen.report import images
from jensen.report.maps import WIDE, cell_legend, state_map
from jensen.report.svg import INK, MUTED, draw, series, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Data = Mapping[str, Any]
STYLES = ("-", "--", ":", "-.")
CELL, LEAST = 30.0, 6.0
"""Pixels of a map's cell: of small maps, and of large ones."""

WHOLE = 880
"""Pixels across a sheet of images, at most, in whole multiples of its own."""


def draw_figure(data: Data, key: str) -> dict[str, Any]:
    """What the template shows of one figure: its title, and plots, maps or sheets."""
    drawn: dict[str, Any] = {
        "title": data["title"],
        "kind": data["kind"],
        "plot": None,
        "maps": [],
        "sheets": [],
    }
    if data["kind"] == "curves":
        drawn["plot"] = _curves(data, key)
    elif data["kind"] == "dots":
        drawn["plot"] = _dots(data, key)
    elif data["kind"] == "maps":
        drawn |= _maps(data)
    else:
        drawn["sheets"] = _sheets(data)
    return drawn


def _curves(data: Data, key: str) -> Markup:
    x = np.array(data["x"]["values"], dtype=np.float64)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for number, one in enumerate(data["series"]):
            values, low, high = (_array(one[name]) for name in ("values", "low", "high"))
            there = ~np.isnan(values)
            few = int(there.sum()) <= 12
            axes.plot(
                x[there], values[there], STYLES[number % len(STYLES)], color=series(number), label=one["name"],
                marker="o" if few else "", markersize=3.5,
            )  # fmt: skip
            known = there & ~np.isnan(low) & ~np.isnan(high)
            if known.any():
                axes.fill_between(
                    x[known], low[known], high[known], color=series(number), alpha=0.2, linewidth=0
                )
        for line in data["lines"]:
            axes.axhline(line["value"], color=INK, linewidth=1, linestyle=(0, (1, 1.5)), label=line["name"])
        axes.set_xlabel(data["x"]["name"])
        axes.set_ylabel(data["y"]["name"])
        _scales(axes, data)
        axes.grid(axis="y")
        _legend(figure, len(data["series"]) + len(data["lines"]))

    return draw(paint, (5.4, 3.5), _alt_curves(data), key)


def _scales(axes: Axes, data: Data) -> None:
    if data["x"]["log"]:
        axes.set_xscale("log", base=2 if min(data["x"]["values"]) >= 1 else 10)
        axes.set_xticks(data["x"]["values"], [f"{value:g}" for value in data["x"]["values"]])
        axes.minorticks_off()
    if data["y"]["log"]:
        axes.set_yscale("log")
        _plain_ticks(axes.yaxis)


def _plain_ticks(axis: Any) -> None:
    """Decades of a log scale as numbers: matplotlib would write them as mathematics."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}" if 1 <= value < 1e6 else f"{value:g}")
    )
    axis.set_minor_formatter(NullFormatter())


def _dots(data: Data, key: str) -> Markup:
    rows, many = data["rows"], len(data["series"])

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for number, one in enumerate(data["series"]):
            shift = 0.0 if many == 1 else 0.5 * (number / (many - 1) - 0.5)
            heights = np.arange(len(rows))[::-1] - shift
            values, low, high = (_array(one[name]) for name in ("values", "low", "high"))
            for height, start, end in zip(heights, low, high):
                if not np.isnan(start):
                    axes.plot(
                        [start, end],
                        [height, height],
                        color=series(number),
                        linewidth=4.5,
                        alpha=0.35,
                        solid_capstyle="butt",
                    )
            axes.plot(
                values, heights, "osD^"[number % 4], color=series(number), markersize=5, label=one["name"]
            )
        if data["line"] is not None:
            axes.axvline(
                data["line"]["value"],
                color=INK,
                linewidth=1,
                linestyle=(0, (1, 1.5)),
                label=data["line"]["name"],
            )
        axes.set_yticks(range(len(rows)), [short(name, 34) for name in reversed(rows)])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xlabel(data["x"]["name"])
        if data["x"]["log"]:
            axes.set_xscale("log")
            _plain_ticks(axes.xaxis)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        if many > 1 or data["line"] is not None:
            _legend(figure, many + (data["line"] is not None))

    height = 1.0 + len(rows) * (0.30 if many == 1 else 0.20 + 0.09 * many)
    return draw(paint, (5.6, min(height, 6.5)), _alt_dots(data), key)  # fmt: skip


def _legend(figure: Figure, entries: int) -> None:
    figure.legend(
        frameon=False, labelcolor=MUTED, loc="outside upper center", ncols=2 if entries > 1 else 1, columnspacing=1.4,
        fontsize=8.5, handlelength=1.8,
    )  # fmt: skip


def _maps(data: Data) -> dict[str, Any]:
    used = {sign for one in data["maps"] for row in one["states"] for sign in row}
    words = {sign: text for sign, text in data["legend"].items() if sign in used}
    drawn = []
    for one in data["maps"]:
        states = np.array([list(row) for row in one["states"]])
        cell = float(np.clip(0.62 * WIDE / states.shape[1], LEAST, CELL))
        here = None if one["here"] is None else (one["here"][0], one["here"][1])
        plot = state_map(states, one["said"], here=here, cell=cell)
        drawn.append({"name": one["name"], "plot": plot, "valid": one["valid"], "said": one["said"]})
    return {"maps": drawn, "legend": cell_legend(words)}


def _sheets(data: Data) -> list[dict[str, Any]]:
    shape = tuple(data["shape"])
    found = []
    for sheet in data["sheets"]:
        pixels = np.stack(
            [np.frombuffer(bytes.fromhex(one), np.uint8).reshape(shape) for one in sheet["images"]]
        )
        tiled = images.tile(images.to_bytes(pixels, (0, 255)), data["across"])
        alt = f"{len(pixels)} images: {sheet['caption']}"
        found.append(
            {
                "caption": sheet["caption"],
                "alt": alt,
                "uri": images.data_uri(tiled),
                "width": tiled.shape[1] * max(1, WHOLE // tiled.shape[1]),
            }
        )
    return found


def _array(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _alt_curves(data: Data) -> str:
    """The ends of every curve in words."""
    parts = []
    for one in data["series"]:
        there = [(x, y) for x, y in zip(data["x"]["values"], one["values"]) if y is not None]
        if there:
            parts.append(
                f"{one['name']} from {there[0][1]:.3g} at {there[0][0]:g} to {there[-1][1]:.3g} at {there[-1][0]:g}"
            )
    parts += [f"{line['name']} at {line['value']:.3g}" for line in data["lines"]]
    return f"{data['title']}. {data['y']['name']} against {data['x']['name']}: {'; '.join(parts)}."


def _alt_dots(data: Data) -> str:
    parts = []
    for place, name in enumerate(data["rows"]):
        told = [
            (one["name"], one["values"][place]) for one in data["series"] if one["values"][place] is not None
        ]
        parts.append(f"{name}: {', '.join(f'{who} {value:.3g}' for who, value in told)}")
    return f"{data['title']}. {data['x']['name']}. {'; '.join(parts)}."
