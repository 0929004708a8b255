"""Rows from all processes of a group, with their gradient."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from jensen.functional.share import share_now


def gathered(x: Tensor) -> Tensor:
    """Rows x (n_r, d) of every process r, in the order of the ranks; x itself where there is no process group.

    Every process then forms the same loss of all rows. The gradient that reaches a process's own rows is multiplied by
    the number of processes: averaged over processes, as DistributedDataParallel does, the parameters' gradients are
    those of one process with the whole batch. Processes may hold different numbers of rows.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return x
    rows: Tensor = _Gather.apply(x)
    return rows


def of_whole_batch(x: Tensor) -> Tensor:
    """`gathered` rows where processes train together on shares of a batch, else x itself."""
    return gathered(x) if processes() > 1 else x


def mean_of_batch(x: Tensor) -> Tensor:
    """The mean of x, itself a mean over rows, over all processes that hold shares of a batch, of one size; else x itself.

    Every process makes a loss of its own of it, and the parameters' gradients are averaged: what reaches x is the mean of what
    all of them want.
    """
    if processes() == 1:
        return x
    mean: Tensor = _Mean.apply(x)
    return mean


def processes() -> int:
    """How many processes hold the batch that is being worked on."""
    share = share_now()
    return 1 if share is None else share.processes


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return mean_of_processes(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return mean_of_processes(grad)


def mean_of_processes(x: Tensor) -> Tensor:
    """The mean of x over the processes of a group, of one shape in all; without gradient."""
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total / dist.get_world_size()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        world, rank = dist.get_world_size(), dist.get_rank()
        mine = torch.tensor([len(x)], device=x.device)
        counts = [torch.zeros_like(mine) for _ in range(world)]
        dist.all_gather(counts, mine)
        sizes = [int(count) for count in counts]
        # a collective wants equal shapes: the short ones are filled up
        padded = x.new_zeros(max(sizes), *x.shape[1:])
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in range(world)]
        dist.all_gather(parts, padded)
        ctx.mine = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        return torch.cat([part[:size] for part, size in zip(parts, sizes)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad[ctx.mine] * dist.get_world_size()
