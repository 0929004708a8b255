"""Forward boolean taint: which inputs a tensor may depend on, carried beside every value torch computes.

Why at the level of `__torch_dispatch__`: there every module, functional call, method, view, write in place and
scripted graph has become one of a few hundred aten operations, attention and normalisation included; nothing has
to be known about the modules. The rules by operation are in the modules `taint_*`.

Why beside the values, and not instead of them: the module runs on real numbers, so shapes, masks and weights are
what they are, and a constant 0 or -inf is known to be one. A tensor of constants carries no taint.

Why by storage: a view shares the memory of its base, so taint laid out like that memory, `(slots, elements)`, is
right for views and for writes through them without a rule for either.

Slot 0 says that a value varies at all: with any input, also one outside this run's slots, or with random draws. Every
other slot is the taint of the sources the caller put there.

What is proven: for every finite input of this shape (and for any other non-zero weights on the same zeros, unless
the module computes masks from its weights). Sums are taken as they are: x - x is said to depend on x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# Imported for their rules.
from jensen.functional import taint_linalg, taint_moves, taint_products  # noqa: F401
from jensen.functional.taint_call import RULES, Call, Rule, Traced
from jensen.functional.taint_layers import NORMS_WITH_STATISTICS
from jensen.functional.taint_rules import ALSO_POINTWISE, pointwise

# Norms that update running statistics without saying so in their schema.
SILENT_WRITES = ("running_mean", "running_var")
METADATA = frozenset({"_has_same_storage_numel", "is_same_size", "_is_zerotensor"})  # answers about shapes
SWEEP_EVERY = 64  # operations between two removals of dead storages


@dataclass
class Memory:
    """The taint of one storage, `(slots, elements)`, or None where nothing in it varies."""

    alive: StorageWeakRef  # holding it also keeps the storage's key from being used again
    itemsize: int
    taint: Tensor | None = None

    def refine(self, itemsize: int) -> None:
        """Smaller units, when the same bytes are read under a smaller type (the parts of complex numbers)."""
        if 0 < itemsize < self.itemsize:
            if self.taint is not None:
                self.taint = self.taint.repeat_interleave(self.itemsize // itemsize, 1)
            self.itemsize = itemsize

    def window(self, tensor: Tensor) -> Tensor:
        """The taint of a tensor's elements and of the units within each: a view, `(slots, *shape, units)`."""
        assert self.taint is not None
        units = tensor.element_size() // self.itemsize
        strides = (self.taint.stride(0), *(stride * units for stride in tensor.stride()), 1)
        return self.taint.as_strided(
            (len(self.taint), *tensor.shape, units), strides, tensor.storage_offset() * units
        )


