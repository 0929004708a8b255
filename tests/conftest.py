"""The same run everywhere: one thread, waiting threads that sleep, and examples that do not depend on luck."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads its OpenMP runtime

import pytest
from hypothesis import settings

settings.register_profile("jensen", derandomize=True, deadline=None, max_examples=60, database=None)
settings.load_profile("jensen")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """One thread for torch, where the collected tests have imported it (imports come before fixtures)."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
