"""Files that are there whole or not at all, after a full disk, a crash or a power cut as well."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jensen.errors import DataError, OutputError
from jensen.lock import LOCK

PROMISE = ".promise.json"
"""Names the complete files of a save of several, from the moment that it counts until all have their names."""

_PART = re.compile(r"\.[\w.-]+\.[0-9a-f]{8}\.part")
_NAME = re.compile(r"\w[\w.-]*")


def part_name(name: str, token: str) -> str:
    """What something is called until it counts; `tidy` knows it by this."""
    return f".{name}.{token}.part"


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically. Raises OutputError when the place cannot be written."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it: readers see the old file or the new one."""
    with all_or_nothing(path.parent) as place:
        write(place(path.name))


@contextmanager
def all_or_nothing(folder: Path) -> Iterator[Callable[[str], Path]]:
    """Write several files of a folder: the block fills the temporary path it gets for each name.

    1. The files are complete and on the disk (fsync) under temporary names.
    2. Where there are several, a promise that names them is written, and on the disk: from here on the new ones count,
       and `found` reads them by whichever name they have.
    3. They are renamed, the promise is removed.
    A crash before 2 leaves the old files, one after it the new ones; `tidy` finishes or removes what it left. Raises
    OutputError when the place cannot be written.
    """
    waiting: dict[str, Path] = {}
    token = secrets.token_hex(4)
    kept = False

    def place(name: str) -> Path:
        waiting[name] = _new(folder, name, token)
        return waiting[name]

    try:
        yield place
        for part in waiting.values():
            sync(part)
        if len(waiting) > 1:
            _promise(folder, token, list(waiting))
            kept = True
        for name, part in waiting.items():
            os.replace(part, folder / name)
        sync(folder)
        if kept:
            os.unlink(folder / PROMISE)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        where = error.filename2 or error.filename or folder
        raise OutputError(
            "cannot write a result",
            f"{where}: {error.strerror or error}",
            "free some space or choose another place",
        ) from None
    finally:
        if not kept:
            _remove(waiting.values())


def found(folder: Path, name: str) -> Path:
    """Where a file of a folder lies now: under its own name, or still under that of a save that counts already."""
    promised = _promised(folder)
    part = promised.get(name)
    return part if part is not None and part.exists() else folder / name


def tidy(folder: Path) -> None:
    """Finish a save that counts, and remove what others left behind. Only for who holds the folder's lock."""
    try:
        promised = _promised(folder)
        for name, part in promised.items():
            if part.exists():
                os.replace(part, folder / name)
        if promised:
            sync(folder)
        (folder / PROMISE).unlink(missing_ok=True)
        _remove(one for one in folder.iterdir() if _PART.fullmatch(one.name))
    except OSError as error:
        if isinstance(error, (OutputError, DataError)):
            raise
        raise OutputError(
            "cannot finish an interrupted save", f"{folder}: {error.strerror}", "choose another folder"
        ) from None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, on the disk. Raises OutputError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sync(folder.absolute().parent)
    except OSError as error:
        raise OutputError(
            "cannot make the output folder", f"{folder}: {error.strerror}", "choose another place"
        ) from None


def contents(folder: Path) -> list[str]:
    """The names in a folder, without what a killed process may have left of a lock or of a save that does not count.

    Raises OutputError when the folder cannot be read.
    """
    try:
        names = sorted(one.name for one in folder.iterdir())
    except OSError as error:
        raise OutputError(
            "the folder cannot be read", f"{folder}: {error.strerror}", "choose another"
        ) from None
    return [name for name in names if name != LOCK and not _PART.fullmatch(name)]


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes. Raises DataError for a longer one, a device or a pipe, and
    FileNotFoundError or another OSError where there is none to read."""
    check_regular(path)
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise DataError(
            f"{path} is too large for what it is", f"got more than {most:,} bytes", "copy it again"
        )
    return data


def check_regular(path: Path) -> None:
    """Raise DataError for a pipe or a device, which may never end; FileNotFoundError where there is nothing."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(
            f"{path} is no regular file", "got a folder, a pipe or a device", "copy the file there"
        )


def _promise(folder: Path, token: str, names: list[str]) -> None:
    """Write down which files count now. A save of one file needs none: its rename decides."""
    part = _new(folder, PROMISE, token)
    try:
        part.write_text(json.dumps({"token": token, "names": names}), encoding="utf-8")
        sync(part)
        sync(folder)  # the complete files have their temporary names for good
        os.replace(part, folder / PROMISE)
        sync(folder)
    except BaseException:
        _remove([folder / PROMISE, part])
        raise


def _new(folder: Path, name: str, token: str) -> Path:
    """A new empty file, and never one that a link leads to."""
    part = folder / part_name(name, token)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return part


def _promised(folder: Path) -> dict[str, Path]:
    """The files of a save that counts: name -> path under which it was completed."""
    path = folder / PROMISE
    try:
        text = read_bytes(path, 1 << 16)
    except FileNotFoundError:
        return {}
    try:
        record = json.loads(text)
        token, names = record["token"], list(record["names"])
        if not (re.fullmatch(r"[0-9a-f]{8}", token) and all(_NAME.fullmatch(name) for name in names)):
            raise ValueError("a name that no save writes")
        return {name: folder / part_name(name, token) for name in names}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            "the record of an interrupted save is damaged", f"{path}: {error}", "copy the run again"
        ) from None


def sync(path: Path) -> None:
    """What was written to a file, or which names a folder holds, is on the disk when this returns."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folder
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # some file systems have no fsync for folders
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP, errno.EACCES)):
            raise
    finally:
        os.close(handle)


def _remove(paths: Any) -> None:
    for path in paths:
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                os.unlink(path)
