"""The numbers of a finding as lines of text: typed ones with sign and interval, others with as many digits as they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jensen.report.numbers import plain, show


def numbers_said(numbers: Mapping[str, Any]) -> list[str]:
    """A line a number, "name: value"; deviations and what is allowed of them on one.

    >>> numbers_said({"largest deviation": 1.2e-15, "allowed": 1e-12, "rows": 40})
    ['largest deviation: 1.2e-15, allowed: 1e-12', 'rows: 40']
    """
    lines = []
    left = dict(numbers)
    if "largest deviation" in left:
        pair = [f"{name}: {value_said(left.pop(name))}" for name in ("largest deviation", "allowed")]
        lines.append(", ".join(pair))
    if "wrong" in left:
        wrong, of = left.pop("wrong"), left.pop("compared")
        lines.append(f"{wrong:,} of {of:,} wrong")
    return [*lines, *(f"{name}: {value_said(value)}" for name, value in left.items())]


def value_said(value: Any) -> str:
    """One value as text.

    >>> (
    ...     value_said({"value": 0.5, "sign": "~", "unit": "nats", "interval": [0.4, 0.6]}),
    ...     value_said(1e-15),
    ...     value_said(None),
    ... )
    ('~ 0.50 nats [0.40, 0.60]', '1e-15', 'not finite')
    """
    if isinstance(value, Mapping) and "sign" in value:
        return str(show(value))
    if value is None:
        return "not finite"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.2g}" if 0 < abs(value) < 1e-3 else plain(value, 4)
    if isinstance(value, list):
        return ", ".join(value_said(one) for one in value)
    return str(value)
