"""Two sources of rows side by side: the same columns as the same numbers, categories under common codes, gaps as nan."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.encode import sort_of
from jensen.data.examples import EXAMPLES, load_example
from jensen.data.labels import number_text
from jensen.data.load import open_source
from jensen.data.rows import MEMORY, Rows
from jensen.data.tables import Table
from jensen.data.times import is_time, time_numbers
from jensen.errors import DataError, nearest
from jensen.space import Column, Space

Array = NDArray[Any]

MOST_CATEGORIES = 1000
"""A text column with more values is taken for an identifier, as is one whose values hardly repeat."""


@dataclass(frozen=True)
class Sheet:
    """One source, open: rows (n, *shape) of an array or image, or columns of a table. `names`: of the columns of a
    table; of an array those of the table beside it, else their numbers."""

    title: str
    names: tuple[str, ...]
    table: Table | None = None
    values: Array | None = None

    def named(self, *rivals: tuple[str, ...]) -> Sheet:
        """An array whose columns are called by the first of `rivals` that has as many names; a table as it is."""
        fitting = next((names for names in rivals if len(names) == len(self.names)), self.names)
        return self if self.table is not None else replace(self, names=fitting)

    def __len__(self) -> int:
        if self.table is not None:
            return self.table.rows
        return 0 if self.values is None else len(self.values)


@dataclass(frozen=True)
class Pair:
    """Rows (n, d) of two sources in one space, images flattened, and the encoding for more of the same kind.

    `a` and `b` hold nan where a cell is empty. `where`: the positions in the sources of the rows of each.
    """

    space: Space
    names: tuple[str, ...]
    a: Array
    b: Array
    where: tuple[Array, Array]
    encode: Callable[[Any], Array]
    notes: tuple[str, ...]


def read_pair(
    a: Any,
    b: Any,
    *,
    columns: Sequence[str] = (),
    drop: Sequence[str] = (),
    least: int = 1,
    most: int = 50_000,
    seed: int = 0,
) -> Pair:
    """Read two sources: whatever `jensen.rows` reads; of Rows their test part. Tables are matched by the names of columns.

    columns: only these, in this order; drop: all but these. least: fewer rows on a side are an error. most: of more rows
    a random part is taken. Raises DataError where the two do not have the same columns of the same kind, for infinite
    numbers, and for what cannot be read.

    >>> pair = read_pair([[1.0, 2.0], [3.0, float("nan")]], [[0.0, 0.0]])
    >>> pair.space, pair.a.tolist()
    (Space 2 columns (2 real), density, [[1.0, 2.0], [3.0, nan]])
    """
    sheets = [_open(a, "a"), _open(b, "b")]
    sheets = [
        sheet.named(other.names) if other.table else sheet for sheet, other in zip(sheets, sheets[::-1])
    ]
    for sheet in sheets:
        if len(sheet) < least:
            raise DataError(
                f"a comparison needs at least {least} rows on each side",
                f"got {len(sheet)} in {sheet.title}",
                "collect more rows; what fewer could show is lost in their noise",
            )
    names = _chosen(sheets, columns, drop)
    space = _space(sheets, names)
    where = tuple(_sample(len(sheet), most, seed, side) for side, sheet in enumerate(sheets))
    rows = [_encode(sheet, space, names)[some] for sheet, some in zip(sheets, where)]
    notes = tuple(
        f"of the {len(sheet):,} rows of {sheet.title} a random {most:,} are used"
        for sheet in sheets
        if len(sheet) > most
    )

    def encode(source: Any) -> Array:
        return _encode(_open(source, "the rows").named(names, sheets[0].names), space, names)

    return Pair(space, names, rows[0], rows[1], (where[0], where[1]), encode, notes)


def _open(source: Any, title: str) -> Sheet:
    if isinstance(source, Rows):
        return _of_array(title, np.asarray(source.test[:]))
    example = isinstance(source, str) and source in EXAMPLES
    opened = load_example(source, None, 0).source if example else open_source(source, MEMORY)
    if isinstance(opened, Table):
        return Sheet(title, opened.names, table=opened)
    return _of_array(title, np.asarray(opened.values[:]))


def _of_array(title: str, values: Array) -> Sheet:
    return Sheet(title, tuple(map(str, range(math.prod(values.shape[1:])))), values=values)


def _sample(n: int, most: int, seed: int, side: int) -> Array:
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, side, 5]).choice(n, most, replace=False))


def _chosen(sheets: Sequence[Sheet], columns: Sequence[str], drop: Sequence[str]) -> tuple[str, ...]:
    """The columns that both sides have, in the order of a; raises DataError where one lacks what the other has."""
    first, second = (sheet.names for sheet in sheets)
    shapes = [() if sheet.values is None else sheet.values.shape[1:] for sheet in sheets]
    images = [len(shape) == 3 for shape in shapes]
    if any(images) and shapes[0] != shapes[1]:
        raise DataError(
            "both sides hold rows of one shape",
            f"got {' and '.join('x'.join(map(str, shape)) or 'a table' for shape in shapes)}",
            "resize or crop one of them first",
        )
    if any(images) and (columns or drop):
        raise DataError(
            "images have no columns to choose from", f"got {[*columns, *drop]}", "crop them first"
        )
    known = [*dict.fromkeys([*first, *second])]
    for name in (*columns, *drop):
        if name not in known:
            raise DataError("unknown column", f"got {name!r}", nearest(name, known))
    if len(first) != len(second) and any(sheet.table is None for sheet in sheets):
        raise _widths(sheets)
    wanted = [name for name in (columns or first) if name not in drop]
    extra = [] if columns else [name for name in second if name not in (*first, *drop)]
    lacking = [name for name in wanted if name not in second]
    if extra or lacking:
        raise _unmatched(lacking, extra)
    if not wanted:
        raise DataError("expected at least one column", "all were dropped", "drop fewer")
    return tuple(wanted)


def _widths(sheets: Sequence[Sheet]) -> DataError:
    given = " and ".join(f"{len(sheet.names)} in {sheet.title}" for sheet in sheets)
    return DataError(
        "both sides need the same columns", f"got {given}", "did you leave a label column in one of them?"
    )


def _unmatched(lacking: Sequence[str], extra: Sequence[str]) -> DataError:
    parts = [
        f"only {side} has {', '.join(map(repr, some[:5]))}{f' and {len(some) - 5} more' if len(some) > 5 else ''}"
        for side, some in (("a", lacking), ("b", extra))
        if some
    ]
    odd = [*lacking, *extra]
    do = (
        f"drop what is not to be compared, drop={odd[0]!r}, "
        if len(odd) == 1
        else f"drop them, drop={odd[:5]!r}, "
    )
    return DataError(
        "both sides need the same columns", "; ".join(parts), f"{do}or name those to compare, columns="
    )


def _space(sheets: Sequence[Sheet], names: Sequence[str]) -> Space:
    images = sheets[0].values is not None and sheets[0].values.ndim == 4
    if images:
        assert sheets[0].values is not None
        return Space.real(sheets[0].values.shape[1:])
    return Space((len(names),), tuple(_column(sheets, name) for name in names))


def _column(sheets: Sequence[Sheet], name: str) -> Column:
    """Numbers, or categories with the labels of both sides. Raises DataError where one side has texts, the other numbers."""
    sorts = [_sort(sheet, name) for sheet in sheets]
    if set(sorts) == {"times", "numbers"}:
        raise DataError(
            f"column {name!r} is of another kind on each side",
            f"got dates in {sheets[sorts.index('times')].title}, numbers in {sheets[sorts.index('numbers')].title}",
            f"write it alike on both sides, or pass drop={name!r}",
        )
    if "texts" not in sorts:
        return Column("real", name=name, time="seconds" if "times" in sorts else "")
    if set(sorts) - {"texts", "empty"}:
        texts, numbers = sheets[sorts.index("texts")], sheets[1 - sorts.index("texts")]
        sample = next(value for value in _cells(texts, name) if value is not None)
        raise DataError(
            f"column {name!r} is of another kind on each side",
            f"got texts such as {sample!r} in {texts.title}, numbers in {numbers.title}",
            f"write it alike on both sides, or pass drop={name!r}",
        )
    found = [{value for value in _cells(sheet, name) if value is not None} for sheet in sheets]
    labels = sorted(found[0] | found[1])
    unrepeated = any(len(some) > max(20, len(sheet) // 2) for some, sheet in zip(found, sheets))
    if len(labels) > MOST_CATEGORIES or unrepeated:
        raise DataError(
            f"column {name!r} looks like an identifier, not a category",
            f"got {len(labels):,} distinct values in {sum(map(len, sheets)):,} rows",
            f"pass drop={name!r}",
        )
    # a category has two values at least; a lone one is constant and soon left out
    return Column("categorical", max(2, len(labels)), name=name, labels=(*labels, "")[: max(2, len(labels))])


def _sort(sheet: Sheet, name: str) -> str:
    """numbers, texts, times or empty. An array holds numbers."""
    import pyarrow as pa

    if sheet.table is None:
        return "numbers"
    kind = _type(sheet, name)
    if pa.types.is_null(kind):
        return "empty"
    sort = sort_of(name, kind)
    return sort if sort in ("texts", "times") else "numbers"


def _type(sheet: Sheet, name: str) -> Any:
    assert sheet.table is not None
    return sheet.table.types[sheet.table.names.index(name)]


def _cells(sheet: Sheet, name: str) -> list[Any]:
    """The cells of a column as Python objects; None where empty."""
    assert sheet.table is not None
    return [cell for batch in sheet.table.batches([name]) for cell in batch.column(name).to_pylist()]


def _encode(sheet: Sheet, space: Space, names: Sequence[str]) -> Array:
    """Rows (n, d) of a sheet as numbers; raises DataError for other columns and for infinite numbers."""
    if space.is_image or len(sheet.names) < len(names):
        _refuse_shape(sheet, space)
    lacking = [name for name in names if name not in sheet.names]
    if lacking:
        raise _unmatched(lacking, [])
    if sheet.values is not None:
        x = _numbers_of(sheet, space, names)
    else:
        x = np.stack([_coded(sheet, name, space.column(site)) for site, name in enumerate(names)], axis=1)
    wrong = np.argwhere(np.isinf(x))
    if len(wrong):
        row, site = wrong[0].tolist()
        raise DataError(
            f"{sheet.title} holds infinite numbers",
            f"got {x[row, site]} in row {row}, column {names[site]!r}",
            "leave such cells empty, which counts as a difference of its own, or drop the rows",
        )
    return x


def _refuse_shape(sheet: Sheet, space: Space) -> None:
    shape = (len(sheet.names),) if sheet.values is None else sheet.values.shape[1:]
    if shape != space.shape:
        raise DataError(
            "expected rows like those compared",
            f"got {'x'.join(map(str, shape))} for {'x'.join(map(str, space.shape))} in {sheet.title}",
            "pass whole rows, with every column",
        )


def _numbers_of(sheet: Sheet, space: Space, names: Sequence[str]) -> Array:
    """The columns of an array as they are. Raises DataError where the space has texts in them."""
    assert sheet.values is not None
    if any(column.kind == "categorical" for column in space.columns):
        raise DataError(
            f"{sheet.title} is an array, which holds numbers alone",
            "got texts on the other side",
            "pass tables on both sides",
        )
    flat = sheet.values.reshape(len(sheet.values), -1)
    if space.is_image:  # pixels need no float64, and there are many of them
        return flat.astype(np.float32)
    return flat[:, [sheet.names.index(name) for name in names]].astype(np.float64)


def _seconds(sheet: Sheet, name: str) -> Array:
    """A column of dates or times (n,) in seconds since 1970. Raises DataError where it holds anything else."""
    import pyarrow as pa

    assert sheet.table is not None
    kind = _type(sheet, name)
    if pa.types.is_null(kind):
        return np.full(len(sheet), np.nan)
    if not is_time(kind):
        raise DataError(f"column {name!r} must hold dates", f"got {kind} in {sheet.title}", "write it alike")
    return np.concatenate([time_numbers(batch.column(name)) for batch in sheet.table.batches([name])])


def _coded(sheet: Sheet, name: str, column: Column) -> Array:
    """One column (n,): codes of known labels, -1 for others; numbers, seconds of times; nan where empty."""
    if column.time:
        return _seconds(sheet, name)
    cells = _cells(sheet, name)
    if column.labels is not None:
        codes: Mapping[Any, float] = {label: float(code) for code, label in enumerate(column.labels)}
        texts = (cell if cell is None or isinstance(cell, str) else number_text(cell) for cell in cells)
        return np.array([np.nan if cell is None else codes.get(cell, -1.0) for cell in texts])
    odd = next((row for row, cell in enumerate(cells) if isinstance(cell, str)), None)
    if odd is not None:
        raise DataError(
            f"column {name!r} must hold numbers", f"row {odd} holds {cells[odd]!r}", "convert it to numbers"
        )
    return np.array([np.nan if cell is None else float(cell) for cell in cells], np.float64)