class Taint(TorchDispatchMode):
    """Runs a module and follows, by slot, what its tensors depend on.

    `slots`: how many. `bound`: constants of at least this size act as infinite in sums and in softmax: activations
    are taken to be so much smaller that they vanish beside it.
    """

    def __init__(self, slots: int, bound: float = 1e30) -> None:
        super().__init__()
        self.slots, self.bound = slots, bound
        self.reasons: dict[str, None] = {}  # ordered set: operations whose rule is not known
        self.notes: dict[str, None] = {}
        self.largest = 1  # elements of the largest tensor that varied
        self._memory: dict[int, Memory] = {}
        self._before: list[tuple[Tensor, Tensor]] = []
        self._count = 0

    # --- the store -------------------------------------------------------------------------------------------------

    def taint(self, tensor: Tensor) -> Tensor | None:
        """The taint of a tensor, `(slots, *shape)`, as a view of the store; None where nothing varies."""
        memory = self._memory.get(_key(tensor))
        if memory is None or memory.taint is None:
            return None
        memory.refine(tensor.element_size())
        window = memory.window(tensor)
        return window[..., 0] if window.shape[-1] == 1 else window.any(-1)

    def put(self, tensor: Tensor, taint: Tensor | None) -> None:
        """Sets the taint of the elements of `tensor`, in whatever storage they lie."""
        memory = self._memory.get(_key(tensor))
        if memory is None:
            memory = Memory(StorageWeakRef(tensor.untyped_storage()), max(tensor.element_size(), 1))
            self._memory[_key(tensor)] = memory
        if taint is None or not bool(taint[0].any()):
            if memory.taint is not None:
                memory.refine(tensor.element_size())
                memory.window(tensor).fill_(False)
            return
        self.largest = max(self.largest, tensor.numel())
        memory.refine(tensor.element_size())
        elements = tensor.untyped_storage().nbytes() // memory.itemsize
        if memory.taint is None and tensor.is_contiguous() and elements == tensor.numel():
            memory.taint = taint.reshape(self.slots, -1).contiguous()
            return
        if memory.taint is None or memory.taint.shape[1] < elements:
            memory.taint = _grown(memory.taint, self.slots, elements, tensor.device)
        memory.window(tensor).copy_(taint.unsqueeze(-1))

    def unproven(self, reason: str) -> None:
        self.reasons[reason] = None

    def restore(self) -> None:
        """Undoes the writes to tensors that were there before: buffers, caches, running statistics."""
        with torch.no_grad():
            for tensor, copy in reversed(self._before):
                tensor.copy_(copy)
        self._before.clear()

    def _protect(self, written: Iterable[Tensor]) -> None:
        for tensor in written:
            if _key(tensor) not in self._memory:
                self._before.append((tensor.detach(), tensor.detach().clone()))
                self.put(tensor, None)

    def _sweep(self) -> None:
        self._count += 1
        if self._count % SWEEP_EVERY == 0:
            for key in [key for key, memory in self._memory.items() if memory.alive.expired()]:
                del self._memory[key]

    # --- one operation ---------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():  # our own calls must not meet the Escapes mode
            self._sweep()
            try:
                call = self._bind(func, args, kwargs or {})
            except (RuntimeError, NotImplementedError) as error:  # no plain memory: sparse, quantised, nested
                self.unproven(f"{_name(func)} ({first_line(error)})")
                return func(*args, **(kwargs or {}))
            return self._run(call, args, kwargs or {})

    def _bind(self, func: Any, args: Any, kwargs: Any) -> Call:
        named = dict(zip((argument.name for argument in func._schema.arguments), args)) | kwargs
        traced = {
            argument.name: tree_map(
                partial(self._trace, written=_is_written(argument)),
                named.get(argument.name, argument.default_value if argument.has_default_value() else None),
            )
            for argument in func._schema.arguments
        }
        return Call(func, traced, self.slots, self.bound, self.notes)

    def _trace(self, leaf: Any, *, written: bool) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        taint = self.taint(leaf)
        keep = written and taint is not None  # the rule needs the values from before the write
        return Traced(leaf.clone() if keep else leaf, taint, leaf, written)

    def _run(self, call: Call, args: Any, kwargs: Any) -> Any:
        if torch.Tag.inplace_view in call.func.tags and call.base != "resize":
            return call.func(*args, **kwargs)  # transpose_, squeeze_: the same memory, read another way
        written = [t.tensor for t in call.traced(written=True)]
        if call.base in NORMS_WITH_STATISTICS:
            written += [call.args[n].tensor for n in SILENT_WRITES if isinstance(call.args.get(n), Traced)]
        self._protect(written)
        random = torch.Tag.nondeterministic_seeded in call.func.tags
        varies = any(t.taint is not None for t in call.traced()) or any(
            t.taint is not None for t in call.traced(written=True)
        )
        out = call.func(*args, **kwargs)
        call.outs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if not varies:
            self._record(call, [None] * len(call.outs), random)
            return out
        if not written and self._all_views(call):
            return out
        return self._apply(call, out, args, kwargs, random)

    def _all_views(self, call: Call) -> bool:
        sources = {_key(t.tensor) for t in call.traced()}
        return bool(call.outs) and all(_key(out) in sources for out in call.outs)

    def _apply(self, call: Call, out: Any, args: Any, kwargs: Any, random: bool) -> Any:
        rule = find_rule(call)
        if rule is not None:
            try:
                self._record(call, _by_output(call, rule(call)), random)
                return out
            except Exception as error:  # whatever a rule cannot take is named, never passed over
                self.unproven(f"{_name(call.func)} ({first_line(error)})")
        elif (simpler := _decomposition(call)) is not None:
            with self:
                result = simpler(*args, **kwargs)
            if result is not NotImplemented:
                return result
        if call.base in METADATA or (
            out is None and not call.traced(written=True) and call.func.namespace == "aten"
        ):
            return out  # a question about shapes, or an assertion, which can only raise
        self.unproven(_name(call.func) + _why(call, out))
        everything = torch.ones(self.slots, dtype=torch.bool)
        call.side = [(t.tensor, call.fill(everything, t.tensor)) for t in call.traced(written=True)]
        self._record(call, [call.fill(everything, o) for o in call.outs], random)
        return out

    def _record(self, call: Call, taints: list[Tensor | None], random: bool) -> None:
        sources = {_key(t.tensor) for t in call.traced()}
        written = {_key(t.tensor) for t in call.traced(written=True)}
        for out, taint in zip(call.outs, taints):
            if taint is None and _key(out) in sources - written:
                continue  # a view of a constant
            if random:
                taint = (
                    torch.zeros(self.slots, *out.shape, dtype=torch.bool, device=out.device)
                    if taint is None
                    else taint
                )
                taint = taint.clone()
                taint[0] = True
            elif taint is not None and self._shares(taint, sources):
                taint = taint.clone()
            self.put(out, taint)
        for tensor, taint in call.side:
            self.put(tensor, taint)

    def _shares(self, taint: Tensor, sources: set[int]) -> bool:
        stored = (self._memory[key].taint for key in sources if key in self._memory)
        return any(s is not None and _key(s) == _key(taint) for s in stored)


