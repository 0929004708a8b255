"""Values that lie beside rows, one a row, as an Arrow table: arrays, lists, series, frames and files of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.arrays import from_tensor
from jensen.data.bounded import read_npy
from jensen.data.idx import from_idx_labels, is_idx
from jensen.data.load import open_source
from jensen.data.tables import Table, is_frame
from jensen.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "context"
MEMORY = 1 << 30


def arrow_table(given: Any) -> pa.Table:
    """One row a context, one column a part of it; columns without a name are called context, or context0, ...

    A mapping of names to columns, a frame, a series, an array (n,) or (n, d), a list, a tensor, or the path of a file.
    Raises DataError for anything else and for columns that mix texts and numbers.

    >>> arrow_table([3, 1, 2]).column("context").to_pylist()
    [3, 1, 2]
    """
    if isinstance(given, (str, Path)):
        return _file(Path(given))
    if isinstance(given, Mapping):
        return _columns([str(name) for name in given], list(given.values()))
    if isinstance(given, (list, tuple)):
        return _list(given)
    if is_frame(given):
        return _of_table(open_source(given, MEMORY))
    if (series := _series(given)) is not None:
        return series
    if hasattr(given, "detach"):
        given = np.asarray(from_tensor(given).values)
        given = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
    if isinstance(given, np.ndarray) or hasattr(given, "__array__"):
        return _array(np.asarray(given), NAME)
    raise DataError(
        "this is no context", f"got {type(given).__name__}", "pass an array, a list, a series or a path"
    )


def _file(path: Path) -> pa.Table:
    name = path.name.partition(".")[0] or NAME
    if path.suffix.lower() == ".npy" and path.is_file():
        try:
            return _array(read_npy(path), name)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"{path} is not a whole NPY file of numbers or texts",
                str(error).split("\n")[0],
                "write it again with numpy.save",
            ) from error
    if path.is_file() and is_idx(path):
        return _array(from_idx_labels(path, MEMORY), name)
    opened = open_source(path, MEMORY)
    return _of_table(opened) if isinstance(opened, Table) else _array(np.asarray(opened.values[:]), name)


def _of_table(table: Any) -> pa.Table:
    import pyarrow as pa

    parts = [part if isinstance(part, pa.Table) else pa.table(part) for part in table.batches(table.names)]
    return pa.concat_tables(parts)


def _series(given: Any) -> pa.Table | None:
    import narwhals as nw
    import pyarrow as pa

    try:
        known = nw.from_native(given, pass_through=True, allow_series=True)
    except Exception:  # what only looks like a series
        return None
    if not isinstance(known, nw.Series):
        return None
    name = str(known.name or NAME)
    try:
        return pa.table({name: known.alias(NAME).to_arrow()})  # polars panics over a name with a zero byte
    except (pa.ArrowException, TypeError) as error:
        raise _mixed(name, error) from error


def _list(given: Sequence[Any]) -> pa.Table:
    nested = [isinstance(one, (list, tuple, np.ndarray)) and np.ndim(one) > 0 for one in given]
    if not any(nested):
        return _columns([NAME], [given])
    sizes = {len(one) if hasattr(one, "__len__") else 0 for one in given}
    if not all(nested) or len(sizes) > 1:
        raise DataError(
            "expected contexts of one length", f"got lengths {sorted(sizes)}", "one row of values a context"
        )
    return _columns(_names(NAME, sizes.pop()), list(zip(*given)))


def _array(values: NDArray[Any], name: str) -> pa.Table:
    if values.ndim not in (1, 2):
        raise DataError(
            "a context is one value or one vector a row, (n,) or (n, d)",
            f"got shape {values.shape}",
            "flatten it, or embed images first",
        )
    columns = [values] if values.ndim == 1 else list(values.T)
    return _columns(_names(name, len(columns)), columns)


def _names(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}{i}" for i in range(count)]


def _columns(names: Sequence[str], columns: Sequence[Any]) -> pa.Table:
    import pyarrow as pa

    made = []
    for name, column in zip(names, columns, strict=True):
        try:
            made.append(pa.array(_plain(column), from_pandas=True))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise _mixed(name, error) from error
    if not names:
        raise DataError("expected a context", "got no column", "leave context out")
    return pa.table(made, names=list(names))


def _plain(column: Any) -> Any:
    """What Arrow reads: native byte order and one memory block; Python's own scalars in lists."""
    if isinstance(column, np.ndarray):
        kept = column.dtype.newbyteorder("=") if column.dtype.kind in "iuf" else column.dtype
        return np.ascontiguousarray(column, dtype=kept)
    return [one.item() if isinstance(one, np.generic) else one for one in column]


def _mixed(name: str, error: Exception) -> DataError:
    return DataError(
        f"the context {name!r} cannot be read",
        str(error).split("\n")[0],
        "make it all numbers or all texts",
    )
