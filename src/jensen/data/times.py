"""Dates and times as numbers: days or seconds since 1970-01-01, and back."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

DAY = 86_400
MICRO = 1e-6


def is_time(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds dates, or dates with times."""
    import pyarrow as pa

    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def is_date_text(text: str) -> bool:
    """Whether a text is a date of the calendar, from year 1 to 9999, with or without a time of day.

    >>> is_date_text("2024-02-29"), is_date_text("2024-02-30"), is_date_text("never")
    (True, False, False)
    """
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return not text.isdigit()


def time_numbers(values: Any, unit: str = "seconds") -> NDArray[np.float64]:
    """An Arrow column (n,) of dates or times as days or seconds since 1970-01-01, in UTC where a zone is known; nan at gaps.

    >>> import datetime, pyarrow as pa
    >>> time_numbers(pa.array([datetime.date(1970, 1, 3), None]), "days").tolist()
    [2.0, nan]
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    # microseconds hold any year that a timestamp can be converted from
    micro = pc.cast(values, pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False)
    whole = pc.cast(micro, pa.int64())
    gaps = np.asarray(whole.is_null().to_pylist(), bool)
    counted = np.asarray(
        whole.fill_null(0).to_numpy(**({} if hasattr(whole, "chunks") else {"zero_copy_only": False}))
    )
    seconds = counted.astype(np.float64) * MICRO
    out = seconds / DAY if unit == "days" else seconds
    return np.where(gaps, np.nan, out)


def whole_days(values: Any) -> bool:
    """Whether no value of an Arrow column has a time of day."""
    seconds = time_numbers(values)
    return bool((np.isnan(seconds) | (seconds % DAY == 0)).all())


def time_column(numbers: NDArray[np.float64], unit: str) -> Any:
    """Numbers (n,) as an Arrow column: dates of days, times of seconds; nan is a gap. Rounded to a day or a microsecond, and
    in whole seconds where all are."""
    import pyarrow as pa

    gaps = np.isnan(numbers)
    filled = np.where(gaps, 0.0, numbers)
    if unit == "days":
        return pa.array(np.rint(filled).astype(np.int32), pa.int32(), mask=gaps).cast(pa.date32())
    micro = np.rint(filled / MICRO).astype(np.int64)
    if bool((micro % 1_000_000 == 0).all()):
        return pa.array(micro // 1_000_000, pa.int64(), mask=gaps).cast(pa.timestamp("s"))
    return pa.array(micro, pa.int64(), mask=gaps).cast(pa.timestamp("us"))


def date_text(seconds: float) -> str:
    """Seconds since 1970-01-01 as a date, with the time of day where there is one.

    >>> date_text(0), date_text(90_000)
    ('1970-01-01', '1970-01-02 01:00')
    """
    text = str(np.datetime64(round(seconds), "s")).replace("T", " ")
    return text.removesuffix(":00").removesuffix(" 00:00")
