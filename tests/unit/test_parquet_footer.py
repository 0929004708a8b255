"""What the columns of a Parquet file say they unpack to: as pyarrow says it, without being ended by a damaged footer."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jensen
from jensen.data import parquet
from jensen.data.parquet_footer import BINARY, DEEPEST, LIST, MAP, STRUCT, Compact, unpacked_sizes
from jensen.errors import DataError


def mixed(path: Path, rows: int = 40, **how: object) -> Path:
    """Texts, numbers, booleans, times, missing values and a list, in a file with all that a footer may hold."""
    columns = {
        "text": pa.array(["a", None, "b", "ccc"] * (rows // 4)),
        "real": np.arange(rows) * 0.1,
        "whole": np.arange(rows),
        "true": pa.array([True, False] * (rows // 2)),
        "time": pa.array(np.arange(rows), pa.timestamp("us")),
        "list": pa.array([[1, 2], []] * (rows // 2)),
        **{f"x{i}": np.arange(rows) for i in range(20)},
    }
    pq.write_table(pa.table(columns), path, **how)
    return path


HOWS = (
    {},
    {"row_group_size": 7},
    {"row_group_size": 2},
    {"compression": "zstd", "use_dictionary": False},
    {"write_statistics": False, "version": "1.0"},
    {"write_page_index": True, "write_page_checksum": True},
)


@pytest.mark.parametrize("how", HOWS, ids=lambda how: " ".join(how) or "plain")
def test_sizes_are_those_that_pyarrow_says(tmp_path: Path, how: dict[str, object]) -> None:
    path = mixed(tmp_path / "mixed.parquet", **how)
    told = pq.ParquetFile(path).metadata
    groups = [told.row_group(i) for i in range(told.num_row_groups)]
    expected = [[one.column(j).total_uncompressed_size for j in range(told.num_columns)] for one in groups]
    assert list(unpacked_sizes(path)) == expected


READS = """
import sys, jensen
try:
    jensen.rows(sys.argv[1])
except jensen.DataError as error:
    print(error)
"""


def test_statistics_that_contradict_themselves_do_not_end_the_process(tmp_path: Path) -> None:
    """Two levels counted where a column has one: pyarrow's own `column(0)` aborts. In a child, which a relapse would end."""
    path = tmp_path / "aborts.parquet"
    pq.write_table(pa.table({"name": ["a", "b"] * 5, "x": np.arange(10) * 0.3}), path)
    content = path.read_bytes()
    none, two = b"\x19\x06", b"\x19\x26\x00\x14"  # a list of no number, a list of the two numbers 0 and 10
    if none + two not in content:
        pytest.skip("this pyarrow writes no statistics of sizes")
    path.write_bytes(content.replace(none + two, two + none))
    done = subprocess.run([sys.executable, "-c", READS, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "aborts.parquet cannot be read as a table" in done.stdout


def test_a_chunk_under_another_name_is_still_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "named.parquet"
    texts = ["x" * 1000 + str(i) for i in range(100)]
    pq.write_table(pa.table({"words": texts}), path, use_dictionary=False, store_schema=False)
    content = path.read_bytes()
    schema, chunk = content.find(b"words"), content.rfind(b"words")
    assert schema < chunk
    path.write_bytes(content[:chunk] + b"other" + content[chunk + 5 :])
    monkeypatch.setattr(parquet, "LEAST_BATCH", 1000)
    with pytest.raises(DataError, match=r"column 'words' of .* unpacks to more"):
        jensen.rows(path, memory=1000)


def test_a_footer_that_is_cut_off_is_no_footer(tmp_path: Path) -> None:
    path = mixed(tmp_path / "mixed.parquet")
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    for kept in range(0, length, 5):
        end = len(content) - 8 - length + kept
        path.write_bytes(content[:end] + kept.to_bytes(4, "little") + b"PAR1")
        with pytest.raises(ValueError, match="its footer"):
            list(unpacked_sizes(path))
    path.write_bytes(content[:-8] + (len(content)).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(ValueError, match="its footer says"):
        list(unpacked_sizes(path))


@given(st.binary(max_size=200), st.integers(0, 15))
def test_any_bytes_are_passed_over_or_refused(content: bytes, kind: int) -> None:
    """Where a value ends is said by its own bytes, whatever comes after them."""
    compact, longer = Compact(content), Compact(content + b"\x91")
    try:
        compact.skip(kind)
    except (IndexError, ValueError):
        return
    longer.skip(kind)
    assert longer.at == compact.at


@pytest.mark.parametrize(
    ("kind", "content", "trouble"),
    [
        (LIST, b"\x19" * (DEEPEST + 5), "deep"),
        (STRUCT, b"\x1c" * (DEEPEST + 5), "deep"),
        (MAP, b"\x01\xbb" * (DEEPEST + 5), "deep"),
        (BINARY, b"\xff" * 20, "64 bits"),
        (0, b"", "kind 0"),
        (LIST, b"\x1e", "kind 14"),
    ],
)
def test_what_the_protocol_does_not_know_is_refused(kind: int, content: bytes, trouble: str) -> None:
    with pytest.raises(ValueError, match=trouble):
        Compact(content).skip(kind)


def test_a_value_is_passed_over_to_its_end() -> None:
    """A list of booleans takes a byte each, a field of one none; a map has its two kinds in a byte; a long list its own length."""
    truths = b"\x31\x01\x02\x01"
    mapped = b"\x01\x58\x08\x03abc"
    long = b"\xf5\x10" + b"\x02" * 16
    struct = b"\x11\x12" + b"\x08\x04\x02hi" + b"\x1c\x00" + b"\x00"
    for kind, value in ((LIST, truths), (MAP, mapped), (MAP, b"\x00"), (LIST, long), (STRUCT, struct)):
        compact = Compact(value + b"\xff\xff")
        compact.skip(kind)
        assert compact.at == len(value)
