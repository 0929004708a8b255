"""Tables: any DataFrame through narwhals, CSV and Parquet through pyarrow, all as Arrow batches."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jensen.data.arraylike import ArrayLike, Field, Source
from jensen.data.bounded import check_size, gunzip
from jensen.data.encode import encode, find_fields, nulls, refuse_gaps
from jensen.data.parquet import (
    LEAST_BATCH,
    ParquetRows,
    check_codes,
    check_footer,
    check_width,
    open_parquet,
    read_footer,
    reading,
)
from jensen.errors import DataError, SpaceError, nearest
from jensen.space import Space

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
FIRST_LINE = 1 << 24
"""Characters of the first line that are looked at, to tell what separates columns."""


@dataclass(frozen=True)
class Table:
    """A table not yet turned into numbers: its columns, and its rows in batches as often as needed.

    `stored` gives the rows as numbers where they stay on disk: of a Parquet file too large to hold.
    """

    name: str
    names: tuple[str, ...]
    types: tuple[Any, ...]
    rows: int
    batches: Callable[[Sequence[str]], Iterable[Any]]
    notes: tuple[str, ...] = ()
    stored: Callable[[tuple[Field, ...]], ArrayLike] | None = None

    def without(self, drop: Sequence[str]) -> Table:
        """The table without some columns. Raises DataError for unknown ones, naming the nearest."""
        for name in drop:
            if name not in self.names:
                raise DataError("unknown column to drop", f"got {name!r}", nearest(name, self.names))
        kept = [i for i, name in enumerate(self.names) if name not in drop]
        if not kept:
            raise DataError("expected at least one column", "all were dropped", "drop fewer")
        return replace(
            self, names=tuple(self.names[i] for i in kept), types=tuple(self.types[i] for i in kept)
        )

    def infer(self, kinds: dict[str, str], gaps: str = "refuse") -> Source:
        """The rows as numbers, with the encoding of each column found by looking at all of it; `gaps` as in `find_fields`."""
        fields = find_fields(self.names, self.types, self.batches(self.names), kinds, gaps)
        return Source(self.name, self._values(fields), fields, self.notes)

    def conform(self, space: Space) -> Source:
        """The rows as numbers of a known space: columns are matched by name where the space has names.

        Raises SpaceError for extra and for missing columns, DataError for gaps and unknown labels.
        """
        named = len(space.columns) == space.dims and all(column.name for column in space.columns)
        if named:
            self._match([column.name for column in space.columns])
            fields = tuple(Field(one.name, one.labels, one.gaps, one.time) for one in space.columns)
        else:
            space.check_shape((self.rows, len(self.names)))
            columns = [space.column(site) for site in range(space.dims)]
            fields = tuple(
                Field(name, one.labels, one.gaps, one.time)
                for name, one in zip(self.names, columns, strict=True)
            )
        self._refuse_gaps([one.name for one in fields if not one.gaps])
        return Source(self.name, self._values(fields), fields, self.notes)

    def _match(self, wanted: list[str]) -> None:
        missing = [name for name in wanted if name not in self.names]
        if missing:
            raise SpaceError(
                f"the table lacks the columns {', '.join(map(repr, missing[:10]))}",
                f"got {', '.join(map(repr, self.names[:20]))}",
                nearest(missing[0], self.names),
            )
        extra = [name for name in self.names if name not in wanted]
        if extra:
            raise SpaceError(
                f"the table has columns that the space does not know: {', '.join(map(repr, extra[:10]))}",
                f"got {len(self.names)} columns for {len(wanted)}",
                f"drop what is not part of a row, such as the label: pass drop={extra[0]!r}"
                if len(extra) == 1
                else f"drop what is not part of a row: pass drop={extra[:10]!r}",
            )

    def _refuse_gaps(self, names: list[str]) -> None:
        gaps: dict[str, list[int]] = {}
        start = 0
        for batch in self.batches(names):
            for name in names:
                empty = nulls(batch.column(name))
                if empty is not None:
                    gaps.setdefault(name, [0, start + int(empty.argmax())])[0] += int(empty.sum())
            start += batch.num_rows
        refuse_gaps(gaps, self.rows)

    def _values(self, fields: tuple[Field, ...]) -> ArrayLike:
        if self.stored is not None:
            return self.stored(fields)
        blocks, start = [], 0
        for batch in self.batches([one.name for one in fields]):
            blocks.append(encode(batch, fields, start))
            start += batch.num_rows
        return np.concatenate(blocks) if blocks else np.empty((0, len(fields)))


def from_frame(frame: Any, name: str = "table") -> Table:
    """A DataFrame of any library that narwhals knows (pandas, polars, pyarrow, ...).

    Raises DataError for a column of mixed types.
    """
    import narwhals as nw
    import pyarrow as pa

    try:
        known = nw.from_native(_named_by_texts(frame))
        if isinstance(known, nw.LazyFrame):
            known = known.collect()
    except (
        Exception
    ) as error:  # every library has errors of its own, of names that come twice and of lazy frames
        raise _unreadable(error) from error
    try:
        table = known.to_arrow()
    except (pa.ArrowException, TypeError) as error:
        raise _mixed_error(known, error) from error
    except Exception as error:
        raise _unreadable(error) from error
    except BaseException as error:  # polars panics outside of Exception, over a name with a zero byte
        if type(error).__name__ != "PanicException":
            raise
        raise _unreadable(error) from None
    return _from_arrow(name, table)


def _named_by_texts(frame: Any) -> Any:
    """A frame of pandas whose names are numbers, pairs or nothing, by their texts; any other as it is."""
    if not hasattr(frame, "iloc") or all(isinstance(name, str) for name in frame.columns):
        return frame
    names = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns]
    _unique(names)
    return frame.set_axis(names, axis=1)


def is_frame(source: Any) -> bool:
    """Whether narwhals knows this object as a DataFrame."""
    import narwhals as nw

    try:
        known = nw.from_native(source, pass_through=True)
    except Exception:  # a frame all the same: narwhals refuses names that come twice
        return hasattr(source, "columns")
    return isinstance(known, (nw.DataFrame, nw.LazyFrame))


def from_csv(path: Path, memory: int) -> Table:
    """A CSV file with a header, packed or not; commas, semicolons, tabs or bars are told apart by the first line.

    A first line of numbers alone is data, and the columns are then called f0, f1, ... Raises DataError for
    ragged lines.
    """
    import pyarrow as pa
    import pyarrow.csv as csv

    with reading(path):
        zipped = path.suffix.lower() == ".gz"
        content = gunzip(path, memory) if zipped else b""
        with _plain_text(io.BytesIO(content) if zipped else open(path, "rb")) as file:
            first = file.readline(FIRST_LINE)
        delimiter = max(",;\t|", key=first.count)
        check_width(path, first.count(delimiter) + 1)
        headed = not all(_number(cell) for cell in first.strip().split(delimiter)) or not first.strip()
        table = csv.read_csv(
            pa.BufferReader(content) if zipped else path,
            read_options=csv.ReadOptions(autogenerate_column_names=not headed, use_threads=False),
            parse_options=csv.ParseOptions(delimiter=delimiter),
            # only an empty cell is a gap: a written 'n/a' shall be named, not guessed at
            convert_options=csv.ConvertOptions(null_values=[""], strings_can_be_null=True),
        )
    notes: list[str] = []
    if not headed:
        notes.append("the first line holds numbers, so the columns are called f0, f1, ...")
    if delimiter != "," and delimiter in first:
        notes.append(f"columns are separated by {delimiter!r}")
    if path.stat().st_size > memory:
        notes.append("a CSV file is read whole; convert it to Parquet to stream it")
    with reading(path):
        return replace(_from_arrow(path.name, table), notes=tuple(notes))


def from_parquet(path: Path, memory: int) -> Table:
    """A Parquet file; it stays on disk when its rows as float64 exceed `memory` bytes.

    Raises DataError, before they are unpacked, for columns of texts that say they take more.
    """
    with reading(path):
        footer = read_footer(path)
        with open_parquet(path, footer) as file:
            schema, rows = file.schema_arrow, footer.told.num_rows
        list(schema.names)  # decoded here
        check_footer(path, footer, memory)
    names = _unique([name for name in schema.names if not name.startswith("__index_level_")])
    large = rows * len(names) * 8 > memory
    notes = ("larger than memory: read from disk by row group",) if large else ()

    def batches(columns: Sequence[str]) -> Iterator[Any]:
        with reading(path), open_parquet(path, footer) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns), use_threads=False):
                check_size(f"a batch of {path}", batch.nbytes, max(memory, LEAST_BATCH))
                check_codes(batch)
                yield batch

    types = tuple(schema.field(name).type for name in names)
    stored = partial(ParquetRows, path, footer, memory) if large else None
    return Table(path.name, names, types, rows, batches, notes, stored)


def _plain_text(file: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(file, encoding="utf-8-sig", newline="", errors="replace")


def _from_arrow(name: str, table: pa.Table) -> Table:
    names = [column for column in table.column_names if not column.startswith("__index_level_")]
    types = tuple(table.schema.field(i).type for i, c in enumerate(table.column_names) if c in names)
    unique = _unique(names)
    return Table(name, unique, types, table.num_rows, lambda columns: [table.select(list(columns))])


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        raise DataError("expected columns", "got a table without any", "check what was read")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError("column names must differ", f"got {twice[0]!r} more than once", "rename one of them")
    return tuple(names)


def _mixed_error(frame: Any, error: Exception) -> DataError:
    """Find the column and row where a column of Python objects changes type."""
    for name in _unique(frame.columns):
        known = [(row, value) for row, value in enumerate(frame[name].to_list()) if value is not None]
        odd = [(row, value) for row, value in known if isinstance(value, str) != isinstance(known[0][1], str)]
        if odd:
            (row, value), (odd_row, odd_value) = known[0], odd[0]
            return DataError(
                f"column {name!r} mixes texts and numbers",
                f"row {row} holds {value!r}, row {odd_row} holds {odd_value!r}",
                "make the column all numbers or all texts",
            )
    return _unreadable(error)


def _unreadable(error: BaseException) -> DataError:
    told = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(
        "the table cannot be read", f"got {told}", "use columns of one plain type each, by names that differ"
    )


def _number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True
