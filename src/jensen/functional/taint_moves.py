"""Taint rules of operations that move elements: cat, roll, pad, gather, scatter, embedding, assignment by index.

One rule for all of them. Number every element of the tensors that are moved, run the operation on the numbers, and read
off the output where each element came from; number 0 stands for a constant. Numbers are float64, exact up to 2^53,
because some of the operations do not take integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from jensen.functional.taint_call import RULES, Call, Traced, any_at_all, any_over, axes, rule, spread

# Operations that only move elements or put constants, and the arguments they move.
MOVES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("cat", "stack", "block_diag", "_chunk_cat"), ("tensors",)),
    **dict.fromkeys(
        ("roll", "flip", "rot90", "repeat", "tile", "tril", "triu", "diag_embed", "im2col"), ("self",)
    ),
    **dict.fromkeys(("index_select", "gather", "index", "take", "index_fill", "_unsafe_index"), ("self",)),
    **dict.fromkeys(("constant_pad_nd", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"), ("self",)),
    **dict.fromkeys(
        (f"{kind}_pad{d}d" for kind in ("reflection", "replication") for d in (1, 2, 3)), ("self",)
    ),
    **dict.fromkeys((f"upsample_nearest{d}d" for d in (1, 2, 3)), ("self",)),
    **dict.fromkeys((f"_upsample_nearest_exact{d}d" for d in (1, 2, 3)), ("self",)),
    **dict.fromkeys(
        ("slice_scatter", "select_scatter", "diagonal_scatter", "as_strided_scatter"), ("self", "src")
    ),
    **dict.fromkeys(("native_channel_shuffle", "repeat_interleave", "masked_select", "diag"), ("self",)),
    **dict.fromkeys(
        ("select_copy", "slice_copy", "permute_copy", "view_copy", "expand_copy", "t_copy"), ("self",)
    ),
    **dict.fromkeys(
        ("transpose_copy", "squeeze_copy", "unsqueeze_copy", "detach_copy", "alias_copy"), ("self",)
    ),
    **dict.fromkeys(
        ("unfold_copy", "as_strided_copy", "diagonal_copy", "unbind_copy", "split_copy"), ("self",)
    ),
    **dict.fromkeys(("_reshape_copy", "_unsafe_view", "reshape", "contiguous", "unsafe_split"), ("self",)),
    **dict.fromkeys(
        ("unsafe_chunk", "unsafe_split_with_sizes", "split_with_sizes_copy", "movedim"), ("self",)
    ),
    "index_copy": ("self", "source"),
    "index_put": ("self", "values"),
    "_unsafe_index_put": ("self", "values"),
    "masked_scatter": ("self", "source"),
    "scatter": ("self", "src"),
    "embedding": ("weight",),
}


def move(call: Call) -> Any:
    """The taint of an operation that moves elements by a pattern that is a constant."""
    moved, total = {}, 1
    table = [torch.zeros(call.slots, 1, dtype=torch.bool, device=call.out.device)]
    for name in MOVES[call.base]:
        moved[name], total = _number(call, call.args.get(name), total, table)
    arguments = {name: _plain(value) for name, value in call.args.items()} | moved
    for name, value in call.args.items():
        if name not in moved and isinstance(value, Traced) and value.taint is not None:
            raise NotImplementedError(f"{name} depends on the input")
    if (value := arguments.get("value")) is not None:  # padding or filling: a constant, number 0
        arguments["value"] = torch.zeros_like(value, dtype=torch.float64) if isinstance(value, Tensor) else 0
    taints = torch.cat(table, 1)
    numbers = _run(call, arguments)
    return [taints.index_select(1, n.flatten().long()).view(call.slots, *n.shape) for n in numbers]


def _number(call: Call, argument: Any, first: int, table: list[Tensor]) -> tuple[Any, int]:
    """Numbers for the elements of one argument (a tensor or a list of them); their taint goes to the table."""

    def number(traced: Any) -> Any:
        nonlocal first
        if not isinstance(traced, Traced):
            return traced
        size = traced.value.numel()
        if traced.taint is None:
            return torch.zeros_like(traced.value, dtype=torch.float64)
        table.append(traced.taint.reshape(call.slots, -1))
        first += size
        return torch.arange(first - size, first, dtype=torch.float64, device=traced.value.device).view(
            traced.value.shape
        )

    return tree_map(number, argument), first


def _plain(argument: Any) -> Any:
    return tree_map(lambda leaf: leaf.value if isinstance(leaf, Traced) else leaf, argument)


def _run(call: Call, arguments: dict[str, Any]) -> list[Tensor]:
    """The operation on numbers. A write in place writes into the numbers, an `out=` is dropped."""
    schema = call.func._schema.arguments
    func, names = call.func, [a.name for a in schema]
    outs = [a.name for a in schema if a.kwarg_only and a.alias_info is not None and a.alias_info.is_write]
    if outs:
        func, names = getattr(torch.ops.aten, call.base), [n for n in names if n not in outs]
    positional = [a.name for a in schema if not a.kwarg_only and a.name in names]
    keywords = {n: arguments[n] for n in names if n not in positional and n != "dtype"}
    result = func(*(arguments[n] for n in positional), **keywords)
    return list(result) if isinstance(result, tuple | list) else [result]


# --- where the pattern itself varies, or elements are added up -----------------------------------------------------


@rule("gather", "index_select", "take", "index", "_unsafe_index", "embedding")
def look_up(call: Call) -> Any:
    """With a constant index a move. An index that varies adds its own taint and may fetch any element."""
    index = call.args.get("index", call.args.get("indices"))
    indices = [i for i in (index if isinstance(index, list | tuple) else [index]) if isinstance(i, Traced)]
    if all(i.taint is None for i in indices):
        return move(call)
    if any(i.value.dtype in (torch.bool, torch.uint8) and i.taint is not None for i in indices):
        raise NotImplementedError("a shape depends on the input's values")
    table = call["weight"] if call.base == "embedding" else call["self"]
    own = _place(call, indices)
    if table.taint is None:
        return own
    if call.base not in ("gather", "index_select"):
        return own | call.fill(any_at_all(table.taint), call.out)
    (dim,) = axes(call["dim"], table.value.ndim)
    region = [slice(None) if axis == dim else slice(n) for axis, n in enumerate(call.out.shape, start=1)]
    return own | any_over(table.taint, [dim])[(slice(None), *region)]


def _place(call: Call, indices: list[Traced]) -> Tensor:
    """The taint of the index itself, at the output elements that it selects."""
    if call.base in ("gather", "take"):
        return call.bits(indices[0]).clone()
    shape = np.broadcast_shapes(  # torch.broadcast_shapes imports sympy, seconds
        *(i.value.shape for i in indices)
    )
    bits = torch.zeros(call.slots, *shape, dtype=torch.bool, device=call.out.device)
    for index in indices:
        bits |= spread(call.bits(index), shape)
    first = _first_axis(call)
    view = bits.view(call.slots, *[1] * first, *shape, *[1] * (call.out.ndim - first - len(shape)))
    return view.expand(-1, *call.out.shape).clone()


def _first_axis(call: Call) -> int:
    """Where the dims of the index begin in the output: torch moves them to the front if they are not adjacent."""
    if call.base == "embedding":
        return 0
    if call.base == "index_select":
        return int(call["dim"]) % max(call["self"].value.ndim, 1)
    given = [i for i, index in enumerate(call["indices"]) if index is not None]
    return given[0] if given == list(range(given[0], given[-1] + 1)) else 0


@rule("_embedding_bag", "_embedding_bag_forward_only")
def bags(call: Call) -> list[Tensor | None]:
    """A sum, mean or maximum of table rows: a bag depends on its own indices and weights, and on a varying table."""
    if call["offsets"].taint is not None:
        raise NotImplementedError("offsets depend on the input")
    places = torch.arange(call["indices"].value.numel(), device=call.out.device)
    bag = torch.searchsorted(call["offsets"].value.to(places.dtype), places, right=True) - 1
    weights, out = call["per_sample_weights"], call.outs[0]
    bits = call.bits(call["indices"])
    if isinstance(weights, Traced):
        bits = bits | call.bits(weights)
    counts = torch.zeros(call.slots, len(out), device=out.device).index_add(1, bag, bits.float())
    taint = counts.gt(0.5).unsqueeze(-1).expand(-1, *out.shape).clone()
    if call["weight"].taint is not None:
        taint |= call.fill(any_at_all(call["weight"].taint), out)
    return [taint, *(call.fill(any_at_all(bits), other) for other in call.outs[1:])]


@rule("scatter", "scatter_add", "scatter_reduce")
def scattered(call: Call) -> Tensor:
    """Writes along one dim. Where the index varies, any element along the dim may be the one that is written."""
    index, source = call["index"], call.args.get("src")
    replaces = call.base == "scatter" and call.args.get("reduce") is None
    if index.taint is None and replaces:
        return move(call)[0]
    bits, dim = call.bits(call["self"]).clone(), axes(call["dim"], call["self"].value.ndim)[0]
    region = (slice(None), *(slice(n) for n in index.value.shape))
    written = torch.zeros(call.slots, *index.value.shape, dtype=torch.bool, device=bits.device)
    if isinstance(source, Traced):
        written |= call.bits(source)[region]
    if index.taint is None:
        counts = torch.zeros(bits.shape, device=bits.device)
        target = index.value.expand(call.slots, *index.value.shape)
        return bits | counts.scatter_add(dim, target, written.float()).gt(0.5)
    written = any_over(written | index.taint, [dim])
    into = tuple(slice(None) if axis == dim else part for axis, part in enumerate(region))
    bits[into] |= written
    return bits


@rule("index_add", "index_reduce")
def added(call: Call) -> Tensor:
    bits, dim = call.bits(call["self"]), axes(call["dim"], call["self"].value.ndim)[0]
    index, source = call["index"], call.bits(call["source"])
    if index.taint is not None:
        over = any_over(source | call.fill(any_at_all(index.taint), call["source"].value), [dim])
        return bits | over
    counts = torch.zeros(bits.shape, device=bits.device)
    return bits | counts.index_add(dim, index.value, source.float()).gt(0.5)


@rule("index_put", "_unsafe_index_put", "_index_put_impl")
def assigned(call: Call) -> Tensor:
    """`x[index] = values`. An index that varies may write anywhere; a mask writes only where it may be True."""
    indices = [i for i in call["indices"] if isinstance(i, Traced)]
    values, bits = call["values"], call.bits(call["self"])
    anywhere = call.fill(any_at_all(call.bits(values)), call.out)
    if any(i.taint is not None for i in indices):
        mask = call["indices"][0]
        if (
            len(indices) == 1
            and isinstance(mask, Traced)
            and mask.value.dtype == torch.bool
            and values.value.numel() == 1
        ):
            tail = (1,) * (call.out.ndim - mask.value.ndim)
            maybe = (mask.value | mask.varies()).view(*mask.value.shape, *tail)
            return bits | call.bits(mask).view(call.slots, *mask.value.shape, *tail) | (anywhere & maybe)
        for index in indices:
            anywhere |= call.fill(any_at_all(call.bits(index)), call.out)
        return bits | anywhere
    if not call["accumulate"]:
        return move(call)[0] if call.base in MOVES else bits | anywhere
    plain = [None if i is None else i.value for i in call["indices"]]
    # The slots go last, behind whatever is indexed: there no pattern of indices moves them.
    counts = torch.zeros(*call.out.shape, call.slots, device=call.out.device)
    region = torch.ops.aten.index(counts[..., 0], plain).shape
    written = spread(call.bits(values), region).movedim(0, -1).float()
    return bits | torch.ops.aten.index_put(counts, plain, written, True).gt(0.5).movedim(-1, 0)


RULES.update({name: move for name in MOVES if name not in RULES})
