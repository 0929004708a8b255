"""What several seeds say of the methods of a comparison, as text and for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jensen.printable import printable
from jensen.report.numbers import aligned, plain, show

Record = Mapping[str, Any]


def method_lines(record: Record) -> list[str]:
    """The methods and their orders as plain text; nothing where there was one seed."""
    found = record.get("methods")
    if found is None:
        return []
    names = [printable(one["name"]) for one in found["methods"]]
    means = aligned([show(one["mean"]) for one in found["methods"]], [""] * len(names))
    spreads = [plain(one["between"], 2) for one in found["methods"]]
    heads = ["method", "log-likelihood, nats/row", "from seed to seed"]
    rows = [heads, *([*row] for row in zip(names, means, spreads, strict=True))]
    widths = [max(len(row[n]) for row in rows) for n in range(3)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return ["", f"The methods, {about(found)}:", *lines, *(f"  {line}" for line in order_texts(found))]


def method_view(record: Record) -> dict[str, Any] | None:
    """What the page prints of the methods; None where there was one seed."""
    found = record.get("methods")
    if found is None:
        return None
    rows = [
        {
            "name": one["name"],
            "mean": show(one["mean"]),
            "between": plain(one["between"], 2),
            "each": ", ".join(plain(value, 5) for value in one["each"]),
        }
        for one in found["methods"]
    ]
    return {"about": about(found), "rows": rows, "orders": order_texts(found)}


def about(found: Record) -> str:
    """What the numbers are about, in a few words."""
    return (
        f"each fitted with {len(found['seeds'])} seeds: {found['level']:.0%} intervals for rows and seeds like these, "
        "not for one set of weights"
    )


def order_texts(found: Record) -> list[str]:
    """A line for every pair of methods."""
    return [_order(one) for one in found["orders"]]


def _order(one: Record) -> str:
    difference = show(one["difference"])
    better, worse = printable(one["better"]), printable(one["worse"])
    if one["answer"] == "proven":
        least = "at least " if one["difference"]["sign"] == ">=" else ""
        return f"{better} > {worse} by {least}{difference.value} nats {difference.interval}"
    return f"undecided: {better} and {worse}: difference {difference}"
