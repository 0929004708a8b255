"""The comparison in a terminal, in colour or as plain text for pipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jensen.printable import printable
from jensen.report.numbers import aligned
from jensen.report.ranking import Record, Row, binarised, legend, level, ranked
from jensen.report.words import order_line, separation_line, split_orders

if TYPE_CHECKING:
    from rich.table import Table

HEADINGS = (
    "model",
    "log-likelihood, nats/row",
    "bits/dim",
    "JSD, nats",
    "parameters",
    "fit seconds",
    "rows/s",
)
JSD_NOTE = "JSD of samples and held-out rows by a fresh critic, 0 to 0.693: larger is more easily told apart; no order of models"
LEFT = 4  # the first columns read from the left: names, and cells that are aligned by themselves


def terminal_table(record: Record) -> Table:
    """The table for a colour terminal, with signs, intervals and what they mean below it."""
    from rich.table import Table
    from rich.text import Text

    rows = ranked(record)
    table = Table(
        title=Text(f"{record['title']}, held-out rows"),
        caption=Text("\n".join(_notes(record, rows))),
        title_justify="left",
        caption_justify="left",
    )
    for place, heading in enumerate(HEADINGS):
        table.add_column(
            Text(heading), justify="left" if place < LEFT else "right", no_wrap=place > 0, overflow="fold"
        )
    for row, cells in zip(rows, _cells(rows), strict=True):
        style = "" if row.log_likelihood is not None else "dim"
        table.add_row(
            *(Text(printable(cell), style="bold" if not n else style) for n, cell in enumerate(cells))
        )
    return table


def plain_table(record: Record) -> str:
    """The same table as aligned text without colour."""
    rows = ranked(record)
    lines = [list(HEADINGS), *([printable(cell) for cell in cells] for cells in _cells(rows))]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEADINGS))]
    padded = [
        "  ".join(_pad(cell, width, n) for n, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    padded.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in [*padded, *_notes(record, rows)])


def order_lines(record: Record) -> list[str]:
    """Proven orders first, such as `made > independent by 12.3 nats [10.1, 14.5]`, then the undecided pairs."""
    proven, undecided = split_orders(record)
    return [printable(order_line(order, record)) for order in [*proven, *undecided]]


def separation_lines(record: Record) -> list[str]:
    """Whose samples fresh critics tell from held-out rows more easily, decided pairs first, with a heading."""
    found = sorted(record.get("separations", []), key=lambda one: not one["decided"])
    if not found:
        return []
    heading = f"Fresh critics' bounds on the JSD, paired, all pairs together at level {record['order_level']:g}; {record['separations_note']}:"
    return ["", heading, *(f"  {printable(separation_line(one))}" for one in found)]


def audit_lines(record: Record) -> list[str]:
    """What the checks found: failures by name first, then how many hold, are open or do not apply."""
    found = [(model["name"], one) for model in record["models"] for one in model["audit"]]
    lines = [
        f"{name} fails {one['check']}: {one['evidence']}" for name, one in found if one["holds"] is False
    ]
    held = sum(one["holds"] is True for _, one in found)
    open_ones = [f"{one['check']} of {name}" for name, one in found if _is_open(one)]
    apart = sum(not one.get("applies", True) for _, one in found)
    text = f"{held} hold" + (f"; not proven: {', '.join(open_ones)}" if open_ones else "")
    lines.append(text + (f"; {apart} do not apply" if apart else ""))
    return [printable(line) for line in lines] if found else []


def _is_open(verdict: Record) -> bool:
    return verdict["holds"] is None and bool(verdict.get("applies", True))


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    short = ["cannot" if row.why_not.startswith("cannot") else row.why_not for row in rows]
    columns = [
        [row.name for row in rows],
        aligned([row.log_likelihood for row in rows], short),
        aligned([row.bits_per_dim for row in rows], ["-" for _ in rows]),
        aligned(
            [row.jsd for row in rows],
            ["cannot" if row.why_no_jsd.startswith("cannot") else "-" for row in rows],
        ),
        [row.parameters_text or "-" for row in rows],
        [row.seconds_text or "-" for row in rows],
        aligned([row.sample_rate for row in rows], [row.why_no_rate for row in rows]),
    ]
    return [list(cells) for cells in zip(*columns, strict=True)]


def _notes(record: Record, rows: Sequence[Row]) -> list[str]:
    signs = "; ".join(f"{sign} {meaning}" for sign, meaning in legend(record))
    notes = [signs] if signs else []
    if level(record):
        notes.append(f"[..] {level(record)} intervals, rows like these, these weights")
    if any(row.jsd is not None for row in rows):
        notes.append(JSD_NOTE)
    if binarised(record):
        notes.append(binarised(record))
    notes += [f"{row.name}: {row.why_not}" for row in rows if row.log_likelihood is None]
    notes += [f"{row.name}, JSD: {row.why_no_jsd}" for row in rows if row.why_no_jsd.startswith("cannot")]
    notes += [f"{row.name}: its numbers are a {row.measure}" for row in rows if row.measure]
    return [printable(note) for note in notes]


def _pad(cell: str, width: int, place: int) -> str:
    return f"{cell:<{width}}" if place < LEFT else f"{cell:>{width}}"
