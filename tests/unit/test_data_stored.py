"""Rows that stay on disk are the rows in memory, and reading them costs bounded memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jensen.data import read, rows
from jensen.data.arraylike import ArrayLike, Part
from jensen.data.layout import layout
from jensen.data.split import split_rows
from jensen.data.stored import RawRows, open_npy
from jensen.errors import DataError, SpaceError

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, RawRows]:
    values = RNG.normal(size=(3000, 5))
    path = tmp_path_factory.mktemp("stored") / "x.npy"
    np.save(path, values)
    return values, open_npy(path)


@given(st.lists(st.integers(-3000, 2999), max_size=50))
def test_any_positions_read_like_an_array(stored, index: list[int]) -> None:
    values, disk = stored
    picked = np.array(index, dtype=int)
    np.testing.assert_array_equal(disk[picked], values[picked])


@given(st.slices(3000))
def test_any_slice_reads_like_an_array(stored, piece: slice) -> None:
    values, disk = stored
    np.testing.assert_array_equal(disk[piece], values[piece])


def test_single_rows_masks_and_parts_read_like_an_array(stored) -> None:
    values, disk = stored
    np.testing.assert_array_equal(disk[-1], values[-1])
    mask = values[:, 0] > 0
    np.testing.assert_array_equal(disk[mask], values[mask])
    part = Part(disk, np.flatnonzero(mask))
    assert isinstance(part, ArrayLike) and len(part) == mask.sum() and part.shape[1:] == (5,)
    np.testing.assert_array_equal(part[3:40:2], values[mask][3:40:2])
    np.testing.assert_array_equal(part[[7, 2, 2]], values[mask][[7, 2, 2]])


@pytest.mark.parametrize("index", [3000, -3001, np.array([0.5]), np.zeros((2, 2), int), np.ones(5, bool)])
def test_positions_that_are_none_raise(stored, index) -> None:
    with pytest.raises(IndexError):
        stored[1][index]


def test_far_positions_and_long_spans_cross_the_limits_of_one_read(tmp_path: Path) -> None:
    values = np.arange(3_000_000, dtype=np.float64).reshape(-1, 3)  # 24 MB: six spans
    np.save(tmp_path / "x.npy", values)
    disk = open_npy(tmp_path / "x.npy")
    np.testing.assert_array_equal(disk[:], values)
    scattered = np.sort(RNG.choice(len(values), 700, replace=False))
    np.testing.assert_array_equal(disk[scattered], values[scattered])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(200, 3), (50, 4, 5), (40, 3, 4, 5), (40, 6, 5, 3), (60,)])
@pytest.mark.parametrize("kind", ["f8", ">f4", "u1", "?"])
def test_npy_on_disk_gives_the_same_rows_as_in_memory(
    tmp_path: Path, kind: str, shape: tuple, order: str
) -> None:
    whole = RNG.integers(0, 50, shape)
    values = whole % 2 if kind == "?" else whole / 7
    np.save(tmp_path / "x.npy", np.asarray(values, order=order).astype(kind))
    memory, disk = (rows(tmp_path / "x.npy", seed=2, memory=size) for size in (1 << 30, 16))
    assert not isinstance(disk.train, np.ndarray) and isinstance(memory.train, np.ndarray)
    assert (memory.hash, memory.space) == (disk.hash, disk.space)
    assert disk.train.dtype == memory.train.dtype and disk.train.shape == memory.train.shape
    for part in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(disk, part)[:], getattr(memory, part))
    assert set(disk.notes) - set(memory.notes) == {"larger than memory: read from disk as needed"}


def mixed(n: int = 500) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "x": RNG.normal(size=n),
            "city": RNG.choice(["Bonn", "Ghent", "Turin"], n),
            "age": RNG.integers(0, 90, n),
            "yes": RNG.random(n) > 0.5,
        }
    )


def test_parquet_on_disk_gives_the_same_rows_as_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    mixed().to_parquet(path, row_group_size=37)
    memory, disk = (rows(path, seed=2, memory=size) for size in (1 << 30, 5000))
    assert not isinstance(disk.train, np.ndarray)
    assert (memory.hash, memory.space) == (disk.hash, disk.space)
    for part in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(disk, part)[:], getattr(memory, part))
    reordered = tmp_path / "y.parquet"
    mixed()[["yes", "age", "city", "x"]].to_parquet(reordered, row_group_size=37)
    whole = read(reordered, memory.space)
    np.testing.assert_array_equal(read(reordered, memory.space, memory=5000)[:], whole)
    some = np.array([499, 0, 37, 36, 250])
    np.testing.assert_array_equal(read(reordered, memory.space, memory=5000)[some], whole[some])


def test_a_row_group_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    mixed().to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"row group .* memory=5000 bytes; got 500 rows.*row_group_size"):
        rows(tmp_path / "x.parquet", memory=5000)


def test_bad_rows_late_in_a_file_are_named_by_their_own_number(tmp_path: Path) -> None:
    values = np.zeros((400_000, 8), np.uint8)
    values[::2] = 3
    values[399_999, 5] = 9
    space = rows(values[:-1]).space
    with pytest.raises(SpaceError, match="row 399999, site 5 holds 9"):
        read(values, space)
    floats = RNG.normal(size=(400_000, 8))
    floats[[399_000, 399_998], 2] = np.nan
    np.save(tmp_path / "x.npy", floats)
    with pytest.raises(DataError, match="2 in column 2, the first in row 399000"):
        rows(tmp_path / "x.npy", memory=1000)
    frame = mixed()
    frame.loc[[400, 450], "x"] = np.nan
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "x.parquet", row_group_size=30)
    with pytest.raises(DataError, match="2 in column 'x', the first in row 400"):
        rows(tmp_path / "x.parquet", memory=5000, gaps="refuse")
    found = rows(tmp_path / "x.parquet", memory=5000)
    assert sum(int(np.isnan(part[:]).sum()) for part in (found.train, found.valid, found.test)) == 2


def test_a_file_that_shrinks_while_in_use_is_an_error_and_no_crash(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", RNG.normal(size=(100, 5)))
    found = rows(tmp_path / "x.npy", memory=100)
    (tmp_path / "x.npy").write_bytes(b"short")
    with pytest.raises(DataError, match="changed while it was being read"):
        found.train[:5]


def test_layout_agrees_with_the_shape_it_announces() -> None:
    for shape in [(4,), (4, 2), (4, 5, 6), (4, 3, 5, 6), (4, 5, 6, 3)]:
        how = layout(shape)
        assert how(np.zeros(shape)).shape == how.shape(shape)


PASS_OVER = """
import re, sys
import numpy as np
import pyarrow.parquet
from jensen.data import rows, shards

