"""What a lens shows of the models as text: the numbers of their samples, and how to read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jensen.printable import printable
from jensen.report.numbers import Shown, aligned, show

Record = Mapping[str, Any]

SHORT = ("Frechet multiple", "coverage", "authenticity")
"""The metrics in a terminal; the page has the others too."""


def lens_lines(record: Record) -> list[str]:
    """The table of a lens as aligned plain text, nothing where there was none."""
    lens = record.get("lens")
    if lens is None:
        return []
    space, second = lens["spaces"]
    columns = [(space, metric) for metric in SHORT] + [(second, SHORT[0])]
    heads = ["samples", *SHORT, f"{SHORT[0]}, {_brief(second)}"]
    why = ["cannot" if one["why_not"] else "-" for one in lens["sights"]]
    cells = [[printable(one["name"]) for one in lens["sights"]]]
    cells += [aligned([shown_of(one, *column) for one in lens["sights"]], why) for column in columns]
    rows = [heads, *(list(row) for row in zip(*cells, strict=True))]
    widths = [max(len(row[n]) for row in rows) for n in range(len(heads))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return ["", f"Samples in the features of {lens['name']}:", *lines, *reading(lens)]


def reading(lens: Record) -> list[str]:
    """How to read the numbers, and what speaks against them."""
    blind = (
        f"Nearly blind to what it was taught to ignore: {lens['blind']}."
        if lens["blind"]
        else f"Trained by {lens['objective'] or 'an unknown objective'}, without views that it was taught to ignore."
    )
    second = _brief(lens["spaces"][1])
    lines = [
        blind,
        f"Frechet multiple: distance of {lens['n']:,} samples to as many held-out rows, over that of training rows to them; "
        "1 is as good as real, 95 % intervals by jackknife. Compare it within this lens only.",
    ]
    if any(one["role"] == "real" and one["numbers"] for one in lens["sights"]):
        lines.append("Real rows are other training rows; their authenticity is that of the held-out rows.")
    if any(one["role"] == "control" and one["numbers"] for one in lens["sights"]):
        lines.append(
            f"The Gaussian is good in {second} by construction: a lens worth using sees that it is not real."
        )
    lines += [f"{one['name']}: {one['why_not']}" for one in lens["sights"] if one["why_not"]]
    lines += [f"Doubtful: {note}" for note in lens["notes"]]
    return [printable(line) for line in lines]


def shown_of(sight: Record, space: str, metric: str) -> Shown | None:
    """One number of a set of rows, None where it has none."""
    number = sight["numbers"].get(space, {}).get(metric)
    return None if number is None else show(number)


def _brief(space: str) -> str:
    return "the rows" if space == "rows" else space
