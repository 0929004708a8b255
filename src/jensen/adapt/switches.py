"""torch.distributions' own checks of arguments, which one library turns off for the whole process when it is imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_NAMES = ("_validate_args", "arg_constraints")


@contextmanager
def validation_kept() -> Iterator[None]:
    """What is changed of torch.distributions' validation within is as before afterwards."""
    from torch.distributions import Distribution

    before = {name: vars(Distribution)[name] for name in _NAMES}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(Distribution, name, value)


@contextmanager
def validation_off() -> Iterator[None]:
    """No validation within, as a library expects that turned it off; as before afterwards."""
    from torch.distributions import Distribution

    with validation_kept():
        off: dict[str, Any] = {"_validate_args": False, "arg_constraints": {}}
        for name, value in off.items():
            setattr(Distribution, name, value)
        yield
