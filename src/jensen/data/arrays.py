"""Rows from arrays: NumPy, torch, lists of numbers, NPY and NPZ."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.arraylike import Source
from jensen.data.bounded import read_npz_member
from jensen.data.layout import layout
from jensen.data.stored import open_npy, plain_dtype
from jensen.errors import DataError

BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OverflowError)
"""What damage in a zip archive raises."""

NPZ_KEYS = ("x", "train", "arr_0")


def from_array(values: NDArray[Any], name: str = "array", row: Sequence[int] | None = None) -> Source:
    """Rows of a NumPy array; `row` is the shape of a row where it is known.

    Shapes: (n, d) vectors, (n, height, width) grey images, (n, channels, height, width), or channels last,
    which are moved. Raises DataError for complex, text and object arrays, and for missing (masked) values.

    >>> from_array(np.zeros((4, 8, 8, 3))).values.shape
    (4, 3, 8, 8)
    """
    if values.dtype.names is None and np.ma.isMaskedArray(values) and np.ma.is_masked(values):
        gaps = np.argwhere(np.ma.getmaskarray(values))
        raise DataError(
            "expected no gaps",
            f"{len(gaps)} values are masked, the first in row {gaps[0][0]}",
            "drop such rows or fill the gaps first",
        )
    values = np.asarray(values)
    if values.dtype == object:
        raise _object_error(values)
    how = layout(values.shape, row)
    plain = values.astype(plain_dtype(values.dtype), copy=False)
    return Source(name, how(plain), notes=(how.note,) if how.note else ())


def from_list(values: Sequence[Any], row: Sequence[int] | None = None) -> Source:
    """Rows of nested lists. Raises DataError when they differ in length."""
    try:
        return from_array(np.asarray(values), "list", row)
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise _ragged_error(values) from error


def from_tensor(tensor: Any, row: Sequence[int] | None = None) -> Source:
    """Rows of a torch tensor on any device."""
    import torch

    if tensor.is_meta:
        raise DataError(
            "a tensor on the meta device has no values", f"got shape {tuple(tensor.shape)}", "make it on cpu"
        )
    try:
        if tensor.layout is not torch.strided:
            tensor = tensor.to_dense()
        tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
        if tensor.is_floating_point() and tensor.dtype not in (torch.float64, torch.float32, torch.float16):
            tensor = tensor.float()  # NumPy has no bfloat16 and no float8; float32 holds every value of them
        values = tensor.numpy()
    except (
        RuntimeError,
        TypeError,
        NotImplementedError,
    ) as error:  # quantised, nested, and what is yet to come
        raise DataError(
            "the tensor cannot be read as numbers",
            f"got {tensor.dtype}, {tensor.layout}",
            "convert it with .float()",
        ) from error
    return from_array(values, "tensor", row)


def from_npy(path: Path, memory: int, row: tuple[int, ...] | None = None) -> Source:
    """Rows of a NPY file, read whole when they fit into `memory` bytes."""
    stored = open_npy(path, row)
    notes = (stored.layout.note,) if stored.layout.note else ()
    if path.stat().st_size > memory:
        return Source(path.name, stored, notes=(*notes, "larger than memory: read from disk as needed"))
    return Source(path.name, stored[:], notes=notes)


def from_npz(path: Path, memory: int, row: Sequence[int] | None = None) -> Source:
    """Rows of the only array of a NPZ file, or of the one called x, train or arr_0.

    Raises DataError naming the arrays when it is not clear which is meant, and for one of more than `memory` bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            key = _npz_key(path, list(members))
            values = read_npz_member(archive, members[key], memory)
    except (*BROKEN_ZIP, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        if "Object arrays" in str(error) or "pickle" in str(error).lower():
            raise DataError(
                f"{path} holds Python objects or is no NPZ file",
                str(error).split("\n")[0],
                "save plain numbers with numpy.savez(path, x=array)",
            ) from error
        raise DataError(
            f"{path} is not a whole NPZ file",
            str(error) or "got an early end",
            "copy the file again or write it with numpy.savez",
        ) from error
    source = from_array(values, path.name, row)
    return Source(path.name, source.values, notes=(f"array {key!r} of the file", *source.notes))


def _npz_key(path: Path, keys: list[str]) -> str:
    if len(keys) == 1:
        return keys[0]
    for key in NPZ_KEYS:
        if key in keys:
            return key
    raise DataError(
        f"{path} holds several arrays, none called {', '.join(NPZ_KEYS)}"
        if keys
        else f"{path} holds no array",
        f"got {', '.join(sorted(keys)) or 'an empty archive'}",
        "load the one you mean with numpy.load and pass it, or save it alone",
    )


def _object_error(values: NDArray[Any]) -> DataError:
    sizes = [np.shape(value) for value in values.ravel()[:1000]]
    if any(size != sizes[0] for size in sizes) and any(sizes):
        return _ragged_error(list(values))
    return DataError(
        "expected an array of numbers",
        "got an object array",
        "convert it with .astype(float), or pass a DataFrame",
    )


def _ragged_error(values: Sequence[Any]) -> DataError:
    sizes = [len(value) if np.ndim(value) or isinstance(value, (list, tuple)) else 0 for value in values]
    odd = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    given = (
        "rows of unequal inner lengths"
        if odd is None
        else f"row 0 has {sizes[0]} values, row {odd} has {sizes[odd]}"
    )
    return DataError("expected rows of one length", f"got {given}", "make all rows the same length")
