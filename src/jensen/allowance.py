"""How much memory a block of torch may ask for: what a record says of sizes is not believed before it is checked."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

LEAST = 4096
"""What a tensor costs at least, in bytes: a module around one weight takes a page of Python objects."""


class Overspent(ValueError):
    """A block asked for more memory than it was allowed."""


class Allowance(TorchDispatchMode):
    """Raises Overspent, before the memory is taken, when the tensors made inside ask for more than `most` bytes in all.

    A size is read off the arguments of an operation: the shape that it is told, or the shape to which its tensors
    broadcast. Products of matrices and the like are counted once they are made.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.spent = most, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        told = _told(func, args)
        if told:
            self._spend(told)
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and not told:
            self._spend(out.numel() * out.element_size() if out._base is None else 0)
        return out

    def _spend(self, size: int) -> None:
        self.spent += max(size, LEAST)
        if self.spent > self.most:
            raise Overspent(f"the model would take more than {self.most:,} bytes to build")


def _told(func: Any, args: Any) -> int:
    """The bytes that a call is about to take, as far as its arguments tell; 0 where they do not."""
    size = 0
    shapes = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.name not in (
            "size",
            "sizes",
            "n",
            "m",
            "end",
            "steps",
            "repeats",
            "self",
            "other",
        ) or place >= len(args):
            continue
        value = args[place]
        if isinstance(value, Tensor):
            shapes.append(tuple(value.shape))
        elif argument.name in ("self", "other"):
            continue
        elif isinstance(value, (list, tuple)) and all(isinstance(one, int) for one in value):
            size = max(size, math.prod(one for one in value if one >= 0))
        elif isinstance(value, (int, float)) and value == value:
            size = max(size, int(min(value, 2**62)))
    if func.is_view:
        return 0
    if len(shapes) > 1 and not size:
        try:
            size = math.prod(torch.broadcast_shapes(*shapes))
        except RuntimeError:
            size = 0
    return size * 4
