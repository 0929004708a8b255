"""MNIST-style IDX files, plain or gzipped, recognised by their first bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from jensen.data.arraylike import Source
from jensen.data.arrays import from_array
from jensen.data.bounded import check_size, not_addressable
from jensen.data.layout import layout
from jensen.data.stored import RawRows
from jensen.errors import DataError

# http://yann.lecun.com/exdb/mnist: two zero bytes, the type, the number of axes, then big-endian sizes
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def is_idx(path: Path) -> bool:
    """Whether the file, unpacked if need be, starts like an IDX file. Raises OSError where it cannot be read."""
    try:
        with _open(path) as file:
            head = file.read(4)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in TYPES and 1 <= head[3] <= 4


def from_idx(path: Path, memory: int, row: tuple[int, ...] | None = None) -> Source:
    """Images or vectors of an IDX file; a plain file above `memory` bytes stays on disk.

    Raises DataError for a file cut short (with the number of bytes expected and given) and for label files.
    """
    shape, dtype, offset = _header(path)
    if len(shape) == 1:
        raise DataError(
            f"{path} holds one number a row, as label files do",
            f"got shape {shape}",
            "pass the file of images, and this one as context",
        )
    if not _zipped(path) and path.stat().st_size > memory:
        rows = RawRows(
            path, shape, dtype, offset, layout(shape, row)
        )  # raises where the file is of another length
        return Source(path.name, rows, notes=("larger than memory: read from disk as needed",))
    return from_array(_values(path, shape, dtype, offset, memory), path.name, row)


def from_idx_labels(path: Path, memory: int) -> np.ndarray[Any, Any]:
    """All numbers of an IDX file, as (n,) for a file of labels. Raises DataError for a file cut short."""
    shape, dtype, offset = _header(path)
    return _values(path, shape, dtype, offset, memory)


def _values(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int, memory: int
) -> np.ndarray[Any, Any]:
    need = dtype.itemsize * math.prod(shape)
    # more than the file holds is not even asked for: up to memory where it is packed, else its own length
    most = min(need + 1, memory + 1 if _zipped(path) else path.stat().st_size)
    try:
        with _open(path) as file:
            file.seek(offset)
            body = file.read(most)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is damaged or cut short: expected {need} bytes of values",
            str(error),
            "copy or download the file again",
        ) from error
    if len(body) > memory and _zipped(path):
        check_size(str(path), need, memory)
    if len(body) != need:
        given = str(len(body)) if len(body) < need else "more"
        raise DataError(
            f"{path} does not match its header: expected {need} bytes of values for shape {shape}",
            f"got {given}",
            "copy or download the file again",
        )
    return np.frombuffer(body, dtype).reshape(shape)


def _header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    try:
        with _open(path) as file:
            head = file.read(4)
            axes = head[3]
            sizes = file.read(4 * axes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is no whole gzip file", str(error), "copy or download it again") from error
    if len(sizes) < 4 * axes:
        raise DataError(
            f"{path} ends within its header: expected {4 + 4 * axes} bytes",
            f"got {4 + len(sizes)}",
            "copy or download the file again",
        )
    shape, dtype = struct.unpack(f">{axes}I", sizes), np.dtype(TYPES[head[2]])
    if not_addressable(shape, dtype):
        raise DataError(
            f"{path} says more values than any memory holds",
            f"got shape {shape}",
            "copy or download the file again",
        )
    return shape, dtype, 4 + 4 * axes


def _zipped(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if _zipped(path) else open(path, "rb")
