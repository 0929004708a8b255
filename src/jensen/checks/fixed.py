"""A conditional model at one context: an unconditional model, which every check can look at."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from jensen.functional.module_state import device_of
from jensen.model import Model, abilities
from jensen.space import Space

_SAID, _CONTEXT = "_fixed_at", "_fixed_context"
_COUNTED = ("sample", "sample_with_log_prob")
_OF_ROWS = ("log_prob", "log_prob_lower", "log_weights", "embed", "conditionals", "encode", "solve")
_OF_COLUMNS = ("decode",)
_EXTRA = ("conditionals", "encode", "decode")
"""Methods that are no abilities: of autoregressive models, and of flows."""


def fixed(model: Model, c: Tensor, said: str = "") -> Model:
    """`model` with the encoded context c (d,) wherever a method is called without one; `said` tells it in words.

    The view shares everything with the model, modes and weights included. Its class is a subclass made here, and not a
    wrapper: checks copy a model, build its class again on a small space and save it, and each of these must stay at c.
    """
    cls = type(model)
    written = [*abilities(model.can), *(name for name in _EXTRA if hasattr(model, name))]
    methods: dict[str, Any] = {name: _of_rows(cls, name, c, 0) for name in _OF_ROWS if name in written}
    methods |= {name: _of_rows(cls, name, c, 1) for name in _OF_COLUMNS if name in written}
    methods |= {name: _counted(cls, name, c) for name in _COUNTED if name in written}
    facts = {"__module__": cls.__module__, "__doc__": cls.__doc__, _SAID: said, _CONTEXT: c}
    made = type(cls.__name__, (cls,), {**methods, **facts})
    view = cast(Model, object.__new__(made))
    object.__setattr__(view, "__dict__", model.__dict__)
    return view


def fixed_at(module: Any) -> str:
    """The context of such a view in words; nothing for any other module."""
    return str(getattr(type(module), _SAID, ""))


def both_ways(module: nn.Module, space: Space | None) -> tuple[Any, Space | None, str]:
    """What has `encode` and `decode`, its space, and what to say of it.

    That is a flow itself, or the `density` in a model that dequantises levels, at the context of that model.
    """
    inner = getattr(module, "density", None)
    if not isinstance(inner, Model):
        return module, space, ""
    at = getattr(type(module), _CONTEXT, None)
    return inner if at is None else fixed(inner, at), inner.space, "in its density of real rows, "


def context_columns(module: Any, n: int) -> Tensor | None:
    """What the maps of a flow are given at its one context, (size, n); None where they take nothing."""
    c = getattr(type(module), _CONTEXT, None)
    return None if c is None else cast(Tensor, module.given(_repeated(module, c, n), n).T.contiguous())


def first_context(model: Model, given: Tensor | None) -> Tensor:
    """The first of some encoded contexts (n, d), or without any the first class and the mean of each column."""
    assert model.context is not None
    return torch.zeros(model.context.dims) if given is None or not len(given) else given[0]


def _of_rows(cls: type[Model], name: str, at: Tensor, axis: int) -> Any:
    """The method with c, for rows along an axis: base points of a flow lie side by side as columns."""
    method = getattr(cls, name)

    def call(self: Any, x: Tensor, c: Tensor | None = None, **more: Any) -> Any:
        return method(self, x, _repeated(self, at, x.shape[axis]) if c is None else c, **more)

    return call


def _counted(cls: type[Model], name: str, at: Tensor) -> Any:
    method = getattr(cls, name)

    def call(self: Any, n: int, c: Tensor | None = None, generator: Any = None, **more: Any) -> Any:
        return method(self, n, _repeated(self, at, n) if c is None else c, generator=generator, **more)

    return call


def _repeated(model: Any, c: Tensor, n: int) -> Tensor:
    return c.to(device_of(model)).expand(n, -1)
