"""What rows are conditioned on: columns of their own table, or values beside them in the same order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.arraylike import Source
from jensen.data.beside import arrow_table
from jensen.data.encode import sort_of
from jensen.data.examples import EXAMPLES, LABEL, example_label
from jensen.data.infer import Kinds, check_kinds, table_space
from jensen.data.labels import Identifier
from jensen.data.split import hash_rows
from jensen.data.tables import Table, from_frame
from jensen.errors import DataError, SpaceError, nearest
from jensen.printable import printable
from jensen.space import Column, Space


@dataclass(frozen=True, eq=False, repr=False)
class Contexts:
    """Contexts that have been read: `values` (n, d) in `space`, where a label is its code."""

    space: Space
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, places: Any) -> Contexts:
        """Some of them, by slice or positions."""
        return Contexts(self.space, self.values[places])


@dataclass(frozen=True, eq=False, repr=False)
class ContextRows:
    """The contexts of split rows: `train`, `valid` and `test` (n, d), aligned with the parts of the rows.

    `space` has one named column for each; where that has labels, the values are their codes. `hash` is of all
    contexts before the split.
    """

    space: Space
    train: NDArray[np.float64]
    valid: NDArray[np.float64]
    test: NDArray[np.float64]
    hash: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return context_names(self.space)

    @property
    def held_out(self) -> Contexts:
        """The contexts of the test rows, as sampling and scoring take them."""
        return Contexts(self.space, self.test)

    def describe(self) -> str:
        """One line: names, and the classes where they are few."""
        return f"given {printable(describe_context(self.space))}"

    def notes(self) -> tuple[str, ...]:
        """What the split left without training rows."""
        absent = []
        for site, name in enumerate(self.names):
            seen = set(np.unique(self.train[:, site]).tolist())
            other = np.unique(np.concatenate([self.valid[:, site], self.test[:, site]])).tolist()
            if self.space.column(site).kind == "categorical":
                absent += [f"{name}={class_name(self.space.column(site), v)}" for v in other if v not in seen]
        return (f"no training row has {', '.join(absent[:8])}",) if absent else ()


def take_context(
    context: Any, source: Any, opened: Source | Table, kinds: Kinds
) -> tuple[Contexts | None, Source | Table, Kinds]:
    """The contexts of all rows of a source, the source without them, and the kinds that are meant for the rows.

    Raises DataError for gaps, for a context that is the same everywhere, and where there is not one a row.
    """
    if context is None:
        return None, opened, kinds
    if isinstance(context, Contexts):
        return _one_a_row(context, opened), _without(opened, context_names(context.space)), kinds
    columns = _column_names(context, opened)
    table = (
        _select(opened, columns)
        if columns and isinstance(opened, Table)
        else _beside(context, source, opened)
    )
    own, kinds = _split_kinds(kinds, table.names)
    if table.rows != (n := _count(opened)):
        raise _lengths(table.rows, n, isinstance(context, (str, Path)))
    return _infer(table, own), _without(opened, columns), kinds


def split_contexts(found: Contexts | None, parts: Sequence[NDArray[np.intp]]) -> ContextRows | None:
    """The contexts of the parts of a split, by the positions of their rows."""
    if found is None:
        return None
    train, valid, test = (found.values[part] for part in parts)
    return ContextRows(found.space, train, valid, test, hash_rows(found.values))


def context_names(space: Space) -> tuple[str, ...]:
    """What the columns of a context are called."""
    return tuple(space.column(site).name or f"context{site}" for site in range(space.dims))


def describe_context(space: Space) -> str:
    """The columns of a context with their classes.

    >>> describe_context(Space((1,), (Column("categorical", 3, name="y", labels=("a", "b", "c")),)))
    'y (a, b, c)'
    """
    told = [f"{name} ({_values_of(space.column(i))})" for i, name in enumerate(context_names(space))]
    more = f" and {len(told) - 8} more" if len(told) > 8 else ""
    return ", ".join(told[:8]) + more


def class_name(column: Column, value: float) -> str:
    """A value of a context's column as its user knows it."""
    return f"{value:g}" if column.labels is None else column.labels[int(value)]


def _values_of(column: Column) -> str:
    if column.kind != "categorical" or not column.levels:
        return column.describe()
    names = [class_name(column, column.low + column.step * code) for code in range(column.levels)]
    return ", ".join(names) if len(names) <= 12 else f"{len(names)} classes, {names[0]} to {names[-1]}"