def find_rule(call: Call) -> Rule | None:
    """The taint rule of an operation of aten, by its name without the trailing underscore of a write in place."""
    if call.func.namespace != "aten":
        return None
    elementwise = torch.Tag.pointwise in call.func.tags and bool(call.outs)
    rule = RULES.get(call.base)
    if elementwise and (rule is None or call.base in ALSO_POINTWISE):
        return pointwise
    return rule


def _decomposition(call: Call) -> Callable[..., Any] | None:
    """The operation in terms of simpler ones: torch's own composite kernels and its table of decompositions."""
    if call.traced(written=True):
        return None
    if call.func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd):
        decompose: Callable[..., Any] = call.func.decompose
        return decompose
    from torch._decomp import decomposition_table  # a second to import, and only rare operations need it

    found: Callable[..., Any] | None = decomposition_table.get(call.func)
    return found


def _by_output(call: Call, result: Any) -> list[Tensor | None]:
    if isinstance(result, list):
        return result
    taints: list[Tensor | None] = []
    for out in call.outs:
        if result is not None and out.numel() and result.shape[1:] != out.shape:
            raise ValueError(f"taint {tuple(result.shape[1:])} for an output {tuple(out.shape)}")
        taints.append(result if out.numel() else None)
    return taints


def _why(call: Call, out: Any) -> str:
    tags = call.func.tags
    if not call.outs and out is not None:
        return " (a number or a branch is read from values that depend on the input)"
    if torch.Tag.dynamic_output_shape in tags or torch.Tag.data_dependent_output in tags:
        return " (a shape depends on the input's values)"
    return ""


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _grown(taint: Tensor | None, slots: int, elements: int, device: torch.device) -> Tensor:
    grown = torch.zeros(slots, elements, dtype=torch.bool, device=device)
    if taint is not None:
        grown[:, : taint.shape[1]] = taint
    return grown


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _name(func: Any) -> str:
    return str(func).rsplit(".", 1)[0] if isinstance(func, torch._ops.OpOverload) else str(func)


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].split("Hint")[0][:120]
