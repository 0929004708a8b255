"""Torch, loaded when a verb needs it, and its threads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jensen.space import Space


def start_torch(threads: int | None = None) -> None:
    """Import torch, with the number of threads that was asked for."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def settle_threads(threads: int | None, space: Space) -> None:
    """Unless --threads or OMP_NUM_THREADS asked for a number: what suits rows of this space."""
    import torch

    from jensen.fitting import thread_count

    if threads is None and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(thread_count(space))
