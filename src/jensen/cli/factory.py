"""A module from the user's own file. This executes the file."""

from __future__ import annotations

import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from jensen.errors import UsageError, nearest


def make(file: str, factory: str, *, any_object: bool = False) -> Any:
    """Execute `file` and call `factory()` for the module; a module that lies there ready is taken as it is.

    `any_object`: what it makes is judged elsewhere, and anything but a function or a class is taken as it lies. Whatever
    the file changes of torch.distributions' validation is undone. Raises UsageError when the file or the name is missing, and when either breaks, with its own error.
    """
    from jensen.adapt.switches import validation_kept

    with validation_kept():
        return _made(file, factory, any_object)


def attribute(file: str, name: str) -> Any:
    """Execute `file` and give what is called `name` in it, as it lies. Raises UsageError as `make` does."""
    from jensen.adapt.switches import validation_kept

    with validation_kept():
        return _named(file, name)


def _made(file: str, factory: str, any_object: bool) -> Any:
    from torch import nn

    made = _named(file, factory)
    if (any_object and not isinstance(made, type) and not hasattr(made, "__code__")) or _fitted(made):
        return made
    if not isinstance(made, nn.Module):
        if not callable(made):
            raise UsageError(
                f"{factory} makes no module", f"got {type(made).__name__}", "name a function or a class"
            )
        try:
            made = made()
        except Exception as error:
            raise _broken(
                Path(file), f"{factory}() of {file} broke", error, "it is called without arguments"
            ) from error
    if not callable(made) and not any_object and not _fitted(made):
        raise UsageError(
            f"{factory}() makes no module",
            f"got {type(made).__name__}",
            "return a torch module, or a function of a batch",
        )
    return made


def _fitted(made: Any) -> bool:
    """Whether this is a model with its codec, such as a view of an autoencoder."""
    from torch import nn

    return isinstance(getattr(made, "model", None), nn.Module) and hasattr(made, "codec")


def _named(file: str, wanted: str) -> Any:
    module = _execute(Path(file))
    if not hasattr(module, wanted):
        names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise UsageError(f"{file} has no {wanted}", f"got {file}:{wanted}", nearest(wanted, names))
    return getattr(module, wanted)


def _execute(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError("no such file", f"got {path}", "check the path")
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    # as `python FILE.py` does, so that the file finds its neighbours
    sys.path.insert(0, str(path.absolute().parent))
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _broken(path, f"{path} cannot be executed", error, "repair it first") from error
    return module


def _broken(path: Path, wrong: str, error: Exception, do: str) -> UsageError:
    """The error of the user's file, with the last of its own lines that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    where = f" (line {mine[-1]})" if mine else ""
    return UsageError(wrong, f"{type(error).__name__}: {error}{where}", do)
