"""What single columns, pairs of them, a learner and nearest training rows say of samples: as text, and for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from jensen.printable import printable
from jensen.report.maps import heat_map
from jensen.report.numbers import plain, show
from jensen.report.svg import short

Record = Mapping[str, Any]

LISTED = 5
"""Columns and pairs that are listed, the worst ones first."""

HEADS = (
    "samples",
    "worst column",
    "worst pair",
    "told right: samples / real",
    "nearer than held out",
    "copies",
)
MARK = "*"
"""Beside a number that is more than chance gives between real rows."""


def fidelity_lines(record: Record) -> list[str]:
    """One line a model, and how to read it; nothing where the rows are no table."""
    found = record.get("fidelity")
    if found is None:
        return []
    rows = [HEADS, *(_line(model) for model in found["models"])]
    rows = [tuple(printable(cell) for cell in row) for row in rows]
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEADS))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    said = [
        f"Shares, in parentheses what real rows against real rows give; {MARK} more than those do in 19 of 20 cases. Nearer: than "
        f"held-out rows are to training rows, 0.5 gives no row away ({found['caution']})."
    ]
    reasons = [
        f"{model['name']}, {metric}: {why}" for model in found["models"] for metric, why in _reasons(model)
    ]
    return ["", "Samples by columns:", *lines, *said, *map(printable, reasons), *found["notes"]]


def fidelity_view(record: Record, places: Mapping[str, int]) -> dict[str, Any] | None:
    """The section of the page, None where the rows are no table."""
    found = record.get("fidelity")
    if found is None:
        return None
    models = sorted(found["models"], key=lambda model: places.get(model["name"], len(places)))
    return {
        "rows": [_row(model) for model in models],
        "columns": [_columns_of(model) for model in models if model["columns"]],
        "maps": _maps(found, models, places),
        "uses": [
            {
                "name": model["name"],
                **{key: show(use[key]) for key in ("synthetic", "real", "lost")},
                **_told(use),
            }
            for model in models
            for use in model["utility"]
        ],
        "reasons": [(model["name"], metric, why) for model in models for metric, why in _reasons(model)],
        "caution": found["caution"],
        "notes": found["notes"],
    }


def worst_columns(model: Record) -> list[tuple[str, Record]]:
    """The columns of a model, those first that are farthest beyond what real rows against real rows give."""
    return sorted(
        model["columns"].items(),
        key=lambda item: (item[1]["how"]["real_to_real"] - item[1]["value"], item[0]),
    )


def _line(model: Record) -> tuple[str, ...]:
    column, pair, use, near, copies = "cannot", "cannot", "cannot", "cannot", "cannot"
    if model["columns"]:
        name, number = worst_columns(model)[0]
        column = f"{short(name)} {_value(number)} ({_plain(number['how']['real_to_real'])}){_mark(number)}"
    if model["pairs"] is not None:
        worst = model["pairs"]["largest"][0]
        names = " and ".join(short(name, 14) for name in worst["columns"])
        pair = f"{names} {_value(worst)} ({_plain(worst['how']['real_to_real'])})"
    if model["utility"]:
        lost = min(model["utility"], key=lambda one: one["lost"]["value"])
        sign = MARK if (lost["lost"]["interval"] or [0, 0])[1] < 0 else ""
        use = f"{short(lost['target'])} {_value(lost['synthetic'])} / {_value(lost['real'])}{sign}"
    if model["closeness"]:
        nearer = show(model["closeness"]["nearer than held-out rows"])
        near = f"{nearer.value} {nearer.interval}"
        copies = f"{100 * model['closeness']['exact copies']['value']:.3g} %"
    return model["name"], column, pair, use, near, copies


def _row(model: Record) -> dict[str, Any]:
    """One line of the small table: shown numbers, None where there is a reason instead."""
    worst = worst_columns(model)[:1]
    pair = None if model["pairs"] is None else model["pairs"]["largest"][0]
    near, why = model["closeness"], model["why_not"]
    use = min(model["utility"], key=lambda one: one["lost"]["value"], default=None)
    cells = [
        ("Worst column", None if not worst else show(worst[0][1]), worst[0][0] if worst else "", "columns"),
        ("Mean of pairs", None if pair is None else show(model["pairs"]["mean"]), _beside(model), "pairs"),
        ("Worst pair", None if pair is None else show(pair), " and ".join(pair["columns"]) if pair else "", "pairs"),
        ("Lost by training on samples", None if use is None else show(use["lost"]), use["target"] if use else "", "utility"),
        ("Nearer than held-out rows", show(near["nearer than held-out rows"]) if near else None, "0.5 is as near", "closeness"),
        ("Exact copies", show(near["exact copies"]) if near else None, _held(near, "exact copies"), "closeness"),
        ("Authenticity", show(near["authenticity"]) if near else None, _held(near, "authenticity"), "closeness"),
    ]  # fmt: skip
    return {
        "name": model["name"],
        "cells": [(head, shown, beside, why.get(metric, "cannot")) for head, shown, beside, metric in cells],
    }


def _beside(model: Record) -> str:
    if model["pairs"] is None:
        return ""
    return f"real to real {_plain(model['pairs']['mean']['how']['real_to_real'])}"


def _held(near: Record, name: str) -> str:
    return "" if not near else f"held out {_plain(near[f'{name} of held-out rows']['value'])}"


def _columns_of(model: Record) -> dict[str, Any]:
    """The worst columns with their witnesses, and how many are beyond chance."""
    ranked = worst_columns(model)
    return {
        "name": model["name"],
        "beyond": sum(_beyond(number) for _, number in ranked),
        "of": len(ranked),
        "worst": [
            {
                "column": name,
                "shown": show(number),
                "usual": _plain(number["how"]["real_to_real"]),
                "beyond": _beyond(number),
                "distance": number["how"]["of"],
                "witness": number["how"]["witness"],
                "shares": f"{100 * number['how']['share_of_real']:.3g} % of real rows, "
                f"{100 * number['how']['share_of_samples']:.3g} % of samples",
            }
            for name, number in ranked[:LISTED]
        ],
        "pairs": []
        if model["pairs"] is None
        else [
            {
                "columns": " and ".join(one["columns"]),
                "shown": show(one),
                "real": _plain(one["how"]["v_real"]),
                "samples": _plain(one["how"]["v_samples"]),
            }
            for one in model["pairs"]["largest"]
        ],
    }


def _maps(found: Record, models: list[Record], places: Mapping[str, int]) -> list[dict[str, Any]]:
    """Every pair's difference as a heat map, for all models on one scale."""
    pairs = [(model["name"], model["pairs"]) for model in models if model["pairs"] is not None]
    if not pairs or found["pairs"] is None:
        return []
    matrices = {name: np.array(one["difference"]) for name, one in pairs}
    real = np.array(found["pairs"]["real"])
    np.fill_diagonal(real, np.nan)
    for matrix in matrices.values():
        np.fill_diagonal(matrix, np.nan)
    top = max(1e-9, *(float(np.nanmax(matrix)) for matrix in (real, *matrices.values())))
    names = [short(name, 14) for name in found["pairs"]["names"]]

    def drawn(matrix: Any, label: str) -> Markup:
        return heat_map(matrix, top, label, lambda value: f"{value:.2f}".removeprefix("0"), names=names)

    maps: list[dict[str, Any]] = [
        {"name": "real, held out: how strongly", "place": None, "plot": drawn(real, "Association of the columns of real rows")}
    ]  # fmt: skip
    for name, matrix in matrices.items():
        label = (
            f"How far the association of each pair of columns in samples of {name} is from that of real rows"
        )
        maps.append({"name": name, "place": places[name], "plot": drawn(matrix, label)})
    return maps


def _told(use: Record) -> dict[str, Any]:
    how = use["lost"]["how"]
    return {"target": use["target"], "chance": _plain(how["chance"]), "classes": how["classes"]}


def _reasons(model: Record) -> list[tuple[str, str]]:
    """Metrics without a number; one reason for all is told once."""
    why = model["why_not"]
    if len(set(why.values())) == 1 and len(why) > 1:
        return [(", ".join(why), next(iter(why.values())))]
    return list(why.items())


def _beyond(number: Record) -> bool:
    return bool(number["value"] > number["how"]["high"])


def _mark(number: Record) -> str:
    return MARK if _beyond(number) else ""


def _value(number: Record) -> str:
    return _plain(number["value"])


def _plain(value: float) -> str:
    return plain(value, 2) or "0"