def _column_names(context: Any, opened: Source | Table) -> list[str]:
    """The columns of the rows' own table that are meant; none where the context lies beside the rows."""
    if not isinstance(opened, Table):
        return []
    if isinstance(context, str):
        return [context] if context in opened.names else []
    texts = isinstance(context, (list, tuple)) and bool(context) and all(isinstance(c, str) for c in context)
    if not texts or (len(context) == opened.rows and not set(context) <= set(opened.names)):
        return []
    unknown = [name for name in context if name not in opened.names]
    if unknown:
        raise DataError("unknown column in context", f"got {unknown[0]!r}", nearest(unknown[0], opened.names))
    return list(dict.fromkeys(context))


def _select(table: Table, names: Sequence[str]) -> Table:
    """Some columns of a table, to be held in memory also where the rows are not."""
    types = dict(zip(table.names, table.types, strict=True))
    return replace(table, names=tuple(names), types=tuple(types[name] for name in names), stored=None)


def _without(opened: Source | Table, names: Sequence[str]) -> Source | Table:
    return opened.without([n for n in names if n in opened.names]) if isinstance(opened, Table) else opened


def _beside(context: Any, source: Any, opened: Source | Table) -> Table:
    """The table of a context that is no column of the rows: an example's label, a file, an array, a series."""
    example = source if isinstance(source, str) and source in EXAMPLES else None
    if example and isinstance(context, str) and context == LABEL:
        return example_label(example)
    if isinstance(context, str) and not os.path.exists(context):
        raise _unknown(context, example, opened)
    return from_frame(arrow_table(context), "context")


def _unknown(context: str, example: str | None, opened: Source | Table) -> DataError:
    names = opened.names if isinstance(opened, Table) else ()
    known = [*names, *([LABEL] if example else [])]
    what = "neither a column nor a file" if names else "no such file"
    return DataError(
        f"the context is {what}",
        f"got {context!r}",
        nearest(context, known) if known else "pass an array with one context a row, or the path of its file",
    )


def _split_kinds(kinds: Kinds, names: Sequence[str]) -> tuple[dict[str, str], Kinds]:
    """The kinds of the context's columns, and those that are left for the rows."""
    if not isinstance(kinds, Mapping):
        return {}, kinds
    own = check_kinds({name: kind for name, kind in kinds.items() if name in names}, names)
    return own, {name: kind for name, kind in kinds.items() if name not in names} or None


def _infer(table: Table, told: Mapping[str, str]) -> Contexts:
    kinds = {
        name: told.get(name) or _kind(name, kind) for name, kind in zip(table.names, table.types, strict=True)
    }
    try:
        found = table.infer(kinds)
    except Identifier as error:
        name = next(name for name in table.names if repr(name) in error.wrong)
        raise DataError(
            f"column {name!r} has too many classes to be conditioned on",
            error.given,
            f"take another column, or pass kinds={{{name!r}: 'real'}} if it is a number",
        ) from None
    values = np.asarray(found.values[:])
    assert found.fields is not None
    for site, one in enumerate(found.fields):
        if len(values) and values[:, site].min() == values[:, site].max():
            first = f"{values[0, site]:g}" if one.labels is None else one.labels[0]
            raise DataError(
                "a context that is the same in every row says nothing",
                f"column {one.name!r} holds {first} only",
                "leave it out of context",
            )
    return Contexts(table_space(values, found.fields, kinds)[0], values)


def _kind(name: str, kind: Any) -> str:
    """Texts, bits and whole numbers are classes, other numbers are real."""
    import pyarrow as pa

    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return "categorical" if sort_of(name, kind) != "numbers" or pa.types.is_integer(plain) else "real"


def _one_a_row(context: Contexts, opened: Source | Table) -> Contexts:
    if len(context) != (n := _count(opened)):
        raise _lengths(len(context), n)
    return context


def _count(opened: Source | Table) -> int:
    return opened.rows if isinstance(opened, Table) else len(opened.values)


def _lengths(given: int, n: int, file: bool = False) -> SpaceError:
    header = "; the first line of a CSV file is its header" if file and given == n - 1 else ""
    return SpaceError(
        f"expected one context a row, {n:,} in all",
        f"got {given:,}",
        f"give them in the order of the rows, before any split{header}",
    )
