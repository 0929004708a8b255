"""Contexts for a model that is fitted: the user's values in the space that is known, or those that rows bring along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jensen.data.beside import NAME, arrow_table
from jensen.data.context import Contexts, class_name, context_names, describe_context
from jensen.data.examples import EXAMPLES, LABEL, example_label, load_example
from jensen.data.labels import number_text
from jensen.data.load import CSV_NAMES, open_source
from jensen.data.output import as_table
from jensen.data.rows import MEMORY, Rows
from jensen.data.tables import Table, from_frame, is_frame
from jensen.errors import SpaceError, nearest
from jensen.space import Column, Space

if TYPE_CHECKING:
    import pyarrow as pa


def read_contexts(given: Any, space: Space, n: int) -> Contexts:
    """n contexts in a known space. `given`: one value for all rows, or one a row.

    A class is named by its label; by its code too, where no label is a number. Several columns: a sequence of d
    values or a mapping by name for all rows, or (n, d), a frame, a mapping of columns. A Path is a file of them.
    Raises SpaceError and DataError for another shape and for values outside the space, naming the classes.

    >>> flowers = Space((1,), (Column("categorical", 2, name="kind", labels=("rose", "tulip")),))
    >>> read_contexts("tulip", flowers, 3).values.ravel().tolist()
    [1.0, 1.0, 1.0]
    """
    if isinstance(given, Contexts):
        found = (
            given
            if given.space == space
            else _in_space(_named(as_table(given.values, given.space), space), space)
        )
    else:
        found = _in_space(_named(_arrow(given, space), space), space)
    if len(found) not in (1, n):
        raise SpaceError(
            f"expected one context for all rows, or one a row: {n:,}",
            f"got {len(found):,}",
            f"the columns are {describe_context(space)}",
        )
    return Contexts(space, np.repeat(found.values, n, 0) if len(found) < n else found.values)


def contexts_of(source: Any, space: Space) -> Contexts | None:
    """What a source of rows says of itself: the context of a Rows' test part, its columns, an example's label.

    None where it says nothing. Raises SpaceError where some of the columns are missing.
    """
    if isinstance(source, Rows):
        if source.context is None:
            return None
        held_out = source.context.held_out
        return read_contexts(held_out, space, len(held_out))
    names = context_names(space)
    table = _open_table(source)
    if table is not None and set(names) & set(table.names):
        chosen = table.without([name for name in table.names if name not in names])
        return _in_space(arrow_table({one: _column(chosen, one) for one in chosen.names}), space)
    if isinstance(source, str) and source in EXAMPLES and names == (LABEL,):
        return _in_space(_arrow_of(example_label(source)), space)
    return None


def context_columns(source: Any, space: Space) -> list[str]:
    """The columns of a table that are the context, to be left out of the rows."""
    table = _open_table(source)
    return [] if table is None else [name for name in context_names(space) if name in table.names]


def _open_table(source: Any) -> Table | None:
    if isinstance(source, str) and source in EXAMPLES:
        opened = load_example(source, None, 0).source
        return opened if isinstance(opened, Table) else None
    table_file = isinstance(source, (str, Path)) and str(source).lower().endswith(
        (*CSV_NAMES, ".parquet", ".pq")
    )
    if table_file or (
        not isinstance(source, (str, Path, Rows, np.ndarray, list, tuple)) and is_frame(source)
    ):
        opened = open_source(source, MEMORY)
        return opened if isinstance(opened, Table) else None
    return None


def _column(table: Table, name: str) -> list[Any]:
    return [value for batch in table.batches([name]) for value in batch.column(name).to_pylist()]


def _arrow_of(table: Table) -> pa.Table:
    return arrow_table({name: _column(table, name) for name in table.names})


def _arrow(given: Any, space: Space) -> pa.Table:
    """The user's values as columns: a value alone, or a vector of d > 1 values, stands for one row."""
    if isinstance(given, Mapping):
        unknown = [str(name) for name in given if name not in context_names(space)]
        if unknown:
            raise _no_column(unknown[0], context_names(space))
        return arrow_table({name: [one] if _scalar(one) else one for name, one in given.items()})
    if _scalar(given):
        return arrow_table([given.item() if isinstance(given, (np.generic, np.ndarray)) else given])
    if space.dims > 1 and not isinstance(given, (str, Path)) and not is_frame(given):
        values = given.tolist() if hasattr(given, "tolist") else given
        if isinstance(values, (list, tuple)) and all(_scalar(one) for one in values):
            return arrow_table([list(values)])
    return arrow_table(given)


