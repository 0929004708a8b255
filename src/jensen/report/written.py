"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from jensen.errors import OutputError


def check_free(path: Path, overwrite: bool) -> None:
    """Raise OutputError when `path` cannot become a new file; worth asking before long work."""
    if path.is_dir():
        raise OutputError(
            "the report needs a file name", f"{path} is a folder", f"pass {path / 'report.html'}"
        )
    if path.exists() and not overwrite:
        raise OutputError("the report exists already", f"got {path}", "pass overwrite=True, or another name")
    if not path.parent.is_dir():
        raise OutputError("the folder for the report does not exist", f"got {path.parent}", "make it first")


def write_whole(path: Path, content: bytes) -> None:
    """Write beside `path` under a temporary name, then rename: a reader meets the old file or the whole new one.

    Raises OutputError when the folder is read-only or the disk is full; no temporary file is left behind.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with open(beside, "xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(
            "the report cannot be written",
            f"{path}: {error.strerror or error}",
            "free some space, or choose a folder you may write to",
        ) from error
