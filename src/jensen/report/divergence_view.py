"""A divergence as its template wants it: every section's words and plots, nothing decided in the template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from jensen.report import images
from jensen.report.marginals import plot_marginal
from jensen.report.numbers import Shown, show
from jensen.report.pairs import plot_pairs
from jensen.report.plot_critic import plot_bound, plot_calibration, plot_logits
from jensen.report.sheets import Sheet, image_sheet
from jensen.report.svg import short
from jensen.report.view import as_pairs
from jensen.sides import Sides
from jensen.space import Space

Record = Mapping[str, Any]
Rows = NDArray[Any]

DRAWN = 12  # columns that get a plot
IN_PAIRS = 4  # columns of the pair plot
ROWS = 5  # of either side that are named
IMAGES = 16  # of a sheet
CELLS = 6  # columns shown of a named row
TITLE = 26  # characters of a side's name in a plot


def divergence_view(record: Record, sides: Sides | None) -> dict[str, Any]:
    """Everything the template prints."""
    titles = (record["a"], record["b"])
    names = tuple(short(title.rsplit("/", 1)[-1], TITLE) for title in titles)
    names = ("a", "b") if names[0] == names[1] else names
    return {
        "names": names,
        "numbers": _numbers(record),
        "strip": _strip(record),
        "bound": plot_bound(record),
        "panel": _panel(record),
        "logits": None if sides is None else plot_logits(sides.logits, (names[0], names[1])),
        "calibration": None if sides is None else plot_calibration(sides.logits),
        "columns": _columns(record),
        "marginals": _marginals(record, sides, names),
        "pairs": _pairs(record, sides, names),
        "images": _images(record, sides, names),
        "rows": _rows(record, sides),
        "facts": _facts(record),
    }


def _strip(record: Record) -> list[tuple[str, str]]:
    counts = [record["how"].get(side, {}).get("rows") for side in "ab"]
    return [
        ("Rows", " and ".join(f"{count:,}" for count in counts if count is not None)),
        ("Columns", str(record["how"].get("space", ""))),
        ("Made", f"{record['made'][:10]}, jensen {record['jensen']}"),
    ]


def _numbers(record: Record) -> list[dict[str, Any]]:
    """Every number with what it means."""
    sure = 1 - (1 - record["jsd"]["level"]) / 2
    found: list[tuple[str, Shown | str, str]] = [
        (
            "Jensen-Shannon divergence",
            show(record["jsd"]),
            f"A lower bound, in nats: 0 if one law is behind both sides, log 2 = 0.693 if no row could be from either. This one is "
            f"{record['share_of_log_2']:.0%} of log 2. A better critic might find more; none can prove less.",
        ),
        (
            "At least",
            f"{max(record['limit'], 0.0):.3g} nats" if record["limit"] > 0 else "nothing is proven",
            f"The divergence is this or more, {sure:.0%} sure at any number of rows, whatever the laws.",
        ),
        (
            "p-value",
            f"{record['p_value']:.2g}",
            "How often labels put at random would do as well, were one law behind both sides: exact. At 0.05 or less the two are called different; above, "
            "this panel cannot tell them apart at so many rows, which does not make them equal.",
        ),
    ]
    if record["critic"]:
        found += [
            (
                "Accuracy",
                show(record["accuracy"]),
                "Of telling from which side a new row is, as many of each; chance is 0.5.",
            ),
            (
                "Normaliser",
                show(record["normaliser"]),
                "1 where the critic's log-odds are the log ratio of the two densities. Being 1 is needed for that, and not enough.",
            ),
            (
                "Train-held-out gap",
                show(record["gap"]),
                "How much larger the same number comes out on the rows that the critic learnt from: what it knows by heart.",
            ),
        ]
    if record["kl"] is not None:
        found.append(
            (
                "KL(b || a)",
                show(record["kl"]),
                "Of two laws too far apart for one critic, by bridges of rows in between: an estimate, no bound.",
            )
        )
    return [{"name": name, "shown": one, "meaning": meaning} for name, one, meaning in found]


def _panel(record: Record) -> list[dict[str, Any]]:
    """The critics, best first."""
    chances = sorted(record["chances"].items(), key=lambda one: -one[1])
    return [
        {
            "name": name,
            "value": f"{value:.3f}",
            "chosen": name == record["critic"],
            "about": CRITICS.get(name, ""),
        }
        for name, value in chances
    ]


CRITICS = {
    "trees": "gradient boosting on histograms, stopped early",
    "mlp": "a small dense network, stopped early",
    "quadratic": "logistic regression on the columns, their squares and products",
    "cnn": "a small convolutional network with dropout",
    "lens": "logistic regression on the features of an encoder",
}


def _columns(record: Record) -> list[dict[str, Any]]:
    """The columns that differ most, with the evidence; none of images, whose pixels are mapped."""
    told = [one for one in record["columns"] if _differs(one)] or record["columns"][:3]
    return [
        {
            "name": one["name"],
            "change": one["change"].replace(" -> ", " → "),
            "distance": f"{one['distance']['value']:.3f}",
            "of": one["distance"]["how"].get("of", ""),
            "p": f"{one['p_value']:.2g}",
            "loss": None if one["loss"] is None else show(one["loss"]),
            "how": _how(one),
        }
        for one in told[:DRAWN]
    ]


def _differs(one: Record) -> bool:
    return _alone(one) or _needed(one)


def _alone(one: Record) -> bool:
    return bool(one["p_value"] <= 0.05)


def _needed(one: Record) -> bool:
    interval = None if one["loss"] is None else one["loss"]["interval"]
    return interval is not None and interval[0] is not None and interval[0] > 0


def _how(one: Record) -> str:
    if _alone(one):
        return "by itself" + (", and the critic needs it" if _needed(one) else "")
    return "in how it goes with others" if _needed(one) else "not shown to"


def _marginals(record: Record, sides: Sides | None, names: Sequence[str]) -> list[Markup]:
    """Histograms of the columns that differ most."""
    if sides is None or sides.space.is_image:
        return []
    named = _named(sides)
    plots = []
    for one in record["columns"][:DRAWN]:
        site = one["site"]
        a, b = (side[:, site][np.isfinite(side[:, site])] for side in (sides.a, sides.b))
        if len(a) and len(b):
            plots.append(plot_marginal(named, site, a, {names[1]: b}, {names[1]: 0}, grey=names[0]))
    return plots


def _pairs(record: Record, sides: Sides | None, names: Sequence[str]) -> Markup | None:
    """The columns that the critic needs most, in pairs: where they differ together."""
    if sides is None or sides.space.is_image:
        return None
    sites = [one["site"] for one in record["columns"] if _needed(one)][:IN_PAIRS]
    if len(sites) < 2:
        return None
    named = _named(sides)
    space = Space((len(sites),), tuple(named.column(site) for site in sites))
    a, b = (side[:, sites][np.isfinite(side[:, sites]).all(1)] for side in (sides.a, sides.b))
    if not len(a) or not len(b):
        return None
    return plot_pairs(space, a, b, names[1], 0, clouds=(names[0], names[1]))


def _named(sides: Sides) -> Space:
    """The space with the columns called as the sources call them."""
    from dataclasses import replace

    columns = [replace(sides.space.column(site), name=name) for site, name in enumerate(sides.names)]
    return Space((len(columns),), tuple(columns))


def _images(record: Record, sides: Sides | None, names: Sequence[str]) -> dict[str, list[Sheet]] | None:
    """Images of either side, drawn at random and most unlike the other, and the distance pixel by pixel."""
    if sides is None or not sides.space.is_image:
        return None
    space, shape, rng = sides.space, sides.space.shape, np.random.default_rng(0)
    drawn = [side[np.sort(rng.permutation(len(side))[:IMAGES])] for side in (sides.a, sides.b)]
    odd = [sides.most_unlike(side, IMAGES)[0] for side in (0, 1)]
    scale = images.scale_of(space, np.concatenate(drawn))
    sheets = {
        kind: [
            image_sheet(rows.reshape(-1, *shape), scale, f"{name}, {text}") for name, rows in zip(names, both)
        ]
        for kind, both, text in (
            ("random", drawn, "drawn at random"),
            ("odd", odd, "most unlike the other side"),
        )
    }
    distance = np.zeros(space.dims)
    for one in record["columns"]:
        distance[one["site"]] = one["distance"]["value"]
    by_pixel = distance.reshape(1, *shape).max(1, keepdims=True)
    top = float(by_pixel.max()) or 1.0
    caption = f"distance of the two, pixel by pixel: black 0, white {top:.2f}"
    return {**sheets, "map": [image_sheet(by_pixel, (0.0, top), caption)]}


def _rows(record: Record, sides: Sides | None) -> dict[str, Any] | None:
    """Rows most unlike the other side, with their values in the columns that differ most."""
    if sides is None or sides.space.is_image:
        return None
    sites = [one["site"] for one in record["columns"]][:CELLS]
    tables = []
    for side in (0, 1):
        rows, where, logits = sides.most_unlike(side, ROWS)
        tables.append(
            [
                {
                    "row": f"{int(at):,}",
                    "log_ratio": f"{value:+.2f}",
                    "cells": [_cell(sides, row, site) for site in sites],
                }
                for row, at, value in zip(rows, where, logits)
            ]
        )
    return {"columns": [sides.names[site] for site in sites], "tables": tables}


def _cell(sides: Sides, row: Rows, site: int) -> str:
    value, column = float(row[site]), sides.space.column(site)
    if not math.isfinite(value):
        return "empty"
    if column.kind == "categorical":
        code = round(value)
        return column.labels[code] if column.labels else str(code)
    return f"{value:.5g}"


def _facts(record: Record) -> dict[str, str]:
    how = record["how"]
    sizes = [how.get(side, {}) for side in "ab"]
    parts = ", ".join(
        f"{name}: {' and '.join(f'{size[key]:,}' for size in sizes)}"
        for name, key in (
            ("to train on", "train"),
            ("to calibrate and choose on", "choose"),
            ("to report on", "report"),
        )
        if all(key in size for size in sizes)
    )
    facts = {
        "Command": record["command"],
        "a": record["a"],
        "b": record["b"],
        "Rows": parts or "no critic was needed",
        "How the bound was made": as_pairs(record["jsd"]["how"]),
        "Settings": as_pairs({key: value for key, value in how.items() if key not in ("a", "b")}),
        "Made": record["made"],
    }
    return {name: fact for name, fact in facts.items() if fact}
