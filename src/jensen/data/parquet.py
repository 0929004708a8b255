"""Parquet files, whose few bytes may stand for any number of rows and any length of text: what they say is checked first."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.arraylike import Field, OnDisk
from jensen.data.bounded import check_size
from jensen.data.encode import encode
from jensen.data.parquet_footer import unpacked_sizes
from jensen.errors import DataError

MOST_COLUMNS = 1 << 17
"""A name and a type take a kilobyte each; tables of genes have some 60,000 columns."""

LEAST_BATCH = 1 << 26
"""Bytes that one batch of rows may take, however little memory is to be used."""


class ParquetRows(OnDisk):
    """Rows (n, d) of a Parquet file, decoded one row group at a time; the last few groups are kept.

    Raises DataError when one row group alone does not fit into `memory` bytes.
    """

    def __init__(self, path: Path, footer: Footer, memory: int, fields: tuple[Field, ...]) -> None:
        self.path, self.footer, self.fields = path, footer, fields
        told = footer.told
        sizes = [told.row_group(i).num_rows for i in range(told.num_row_groups)]
        self.ends = np.cumsum(sizes)
        self.shape, self.dtype = (int(self.ends[-1]), len(fields)), np.dtype(np.float64)
        self.block = int(max(sizes))
        group_bytes = self.block * len(fields) * 8
        if group_bytes > memory:
            raise DataError(
                f"a row group of {path} does not fit into memory={memory} bytes",
                f"got {self.block} rows in one group, {group_bytes} bytes",
                "write the file with a smaller row_group_size, or raise memory",
            )
        self._keep = max(1, memory // 4 // group_bytes)
        self._groups: OrderedDict[int, NDArray[np.float64]] = OrderedDict()

    def read(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        out = np.empty((len(rows), self.shape[1]))
        groups = np.searchsorted(self.ends, rows, side="right")
        for group in np.unique(groups).tolist():
            first, last = np.searchsorted(groups, [group, group + 1])
            begin = int(self.ends[group - 1]) if group else 0
            out[first:last] = self._group(group, begin)[rows[first:last] - begin]
        return out

    def _group(self, group: int, begin: int) -> NDArray[np.float64]:
        if group in self._groups:
            self._groups.move_to_end(group)
            return self._groups[group]
        while len(self._groups) >= self._keep:
            self._groups.popitem(last=False)
        with reading(self.path), open_parquet(self.path, self.footer) as file:
            table = file.read_row_group(group, columns=[one.name for one in self.fields], use_threads=False)
            check_codes(table)
        self._groups[group] = encode(table, self.fields, begin)
        return self._groups[group]


@dataclass(frozen=True)
class Footer:
    """What a Parquet file says of itself, and which of its columns are texts."""

    told: Any
    texts: list[str]


def read_footer(path: Path) -> Footer:
    """The footer of a file, read once: one of many row groups takes longer to read than a group."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        return Footer(file.metadata, _texts(file.schema_arrow))


def open_parquet(path: Path, footer: Footer) -> Any:
    """An open Parquet file whose texts are read as codes of a dictionary: one long text in a million rows stays one."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, metadata=footer.told, pre_buffer=False, read_dictionary=footer.texts)


def check_codes(batch: Any) -> None:
    """Raise ArrowInvalid where a damaged page holds codes beyond its dictionary: nothing looks at them before they are used."""
    from pyarrow import types

    for column in batch.columns:
        if types.is_dictionary(column.type):
            column.validate(full=True)


def check_footer(path: Path, footer: Footer, memory: int) -> None:
    """What the footer says is looked at before a page is unpacked.

    Raises DataError for more rows than bytes where their order alone takes more than `memory`, for a column of texts that
    unpacks to more, and for too many columns.
    """
    told = footer.told
    check_width(path, told.num_columns)
    if told.num_rows > path.stat().st_size and told.num_rows * 8 > memory:
        raise DataError(
            f"{path} says more rows than memory={memory:,} bytes can put in order",
            f"got {told.num_rows:,} rows in {path.stat().st_size:,} bytes",
            "raise memory if the file is what it says",
        )
    texts = set(footer.texts)
    if not texts:
        return
    paths = [told.schema.column(i).path for i in range(told.num_columns)]
    for sizes in unpacked_sizes(path):
        for name, size in zip(paths, sizes, strict=False):
            if name in texts:
                check_size(f"column {name!r} of {path}", size, max(memory, LEAST_BATCH))


def check_width(path: Path, columns: int) -> None:
    """Raise DataError for more columns than a table has."""
    if columns > MOST_COLUMNS:
        raise DataError(
            f"{path} has more columns than a table can have",
            f"got {columns:,}, at most {MOST_COLUMNS:,} are read",
            "save it as NPY, or turn rows and columns round",
        )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while reading a table's file into a DataError that names the file."""
    import pyarrow as pa

    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError, EOFError, ValueError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as a table", str(error).split("\n")[0], "check or copy the file again"
        ) from error


def _texts(schema: Any) -> list[str]:
    from pyarrow import types

    kinds = (types.is_string, types.is_large_string, types.is_string_view)
    plain = {one.name: one.type.value_type if types.is_dictionary(one.type) else one.type for one in schema}
    return [name for name, kind in plain.items() if any(is_one(kind) for is_one in kinds)]
