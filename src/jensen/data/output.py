"""Samples on disk: tables, arrays and folders of images, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.labels import BOOLEAN
from jensen.data.settle import settle
from jensen.data.times import time_column
from jensen.disk import sync
from jensen.errors import OutputError, SpaceError, UsageError
from jensen.space import Column, Space

FORMATS = ".csv, .parquet, .npy, .npz, or no suffix for a folder of PNG images"


def write(path: str | Path, rows: NDArray[Any], space: Space, *, overwrite: bool = False) -> None:
    """Write rows (n, *space.shape) in a format told by the suffix: .csv, .parquet, .npy, .npz, none for PNGs.

    Tables get the space's column names, labels in place of codes, dates, empty cells for gaps, whole numbers where the grid
    is whole, and real values on the steps and within the range that were seen (`data.settle`).
    PNG images of fewer than 256 levels are stretched to 0 to 255 for the eye: keep .npy for scoring.

    Everything is written under a temporary name beside `path` and renamed when complete. Raises OutputError
    where that fails or `path` exists (unless `overwrite`), SpaceError for rows outside the space, UsageError
    for a format that cannot hold them.

    >>> folder = tempfile.TemporaryDirectory()
    >>> write(Path(folder.name, "x.csv"), np.array([[0, 1]]), Space.binary(2))
    >>> Path(folder.name, "x.csv").read_text().split()
    ['"x0","x1"', '0,1']
    >>> folder.cleanup()
    """
    target = Path(path)
    writer = check_target(target, space, overwrite=overwrite)
    rows = np.asarray(rows)
    space.check(rows)
    try:
        _complete(target, lambda temporary: writer(temporary, rows, space))
    except OSError as error:
        raise _output_error(target, error) from error


def check_target(
    path: str | Path, space: Space, *, overwrite: bool = False
) -> Callable[[Path, NDArray[Any], Space], None]:
    """The writer for `path`. Raises what `write` would raise before it has rows: before they are drawn, say."""
    target = Path(path)
    writer = _writer(target, space)
    if not overwrite and (target.exists() or target.is_symlink()):
        raise OutputError(f"{target} already exists", "", "choose another name, or overwrite it")
    if target.is_dir() and (target.suffix or any(one.suffix != ".png" for one in target.iterdir())):
        raise OutputError(
            f"{target} is a folder of other files", "and is not replaced", "choose another name"
        )
    return writer


def _writer(target: Path, space: Space) -> Callable[[Path, NDArray[Any], Space], None]:
    suffix = target.suffix.lower()
    if suffix in (".csv", ".parquet"):
        if space.is_image:
            raise UsageError(
                f"a {suffix} file holds tables", f"got images {space.shape}", "write .npy or a folder"
            )
        return _write_csv if suffix == ".csv" else _write_parquet
    if suffix in (".npy", ".npz"):
        return _write_npy if suffix == ".npy" else _write_npz
    if suffix:
        raise UsageError("unknown format of an output file", f"got {suffix!r}", f"use {FORMATS}")
    if not space.is_image or space.shape[0] not in (1, 3) or not 2 <= (space.columns[0].levels or 0) <= 256:
        raise UsageError(
            "PNG holds grey or RGB images of at most 256 levels",
            f"got {space.describe()}",
            "write .npy instead",
        )
    return _write_pngs


def _complete(target: Path, make: Callable[[Path], None]) -> None:
    """Make a file or folder in a hidden folder beside the target, then move it there in one step."""
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        made, old = beside / target.name, beside / "old"
        make(made)
        for one in [*(sorted(made.iterdir()) if made.is_dir() else []), made]:
            sync(one)  # a rename may reach the disk before what it names
        if target.is_dir():  # a folder cannot be replaced in one step; the old one leaves first
            os.replace(target, old)
        try:
            os.replace(made, target)
        except OSError:
            if old.exists():
                os.replace(old, target)
            raise
        sync(target.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _output_error(target: Path, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            f"{target} cannot be written", "the disk is full", "free some space or choose another disk"
        )
    if not target.parent.is_dir():
        return OutputError(
            f"{target} cannot be written", "its folder does not exist", f"make {target.parent} first"
        )
    return OutputError(
        f"{target} cannot be written", error.strerror or str(error), "choose a folder that you may write to"
    )


def _write_npy(path: Path, rows: NDArray[Any], space: Space) -> None:
    with open(path, "wb") as file:
        np.save(file, _plain(rows, space.columns), allow_pickle=False)


def _write_npz(path: Path, rows: NDArray[Any], space: Space) -> None:
    # numpy before 2 leaves the archive open where a write fails, which then complains when it is collected
    with (
        open(path, "wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array(member, _plain(rows, space.columns), allow_pickle=False)


def _write_csv(path: Path, rows: NDArray[Any], space: Space) -> None:
    import pyarrow.csv as csv

    with open(path, "wb") as file:
        csv.write_csv(as_table(rows, space), file)


def _write_parquet(path: Path, rows: NDArray[Any], space: Space) -> None:
    import pyarrow.parquet as pq

    with open(path, "wb") as file:
        pq.write_table(as_table(rows, space), file)


def _write_pngs(path: Path, rows: NDArray[Any], space: Space) -> None:
    from PIL import Image

    path.mkdir()
    column = space.columns[0]
    top = (column.levels or 2) - 1
    index = np.rint((rows.astype(np.float64) - column.low) / column.step)
    own = _whole_grid(column) and column.low >= 0 and 128 <= column.high <= 255
    pixels = (rows if own else np.rint(index * (255 / top))).astype(np.uint8)
    digits = max(5, len(str(len(rows) - 1)))
    for i, image in enumerate(np.moveaxis(pixels, 1, -1)):
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(path / f"{i:0{digits}d}.png")


def as_table(rows: NDArray[Any], space: Space) -> Any:
    """Rows (n, d) of a vector space as an Arrow table, as the user wrote them. Raises SpaceError for equal names."""
    import pyarrow as pa

    columns = [space.column(site) for site in range(space.dims)]
    names = [column.name or f"x{site}" for site, column in enumerate(columns)]
    if len(set(names)) < len(names):
        raise SpaceError(
            "column names must differ", f"got {', '.join(names[:20])}", "name the columns of the space"
        )
    return pa.table([_values(rows[:, site], column) for site, column in enumerate(columns)], names=names)


def _values(values: NDArray[Any], column: Column) -> Any:
    """A column as the user wrote it: labels for codes, true and false, dates, whole numbers, decimals as typed, gaps."""
    import pyarrow as pa

    gaps = np.isnan(values) if np.issubdtype(values.dtype, np.floating) else np.zeros(len(values), bool)
    if column.time:
        return time_column(settle(values, column), column.time)
    if column.kind == "real":
        settled = settle(values, column)
        low = 0.0 if column.seen is None else column.seen[0]
        if column.grain is None or column.seen is None:
            return pa.array(np.ascontiguousarray(settled), mask=gaps if gaps.any() else None)
        whole = float(column.grain).is_integer() and float(low).is_integer()
        return _whole(settled, gaps) if whole else _as_typed(settled, gaps)
    known = np.where(gaps, column.low, values) if gaps.any() else values
    if column.labels is not None:
        codes = np.rint(known).astype(np.intp)
        if column.labels == BOOLEAN:
            return pa.array(codes == 1, mask=gaps)
        return _numbers_again(pa.array(np.array(column.labels, dtype=object)[codes], pa.string(), mask=gaps))
    return _whole(known, gaps) if _whole_grid(column) else _as_typed(known, gaps)


def _whole(values: NDArray[Any], gaps: NDArray[np.bool_]) -> Any:
    import pyarrow as pa

    return pa.array(np.rint(np.where(gaps, 0, values)).astype(np.int64), mask=gaps)


def _as_typed(values: NDArray[Any], gaps: NDArray[np.bool_]) -> Any:
    """Decimals without the digits that arithmetic adds."""
    import pyarrow as pa

    distinct, where = np.unique(np.where(gaps, 0.0, values.astype(np.float64)), return_inverse=True)
    return pa.array(np.array([float(f"{value:.12g}") for value in distinct])[where], mask=gaps)


def _numbers_again(texts: Any) -> Any:
    """Labels that stand for numbers, as numbers: 3 and not "3"."""
    import pyarrow as pa

    for kind in (pa.int64(), pa.float64()):
        try:
            return texts.cast(kind)
        except pa.ArrowInvalid:
            continue
    return texts


def _plain(rows: NDArray[Any], columns: tuple[Column, ...]) -> NDArray[Any]:
    """Whole numbers as such, in one byte where they fit, so that images stay images when they are read."""
    floats = np.issubdtype(rows.dtype, np.floating) and bool(np.isnan(rows).any())
    if floats or not all(column.kind != "real" and _whole_grid(column) for column in columns):
        return rows
    bytes_fit = all(column.low >= 0 and column.high <= 255 for column in columns)
    return np.rint(rows).astype(np.uint8 if bytes_fit else np.int64)


def _whole_grid(column: Column) -> bool:
    return float(column.low).is_integer() and float(column.step).is_integer()
