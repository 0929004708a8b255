"""Small files that stand for gigabytes: each is refused, or read, within a bound of memory measured in a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

MIB = 1 << 20
MEMORY = 64 * MIB
BOUND = 4 * MEMORY
"""What reading may add: the unpacked content once, as a table and as float64, and what the libraries keep."""

READ = """
import json, sys, warnings
import numpy as np, pandas, pyarrow.parquet, PIL.Image, torch, jensen
warnings.simplefilter("ignore")
def size(what):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(what)) * 1024
jensen.rows(np.eye(9)[:, :2] + np.arange(9)[:, None] ** 2)
for path in sys.argv[2:]:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the highest so far is forgotten
    before = size("VmRSS")
    try:
        found = jensen.rows(path, memory=int(sys.argv[1]))
        said = f"read {found.counts}"
        for start in range(0, len(found.train), 100_000):
            found.train[start : start + 100_000]
    except jensen.JensenError as error:
        said = "refused" if error.wrong and error.given and error.do else "a part is missing"
        said += f": {error}"
    print(json.dumps([path, said, size("VmHWM") - before]), flush=True)
"""


def parquet(path: Path, columns: dict[str, Any], **how: Any) -> None:
    pq.write_table(pa.table(columns), path, **how)


def coded(text: str, rows: int) -> Any:
    """A column of a few texts, each in many rows: some bytes a row group."""
    codes = pa.array(np.arange(rows) % 2, pa.int8())
    return pa.DictionaryArray.from_arrays(codes, pa.array([text + "a", text + "b"]))


def long_texts(path: Path) -> None:
    """128 GiB of texts: a megabyte in each of 130,000 rows, by a dictionary of two."""
    parquet(path, {"x": coded("x" * MIB, 130_000), "y": np.arange(130_000) * 0.37}, compression="zstd")


def packed_texts(path: Path) -> None:
    """A page of 512 MiB of one letter, packed."""
    parquet(path, {"x": ["x" * MIB] * 512}, compression="zstd", use_dictionary=False)


def many_rows(path: Path) -> None:
    """A hundred million rows in runs of one value."""
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10_000_000, np.int8)), pa.array([1.5]))
    with pq.ParquetWriter(path, pa.schema([("x", values.type)]), compression="zstd") as out:
        for _ in range(10):
            out.write_table(pa.table({"x": values}), row_group_size=10_000_000)


def numbers(path: Path) -> None:
    """Four million rows of three columns in runs, 96 MiB of numbers: above memory, so read by row group."""
    columns = {
        name: np.roll(np.repeat(np.arange(1000) * 0.37, 4000), shift)
        for name, shift in (("x", 0), ("y", 7), ("z", 9))
    }
    parquet(path, columns, compression="zstd", row_group_size=100_000)


def wide_csv(path: Path) -> None:
    path.write_text("\n".join([",".join(["a"] * 3_000_000)] * 2))


def empty_csv(path: Path) -> None:
    """Empty cells, a byte each."""
    path.write_text("a,b,c,d\n" + ",,,\n" * (4 * MIB))


def zeros_csv(path: Path) -> None:
    path.write_bytes(gzip.compress(b"a,b\n" + b"0,1\n" * (128 * MIB // 4), 1))


def zeros_idx(path: Path) -> None:
    path.write_bytes(gzip.compress(struct.pack(">4BII", 0, 0, 8, 2, 2**10, 2**17) + bytes(2**27), 1))


def zeros_npz(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        np.lib.format.write_array(file, np.zeros((2**24, 2), np.float32))


def lying_npz(path: Path) -> None:
    """The directory says 80 bytes, the array takes 128 MiB."""
    zeros_npz(path)
    content = path.read_bytes()
    size = struct.pack("<I", 2**27 + 128)
    assert content.count(size) >= 1
    path.write_bytes(content.replace(size, struct.pack("<I", 80)))


def picture(path: Path) -> None:
    """144 million pixels that are all there."""
    packer = zlib.compressobj(1)
    body = b"".join(packer.compress(bytes(12_001 * 100)) for _ in range(120)) + packer.flush()
    head = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 0, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    path.mkdir()
    (path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "long.parquet": (long_texts, "read"),
    "packed.parquet": (packed_texts, "refused"),
    "rows.parquet": (many_rows, "refused"),
    "numbers.parquet": (numbers, "read"),
    "wide.csv": (wide_csv, "refused"),
    "empty.csv": (empty_csv, "refused"),
    "zeros.csv.gz": (zeros_csv, "refused"),
    "zeros-idx2.gz": (zeros_idx, "refused"),
    "zeros.npz": (zeros_npz, "refused"),
    "lying.npz": (lying_npz, "refused"),
    "images": (picture, "refused"),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int]]:
    """What a child says of each file, and by how many bytes its resident memory rose."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, (make, _) in FILES.items():
        make(folder / name)
        assert name == "images" or (folder / name).stat().st_size < 24 * MIB
    command = [sys.executable, "-c", READ, str(MEMORY), *(str(folder / name) for name in FILES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = {Path(path).name: (said, rose) for path, said, rose in map(json.loads, done.stdout.splitlines())}
    assert found.keys() == FILES.keys(), done.stderr
    return found


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="measured by Linux alone")
@pytest.mark.parametrize("name", FILES)
def test_a_small_file_takes_no_more_than_the_bound(measured: dict[str, tuple[str, int]], name: str) -> None:
    said, rose = measured[name]
    print(f"{name}: {rose >> 20} MiB, {said[:200]}")
    assert said.startswith(FILES[name][1]), said
    assert rose < BOUND, f"{rose >> 20} MiB: {said[:200]}"
