"""One value of a column as the user would write it."""

from __future__ import annotations

import math

import numpy as np

from jensen.space import Column

GAP = "gap"


def shown_value(value: float, column: Column) -> str:
    """A label, a date, a number of at most six digits, or the word for a gap.

    >>> (
    ...     shown_value(1.0, Column("categorical", 2, labels=("red", "blue"))),
    ...     shown_value(10957.0, Column("real", time="days")),
    ... )
    ('blue', '2000-01-01')
    >>> shown_value(float("nan"), Column("real", gaps="value")), shown_value(1234.5, Column("real"))
    ('gap', '1,234.5')
    """
    if math.isnan(value):
        return GAP
    if column.labels is not None:
        return column.labels[min(max(round((value - column.low) / column.step), 0), len(column.labels) - 1)]
    if column.time:
        unit = "D" if column.time == "days" else "s"
        return str(np.array(round(value)).astype(f"datetime64[{unit}]")).replace("T", " ")
    return f"{value:,.6g}"
