"""Objects that are no modules but are made of tensors, as a module: their type and device can be changed, in a copy."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

from torch import Tensor, nn

Change = Callable[[Tensor], Tensor]


class Held(nn.Module):
    """Holds `thing`, a copy without gradients of a distribution or a transform of torch.distributions."""

    def __init__(self, thing: Any) -> None:
        super().__init__()
        self.thing = changed(thing, Tensor.detach)

    def _apply(self, fn: Any, recurse: bool = True) -> Held:
        super()._apply(fn, recurse)
        self.thing = changed(self.thing, fn)
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Held:
        return Held(self.thing)


def tensors(thing: Any) -> list[Tensor]:
    """All tensors that a thing is made of."""
    found: list[Tensor] = []

    def note(t: Tensor) -> Tensor:
        found.append(t)
        return t

    changed(thing, note)
    return found


def changed(thing: Any, fn: Change, memo: dict[int, Any] | None = None) -> Any:
    """A copy of a thing made of tensors, with `fn` of each; modules are deep copies, other things are shared."""
    memo = {} if memo is None else memo
    if id(thing) in memo:
        return memo[id(thing)]
    if isinstance(thing, nn.Module):
        new: Any = copy.deepcopy(thing)._apply(fn)
    elif isinstance(thing, Tensor):
        new = fn(thing)
    elif isinstance(thing, (list, tuple, set)) and not hasattr(thing, "_fields"):
        new = type(thing)([changed(one, fn, memo) for one in thing])
    elif isinstance(thing, dict):
        new = {key: changed(one, fn, memo) for key, one in thing.items()}
    elif isinstance(thing, partial):
        words = {key: changed(one, fn, memo) for key, one in thing.keywords.items()}
        new = partial(changed(thing.func, fn, memo), *(changed(a, fn, memo) for a in thing.args), **words)
    elif isinstance(thing, MethodType):
        new = MethodType(thing.__func__, changed(thing.__self__, fn, memo))
    elif hasattr(thing, "__dict__") and not isinstance(thing, type) and not callable_alone(thing):
        new = memo[id(thing)] = copy.copy(thing)
        for key, one in vars(thing).items():
            new.__dict__[key] = None if isinstance(one, weakref.ref) else changed(one, fn, memo)
        if "_cached_x_y" in vars(new):  # of a transform: tensors of before
            new.__dict__["_cached_x_y"] = (None, None)
    else:
        new = thing
    memo[id(thing)] = new
    return new


def callable_alone(thing: Any) -> bool:
    """Whether a thing is a function, whose state is out of reach."""
    return hasattr(thing, "__code__") or type(thing).__name__ in ("builtin_function_or_method", "module")
