"""Columns of a table as numbers: texts become codes of their sorted labels, everything else stays what it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as make
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.arraylike import Field
from jensen.errors import DataError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

BOOLEAN = ("false", "true")
MOST_LABELS = 1000


class Identifier(DataError):
    """A column of labels has too many of them."""


def sort_of(column: str, kind: pa.DataType) -> str:
    """Whether a column of this Arrow type holds numbers, texts or bits. Raises DataError for anything else."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return sort_of(column, kind.value_type)
    if types.is_boolean(kind):
        return "bits"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "numbers"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "texts"
    if types.is_null(kind):
        raise DataError(f"column {column!r} is empty", "got no value in any row", f"pass drop=[{column!r}]")
    if types.is_binary(kind) or types.is_large_binary(kind):
        raise DataError(f"column {column!r} is not text in UTF-8", "got raw bytes", "save the file as UTF-8")
    raise DataError(
        f"column {column!r} holds neither numbers, texts nor true/false",
        f"got values of type {kind}",
        f"convert it to numbers first, or pass drop=[{column!r}]",
    )


@dataclass
class _Labels:
    """The distinct values of one column, collected batch by batch."""

    name: str
    texts: bool
    seen: set[Any] = make(default_factory=set)
    numeric: int = 0
    odd: tuple[int, str] | None = None  # first row and text that is no number
    rows: int = 0

    def add(self, values: Any) -> None:
        fresh = {v for v in values.unique().to_pylist() if v is not None} - self.seen
        if self.texts:
            strange = {text for text in fresh if not _is_number(text)}
            self.numeric += len(fresh) - len(strange)
            if strange and self.odd is None:
                texts = values.to_pylist()
                row = next(i for i, text in enumerate(texts) if text in strange)
                self.odd = (self.rows + row, texts[row])
        if len(self.seen) <= MOST_LABELS:
            self.seen |= fresh
        self.rows += len(values)

    def labels(self, told: str | None) -> tuple[str, ...] | None:
        """The labels, or None for numbers that are codes 0, 1, ... already."""
        if self.texts and told is None:
            self._refuse_numbers()
        if len(self.seen) > MOST_LABELS or (self.texts and told is None and len(self.seen) == self.rows > 1):
            count = f"more than {MOST_LABELS}" if len(self.seen) > MOST_LABELS else str(len(self.seen))
            raise Identifier(
                f"column {self.name!r} looks like an identifier, not a category",
                f"got {count} distinct values in {self.rows} rows",
                f"pass drop=[{self.name!r}]",
            )
        ordered = sorted(self.seen)
        if not self.texts and ordered == list(range(len(ordered))):
            return None
        return tuple(number_text(value) if not self.texts else value for value in ordered)

    def _refuse_numbers(self) -> None:
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


def find_fields(
    names: Sequence[str], types: Sequence[pa.DataType], batches: Iterable[Any], kinds: Mapping[str, str]
) -> tuple[Field, ...]:
    """How each column is encoded, in one pass. Raises DataError for gaps, identifiers and numbers among texts."""
    sorts = [sort_of(name, kind) for name, kind in zip(names, types, strict=True)]
    scans = {
        name: _Labels(name, sort == "texts")
        for name, sort in zip(names, sorts, strict=True)
        if sort == "texts" or (sort == "numbers" and kinds.get(name) == "categorical")
    }
    gaps: dict[str, list[int]] = {}
    start = 0
    for batch in batches:
        for name in names:
            values = batch.column(name)
            if values.null_count:
                gaps.setdefault(name, [0, start + first_null(values)])[0] += values.null_count
            if name in scans:
                scans[name].add(values)
        start += batch.num_rows
    refuse_gaps(gaps, start)
    labels = {name: scan.labels(kinds.get(name)) for name, scan in scans.items()}
    return tuple(
        Field(name, BOOLEAN if sort == "bits" else labels.get(name))
        for name, sort in zip(names, sorts, strict=True)
    )


def refuse_gaps(gaps: Mapping[str, Sequence[int]], rows: int) -> None:
    """Raise DataError for missing values: `gaps` maps a column to how many and the first row."""
    if not gaps:
        return
    told = [
        f"{count} in column {name!r}, the first in row {row}" for name, (count, row) in list(gaps.items())[:5]
    ]
    more = f"; and {len(gaps) - 5} more columns" if len(gaps) > 5 else ""
    raise DataError(
        f"expected no gaps in {rows} rows",
        f"missing {'; '.join(told)}{more}",
        "drop such rows or columns, or fill them",
    )


def encode(batch: Any, fields: Sequence[Field], start: int = 0) -> NDArray[np.float64]:
    """Rows (n, d) of an Arrow table or batch; `start` is the number of its first row, for messages.

    Raises DataError for gaps, for texts in a column of numbers and for labels that are not known.
    """
    out = np.empty((batch.num_rows, len(fields)))
    for site, one in enumerate(fields):
        values = batch.column(one.name)
        if values.null_count:
            refuse_gaps({one.name: (values.null_count, start + first_null(values))}, batch.num_rows)
        out[:, site] = _numbers(values, one, start) if one.labels is None else _codes(values, one, start)
    return out


def _numbers(values: Any, one: Field, start: int) -> NDArray[Any]:
    import pyarrow as pa

    if sort_of(one.name, values.type) == "texts":
        texts = values.to_pylist()
        row = next((i for i, text in enumerate(texts) if not _is_number(text)), 0)
        raise DataError(
            f"column {one.name!r} must hold numbers",
            f"row {start + row} holds {texts[row]!r}",
            "convert it to numbers",
        )
    if (
        pa.types.is_dictionary(values.type)
        or pa.types.is_decimal(values.type)
        or pa.types.is_boolean(values.type)
    ):
        return np.asarray([float(value) for value in values.to_pylist()])
    return np.asarray(
        values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy()
    )


def _codes(values: Any, one: Field, start: int) -> NDArray[Any]:
    assert one.labels is not None
    known = {label: code for code, label in enumerate(one.labels)}
    coded = values.combine_chunks() if hasattr(values, "combine_chunks") else values
    coded = coded if hasattr(coded, "dictionary") else coded.dictionary_encode()
    texts = [number_text(value) for value in coded.dictionary.to_pylist()]
    table = np.array([known.get(text, -1) for text in texts], dtype=np.int64)
    index = np.asarray(coded.indices.to_numpy(zero_copy_only=False)).astype(np.intp)
    codes = table[index]
    if (codes < 0).any():
        row = int(np.flatnonzero(codes < 0)[0])
        some = [*one.labels[:20], *(["..."] if len(one.labels) > 20 else [])]
        raise DataError(
            f"column {one.name!r} holds a label that the space does not know",
            f"row {start + row} holds {texts[index[row]]!r}",
            nearest(texts[index[row]], some),
        )
    return codes


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


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def first_null(values: Any) -> int:
    return int(np.flatnonzero(np.asarray(values.is_null().to_pylist()))[0])
