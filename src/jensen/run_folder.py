"""The folder of a run: who may write it, and what its record and its history say."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jensen.arguments import one_of, said
from jensen.arguments import path as as_path
from jensen.checkpoint import FILE as CHECKPOINT
from jensen.disk import check_regular, contents, found, make_folder, read_bytes, tidy
from jensen.errors import DataError, OutputError, UsageError
from jensen.lock import locked
from jensen.model import Model
from jensen.models import model_class

FORMAT = 1
MOST_BYTES = 64 << 20
"""No record and no history is longer: ten thousand labelled columns take some megabytes."""

COLUMNS = ("step", "seconds", "loss", "rate", "valid", "valid_low", "valid_high", "event")
AGAIN = "fit or copy the run again"


@contextmanager
def claim(path: str | Path, overwrite: bool) -> Iterator[Path]:
    """Hold the folder for a run, made if need be, alone; what a killed process left half done in it is settled first.

    Raises OutputError when it holds other files, is in use by another process or cannot be made. A folder that is empty
    in the end goes again.
    """
    folder = as_path("the folder of a run", path)
    overwrite = one_of("overwrite", overwrite, bool, "true or false", "leave it out")
    _check_free(folder, overwrite)
    make_folder(folder)
    try:
        with locked(folder):
            _check_free(folder, overwrite)  # somebody may have been quicker
            tidy(folder)
            yield folder
    except BaseException:
        with suppress(OSError):
            folder.rmdir()  # only if nothing was written
        raise


def _check_free(folder: Path, overwrite: bool) -> None:
    try:
        file = folder.exists() and not folder.is_dir()
    except OSError as error:  # a name that is too long, say
        raise OutputError(
            "cannot make the output folder", f"{said(str(folder))}: {error.strerror}", "choose another place"
        ) from None
    if file:
        raise OutputError("a run is a folder", f"{folder} is a file", "choose another name")
    if not folder.is_dir() or not contents(folder):
        return
    if not overwrite:
        raise OutputError(
            "the output folder is not empty", f"got {folder}", "choose another, or pass overwrite"
        )
    if not any(found(folder, name).exists() for name in ("model.json", CHECKPOINT)):
        raise OutputError("a folder of other files is not overwritten", f"got {folder}", "choose another")


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a run. Raises DataError when there is none, it is damaged or of a newer version."""
    try:
        path = found(folder, "model.json")
        there = path.exists()
    except OSError as error:  # a name that is too long, say
        if isinstance(error, DataError):
            raise
        raise DataError(
            "there is no run here", f"{said(str(folder))}: {error.strerror}", "pass the folder that fit wrote"
        ) from None
    if not there:
        raise DataError("there is no run here", f"{path} is missing", "pass the folder that fit wrote")
    try:
        record = json.loads(_read(path).decode("utf-8"))
        if record["format"] > FORMAT:
            raise DataError(
                "the run was written by a newer version", f"format {record['format']}", "update jensen"
            )
        record["model"]["class"], record["codec"], record["weights"]
        for key, kind in (("data", dict), ("run", dict), ("notes", list), ("model", dict), ("codec", dict)):
            if not isinstance(record.get(key, kind()), kind):
                raise TypeError(f"{key} holds {type(record[key]).__name__}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError("the record of a run is damaged", f"{path}: {error}", AGAIN) from None
    return dict(record)


def class_of(record: Mapping[str, Any]) -> type[Model]:
    """The class of the catalogue that a record names. Raises UsageError for any other."""
    name = record.get("name")
    if name is None:
        raise UsageError(
            "the run's model is not in the catalogue",
            f"its class is {record['class']}",
            "pass it: load(path, model=Class)",
        )
    if not isinstance(name, str):
        raise DataError("the record of a run is damaged", f"the name of its model is {name!r:.80}", AGAIN)
    return model_class(name)


def digest(path: Path) -> str:
    """What the record says of the weights. Raises DataError where they are missing."""
    try:
        check_regular(path)
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "blake2b").hexdigest()[:32]
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError("a run has lost its file", f"{path}: {error.strerror}", AGAIN) from None


def history_text(history: list[dict[str, Any]]) -> str:
    """The history as CSV; what happened beside the steps has a column where anything did."""
    columns = [name for name in COLUMNS if name != "event" or any(row.get(name) for row in history)]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(history)
    return out.getvalue()


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The history of a run. Raises DataError when it is missing or damaged."""
    path = found(folder, "history.csv")
    try:
        lines = list(csv.DictReader(io.StringIO(_read(path).decode("utf-8"), newline="")))
        return [{name: _cell(name, text) for name, text in line.items()} for line in lines]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError("the history of a run is damaged", f"{path}: {error}", AGAIN) from None


def _cell(name: str, text: str) -> Any:
    if name not in COLUMNS:
        raise ValueError(f"unknown column {name!r:.40}")
    if text == "":
        return None
    return text if name == "event" else int(text) if name == "step" else float(text)


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, MOST_BYTES)
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError("a run has lost its file", f"{path}: {error.strerror}", AGAIN) from None
