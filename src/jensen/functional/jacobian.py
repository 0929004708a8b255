"""Links that are there for certain: the lower bound beside the taint of `receptive`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.functional.module_state import device_of, float_type

Forward = Callable[[Tensor], Tensor]


def jacobian_lower_bound(
    module: Forward,
    input_shape: Sequence[int],
    *,
    seed: int = 0,
    inputs: int = 4,
    dtype: torch.dtype | None = None,
    levels: int = 2,
) -> Tensor:
    """Pairs that are linked for certain: a non-zero derivative at some random input, bool `(outputs, inputs)`.

    A lower bound: what it does not find may still be linked (dead ReLU, saturation, underflow), so that alone it never
    proves the absence of a leak. Where it equals `dependence(...).matrix`, both are exact.

    `inputs`: random rows tried, in turn normal and uniform on (0, 1). For an integer or bool `dtype` there is no
    derivative: each element is set to another of its `levels` values and outputs that change are links.
    Two equal rows are run, so that BatchNorm in training has a batch; the first one is read. The random draws of the
    module (dropout) are the same in every run. Cost: `inputs` times outputs backward passes (or inputs forward ones).

    >>> jacobian_lower_bound(nn.Linear(2, 1), (2,), seed=0).tolist()
    [[True, True]]
    """
    if inputs < 1 or levels < 2:
        raise UsageError("expected inputs >= 1 and levels >= 2", f"got {inputs} and {levels}", "raise them")
    dtype, device = dtype or float_type(module), device_of(module)
    generator = torch.Generator().manual_seed(seed)
    found: Tensor | None = None
    with _unchanged(module, device):
        for attempt in range(inputs):
            if dtype.is_floating_point:
                draw = (torch.randn, torch.rand)[attempt % 2]
                row = draw(tuple(input_shape), generator=generator).to(device, dtype)
                links = _derivatives(_seeded(module, seed), row)
            else:
                row = torch.randint(levels, tuple(input_shape), generator=generator).to(device, dtype)
                links = _flips(_seeded(module, seed), row, levels, generator)
            found = links if found is None else found | links
    assert found is not None
    return found.cpu()


def _seeded(module: Forward, seed: int) -> Forward:
    def forward(x: Tensor) -> Tensor:
        torch.manual_seed(seed)
        return module(x)

    return forward


@contextmanager
def _unchanged(module: Forward, device: torch.device) -> Iterator[None]:
    """Random state and buffers (running statistics) are given back afterwards."""
    buffers = list(module.buffers()) if isinstance(module, nn.Module) else []
    copies = [buffer.detach().clone() for buffer in buffers]
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for buffer, copy in zip(buffers, copies):
            buffer.detach().copy_(copy)


def _derivatives(forward: Forward, row: Tensor) -> Tensor:
    with torch.enable_grad():
        x = row.expand(2, *row.shape).clone().requires_grad_()
        out = forward(x)[0].flatten()
        if not out.requires_grad:
            return torch.zeros(len(out), row.numel(), dtype=torch.bool, device=row.device)
        rows = [torch.autograd.grad(o, x, retain_graph=True, allow_unused=True)[0] for o in out]
    jacobian = torch.stack([torch.zeros_like(row) if g is None else g[0] for g in rows]).flatten(1)
    return jacobian.ne(0) & jacobian.isfinite()


def _flips(forward: Forward, row: Tensor, levels: int, generator: torch.Generator) -> Tensor:
    """Outputs that change, bit for bit, with one element: equal shapes run the same arithmetic."""
    size = prod(row.shape)
    shift = torch.randint(1, levels, (size,), generator=generator).to(row.device)
    with torch.no_grad():
        base = forward(row.expand(2, *row.shape).clone())[0].flatten()
        links = torch.zeros(len(base), size, dtype=torch.bool)
        for place in range(size):
            changed = row.expand(2, *row.shape).clone()
            flat = changed[0].view(-1)
            flat[place] = (flat[place].long() + shift[place]) % levels
            links[:, place] = forward(changed)[0].flatten().ne(base).cpu()
    return links
