"""One process at a time in the folder of a run: a lock that dies with whoever holds it."""

from __future__ import annotations

import errno
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jensen.errors import OutputError, Unlocked

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
"""The file that is locked. It holds who has it, for the message; its presence alone means nothing."""

_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder. Raises OutputError at once where another process, or another fit of this one, has it.

    The kernel holds it (flock), so it ends with the process however that ends, SIGKILL included; a child that the
    process forked and that lives on keeps it. On a file system or a platform without such locks nothing is held, and a
    warning (Unlocked) says so: there it is up to the user not to write one run from two places.
    """
    held = _acquire(folder)
    try:
        yield
    finally:
        if held is not None:
            # removed while it is held: whoever opened it meanwhile finds another file in its place, and tries again
            try:
                with suppress(OSError):
                    os.unlink(folder / LOCK)
            finally:
                os.close(held)


def _acquire(folder: Path) -> int | None:
    path = folder / LOCK
    while True:
        try:
            # a link in its place would make some other file ours
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            raise OutputError(
                "cannot lock the folder of a run",
                f"{path}: {error.strerror}",
                "choose a folder you may write to",
            ) from None
        try:
            if _take(handle, folder) and not _is_at(handle, path):
                os.close(handle)  # its last owner removed it between the two calls
                continue
        except BaseException:
            os.close(handle)
            raise
        with suppress(OSError):
            os.truncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        return handle


def _take(handle: int, folder: Path) -> bool:
    """Lock an open file; False, with a warning, where that is not possible at all."""
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, "this platform has no flock")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            "another process is writing this run",
            f"{folder} is held by {_holder(handle)}",
            "wait until it ends or stop it, or choose another folder",
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise OutputError(
                "cannot lock the folder of a run", f"{folder}: {error.strerror}", "choose another place"
            ) from None
        warnings.warn(
            f"{folder} cannot be locked ({error.strerror}): do not write this run from two processes",
            Unlocked,
            stacklevel=2,
        )
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(os.fstat(handle), there)


def _holder(handle: int) -> str:
    text = os.pread(handle, 200, 0).decode("utf-8", errors="replace")
    return "".join(c for c in text if c.isprintable()) or "a process that did not say which"
