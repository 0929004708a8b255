"""Rows larger than memory are streamed through training: the peak stays bounded, the result repeats."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jensen
from jensen.plan import Plan

SCRIPT = """
import sys
import jensen
from jensen.plan import Plan

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

path, memory = sys.argv[1], int(sys.argv[2])
jensen.fit("made", "digits", steps=2, hidden=[4])  # what torch itself takes is not what is measured
before = peak()
rows = jensen.rows(path, memory=memory)
jensen.fit("made", rows, plan=Plan(steps=60, checks=2), hidden=[4])
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from /proc")
def test_training_on_a_file_larger_than_memory_takes_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "big.npy"
    big = np.lib.format.open_memmap(path, "w+", np.uint8, (5_000_000, 32))
    generator = np.random.default_rng(0)
    for start in range(0, len(big), 1_000_000):
        big[start : start + 1_000_000] = generator.integers(0, 4, (1_000_000, 32), np.uint8)
    del big  # 160 MB on disk, and 1,280 MB as the indices a model reads
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), "8000000"], capture_output=True, text=True, check=True
    )
    # three shards of 64 MiB of indices (used, shuffled, coming) and the positions of the split (8 bytes a row and some
    # copies while it is made): about 400 MB; the training part alone as indices would be 896 MB
    assert float(out.stdout.split()[-1]) < 600


def test_streamed_training_repeats_bit_for_bit(tmp_path: Path) -> None:
    import torch

    np.save(tmp_path / "rows.npy", np.random.default_rng(0).integers(0, 4, (5000, 6), np.uint8))
    rows = jensen.rows(tmp_path / "rows.npy", memory=1000)
    assert not isinstance(rows.train, np.ndarray)
    one, two = (jensen.fit("made", rows, plan=Plan(steps=30), hidden=[4]) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), two.model.parameters()))
