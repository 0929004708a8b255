"""Rows as a DataFrame of the user's own library, with the columns and types that the user's had."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.arguments import said
from jensen.data.output import as_table
from jensen.errors import DataError, SpaceError
from jensen.space import Space


def as_frame(rows: NDArray[Any], space: Space, like: Any = None) -> Any:
    """Rows (n, d) as a table with the space's column names, labels for codes, dates, whole numbers where they were seen.

    `like`: a DataFrame of any library that narwhals knows, whose library, order of columns and types the result gets. None:
    an Arrow table, which every library reads. Raises SpaceError for images, DataError where `like` lacks a column.
    """
    if space.is_image:
        raise SpaceError("images are no table", f"got {space.describe()}", "use sample")
    table = as_table(np.asarray(rows), space)
    if like is None:
        return table
    import narwhals as nw

    try:
        known = nw.from_native(like)
    except Exception as error:  # every library has errors of its own
        raise DataError(
            "like is a DataFrame",
            f"got {said(like)}",
            "pass the frame that the model was fitted to, or leave it out",
        ) from error
    if isinstance(known, nw.LazyFrame):
        known = known.collect()
    lacking = [name for name in table.column_names if name not in known.columns]
    if lacking:
        raise DataError(
            "the frame to be like lacks columns of these rows",
            f"got no {', '.join(map(repr, lacking[:5]))}",
            "pass the frame that the model was fitted to",
        )
    names = [name for name in known.columns if name in table.column_names]
    found = nw.from_dict(
        {name: table.column(name).to_pylist() for name in names}, backend=known.implementation
    )
    types = {name: known.schema[name] for name in names}
    return found.with_columns(
        nw.col(name).cast(kind) for name, kind in types.items() if _castable(found[name], kind)
    ).to_native()


def _castable(values: Any, kind: Any) -> bool:
    """Whether a column can have the type: whole numbers with gaps stay floats where the type has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas is about to refuse what it now turns into gaps
            return bool(values.cast(kind).null_count() == values.null_count())
    except Exception:  # every library has errors of its own
        return False
