"""Rows in one block of a file (NPY, IDX) that are read by position, without holding the file in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from jensen.data.arraylike import OnDisk
from jensen.data.bounded import npy_header
from jensen.data.layout import Layout
from jensen.errors import DataError

# one read spans at most this much of the file; gaps below a page or so are read through rather than skipped
SPAN_BYTES = 4 << 20
GAP_BYTES = 16 << 10


class RawRows(OnDisk):
    """An array that lies in a file from `offset` on, in C or Fortran order.

    Rows are read by offset and not through a memory map: mapped pages count as resident memory, and the
    kernel may map megabytes around each row that is touched.

    Raises DataError when the file is shorter than the array.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        offset: int,
        layout: Layout,
        fortran: bool = False,
    ) -> None:
        self.path, self.layout = path, layout
        self._stored, self._shape, self._offset = dtype, shape, offset
        self._fortran = fortran
        self.shape = layout.shape(shape)
        self.dtype = plain_dtype(dtype)
        self._row_bytes = max(1, dtype.itemsize * math.prod(shape[1:]))
        self.block = max(1, (64 << 10) // self._row_bytes)
        need, given = offset + dtype.itemsize * math.prod(shape), path.stat().st_size
        if given != need:
            what = "is cut short" if given < need else "is longer than its header says"
            raise DataError(
                f"{path} {what}: expected {need} bytes", f"got {given}", "copy or download the file again"
            )

    def read(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        out = np.empty((len(rows), *self._shape[1:]), self.dtype)
        try:
            with open(self.path, "rb", buffering=0) as file:
                for start, stop in self._spans(rows):
                    first = int(rows[start])
                    window = self._window(file, first, int(rows[stop - 1]) + 1)
                    whole = len(window) == stop - start
                    out[start:stop] = window if whole else window[rows[start:stop] - first]
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.path} changed while it was being read",
                str(error),
                "keep the file in place while it is used",
            ) from error
        return self.layout(out)

    def _spans(self, rows: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
        """Cut sorted positions into runs that are close together and span a few megabytes at most."""
        gap, most = max(1, GAP_BYTES // self._row_bytes), max(1, SPAN_BYTES // self._row_bytes)
        cuts = np.flatnonzero(np.diff(rows) > gap) + 1
        for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(rows)], strict=True):
            while start < stop:
                end = start + int(np.searchsorted(rows[start:stop], rows[start] + most))
                yield start, end
                start = end

    def _window(self, file: BinaryIO, first: int, last: int) -> NDArray[Any]:
        """Neighbouring rows, as stored. Raises ValueError where the file has become shorter."""
        n, *row = self._shape
        if not self._fortran:
            file.seek(self._offset + first * self._row_bytes)
            return np.fromfile(file, self._stored, (last - first) * math.prod(row)).reshape(
                last - first, *row
            )
        columns = np.empty((math.prod(row), last - first), self._stored)
        for site, column in enumerate(columns):  # in Fortran order each site lies together, rows within it
            file.seek(self._offset + (site * n + first) * self._stored.itemsize)
            column[:] = np.fromfile(file, self._stored, last - first)
        return columns.reshape(*row[::-1], last - first).T


def plain_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The native type that values of this type are read as; bits become 0 and 1.

    Raises DataError for complex numbers, texts, dates, records and Python objects.

    >>> plain_dtype(np.dtype(">f4")), plain_dtype(np.dtype(bool))
    (dtype('float32'), dtype('uint8'))
    """
    if dtype == np.bool_:
        return np.dtype(np.uint8)
    if dtype.kind in "iuf":
        return np.dtype(np.float64) if dtype.itemsize > 8 else dtype.newbyteorder("=")
    if dtype.kind == "c":
        raise DataError(
            "expected real numbers", f"got {dtype}", "take the real and imaginary part as two columns"
        )
    raise DataError(
        "expected an array of numbers", f"got values of type {dtype}", "convert it with .astype(float)"
    )


def open_npy(path: Path, row: tuple[int, ...] | None = None) -> RawRows:
    """The array of a NPY file as rows on disk; `row` is the shape of a row where it is known.

    Raises DataError for a file that is no NPY file, is cut short, or holds Python objects (they need pickle,
    which runs code from the file).
    """
    from jensen.data.layout import layout

    try:
        with open(path, "rb") as file:
            shape, fortran, dtype = npy_header(file)
            offset = file.tell()
    except (ValueError, EOFError) as error:
        raise DataError(
            f"{path} is not a whole NPY file",
            str(error).split("\n")[0] or "got an early end",
            "write it again with numpy.save",
        ) from error
    if dtype.hasobject:
        raise DataError(
            f"{path} holds Python objects, which need pickle, and pickle runs code from the file",
            f"got values of type {dtype}",
            "save plain numbers: numpy.save(path, array.astype(float))",
        )
    how = layout(shape, row)
    return RawRows(path, shape, dtype, offset, how, fortran)
