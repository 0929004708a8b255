"""The main table as rows of text: what the page and the terminal both print."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jensen.notebook import MEANING
from jensen.report.numbers import Shown, plain, show

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One model's line. A number that is missing is None and its reason stands beside it."""

    name: str
    about: str
    log_likelihood: Shown | None
    bits_per_dim: Shown | None
    jsd: Shown | None
    why_no_jsd: str
    why_not: str
    why_no_bits: str
    measure: str
    parameters: int | None
    fit_seconds: float | None
    stopped: str
    sample_rate: Shown | None
    why_no_rate: str

    @property
    def parameters_text(self) -> str:
        """The count with commas."""
        return "" if self.parameters is None else f"{self.parameters:,}"

    @property
    def seconds_text(self) -> str:
        """The seconds of fitting."""
        return plain(self.fit_seconds)


def ranked(record: Record) -> list[Row]:
    """Rows sorted by the printed log-likelihood, largest first; models without one come last."""
    rows = [_row(model, record["data"]["measure"]) for model in record["models"]]
    return sorted(rows, key=_place)


def legend(record: Record) -> list[tuple[str, str]]:
    """The signs that appear in the table, each with what it means."""
    rows = ranked(record)
    cells = [
        cell for row in rows for cell in (row.log_likelihood, row.bits_per_dim, row.jsd, row.sample_rate)
    ]
    seen = {cell.sign for cell in cells if cell is not None}
    return [(sign, meaning) for sign, meaning in MEANING.items() if sign in seen]


def level(record: Record) -> str:
    """The level of the table's intervals, such as `95%`; empty when there are none."""
    found = [
        quantity["level"]
        for model in record["models"]
        for quantity in (model["log_likelihood"], model["bits_per_dim"])
        if quantity is not None and quantity["interval"] is not None
    ]
    return " and ".join(f"{100 * one:g}%" for one in sorted(set(found)))


def binarised(record: Record) -> str:
    """What bits/dim of binarised rows are bits of; empty for other rows."""
    found = [
        model["bits_per_dim"]["how"].get("binarisation")
        for model in record["models"]
        if model["bits_per_dim"]
    ]
    ways = list(dict.fromkeys(way for way in found if way))
    return f"bits/dim of binarised rows ({'; '.join(ways)})" if ways else ""


def _row(model: Record, measure: str) -> Row:
    score, bits, rate = model["log_likelihood"], model["bits_per_dim"], model["sample_rate"]
    why_no_rate = "not measured" if "sample" in model["abilities"] else "cannot sample"
    other = score["measure"] if score is not None and score["measure"] not in (None, measure) else ""
    return Row(
        name=model["name"],
        about=model["about"],
        log_likelihood=None if score is None else show(score),
        bits_per_dim=None if bits is None else show(bits),
        jsd=None if model.get("jsd") is None else show(model["jsd"]),
        why_no_jsd=model.get("why_no_jsd") or "not measured",
        why_not=model["why_not"] or "not scored",
        why_no_bits="see log-likelihood" if score is None else "a density: no bits",
        measure=other,
        parameters=model["parameters"],
        fit_seconds=model["fit_seconds"],
        stopped=model["stopped"] or "",
        sample_rate=None if rate is None else show(rate),
        why_no_rate=why_no_rate,
    )


def _place(row: Row) -> tuple[bool, float]:
    if row.log_likelihood is None:
        return True, math.inf
    return False, math.inf if row.log_likelihood.key is None else -row.log_likelihood.key
