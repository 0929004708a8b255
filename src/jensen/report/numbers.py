"""How a number of the record is printed: its sign, and as many digits as its interval can carry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jensen.notebook import PRETTY

NOT_FINITE = "not finite"


@dataclass(frozen=True)
class Shown:
    """A Quantity of the record as text; `key` is the bare number, for sorting and plotting."""

    sign: str
    value: str
    interval: str
    unit: str
    key: float | None

    @property
    def pretty_sign(self) -> str:
        """The sign as mathematics writes it."""
        return PRETTY[self.sign]

    def __str__(self) -> str:
        parts = (self.sign, self.value, self.unit, self.interval)
        return " ".join(part for part in parts if part)


def show(quantity: Mapping[str, Any]) -> Shown:
    """Print a `Quantity.to_dict()`; its interval decides the digits.

    >>> str(show({"value": -118.4321, "sign": ">=", "unit": "nats", "interval": [-119.63, -117.21]}))
    '>= -118.4 nats [-119.6, -117.2]'
    >>> str(show({"value": 1234.5678, "sign": "~", "unit": "rows/s", "interval": None}))
    '~ 1,235 rows/s'
    """
    value, interval = quantity["value"], quantity["interval"]
    digits = decimals(value, interval)
    return Shown(
        quantity["sign"],
        NOT_FINITE if value is None else number(value, digits),
        "" if interval is None else f"[{_end(interval[0], digits, '-')}, {_end(interval[1], digits, '')}]",
        quantity["unit"],
        value,
    )


def decimals(value: float | None, interval: Sequence[float | None] | None) -> int:
    """Digits after the point: two significant ones of the interval's half-width, else four of the value.

    >>> decimals(-118.4, [-119.6, -117.2]), decimals(2.67, [2.64, 2.70]), decimals(0.1234567, None)
    (1, 3, 4)
    """
    low, high = interval if interval is not None else (None, None)
    if low is not None and high is not None and high > low:
        return _places((high - low) / 2, 2)
    return 0 if value is None else _places(abs(value), 4)


def number(value: float, digits: int) -> str:
    """A number with `digits` after the point and commas between thousands; powers of ten when huge.

    >>> number(-1234.56, 1), number(-0.01, 1), number(3.2e12, 0)
    ('-1,234.6', '0.0', '3.2e+12')
    """
    if abs(value) >= 1e9:
        return f"{value:.4g}"
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text


def plain(value: float | None, significant: int = 3) -> str:
    """A number without an interval, such as a duration.

    >>> plain(21.337), plain(123456), plain(16.0), plain(None)
    ('21.3', '123,456', '16', '')
    """
    if value is None:
        return ""
    text = number(value, _places(abs(value), significant))
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def aligned(column: Sequence[Shown | None], missing: Sequence[str]) -> list[str]:
    """Cells of a column of plain text: signs, values and intervals each below one another."""
    shown = [cell for cell in column if cell is not None]
    sign = max((len(cell.sign) for cell in shown), default=0)
    value = max((len(cell.value) for cell in shown), default=0)
    return [
        why if cell is None else f"{cell.sign:>{sign}} {cell.value:>{value}} {cell.interval}".rstrip()
        for cell, why in zip(column, missing, strict=True)
    ]


def _places(size: float, significant: int) -> int:
    if size == 0 or not math.isfinite(size):
        return 0 if size else significant - 1
    return min(8, max(0, significant - 1 - math.floor(math.log10(size))))


def _end(end: float | None, digits: int, sign: str) -> str:
    return f"{sign}inf" if end is None else number(end, digits)
