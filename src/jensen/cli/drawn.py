"""Rows that were drawn, as verbs print them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jensen.space import Space

PRINTED = 100_000
"""Numbers that are printed at most; more belong in a file."""


def refuse_long(n: int, space: Space, as_json: bool) -> None:
    """Raise UsageError for rows that are not to be printed, before they are drawn."""
    if space.is_image and not as_json:
        raise UsageError(
            "images are not printed",
            f"got rows of {space.describe()}",
            "pass --out FOLDER for PNG, or --out FILE.npy",
        )
    if n * space.dims > PRINTED:
        raise UsageError(
            f"at most {PRINTED:,} numbers are printed", f"got {n:,} rows of {space.dims:,}", "pass --out FILE"
        )


def column_names(space: Space) -> list[str] | None:
    """Names of the columns of a table, as its CSV has them."""
    if space.is_image:
        return None
    return [space.column(site).name or f"x{site}" for site in range(space.dims)]


def as_csv(rows: NDArray[Any], space: Space) -> str:
    """The rows as the CSV file that --out would write."""
    import tempfile

    from jensen.data import write

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        write(path, rows, space)
        return path.read_text(encoding="utf-8")