def _scalar(value: Any) -> bool:
    return isinstance(value, (str, bool, int, float, np.generic)) or (
        getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    )


def _named(table: pa.Table, space: Space) -> pa.Table:
    """The table with the names of the space: by position where it has other ones."""
    names = context_names(space)
    if set(names) <= set(table.column_names):
        return table.select(list(names))
    if len(table.column_names) != space.dims:
        raise SpaceError(
            f"expected a context of {space.dims} columns: {describe_context(space)}",
            f"got {len(table.column_names)}",
            "one value a column",
        )
    unknown = [one for one in table.column_names if one not in names and not one.startswith(NAME)]
    if space.dims > 1 and unknown:
        raise _no_column(unknown[0], names)
    return table.rename_columns(list(names))


def _no_column(name: str, known: Sequence[str]) -> SpaceError:
    return SpaceError("unknown column of the context", f"got {name!r}", nearest(name, known))


def _in_space(table: pa.Table, space: Space) -> Contexts:
    """Values of named columns as numbers of the space; raises SpaceError for a class that it does not have."""
    names = context_names(space)
    columns = [space.column(site) for site in range(space.dims)]
    ready = {
        name: _prepared(table.column(name), column)
        for name, column in zip(names, columns)
        if name in table.column_names
    }
    coded = [
        Column("real", name=name) if column.labels is None or not _texts(ready.get(name)) else column
        for name, column in zip(names, columns)
    ]
    read = from_frame(arrow_table(ready), "context").conform(Space((space.dims,), tuple(coded)))
    values = np.asarray(read.values[:])
    for site, column in enumerate(columns):
        _check(values[:, site], names[site], column)
    return Contexts(space, values)


def _prepared(values: Any, column: Column) -> list[Any]:
    """Values as numbers where the column has no labels, as texts where its labels are numbers, else texts or codes."""
    given = values.to_pylist()
    if column.labels is None:
        numbers = [_number(one) if isinstance(one, str) else one for one in given]
        row = next((i for i, one in enumerate(numbers) if isinstance(one, str)), None)
        if row is not None:
            raise _unknown(column.name, row, repr(numbers[row]), _known(column))
        return numbers
    if any(isinstance(_number(label), float) for label in column.labels):
        return [one if one is None else number_text(one) for one in given]  # 2 is the label "2", never a code
    codes = [_number(one) if isinstance(one, str) and one not in column.labels else one for one in given]
    if not any(isinstance(one, str) for one in codes):
        given = codes
    return [number_text(one) if isinstance(one, bool) else one for one in given]


def _texts(values: list[Any] | None) -> bool:
    return bool(values) and any(isinstance(one, str) for one in values or [])


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _check(values: Any, name: str, column: Column) -> None:
    if column.levels is None:
        wrong = ~np.isfinite(values)
    else:
        code = (values - (0 if column.labels else column.low)) / (1 if column.labels else column.step)
        wrong = ~((abs(code - np.rint(code)) < 1e-3) & (code > -1e-3) & (code < column.levels - 1 + 1e-3))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise _unknown(name, row, f"{values[row]:g}", _known(column))


def _unknown(name: str, row: int, value: str, known: str) -> SpaceError:
    return SpaceError(f"unknown value of the context {name!r}", f"row {row} holds {value}", known)


def _known(column: Column) -> str:
    if column.levels is None:
        return "pass finite numbers"
    names = [class_name(column, column.low + column.step * code) for code in range(column.levels)]
    return f"known: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
