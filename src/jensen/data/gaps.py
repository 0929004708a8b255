"""Rows with gaps: NaN in arrays, empty cells in tables. They are read as any rows, and where the gaps are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.arraylike import ArrayLike
from jensen.data.encode import nulls
from jensen.data.examples import EXAMPLES
from jensen.data.labels import number_text
from jensen.data.load import open_source
from jensen.data.rows import MEMORY, Rows, read
from jensen.data.tables import Table
from jensen.errors import SpaceError
from jensen.space import Column, Space


def read_gaps(
    source: Any,
    space: Space,
    ignore: NDArray[np.bool_] | None = None,
    *,
    drop: Sequence[str] = (),
    first: int | None = None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Rows (n, *space.shape) in memory, gaps filled with some value of the space, and a mask (n, *shape) of the gaps.

    source, drop: as in `read`. ignore: sites, one mask for all rows or one a row, whose values are of no interest: they
    are replaced too, whatever they hold, and count as no gaps. first: only so many rows. Raises SpaceError for values
    outside the space, DataError for what cannot be read.

    >>> rows, gaps = read_gaps([[0.0, np.nan], [1.0, 1.0]], Space.binary(2))
    >>> rows.tolist(), gaps.tolist()
    ([[0.0, 0.0], [1.0, 1.0]], [[False, True], [False, False]])
    """
    values, gaps = _opened(source, space, drop)
    values, gaps = np.asarray(values[: len(values) if first is None else first]), gaps[:first]
    space.check_shape(values.shape)
    if np.issubdtype(values.dtype, np.floating):
        gaps = gaps | np.isnan(values)
    if ignore is not None:
        _check_mask(ignore, values.shape)
        gaps = gaps & ~ignore
        values = np.where(ignore | gaps, _fill(space, values.dtype), values)
    elif gaps.any():
        values = np.where(gaps, _fill(space, values.dtype), values)
    return np.asarray(read(values, space)[:]), gaps


def refuse_gaps(gaps: NDArray[np.bool_], space: Space) -> None:
    """Raise SpaceError naming the first of the gaps (n, *shape) of observed sites."""
    if gaps.any():
        row, *site = np.argwhere(gaps)[0].tolist()
        name = "" if space.is_image else space.column(site[0]).name
        where = f"column {name!r}" if name else "site " + ",".join(map(str, site))
        raise SpaceError(
            "an observed site needs a value",
            f"row {row}, {where} holds none",
            "mark it as missing, or fill it",
        )


def _opened(source: Any, space: Space, drop: Sequence[str]) -> tuple[ArrayLike, NDArray[np.bool_]]:
    """The rows unchecked, and the gaps that are known before the numbers are."""
    if isinstance(source, Rows) or (isinstance(source, str) and source in EXAMPLES):
        values = read(source, space, drop=drop)
    else:
        opened = open_source(source, MEMORY, space.shape)
        if isinstance(opened, Table):
            return _table(opened.without([drop] if isinstance(drop, str) else drop), space)
        values = read(source, space, drop=drop) if drop else opened.values
    return values, np.zeros(values.shape, bool)


def _table(table: Table, space: Space) -> tuple[ArrayLike, NDArray[np.bool_]]:
    """A table's rows, with a value of its column in every empty cell."""
    by_name = {column.name: column for column in space.columns}
    columns = {
        name: by_name.get(name) or space.column(min(site, space.dims - 1))
        for site, name in enumerate(table.names)
    }

    def filled(names: Sequence[str]) -> Iterable[Any]:
        return (_filled(batch, {name: columns[name] for name in names}) for batch in table.batches(names))

    found = replace(table, batches=filled, stored=None).conform(space)
    names = [one.name for one in found.fields or ()]
    empty = [np.stack([_nulls(batch.column(name)) for name in names], 1) for batch in table.batches(names)]
    return found.values, np.concatenate(empty)


def _nulls(values: Any) -> NDArray[np.bool_]:
    found = nulls(values)
    return np.zeros(len(values), bool) if found is None else found


def _filled(batch: Any, columns: dict[str, Column]) -> Any:
    import pyarrow as pa

    arrays = [_fill_column(batch.column(name), column) for name, column in columns.items()]
    return pa.table(arrays, names=list(columns))


def _fill_column(values: Any, column: Column) -> Any:
    """An Arrow column whose empty cells hold a value of the space, as the column writes it."""
    import pyarrow as pa

    if not values.null_count:
        return values
    label = None if column.labels is None else column.labels[0]
    if pa.types.is_null(values.type):
        return pa.array([column.low if label is None else label] * len(values))
    # through Python: the types of labels are many (texts, dictionaries, bits, numbers), the rows with gaps few
    known = values.to_pylist()
    if label is not None:
        return pa.array([label if value is None else number_text(value) for value in known])
    return pa.array([column.low if value is None else float(value) for value in known])


def _fill(space: Space, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A value of the space at every site; broadcasts to rows."""
    low, _ = space.grid()
    fill = np.broadcast_to(low.reshape(-1) if len(low) > 1 else low, space.shape)
    return fill.astype(dtype)


def _check_mask(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> None:
    if mask.shape not in (shape, shape[1:]):
        raise SpaceError(
            f"a mask has the shape of a row, {shape[1:]}, or of all rows, {shape}",
            f"got {mask.shape}",
            "True marks a site to be drawn",
        )
