"""The labels of a column of categories: collected batch by batch, and refused where they are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as make
from typing import Any

import numpy as np

from jensen.data.times import is_date_text
from jensen.errors import DataError, Unusable

BOOLEAN = ("false", "true")
MOST_LABELS = 1000


class Identifier(Unusable):
    """A column of labels has too many of them."""


def without(error: Unusable, columns: Sequence[str]) -> Unusable:
    """The error, which knows the columns that it is about."""
    error.columns = tuple(columns)
    return error


@dataclass
class Labels:
    """The distinct values of one column, collected batch by batch."""

    name: str
    texts: bool
    seen: set[Any] = make(default_factory=set)
    numeric: int = 0
    odd: tuple[int, str] | None = None  # first row and text that is no number
    rows: int = 0
    there: int = 0

    def add(self, values: Any) -> None:
        """Take in the next rows (n,), an Arrow array."""
        fresh = {v for v in values.unique().to_pylist() if not is_gap(v)} - self.seen
        if self.texts:
            strange = {text for text in fresh if not is_number(text)}
            self.numeric += len(fresh) - len(strange)
            if strange and self.odd is None:
                row, text = _first(values, strange)
                self.odd = (self.rows + row, text)
        if len(self.seen) <= MOST_LABELS:
            self.seen |= fresh
        self.rows += len(values)
        self.there += len(values) - values.null_count

    def labels(self, told: str | None) -> tuple[str, ...] | None:
        """The labels, or None for numbers that are codes 0, 1, ... already."""
        if self.texts and told is None:
            self._refuse_numbers()
        if len(self.seen) > MOST_LABELS or (self.texts and told is None and len(self.seen) == self.there > 1):
            count = f"more than {MOST_LABELS}" if len(self.seen) > MOST_LABELS else str(len(self.seen))
            raise without(
                Identifier(
                    f"column {self.name!r} looks like an identifier, not a category",
                    f"got {count} distinct values in {self.rows} rows",
                    f"pass drop=[{self.name!r}]",
                ),
                [self.name],
            )
        ordered = sorted(self.seen)
        if not self.texts and ordered == list(range(len(ordered))):
            return None
        return tuple(number_text(value) if not self.texts else value for value in ordered)

    def _refuse_numbers(self) -> None:
        dates = {text for text in self.seen if is_date_text(text)}
        if 2 * len(dates) >= len(self.seen) > len(dates):
            raise DataError(
                f"column {self.name!r} holds dates but for some texts",
                f"got {min(self.seen - dates)!r} beside {min(dates)!r}",
                f"repair or drop such rows, or pass kinds={{{self.name!r}: 'categorical'}}",
            )
        strange = len(self.seen) - self.numeric
        if self.numeric == 0 or self.numeric < strange:
            return
        if self.odd is None:
            raise DataError(
                f"column {self.name!r} holds numbers as texts",
                f"got {min(self.seen)!r}, ...",
                f"convert it to numbers, or pass kinds={{{self.name!r}: 'categorical'}}",
            )
        row, text = self.odd
        raise DataError(
            f"column {self.name!r} holds numbers but for some texts",
            f"row {row} holds {text!r}",
            f"repair or drop such rows, or pass kinds={{{self.name!r}: 'categorical'}}",
        )


def _first(values: Any, wanted: set[str]) -> tuple[int, str]:
    """The first row that holds one of the texts; no other is decoded, since a code may stand for a long one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = coded_column(values)
    distinct = pc.cast(coded.dictionary, pa.large_string())
    known = pc.is_in(distinct, pa.array(list(wanted), pa.large_string()))
    row = int(np.flatnonzero(np.asarray(known)[coded.indices.fill_null(0)] & np.asarray(coded.is_valid()))[0])
    return row, coded[row].as_py()


def coded_column(values: Any) -> Any:
    """A column as one array of codes and their dictionary."""
    import pyarrow as pa

    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    return coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded


def is_gap(value: Any) -> bool:
    """Whether a value says that there is none: None or nan."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def number_text(value: Any) -> str:
    """The label of a value: texts as they are, bits true and false, whole numbers without a point.

    >>> number_text(3.0), number_text(0.5), number_text(True), number_text("a")
    ('3', '0.5', 'true', 'a')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return BOOLEAN[value]
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)


def is_number(text: Any) -> bool:
    """Whether a text can be read as a number, nan and inf among them."""
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True
