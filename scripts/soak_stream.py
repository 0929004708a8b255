"""More rows than memory: a generated file of so many GB is read, split and trained on, and the peak memory is printed last.

    python scripts/soak_stream.py --gigabytes 20 --folder /tmp

Rows of 64 columns (float32, NPY, or with --parquet a table) that depend on one another; the file is removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

COLUMNS, BLOCK = 64, 1 << 16
LIMIT = 2.0
"""GB of resident memory."""


def main() -> int:
    args = _arguments()
    if args.train:
        return _train(Path(args.train), args.steps)
    path = Path(args.folder) / f"jensen-soak-stream.{'parquet' if args.parquet else 'npy'}"
    try:
        begun = time.perf_counter()
        write = _write_parquet if args.parquet else _write
        rows = int(args.gigabytes * 1e9 / (4 * COLUMNS))
        write(path, rows)
        print(
            f"{path.stat().st_size / 1e9:.1f} GB, {rows:,} rows, written in {time.perf_counter() - begun:.0f} s"
        )
        command = [sys.executable, __file__, "--train", str(path), "--steps", str(args.steps)]
        environment = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **os.environ}
        return subprocess.run(command, env=environment).returncode
    finally:
        path.unlink(missing_ok=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--folder", default=".")
    parser.add_argument("--steps", type=int, default=0, help="of training; 0: a whole epoch")
    parser.add_argument("--parquet", action="store_true")
    parser.add_argument("--train", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _blocks(rows: int) -> Iterator[NDArray[np.float32]]:
    """Correlated normals."""
    generator = np.random.default_rng(0)
    mix = generator.normal(size=(8, COLUMNS)).astype(np.float32)
    for start in range(0, rows, BLOCK):
        count = min(BLOCK, rows - start)
        block = generator.standard_normal((count, 8), np.float32) @ mix
        yield block + 0.1 * generator.standard_normal((count, COLUMNS), np.float32)


def _write(path: Path, rows: int) -> None:
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (rows, COLUMNS)}
        )
        for block in _blocks(rows):
            file.write(block.tobytes())


def _write_parquet(path: Path, rows: int) -> None:
    """Row groups of a block each, not packed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"x{i}" for i in range(COLUMNS)]
    schema = pa.schema([(name, pa.float32()) for name in names])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as file:
        for block in _blocks(rows):
            file.write_table(pa.table([pa.array(column) for column in block.T], schema=schema))


def _train(path: Path, steps: int) -> int:
    """Read, fit one epoch, score some held-out rows; exit 1 above the limit."""
    import jensen
    from jensen.plan import Plan

    begun = time.perf_counter()
    rows = jensen.rows(path)
    read = time.perf_counter() - begun
    print(f"read and split in {read:.0f} s: {rows.counts}", flush=True)
    print(f"peak so far {_peak():.2f} GB", flush=True)
    batch = 8192
    steps = steps or len(rows.train) // batch
    begun = time.perf_counter()
    fitted = jensen.fit(
        "realnvp", rows, plan=Plan(steps=steps, batch=batch, checks=4, patience=0), transforms=2, hidden=(16,)
    )
    seconds = time.perf_counter() - begun
    score = fitted.score(rows.test[:4096]).mean()
    peak = _peak()
    verdict = "within" if peak <= LIMIT else "ABOVE"
    print(f"{steps:,} steps of {batch:,} rows in {seconds:.0f} s; held-out rows {score}")
    print(
        f"peak resident memory {peak:.2f} GB, {verdict} {LIMIT:g} GB, for {path.stat().st_size / 1e9:.1f} GB of rows"
    )
    return int(peak > LIMIT)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    sys.exit(main())
