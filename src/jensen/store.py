"""A model on disk: weights as safetensors, the rest as JSON; nothing in a file is ever executed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from jensen.errors import DataError, OutputError, UsageError
from jensen.model import Model
from jensen.space import Space


def model_record(model: Model, name: str | None) -> dict[str, Any]:
    """What builds the model again: its catalogue name or class, its arguments and its space.

    Raises UsageError when an argument is not made of plain JSON types: such a model cannot be saved.
    """
    record = {
        "name": name,
        "class": f"{type(model).__module__}:{type(model).__qualname__}",
        "hyper": model.hyper,
        "space": model.space.to_dict(),
        "context": None if model.context is None else model.context.to_dict(),
    }
    try:
        json.dumps(record)
    except TypeError as error:
        raise UsageError(
            "a model is saved with its constructor's arguments, which must be plain JSON types",
            str(error),
            "pass numbers, strings, lists and dicts only",
        ) from None
    return record


def build(record: Mapping[str, Any], cls: type[Model]) -> Model:
    """The model of a record, with untrained weights."""
    context = {"context": Space.from_dict(record["context"])} if record.get("context") else {}
    return cls(Space.from_dict(record["space"]), **context, **record["hyper"])


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file atomically. Raises OutputError when the place cannot be written."""
    write_atomically(path, lambda temporary: write_tensors(temporary, tensors, metadata))


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file where it is told to."""
    # copies: safetensors refuses tensors that share memory, as tied weights do
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(plain, path, dict(metadata or {}))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises DataError when it is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise DataError(
            "a run has lost its file", f"{path} is missing", "fit or copy the run again"
        ) from None
    except (SafetensorError, OSError) as error:
        raise DataError(
            "a safetensors file is damaged", f"{path}: {error}", "fit or copy the run again"
        ) from None


def load_weights(model: Model, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a model. Raises DataError when names or shapes do not match."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if name in tensors and tensor.dtype != tensors[name].dtype:
            tensor.data = tensor.data.to(
                tensors[name].dtype
            )  # copying would round a float64 model to float32
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise DataError(
            "weights and model do not fit", f"{path}: {first}", "were they saved by another class?"
        ) from None


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

    They are renamed in that order when all are complete, so that a full disk leaves the old files as they were.
    Raises OutputError when the place cannot be written.
    """
    waiting: dict[str, Path] = {}

    def place(name: str) -> Path:
        waiting[name] = folder / f".{name}.{os.getpid()}.part"
        return waiting[name]

    try:
        yield place
        for temporary in waiting.values():
            with open(temporary, "rb") as handle:
                os.fsync(handle.fileno())
        for name, temporary in waiting.items():
            os.replace(temporary, folder / name)
    except (OSError, SafetensorError) as error:
        where = getattr(error, "filename2", None) or getattr(error, "filename", None) or folder
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            "cannot write a result", f"{where}: {reason}", "free some space or choose another place"
        ) from None
    finally:
        for temporary in waiting.values():
            temporary.unlink(missing_ok=True)
