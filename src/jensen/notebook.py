"""A number or a verdict as a line of HTML for notebooks: the report's look, escaped, nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from jensen.printable import printable

PRETTY = {"=": "=", ">=": "≥", "<=": "≤", "~": "~"}
MEANING = {
    "=": "exact",
    ">=": "at least: a lower bound, the truth is this or higher",
    "<=": "at most: an upper bound, the truth is this or lower",
    "~": "an estimate, neither exact nor a bound",
}
VERDICTS = {True: ("holds", "✓"), False: ("fails", "✗"), None: ("not proven", "?")}
"""The word and the mark of a check's answer."""

NUMBERS = "font-variant-numeric:tabular-nums"
QUIET = "opacity:.7"
# mid tones: notebooks are light or dark, and do not say which
COLOURS = {True: "#2f8a57", False: "#c8443a", None: "#a5761a"}


def number_html(sign: str, value: str, unit: str, interval: str, said: Mapping[str, Any]) -> str:
    """The number in bold with its sign before and its interval behind; on hover, what the sign means and `said`.

    >>> number_html(">=", "-3.000", "nats", "", {})
    '<span style="font-variant-numeric:tabular-nums" title="at least: a lower bound, the truth is this or higher">≥ <b>-3.000</b> nats</span>'
    """
    tip = "\n".join([MEANING[sign], *(f"{name}: {one}" for name, one in said.items())])
    parts = [escape(PRETTY[sign]), f"<b>{escape(value)}</b>", escape(unit)]
    if interval:
        parts.append(f'<span style="{QUIET}">{escape(interval)}</span>')
    return f'<span style="{NUMBERS}" title="{escape(tip)}">{" ".join(part for part in parts if part)}</span>'


def verdict_html(name: str, holds: bool | None, evidence: str, applies: bool = True) -> str:
    """The answer of a check, its name and the evidence."""
    word, mark = VERDICTS[holds] if applies else ("does not apply", "–")
    colour = f"color:{COLOURS[holds]}" if applies else QUIET
    return (
        f'<div><span style="{colour}">{mark} {word}</span> <b>{escape(printable(name))}</b> '
        f'<span style="{QUIET}">{escape(printable(evidence))}</span></div>'
    )
