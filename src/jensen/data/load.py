"""Find out what a source is, and open it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jensen.data.arraylike import OnDisk, Source
from jensen.data.arrays import from_array, from_list, from_npy, from_npz, from_tensor
from jensen.data.bounded import check_regular
from jensen.data.examples import EXAMPLES
from jensen.data.idx import from_idx, is_idx
from jensen.data.images import SUFFIXES, from_folder
from jensen.data.tables import Table, from_csv, from_frame, from_parquet, is_frame
from jensen.errors import DataError, nearest

CSV_NAMES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
SOURCES = "an array, a torch tensor, a DataFrame, a path or the name of an example"


def open_source(source: Any, memory: int, row: tuple[int, ...] | None = None) -> Source | Table:
    """Open an array, tensor, list, DataFrame or path; `row` is the shape of a row where it is known.

    Raises DataError for anything else, and for a path that leads nowhere.
    """
    if isinstance(source, (str, Path)):
        return _open_path(Path(source), memory, row)
    if isinstance(source, np.ndarray):
        return from_array(source, row=row)
    if isinstance(source, OnDisk):
        return Source("rows", source)  # a part of Rows
    if isinstance(source, (list, tuple)):
        return from_list(source, row)
    module = type(source).__module__.split(".")[0]
    if module == "torch" and hasattr(source, "detach"):
        return from_tensor(source, row)
    if is_frame(source):
        return from_frame(source)
    if hasattr(source, "__array__"):
        return from_array(np.asarray(source), row=row)
    raise DataError("this is no source of rows", f"got {type(source).__name__}", f"pass {SOURCES}")


def _open_path(path: Path, memory: int, row: tuple[int, ...] | None) -> Source | Table:
    try:
        if path.is_dir():
            return from_folder(path, memory)
        if not path.exists():
            raise _nowhere(path)
        return _open_file(path, memory, row)
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} cannot be read", error.strerror or str(error), "check its permissions"
        ) from error


def _open_file(path: Path, memory: int, row: tuple[int, ...] | None) -> Source | Table:
    name, suffix = path.name.lower(), path.suffix.lower()
    check_regular(path)
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty", "got 0 bytes", "check how it was written")
    if name.endswith(CSV_NAMES):
        return from_csv(path, memory)
    if suffix in (".parquet", ".pq"):
        return from_parquet(path, memory)
    if suffix == ".npy":
        return from_npy(path, memory, row)
    if suffix == ".npz":
        return from_npz(path, memory, row)
    if suffix in SUFFIXES:
        raise DataError("one image is one row", f"got {path}", "pass the folder of images")
    if is_idx(path):
        return from_idx(path, memory, row)
    raise DataError(
        f"the format of {path} is not known",
        f"got suffix {suffix!r}" if suffix else "got no suffix",
        "use CSV, Parquet, NPY, NPZ, IDX (as MNIST, .gz or not, perhaps damaged here) or a folder of images",
    )


def _nowhere(path: Path) -> DataError:
    """No such file: name what is near, examples for a bare name and otherwise files beside it."""
    text = str(path)
    if len(path.parts) <= 1 and not path.suffix:
        return DataError("neither an example nor a file", f"got {text!r}", nearest(text, EXAMPLES))
    if not path.parent.is_dir():
        return DataError("no such folder", f"got {str(path.parent)!r}", "check the path")
    beside: Sequence[str] = [one.name for one, _ in zip(path.parent.iterdir(), range(1000), strict=False)]
    hint = nearest(path.name, beside)
    return DataError("no such file", f"got {text!r}", hint if hint.startswith("did") else "check the path")
