"""Torch, loaded when a verb needs it, and its threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jensen.space import Space


def start_torch(threads: int | None = None) -> None:
    """Import torch, with the number of threads that was asked for."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def settle_threads(threads: int | None, space: Space, processes: int = 1) -> None:
    """Unless --threads or OMP_NUM_THREADS asked for a number: what suits rows of this space, and so many processes."""
    import torch

    from jensen.fitting import thread_count

    if threads is None and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(thread_count(space) // processes, 1))


@contextmanager
def settle_divergence(threads: int | None) -> Iterator[None]:
    """Threads for critics, which are small: one, unless --threads or OMP_NUM_THREADS asked for another number."""
    from threadpoolctl import threadpool_limits

    count = threads or int(os.environ.get("OMP_NUM_THREADS", "1").split(",")[0])
    start_torch(count)
    with threadpool_limits(count):
        yield
