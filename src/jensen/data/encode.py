"""Columns of a table as numbers: texts become codes of their sorted labels, everything else stays what it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jensen.arguments import said
from jensen.data.arraylike import Field
from jensen.data.labels import BOOLEAN, Labels, coded_column, is_gap, is_number, number_text, without
from jensen.data.times import is_time, time_numbers, whole_days
from jensen.errors import DataError, Unusable, nearest

if TYPE_CHECKING:
    import pyarrow as pa


def sort_of(column: str, kind: pa.DataType) -> str:
    """Whether a column of this Arrow type holds numbers, texts, bits or times. Raises DataError for anything else."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return sort_of(column, kind.value_type)
    if types.is_boolean(kind):
        return "bits"
    if is_time(kind):
        return "times"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "numbers"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "texts"
    if types.is_null(kind):
        raise without(
            Unusable(f"column {column!r} is empty", "got no value in any row", f"pass drop=[{column!r}]"),
            [column],
        )
    if types.is_binary(kind) or types.is_large_binary(kind):
        raise DataError(f"column {column!r} is not text in UTF-8", "got raw bytes", "save the file as UTF-8")
    raise DataError(
        f"column {column!r} holds neither numbers, texts, dates nor true/false",
        f"got values of type {kind}",
        f"convert it to numbers first, or pass drop=[{column!r}]",
    )


def find_fields(
    names: Sequence[str],
    types: Sequence[pa.DataType],
    batches: Iterable[Any],
    kinds: Mapping[str, str],
    gaps: str = "refuse",
) -> tuple[Field, ...]:
    """How each column is encoded, in one pass; `gaps` is how those that have any take them: "value" or "unseen".

    Raises DataError for identifiers, numbers among texts, columns without a value, and, by "refuse", for gaps.
    """
    sorts = {name: sort_of(name, kind) for name, kind in zip(names, types, strict=True)}
    scans = {
        name: Labels(name, sort == "texts")
        for name, sort in sorts.items()
        if sort == "texts" or (sort == "numbers" and kinds.get(name) == "categorical")
    }
    days = {name: True for name, sort in sorts.items() if sort == "times"}
    found: dict[str, list[int]] = {}
    start = 0
    for batch in batches:
        for name in names:
            values = batch.column(name)
            empty = nulls(values)
            if empty is not None:
                found.setdefault(name, [0, start + int(empty.argmax())])[0] += int(empty.sum())
            if name in scans:
                scans[name].add(values)
            if days.get(name):
                days[name] = whole_days(values)
        start += batch.num_rows
    _refuse_empty(found, start)
    if gaps == "refuse":
        refuse_gaps(found, start)
    labels = {name: scan.labels(kinds.get(name)) for name, scan in scans.items()}
    return tuple(
        Field(
            name,
            BOOLEAN if sort == "bits" else labels.get(name),
            gaps if name in found else "",
            "" if sort != "times" else "days" if days[name] else "seconds",
        )
        for name, sort in sorts.items()
    )


def nulls(values: Any) -> NDArray[np.bool_] | None:
    """Where an Arrow column (n,) has no value, nan being none; None where it has one everywhere."""
    import pyarrow as pa

    if not values.null_count and not pa.types.is_floating(values.type):
        return None
    empty = values.is_null(nan_is_null=True)
    found = np.asarray(
        empty.to_numpy() if isinstance(empty, pa.ChunkedArray) else empty.to_numpy(zero_copy_only=False), bool
    )
    return found if found.any() else None


def _refuse_empty(gaps: Mapping[str, Sequence[int]], rows: int) -> None:
    empty = [name for name, (count, _) in gaps.items() if count == rows]
    if empty:
        raise without(
            Unusable(f"column {empty[0]!r} is empty", "got no value in any row", f"pass drop={empty[:20]!r}"),
            empty,
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
        "pass gaps='value' to model them, drop such rows or columns, or fill them",
    )


