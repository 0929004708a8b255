"""One operation as a taint rule sees it: its arguments by name, their values and their taint; and the list of rules.

A rule takes a `Call` and returns the taint of the outputs, `(slots, *shape)` bool: one for all of them, or a list.
It may say too much and never too little: `tests/unit/test_taint.py` holds the rules against perturbed inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves


@dataclass
class Traced:
    """A tensor argument: its value from before the operation, and its taint `(slots, *shape)` or None."""

    value: Tensor
    taint: Tensor | None
    tensor: Tensor  # the argument itself, after the operation
    written: bool

    def varies(self) -> Tensor:
        """The elements that are no constants, bool of the value's shape."""
        return torch.zeros_like(self.value, dtype=torch.bool) if self.taint is None else self.taint[0]

    def may_be_nonzero(self) -> Tensor:
        """False only where the value is a constant and exactly 0."""
        return self.value.ne(0) | self.varies()

    def infinite(self, bound: float) -> Tensor:
        """True where the value is a constant so large that a sum with anything finite is itself."""
        if not self.value.is_floating_point():
            return torch.zeros_like(self.value, dtype=torch.bool)
        return (self.value.abs() >= bound) & ~self.varies()


@dataclass
class Call:
    """An operation, its arguments by the names of its schema, and its outputs once it has run."""

    func: Any
    args: dict[str, Any]
    slots: int
    bound: float
    notes: dict[str, None]
    outs: list[Tensor] = field(default_factory=list)
    # further tensors written, and their taint
    side: list[tuple[Tensor, Tensor | None]] = field(default_factory=list)

    @property
    def base(self) -> str:
        """The name without namespace and without the underscore of the in-place variant: `aten::add_` is add."""
        name: str = self.func._schema.name.split("::")[1]
        return name[:-1] if name.endswith("_") and not name.endswith("__") else name

    @property
    def out(self) -> Tensor:
        return self.outs[0]

    def __getitem__(self, name: str) -> Any:
        return self.args[name]

    def traced(self, written: bool = False) -> list[Traced]:
        """The tensor arguments that are read (a tensor passed as `out=` is not), or those that are written."""
        named = [(name, leaf) for name, value in self.args.items() for leaf in tree_leaves(value)]
        return [
            leaf
            for name, leaf in named
            if isinstance(leaf, Traced) and (leaf.written if written else not self._is_out(name))
        ]

    def _is_out(self, name: str) -> bool:
        argument = next(a for a in self.func._schema.arguments if a.name == name)
        return bool(argument.kwarg_only and argument.alias_info is not None and argument.alias_info.is_write)

    def bring_together(self) -> None:
        """Values and taint of arguments that lie elsewhere, where the output is: numbers and indices of the CPU beside
        tensors of a GPU, and what is copied from one to the other."""
        written = [traced.tensor for traced in self.traced(written=True)]
        if not self.outs and not written:
            return
        device = (self.outs or written)[0].device
        for traced in (*self.traced(), *self.traced(written=True)):
            if traced.value.device != device:
                traced.value = traced.value.to(device)
            if traced.taint is not None and traced.taint.device != device:
                traced.taint = traced.taint.to(device)

    def bits(self, traced: Traced) -> Tensor:
        """The taint of an argument, zeros where it has none: `(slots, *shape)`."""
        if traced.taint is not None:
            return traced.taint
        return torch.zeros(self.slots, *traced.value.shape, dtype=torch.bool, device=traced.value.device)

    def fill(self, by_slot: Tensor, out: Tensor) -> Tensor:
        """The same taint `(slots,)` on every element of an output."""
        return by_slot.to(out.device).view(-1, *[1] * out.ndim).repeat(1, *out.shape)

    def none(self) -> Tensor:
        return torch.zeros(self.slots, *self.out.shape, dtype=torch.bool, device=self.out.device)


def spread(taint: Tensor, shape: Sequence[int]) -> Tensor:
    """Broadcasts a taint `(slots, *small)` against `shape` as torch broadcasts `small`."""
    ones = [1] * (len(shape) - (taint.ndim - 1))
    return taint.reshape(taint.shape[0], *ones, *taint.shape[1:]).expand(-1, *shape)


def axes(dim: Any, ndim: int) -> tuple[int, ...]:
    """The dims of a schema (int, list, None or empty for all), as axes of a taint `(slots, *shape)`."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(1, ndim + 1))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    return tuple(d % ndim + 1 for d in dims) if ndim else ()


def any_at_all(taint: Tensor) -> Tensor:
    """OR over all elements, `(slots,)`."""
    return taint.reshape(taint.shape[0], -1).any(1)


def any_over(taint: Tensor, over: Sequence[int]) -> Tensor:
    """OR over some axes of a taint, which stay with size 1."""
    return taint.any(tuple(over), keepdim=True) if over else taint


Rule = Callable[[Call], Any]
RULES: dict[str, Rule] = {}  # by the name of an aten operation; filled by the modules taint_*


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers the rule of some aten operations."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register