def peak():  # MB; not ru_maxrss, which a child inherits from the parent that started it
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024

path, memory = sys.argv[1], int(sys.argv[2])
before = peak()
found = rows(path, memory=memory)
total = 0.0
for shard in shards(len(found.train), 20_000, 0, 0, found.train.block if "parquet" in path else None):
    total += float(found.train[shard].sum())
print(len(found.train), total, peak() - before)
"""


def pass_over(path: Path, memory: int) -> tuple[float, ...]:
    """Rows, sum of the training rows, and growth of the peak memory in MB, measured in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", PASS_OVER, str(path), str(memory)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return tuple(float(word) for word in done.stdout.split())


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("suffix", ["npy", "parquet"])
def test_a_pass_over_a_large_file_takes_a_fraction_of_its_size(tmp_path: Path, suffix: str) -> None:
    """256 MB on disk, 16 MB allowed: what grows is a few chunks of 16 MB and eight bytes a row, not the file."""
    path, n = tmp_path / f"x.{suffix}", 2_000_000
    values = np.random.default_rng(1).random((n, 16))
    if suffix == "npy":
        np.save(path, values)
    else:
        columns = {f"c{i}": column for i, column in enumerate(values.T)}
        pq.write_table(
            pa.table(columns), path, row_group_size=20_000, use_dictionary=False, compression="none"
        )
    train = split_rows(n, (0.7, 0.1, 0.2), 0)[0]
    count, total, grown = pass_over(path, 16 << 20)
    assert count == len(train)
    assert total == pytest.approx(float(values[train].sum()), abs=1e-6)
    assert grown < (128 if suffix == "npy" else 200)  # the decoder's own buffers come on top
    if suffix == "npy":  # the same meter sees the file when it is held in memory, twice while it is split
        assert pass_over(path, 1 << 30)[2] > 450


def test_codes_beyond_their_dictionary_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "good.parquet"
    table = pa.table({"text": ["a", "b", "c"] * 20, "number": np.arange(60) / 7})
    pq.write_table(table, good, compression="NONE", column_encoding=None)
    content, path = good.read_bytes(), tmp_path / "x.parquet"
    # the file begins with the page of the dictionary a, b, c and the header of the codes: every byte of it made less by one
    refused = 0
    for at in range(4, 60):
        path.write_bytes(content[:at] + bytes([(content[at] - 1) % 256]) + content[at + 1 :])
        try:
            rows(path)
        except DataError:
            refused += 1
    assert refused
