"""What this card can do at the most, measured: products of matrices and copies; and what a step asks of it, counted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

VIEWS = {
    "view",
    "_unsafe_view",
    "expand",
    "permute",
    "transpose",
    "t",
    "slice",
    "select",
    "unsqueeze",
    "squeeze",
}
VIEWS |= {
    "as_strided",
    "detach",
    "alias",
    "split",
    "split_with_sizes",
    "unbind",
    "diagonal",
    "unfold",
    "lift_fresh",
}


def wait(device: torch.device) -> None:
    """Until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def times(work: Callable[[], Any], device: torch.device, repeats: int, warm: int = 3) -> list[float]:
    """Seconds of single calls: by events on a GPU, whose launches may run ahead as in training; by the clock on a CPU."""
    for _ in range(warm):
        work()
    wait(device)
    if device.type != "cuda":
        found = []
        for _ in range(repeats):
            began = time.perf_counter()
            work()
            found.append(time.perf_counter() - began)
        return found
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    marks[0].record()
    for mark in marks[1:]:
        work()
        mark.record()
    torch.cuda.synchronize(device)
    return [a.elapsed_time(b) / 1e3 for a, b in pairwise(marks)]


def quartiles(seconds: list[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else seconds * 3


def peaks(device: torch.device, smoke: bool) -> dict[str, float]:
    """Operations a second of square products in float32, TF32 and bfloat16; bytes a second of a copy, read and written."""
    size, repeats = (256, 5) if smoke else (8192, 20)
    found = {}
    for name, dtype, tf32 in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bf16", torch.bfloat16, False),
    ):
        if device.type == "cpu" and name == "tf32":
            continue
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        with _tf32(tf32):
            best = min(times(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), device, repeats))
        found[name] = 2 * size**3 / best
    source = torch.empty((1 << 22) if smoke else (1 << 30), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    found["bandwidth"] = 2 * source.numel() / min(times(lambda: target.copy_(source), device, repeats))
    return found


@contextmanager
def _tf32(on: bool) -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = on
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


class Traffic(TorchDispatchMode):
    """Bytes that operations read and write, one by one: what unfused kernels move where nothing stays in a cache."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._schema.name.partition("::")[2] not in VIEWS:
            seen = {id(one): one for one in tree_leaves((args, kwargs or {}, out)) if isinstance(one, Tensor)}
            self.bytes += sum(one.numel() * one.element_size() for one in seen.values())
        return out


def asked(step: Callable[[], Any]) -> dict[str, float]:
    """Operations in matrix products, convolutions and attention of one step, forward and backward, and bytes moved."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        step()
    traffic = Traffic()
    with traffic:
        step()
    return {"flops": float(counter.get_total_flops()), "bytes": float(traffic.bytes)}
