"""A comparison as a small table for notebooks; the page has the rest."""

from __future__ import annotations

from html import escape

from jensen.notebook import NUMBERS, QUIET, number_html
from jensen.printable import printable
from jensen.report.lens_table import shown_of
from jensen.report.numbers import Shown
from jensen.report.ranking import Record, Row, level, ranked
from jensen.report.tables import audit_lines, order_lines

CELL = "text-align:left;padding:.25em 1em .25em 0"
HEADINGS = ("model", "log-likelihood, nats/row", "bits/dim", "JSD, nats")
LENS = "Frechet multiple"


def comparison_html(record: Record) -> str:
    """Models down, the best first; signs, intervals, what is proven and which checks fail. Self-contained."""
    rows = ranked(record)
    lens = record.get("lens")
    heads = [*HEADINGS, *([LENS] if lens else [])]
    body = "".join(f"<tr>{''.join(_cells(row, lens))}</tr>" for row in rows)
    head = "".join(f'<th style="{CELL}">{escape(one)}</th>' for one in heads)
    notes = [
        *(f"{row.name}: {row.why_not}" for row in rows if row.log_likelihood is None),
        *order_lines(record),
        *([f"{LENS}: in the features of {lens['name']}; 1 is as good as real"] if lens else []),
        *audit_lines(record)[:-1],  # the last line counts those that hold
    ]
    said = f"{record['title']}, held-out rows" + (
        f"; [..] {level(record)} intervals" if level(record) else ""
    )
    listed = "".join(f"<div>{escape(note)}</div>" for note in notes)
    return printable(
        f'<div style="{NUMBERS}"><div style="{QUIET}">{escape(said)}</div>'
        f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        f'<div style="{QUIET}">{listed}</div></div>'
    )


def _cells(row: Row, lens: Record | None) -> list[str]:
    shown: list[Shown | None] = [row.log_likelihood, row.bits_per_dim, row.jsd]
    if lens is not None:
        sight = next((one for one in lens["sights"] if one["name"] == row.name), None)
        shown.append(None if sight is None else shown_of(sight, lens["spaces"][0], LENS))
    cells = [f'<th style="{CELL}">{escape(row.name)}</th>']
    for one in shown:
        text = "–" if one is None else number_html(one.sign, one.value, "", one.interval, {})
        cells.append(f'<td style="{CELL}">{text}</td>')
    return cells
