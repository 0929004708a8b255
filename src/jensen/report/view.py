"""The record as the page's template wants it: every section's words and plots, nothing decided in the template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jensen.notebook import PRETTY, VERDICTS
from jensen.report.fidelity import fidelity_view
from jensen.report.fields import draw_fields
from jensen.report.latents import latents_view
from jensen.report.lens_page import lens_view
from jensen.report.methods import method_view
from jensen.report.numbers import plain, show
from jensen.report.pictures import Pictures
from jensen.report.plot_scores import drawn_scores, plot_scores
from jensen.report.plot_training import plot_training
from jensen.report.ranking import binarised, legend, level, ranked
from jensen.report.samples import draw_samples
from jensen.report.svg import SERIES
from jensen.report.words import listing, split_orders, summary, sure, undecided_reason

Record = Mapping[str, Any]


def page_view(record: Record, pictures: Pictures) -> dict[str, Any]:
    """Everything the template prints."""
    rows = ranked(record)
    numbered = {model["name"]: place for place, model in enumerate(record["models"])}
    places = {row.name: numbered[row.name] for row in rows}  # best first, each with its colour
    return {
        "summary": summary(record),
        "places": places,
        "colours": SERIES,
        "table": {
            "rows": rows,
            "legend": _legend(record),
            "level": level(record),
            "binarised": binarised(record),
        },
        "scores": _scores(record),
        "orders": _orders(record),
        "separations": _separations(record),
        "methods": method_view(record),
        "drawn": draw_samples(pictures, places),
        "silent": [model["name"] for model in record["models"] if model["name"] not in pictures.names()],
        "fidelity": fidelity_view(record, places),
        "lens": lens_view(record, pictures, places),
        "latents": latents_view(record, pictures, places),
        "training": _training(record, places),
        "audit": _audit(record, list(places)),
        "fields": draw_fields(record, places),
        "run": _run(record),
        "listing": listing,
    }


def _legend(record: Record) -> list[tuple[str, str]]:
    return [(PRETTY[sign], meaning) for sign, meaning in legend(record)]


def _scores(record: Record) -> dict[str, Any]:
    models, measure = record["models"], record["data"]["measure"]
    drawn = set(drawn_scores(models, measure))
    missing = [
        model["name"]
        for place, model in enumerate(models)
        if place not in drawn and model["log_likelihood"] is not None
    ]
    kinds = {models[place]["log_likelihood"]["kind"] for place in drawn}
    return {"plot": plot_scores(models, measure), "missing": missing, "kinds": kinds}


def _orders(record: Record) -> dict[str, Any]:
    proven, undecided = split_orders(record)
    return {"proven": [_order(order) for order in proven],
            "undecided": [{**_order(order), "reason": undecided_reason(order, record)} for order in undecided],
            "sure": sure(record)}  # fmt: skip


def _separations(record: Record) -> dict[str, Any] | None:
    """Whose samples are told apart more easily; None where fewer than two models sample."""
    found = record.get("separations") or []
    if not found:
        return None
    shown = [{**one, "difference": show(one["difference"])} for one in found]
    return {
        "decided": [one for one in shown if one["decided"]],
        "open": [one for one in shown if not one["decided"]],
        "note": f"At level {record['order_level']:g}, all pairs together: {record['separations_note']}.",
    }


def _order(order: Record) -> dict[str, Any]:
    difference = order["difference"]
    return {
        "better": order["better"],
        "worse": order["worse"],
        "difference": None if difference is None else show(difference),
    }


def _training(record: Record, places: Mapping[str, int]) -> dict[str, Any]:
    models = [(record["models"][place], place) for place in places.values()]
    plots = [(model, place, plot_training(model, place)) for model, place in models]
    return {
        "plots": [
            {"name": model["name"], "place": place, "plot": plot, "said": _trained(model)}
            for model, place, plot in plots
            if plot is not None
        ],
        "solved": [model["name"] for model, _, plot in plots if plot is None],
    }


def _trained(model: Record) -> str:
    steps = model["steps"]
    parts = [f"{steps:,} steps" if steps is not None else ""]
    parts.append(f"{plain(model['fit_seconds'])} s" if model["fit_seconds"] is not None else "")
    text = " in ".join(part for part in parts if part)
    return "; ".join(part for part in (text, model["stopped"]) if part)


def _audit(record: Record, names: list[str]) -> dict[str, Any]:
    checks: dict[str, dict[str, Any]] = {}
    for model in sorted(record["models"], key=lambda model: -len(model["audit"])):
        for verdict in model["audit"]:
            applies = verdict.get("applies", True)
            word, mark = VERDICTS[verdict["holds"]] if applies else ("does not apply", "–")
            cell = {"word": word, "mark": mark, "evidence": verdict["evidence"]}
            checks.setdefault(verdict["check"], {})[model["name"]] = cell
    return {"names": names, "checks": checks}


def _run(record: Record) -> dict[str, Any]:
    data, run = record["data"], record["record"]
    facts = {
        "Command": run["command"],
        "Data": f"{data['name']}: {data['space']}",
        "Hash of the rows": data["hash"],
        "Rows": ", ".join(f"{count:,} {part}" for part, count in data["counts"].items()),
        "Seeds": f"{run['seed']} for the run, {data['split_seed']} for the split",
        "Started": run["started"],
        "Took": f"{plain(run['seconds'])} s",
        "Machine": f"{run['processor']}; {run['device']}, {run['threads']} {'thread' if run['threads'] == 1 else 'threads'}",
        "Versions": ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
    }
    return {"facts": facts, "notes": data["notes"], "models": [_how(model) for model in record["models"]]}


def _how(model: Record) -> dict[str, Any]:
    numbers = []
    for name, key in (
        ("log-likelihood", "log_likelihood"),
        ("bits/dim", "bits_per_dim"),
        ("JSD", "jsd"),
        ("rows/s", "sample_rate"),
    ):
        quantity = model.get(key)
        if quantity is not None:
            kind = f"{quantity['kind']}, {quantity['measure']}" if quantity["measure"] else quantity["kind"]
            numbers.append({"name": name, "kind": kind, "how": as_pairs(quantity["how"])})
    facts = {
        "Class": model["class"],
        "Codec": model["codec"],
        "Abilities": ", ".join(model["abilities"]),
        "Hyperparameters": as_pairs(model["hyper"]) or "none",
    }
    return {"name": model["name"], "about": model["about"], "facts": facts, "numbers": numbers}


def as_pairs(values: Mapping[str, Any]) -> str:
    """A small dictionary on one line.

    >>> as_pairs({"n": 497, "rows": "ab12", "paired": [{"k": 1}]})
    'n = 497, rows = ab12, paired = [{"k": 1}]'
    """
    return ", ".join(f"{key} = {_value(value)}" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False)
