"""Views of other people's models, so that they can be scored, embedded, compared and audited."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jensen.adapt.features import encoder

_WHERE = {"encoder": "features"}

__all__ = ["encoder"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'jensen.adapt' has no attribute {name!r}")
    return getattr(import_module(f"jensen.adapt.{_WHERE[name]}"), name)
