"""What a lens shows of the models, for the page: numbers, views, and a map of the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from jensen.report.lens_table import reading, shown_of
from jensen.report.pairs import plot_pairs
from jensen.report.pictures import Pictures
from jensen.report.samples import draw_views
from jensen.space import Column, Space

Record = Mapping[str, Any]

METRICS = ("Frechet multiple", "kernel distance", "precision", "recall", "coverage", "authenticity")


def lens_view(record: Record, pictures: Pictures, places: Mapping[str, int]) -> dict[str, Any] | None:
    """The section of the page, None without a lens."""
    lens = record.get("lens")
    if lens is None:
        return None
    return {
        "said": reading(lens),
        "name": lens["name"],
        "views": draw_views(pictures),
        "lost": pictures.space.is_image and bool(lens["blind"]) and not lens.get("drawn", True),
        "maps": _maps(lens, places),
        "share": f"{100 * lens['map']['share']:.0f}",
        "tables": [
            {
                "space": space,
                "metrics": METRICS,
                "rows": [
                    {
                        "name": one["name"],
                        "why": one["why_not"],
                        "cells": [(metric, shown_of(one, space, metric)) for metric in METRICS],
                    }
                    for one in lens["sights"]
                ],
            }
            for space in lens["spaces"]
        ],
    }


def _maps(lens: Record, places: Mapping[str, int]) -> list[tuple[str, int, Markup]]:
    """Every model's samples over the held-out rows, on the plane in which those spread most."""
    real = np.array(lens["map"]["points"])
    axes = tuple(Column("real", name=f"component {n + 1}") for n in range(real.shape[1]))
    plane = Space((len(axes),), axes)
    return [
        (one["name"], place, plot_pairs(plane, real, np.array(one["points"]), one["name"], place, "lens"))
        for one in lens["sights"]
        if one["points"] and (place := places.get(one["name"])) is not None
    ]
