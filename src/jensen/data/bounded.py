"""Reading what may be larger than it says, or say more than it is: sizes are checked before memory is taken."""

from __future__ import annotations

import gzip
import math
import stat
import tokenize
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from jensen.errors import DataError

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]
"""Shape, whether in Fortran order, and type of the array of a NPY file."""


def check_regular(path: Path) -> None:
    """Raise DataError for a pipe or a device, which may never end. Raises OSError where there is nothing."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(f"{path} is no regular file", "got a pipe or a device", "write it to a file first")


def gunzip(path: Path, memory: int) -> bytes:
    """The content of a gzip file. Raises DataError once it unpacks to more than `memory` bytes, and OSError, EOFError or
    zlib.error for a damaged one."""
    with gzip.open(path, "rb") as file:
        content = file.read(memory + 1)
    check_size(str(path), len(content), memory)
    return content


def check_size(what: str, size: int, memory: int) -> None:
    """Raise DataError where something packed takes more than `memory` bytes unpacked."""
    if size > memory:
        raise DataError(
            f"{what} unpacks to more than memory={memory:,} bytes",
            f"got {'more' if size == memory + 1 else f'{size:,}'}",
            "unpack it first, or raise memory",
        )


def npy_header(file: BinaryIO) -> Header:
    """What the header of a NPY file says. Raises ValueError for one that no array can have.

    numpy parses it as a Python literal, so a damaged one raises whatever Python's parser does.
    """
    try:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            reader = np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(file)
    except (SyntaxError, TypeError, tokenize.TokenError, RecursionError, MemoryError, OverflowError) as error:
        raise ValueError(f"its header cannot be read: {error}") from error
    except EOFError as error:
        raise ValueError("it ends within its header") from error
    except (AttributeError, KeyError, IndexError, AssertionError, Warning) as error:
        raise ValueError(f"its header cannot be read: {error}") from error
    if any(isinstance(size, bool) or size < 0 for size in shape):
        raise ValueError(f"its header says shape {shape}")
    if not_addressable(shape, dtype):
        raise ValueError(f"its header says shape {shape}, more than any memory holds")
    return shape, fortran, dtype


def not_addressable(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether no memory can hold an array; a size of 0 does not make the others smaller."""
    return math.prod(max(size, 1) for size in shape) > 2**62 // max(dtype.itemsize, 1)


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a NPY file, of texts too. Raises ValueError where the file is shorter or longer than its header says."""
    check_regular(path)
    with open(path, "rb") as file:
        shape, _, dtype = npy_header(file)
        _check_length(shape, dtype, path.stat().st_size - file.tell())
        file.seek(0)
        values: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return values


def read_npz_member(archive: Any, name: str, memory: int) -> NDArray[Any]:
    """An array of an open zip archive. Raises ValueError for a damaged one, DataError for one above `memory` bytes."""
    size = archive.getinfo(name).file_size  # nothing beyond it is unpacked
    check_size(f"array {name.removesuffix('.npy')!r}", size, memory)
    with archive.open(name) as file:
        shape, _, dtype = npy_header(file)
        _check_length(shape, dtype, size - file.tell())
    with archive.open(name) as file:
        values: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return values


def _check_length(shape: tuple[int, ...], dtype: np.dtype[Any], given: int) -> None:
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded: they need pickle, which runs code from the file")
    need = math.prod(shape) * dtype.itemsize
    if need != given:
        raise ValueError(f"its header says {need:,} bytes of values, got {given:,}")
