"""Torch, loaded when a verb needs it."""

from __future__ import annotations

import os


def start_torch(threads: int | None = None) -> None:
    """Import torch and choose its threads: as asked, else OMP_NUM_THREADS, else every core up to eight."""
    import torch

    from jensen.fitting import thread_count

    if threads is not None or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads or thread_count())