def encode(batch: Any, fields: Sequence[Field], start: int = 0) -> NDArray[np.float64]:
    """Rows (n, d) of an Arrow table or batch, nan at gaps; `start` is the number of its first row, for messages.

    Raises DataError for gaps where a column has none, for texts among numbers and for labels that are not known.
    """
    import pyarrow as pa

    out = np.empty((batch.num_rows, len(fields)))
    for site, one in enumerate(fields):
        values = batch.column(one.name)
        if not pa.types.is_null(values.type):
            sort_of(one.name, values.type)  # refuses what has no numbers
        empty = nulls(values)
        if empty is not None and not one.gaps:
            refuse_gaps({one.name: (int(empty.sum()), start + int(empty.argmax()))}, batch.num_rows)
        if one.labels is not None:
            out[:, site] = _codes(values, one, start)
        elif one.time:
            out[:, site] = _times(values, one, start)
        else:
            out[:, site] = _numbers(values, one, start)
    return out


def _numbers(values: Any, one: Field, start: int) -> NDArray[Any]:
    import pyarrow as pa

    sort = sort_of(one.name, values.type) if not pa.types.is_null(values.type) else "numbers"
    if sort == "times":  # a year beyond 9999 has no Python date to show
        raise DataError(
            f"column {one.name!r} must hold numbers", f"got {values.type}", "convert it to numbers"
        )
    if sort == "texts":
        texts = values.to_pylist()
        row = next((i for i, text in enumerate(texts) if not is_number(text)), 0)
        raise DataError(
            f"column {one.name!r} must hold numbers",
            f"row {start + row} holds {str(texts[row])!r}",
            "convert it to numbers",
        )
    types = pa.types
    if any(test(values.type) for test in (types.is_dictionary, types.is_decimal, types.is_boolean)):
        return np.asarray([math.nan if value is None else float(value) for value in values.to_pylist()])
    if types.is_null(values.type):
        return np.full(len(values), np.nan)
    return np.asarray(
        values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy()
    )


def _times(values: Any, one: Field, start: int) -> NDArray[Any]:
    import pyarrow as pa

    if pa.types.is_null(values.type):
        return np.full(len(values), np.nan)
    if not is_time(values.type):
        raise DataError(
            f"column {one.name!r} must hold dates",
            f"row {start} holds {values[0].as_py()!r}",
            "write them as 2026-01-31 or 2026-01-31 12:00:00, alike in every row",
        )
    return time_numbers(values, one.time)


def _codes(values: Any, one: Field, start: int) -> NDArray[Any]:
    import pyarrow as pa

    assert one.labels is not None
    if pa.types.is_null(values.type):
        return np.full(len(values), np.nan)
    if is_time(values.type):
        raise DataError(
            f"column {one.name!r} must hold one of {', '.join(one.labels[:5])}{', ...' if len(one.labels) > 5 else ''}",
            f"got {values.type}",
            "convert it to texts, or drop it",
        )
    coded = coded_column(values)
    table = np.append(_table(coded.dictionary, one.labels), math.nan)
    index = coded.indices.fill_null(len(table) - 1).to_numpy(zero_copy_only=False).astype(np.intp)
    codes = np.asarray(table[index], np.float64)
    if (codes < 0).any():
        row = int(np.flatnonzero(codes < 0)[0])
        text = number_text(coded[row].as_py())
        some = [*one.labels[:20], *(["..."] if len(one.labels) > 20 else [])]
        raise DataError(
            f"column {one.name!r} holds a label that the space does not know",
            f"row {start + row} holds {said(text)}",
            nearest(text[:80], some),
        )
    return codes


def _table(distinct: Any, labels: Sequence[str]) -> NDArray[np.float64]:
    """The code of every value of an Arrow array; nan for gaps, -1 for values without one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if sort_of("", distinct.type) == "texts" and not pa.types.is_dictionary(distinct.type):
        plain = pc.cast(distinct, pa.large_string())
        found = pc.index_in(plain, pa.array(labels, pa.large_string())).fill_null(-1)
        return np.where(np.asarray(plain.is_null()), math.nan, np.asarray(found, np.float64))
    known = {label: float(code) for code, label in enumerate(labels)}
    return np.array(
        [math.nan if is_gap(v) else known.get(number_text(v), -1.0) for v in distinct.to_pylist()],
        np.float64,
    )
