"""Forward boolean taint: which inputs a tensor may depend on, carried beside every value torch computes.

Why at the level of `__torch_dispatch__`: there every module, functional call, method, view, write in place and
scripted graph has become one of a few hundred aten operations, attention and normalisation included; nothing has
to be known about the modules. The rules by operation are in the modules `taint_*`.

Why beside the values, and not instead of them: the module runs on real numbers, so shapes, masks and weights are
what they are, and a constant 0 or -inf is known to be one. A tensor of constants carries no taint.

Slot 0 says that a value varies at all: with any input, also one outside this run's slots, or with random draws. Every
other slot is the taint of the sources the caller put there.

What is proven: for every input of this shape with which no value overflows or is nan (and for any other non-zero
weights on the same zeros, unless the module computes masks from its weights). Sums are taken as they are: x - x is
said to depend on x.

Random draws are taken to be independent of the input. Not seen: random numbers from outside torch and memory that was
never written (torch.empty), which pass for constants, and kernels outside the dispatcher (another thread, Triton),
which pass for nothing at all; `taint_study` changes some inputs to catch these.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# Imported for their rules.
from jensen.functional import taint_linalg, taint_moves, taint_products  # noqa: F401
from jensen.functional.taint_call import RULES, Call, Rule, Traced
from jensen.functional.taint_layers import NORMS_WITH_STATISTICS
from jensen.functional.taint_rules import ALSO_POINTWISE, pointwise
from jensen.functional.taint_store import Store, has_memory, key

# Norms that update running statistics without saying so in their schema.
SILENT_WRITES = ("running_mean", "running_var")
# Answers about shapes, not values.
METADATA = frozenset({"_has_same_storage_numel", "is_same_size", "_is_zerotensor", "_fused_sdp_choice"})
# Random operations that torch does not tag as such.
RANDOM = frozenset({"random", "binomial", "_sample_dirichlet"})


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
        self.store = Store(slots)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # asked by torch, which would else import its compiler, seconds, at the first operation

    def unproven(self, reason: str) -> None:
        """Notes an operation without which nothing is proven."""
        self.reasons[reason] = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():  # our own calls must not meet the Escapes mode
            self.store.sweep()
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
        value = leaf.clone() if written else leaf  # a rule needs the values from before the write
        return Traced(value, self.store.taint(leaf), leaf, written)

    def _run(self, call: Call, args: Any, kwargs: Any) -> Any:
        if torch.Tag.inplace_view in call.func.tags and call.base != "resize":
            return call.func(*args, **kwargs)  # transpose_, squeeze_: the same memory, read another way
        written = [t.tensor for t in call.traced(written=True)]
        if call.base in NORMS_WITH_STATISTICS:
            written += [call.args[n].tensor for n in SILENT_WRITES if isinstance(call.args.get(n), Traced)]
        self.store.protect(written)
        random = torch.Tag.nondeterministic_seeded in call.func.tags or call.base in RANDOM
        varies = any(t.taint is not None for t in (*call.traced(), *call.traced(written=True)))
        out = call.func(*args, **kwargs)
        call.outs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if not all(has_memory(out) for out in call.outs):
            self.unproven(f"{_name(call.func)} (sparse, quantised or nested tensors)")
            return out
        if not varies:
            self._record(call, [None] * len(call.outs), random)
            return out
        if not written and self._all_views(call):
            return out
        return self._apply(call, out, args, kwargs, random)

    def _all_views(self, call: Call) -> bool:
        sources = {key(t.tensor) for t in call.traced()}
        return bool(call.outs) and all(key(out) in sources for out in call.outs)

    def _apply(self, call: Call, out: Any, args: Any, kwargs: Any, random: bool) -> Any:
        rule = find_rule(call)
        if rule is not None:
            try:
                call.bring_together()
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
        sources = {key(t.tensor) for t in call.traced()}
        written = {key(t.tensor) for t in call.traced(written=True)}
        kept = self.store.memory_of(t.tensor for t in call.traced())
        results = [
            (o, t) for o, t in zip(call.outs, taints) if t is not None or key(o) not in sources - written
        ]
        for tensor, taint in (*results, *call.side):  # without the views of constants
            if random and taint is None:
                taint = torch.zeros(self.slots, *tensor.shape, dtype=torch.bool, device=tensor.device)
            if taint is not None and (random or key(taint) in kept):
                taint = taint.clone()
            if taint is not None:
                kept.add(key(taint))
                taint[0] |= random
            self.store.put(tensor, taint)


def find_rule(call: Call) -> Rule | None:
    """The taint rule of an operation of aten, by its name without the trailing underscore of a write in place."""
    if call.func.namespace != "aten":
        return None
    rule = RULES.get(call.base)
    if call.outs and _elementwise(call) and (rule is None or call.base in ALSO_POINTWISE):
        return pointwise
    return rule


def _elementwise(call: Call) -> bool:
    """By torch's tag; not all operations in place carry it, so that their functional twin is asked as well."""
    twin = getattr(getattr(torch.ops.aten, call.base, None), call.func._overloadname, call.func)
    return torch.Tag.pointwise in call.func.tags or torch.Tag.pointwise in twin.tags


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
    """What a rule returned, an entry an output; raises where it leaves out something that the operation wrote."""
    taints: list[Tensor | None] = result if isinstance(result, list) else [result] * len(call.outs)
    for out, taint in zip(call.outs, taints, strict=True):
        if taint is not None and out.numel() and taint.shape[1:] != out.shape:
            raise ValueError(f"taint {tuple(taint.shape[1:])} for an output {tuple(out.shape)}")
    covered = {key(tensor) for tensor in (*call.outs, *(tensor for tensor, _ in call.side))}
    if any(key(t.tensor) not in covered for t in call.traced(written=True)):
        raise NotImplementedError("it writes to one of its arguments")
    return [taint if out.numel() else None for out, taint in zip(call.outs, taints)]


def _why(call: Call, out: Any) -> str:
    tags = call.func.tags
    if not call.outs and out is not None:
        return " (a number or a branch is read from values that depend on the input)"
    if torch.Tag.dynamic_output_shape in tags or torch.Tag.data_dependent_output in tags:
        return " (a shape depends on the input's values)"
    return ""


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _name(func: Any) -> str:
    return str(func).rsplit(".", 1)[0] if isinstance(func, torch._ops.OpOverload) else str(func)


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].split("Hint")[0][:120]
