"""A model on disk: weights as safetensors, the rest as JSON; nothing in a file is ever executed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from jensen.allowance import Allowance
from jensen.disk import check_regular, part_name, write_atomically
from jensen.errors import DataError, UsageError
from jensen.model import Model
from jensen.space import Space

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


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


@contextmanager
def damage_named(folder: Path) -> Iterator[None]:
    """Whatever a stranger's record makes a constructor raise becomes a DataError that names the folder."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        said = str(error).split("\n")[0][:200] or type(error).__name__
        raise DataError(
            "the record of a run is damaged", f"{folder}: {said}", "fit or copy the run again"
        ) from error


def build_checked(record: Mapping[str, Any], cls: type[Model], tensors: Mapping[str, Tensor]) -> Model:
    """The model of a record that is not trusted: it may take a multiple of what its weights take, and no more.

    Raises Overspent, a ValueError, before more is allocated.
    """
    weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    with Allowance(32 * weights + (256 << 20)):
        return build(record, cls)


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file atomically. Raises OutputError when the place cannot be written."""
    write_atomically(path, lambda temporary: write_tensors(temporary, tensors, metadata))


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file where it is told to. Raises OSError where that fails."""
    # copies: safetensors refuses tensors that share memory, as tied weights do
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # the library writes beside its target under a name of its own, which a killed process leaves, and for its user alone
    inner = path.parent / part_name("tensors", secrets.token_hex(4))
    inner.mkdir()
    try:
        save_file(plain, inner / path.name, dict(metadata or {}))
        if path.exists():
            (inner / path.name).chmod(path.stat().st_mode & 0o777)
        os.replace(inner / path.name, path)
    except SafetensorError as error:
        raise OSError(None, str(error), str(path)) from None
    finally:
        shutil.rmtree(inner, ignore_errors=True)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises DataError when it is missing or damaged."""
    try:
        check_regular(path)
        return load_file(path)
    except FileNotFoundError:
        raise DataError(
            "a run has lost its file", f"{path} is missing", "fit or copy the run again"
        ) from None
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            "a safetensors file is damaged", f"{path}: {error}", "fit or copy the run again"
        ) from None


def load_weights(model: Model, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a model, which takes their type. Raises DataError when names, shapes or kinds of numbers do not match."""
    built = {name: tensor.dtype for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if name in tensors and tensor.dtype != tensors[name].dtype:
            if not (tensor.is_floating_point() and tensors[name].dtype in FLOATS):
                raise DataError(
                    "weights and model do not fit",
                    f"{path}: {name} holds {tensors[name].dtype}, expected {tensor.dtype}",
                    "were they saved by another class?",
                )
            # copying would round a float64 model to float32
            tensor.data = tensor.data.to(tensors[name].dtype)
    _retype_constants(model, tensors, built)
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise DataError(
            "weights and model do not fit", f"{path}: {first}", "were they saved by another class?"
        ) from None


def _retype_constants(model: Model, tensors: Mapping[str, Tensor], built: Mapping[str, torch.dtype]) -> None:
    """Buffers that are not saved take the type that the saved tensors of their type as built have taken."""
    types: dict[torch.dtype, set[torch.dtype]] = {}
    for name, dtype in built.items():
        if name in tensors:
            types.setdefault(dtype, set()).add(tensors[name].dtype)
    for name, buffer in model.named_buffers():
        if name not in tensors and len(found := types.get(buffer.dtype, set())) == 1:
            buffer.data = buffer.data.to(next(iter(found)))
