"""The latents of the models of a comparison, for the page: numbers of every dimension, clouds, and images along them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from jensen.diagnosis import ACTIVE, COLLAPSE, SILENT
from jensen.insight import Insight
from jensen.report import images
from jensen.report.numbers import number, plain
from jensen.report.pairs import plot_pairs
from jensen.report.pictures import Pictures
from jensen.report.walks import path_strips, rebuilt_strips, walk_strips
from jensen.space import Column, Space

Record = Mapping[str, Any]

MOST, COLUMNS = 12, 24
"""Dimensions, and columns of a table, that are listed."""


def latents_view(record: Record, pictures: Pictures, places: Mapping[str, int]) -> list[dict[str, Any]]:
    """A part of the section for every model with latents, best first."""
    found = {model["name"]: model["latents"] for model in record["models"] if model.get("latents")}
    return [
        {
            "name": name,
            "place": place,
            "facts": _facts(found[name]),
            "warning": COLLAPSE.format(**found[name]) if found[name]["collapsed"] else "",
            "dimensions": _dimensions(found[name]),
            "columns": _columns(found[name]["columns"]),
            **_drawn(name, place, pictures),
        }
        for name, place in places.items()
        if name in found
    ]


def _facts(latents: Record) -> list[tuple[str, str, str]]:
    """What, how much, and how to read it."""
    n, d, cap = latents["n"], latents["latents"], latents["cap"]
    silent = sum(one < SILENT for one in latents["kl"])
    disagree = (
        f"; but {silent} of {d} dimensions have a divergence under {SILENT} nats" if latents["kl"] else ""
    )
    return [
        ("Divergence from the prior", f"~ {number(latents['kl_total'], 2)} nats a row", "the price of the latents in the bound, in the mean"),
        (
            "Information about the row",
            f"≥ {number(latents['information'], 2)} nats",
            f"a lower bound in expectation; no more than log {n:,} = {number(cap, 2)} can be seen on {n:,} rows",
        ),
        (
            "All rows from the prior",
            f"~ {number(max(latents['aggregate'], 0), 2)} nats",
            "the rest of the divergence: samples start that far from where rows are",
        ),
        ("Active units", f"{latents['active']} of {d}", f"means vary over rows by more than {ACTIVE}{disagree}"),
        ("Reconstruction", f"~ {plain(latents['reconstruction'], 4)} nats a row", "log p(row | z), one draw of z a row"),
    ]  # fmt: skip


def _dimensions(latents: Record) -> dict[str, Any]:
    """The most used dimensions, one a line; and a word on the others."""
    order, kl = latents["by_use"], latents["kl"]
    largest = max([*kl, 1e-9])
    lines = [
        {
            "name": f"z {one + 1}",
            "kl": number(kl[one], 3) if kl else None,
            "share": round(100 * kl[one] / largest, 1) if kl else None,
            "spread": number(latents["spread"][one], 3),
            "active": latents["spread"][one] > ACTIVE,
            "silent": bool(kl) and kl[one] < SILENT,
            "rows": _moments(latents["mean"][one], latents["sd"][one]),
            "prior": _moments(latents["prior_mean"][one], latents["prior_sd"][one]),
        }
        for one in order[:MOST]
    ]
    return {"lines": lines, "rest": _rest(latents, order[MOST:]), "by_dimension": bool(kl)}


def _rest(latents: Record, others: list[int]) -> str:
    if not others:
        return ""
    active = sum(latents["spread"][one] > ACTIVE for one in others)
    text = f"{len(others)} more, {active} of them active"
    if not latents["kl"]:
        return text
    return f"{text}: {number(max(latents['kl'][one] for one in others), 3)} nats each or less"


def _moments(mean: float, sd: float) -> str:
    return f"{number(mean, 2)} ± {number(sd, 2)}"


def _columns(columns: list[Record]) -> dict[str, Any]:
    """Errors of a table's columns, and of the best constant beside them."""
    lines = []
    for one in columns[:COLUMNS]:
        error, constant = one["error"], one["constant"]
        text = [f"{100 * x:.1f} %" if one["share"] else plain(x) or "0" for x in (error, constant)]
        left = error / constant if constant > 0 else math.nan
        lines.append(
            {
                "name": one["name"],
                "error": text[0],
                "constant": text[1],
                "left": "" if math.isnan(left) else f"{100 * left:.0f} %",
                "share": 0.0 if math.isnan(left) else round(100 * min(left, 1.0), 1),
                "wrong": one["share"],
            }
        )
    return {"lines": lines, "left_out": max(0, len(columns) - COLUMNS)}


def _drawn(name: str, place: int, pictures: Pictures) -> dict[str, Any]:
    """Clouds and images, of the models whose pictures are at hand."""
    seen = pictures.insights.get(name)
    if seen is None:
        return {"cloud": None, "rebuilt": None, "walks": None, "paths": None, "way": ""}
    strips: dict[str, Any] = {"rebuilt": None, "walks": None, "paths": None}
    if seen.real is not None:
        scale = images.scale_of(pictures.space, pictures.drawable()[0])
        strips = {
            "rebuilt": rebuilt_strips(seen, scale),
            "walks": walk_strips(seen, scale),
            "paths": path_strips(seen, scale),
        }
    return {"cloud": _cloud(name, place, seen), "way": _way(seen), **strips}


def _way(seen: Insight) -> str:
    """How interpolations go, and why."""
    if seen.spherical:
        return (
            "The way is spherical: directions turn evenly and lengths change evenly, for draws of a standard normal prior "
            "have about the same length, and a straight line between two of them leads through where there are few."
        )
    return "The way is a straight line: the prior is not the same in all directions."


def _cloud(name: str, place: int, seen: Insight) -> Markup:
    """Draws of the latents of rows over draws of the prior, in the two most used dimensions."""
    rows, prior = seen.clouds
    axes = tuple(Column("real", name=f"z {one + 1}") for one in seen.axes)
    words = ("draws of the prior", "latents of held-out rows under {name}")
    plane = Space((len(axes),), axes)
    return plot_pairs(plane, prior, rows, name, place, "latents", clouds=words)
