"""Bad input is refused in three parts: what was wrong, what was given, what to do."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from jensen.data import read, rows
from jensen.errors import DataError, JensenError, SpaceError, UsageError
from jensen.space import Space

REAL = np.random.default_rng(7).normal(size=(20, 3))
MASKED = np.ma.masked_array(REAL, REAL > 1.5)
FRAME = pd.DataFrame(REAL, columns=["a", "b", "c"])


def changed(row: int, column: int, value: float) -> np.ndarray:
    values = REAL.copy()
    values[row, column] = value
    return values


def in_frame(column: str, values: list) -> pd.DataFrame:
    return FRAME.assign(**{column: values})


NOT_ROWS = {
    "empty": (np.empty((0, 3)), "empty data"),
    "empty list": ([], "empty data"),
    "no columns": (np.empty((5, 0)), "empty data"),
    "empty frame": (FRAME[:0], "empty data"),
    "one row": (REAL[:1], "need 3 in all; got 1"),
    "two rows": (FRAME[:2], "need 3 in all; got 2"),
    "nan": (changed(4, 1, np.nan), "1 in column 1, the first in row 4"),
    "infinity": (changed(7, 2, -np.inf), "1 in column 2, the first in row 7"),
    "nan in images": (
        np.where(np.arange(80).reshape(5, 4, 4) == 37, np.nan, 0.5),
        "1 in 1 pixels, the first in row 2",
    ),
    "infinity in a frame": (
        in_frame("b", [np.inf if i == 3 else i / 7 for i in range(20)]),
        "1 in column 'b', .*row 3",
    ),
    "masked": (MASKED, f"{MASKED.mask.sum()} values are masked"),
    "constant column": (changed(0, 0, 1) * [1, 0, 1], "constant column .*: column 1"),
    "constant in a frame": (
        in_frame("b", [2.5] * 20),
        r"constant column .*: column 'b'; got the value 2.5.*drop=\['b'\]",
    ),
    "constant text": (in_frame("b", ["x"] * 20), "constant column .* 'b'"),
    "all the same": (np.full((9, 1, 4, 4), 7, np.uint8), "all values are the same"),
    "complex": (REAL + 1j, "expected real numbers; got complex128"),
    "complex tensor": (torch.complex(torch.tensor(REAL), torch.tensor(REAL)), "expected real numbers"),
    "texts": (np.array([["a", "b"]] * 5), "expected an array of numbers"),
    "dates": (np.array(["2020-01-01"] * 5, dtype="datetime64[D]"), "expected an array of numbers"),
    "objects": (np.array([[1, None]] * 5, dtype=object), "got an object array"),
    "ragged list": ([[1.0, 2.0], [1.0, 2.0], [1.0]], "row 0 has 2 values, row 2 has 1"),
    "ragged objects": (
        np.array([[1, 2], [3]] + [[1, 2]] * 3, dtype=object),
        "row 0 has 2 values, row 1 has 1",
    ),
    "five axes": (np.zeros((2, 2, 2, 2, 2)), "expected an array of rows"),
    "no axis": (np.array(3.0), "expected an array of rows"),
    "number as text": (
        in_frame("b", ["n/a" if i == 6 else str(i / 7) for i in range(20)]),
        "row 6 holds 'n/a'",
    ),
    "numbers as texts": (in_frame("b", [str(i % 5) for i in range(20)]), "holds numbers as texts"),
    "mixed objects": (
        in_frame("b", [1.5, 2.5, "n/a", 3.5] * 5),
        "mixes texts and numbers; row 0 holds 1.5, row 2 holds 'n/a'",
    ),
    "identifier": (in_frame("b", [f"id{i}" for i in range(20)]), "looks like an identifier.*20 distinct"),
    "many labels": (pd.DataFrame({"b": [f"id{i % 1500}" for i in range(3000)]}), "more than 1000 distinct"),
    "lists in a frame": (in_frame("b", [[1, 2]] * 20), "neither numbers, texts"),
    "empty column": (in_frame("b", [None] * 20), "column 'b' is empty"),
    "a number": (5, "no source of rows; got int"),
    "a dict": ({"a": [1]}, "no source of rows; got dict"),
    "near an example": ("digit", "did you mean digits"),
    "near no example": ("zzzz", "known: .*wine"),
    "no such folder": ("/nowhere/at/all.csv", "no such folder; got '/nowhere/at'"),
    "no path": ("a\0b", "neither an example nor a file"),
}


@pytest.mark.parametrize(("source", "message"), NOT_ROWS.values(), ids=NOT_ROWS.keys())
def test_what_is_no_rows_is_refused(source, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        rows(source)
    assert caught.value.wrong and caught.value.given and caught.value.do


class Touch:
    """Unpickled, it would make a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def _pickled_npy(path: Path) -> None:
    np.save(path, np.array([Touch(str(path.parent / "ran"))] * 3, dtype=object), allow_pickle=True)


def _pickled_npz(path: Path) -> None:
    np.savez(path, x=np.array([Touch(str(path.parent / "ran"))] * 3, dtype=object))


def _cut(make: Callable[[Path], object], keep: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        make(path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])

    return write


def _twice_a_name(path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array(REAL[:, 0])] * 2, ["a", "a"]), path)


def _text(text: str | bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(text if isinstance(text, bytes) else text.encode()) and None


BAD_FILES = {
    "pickle in npy": ("x.npy", _pickled_npy, "pickle runs code from the file"),
    "pickle in npz": ("x.npz", _pickled_npz, "holds Python objects"),
    "pickle as npy": ("x.npy", lambda path: path.write_bytes(pickle.dumps(REAL)), "is not a whole NPY file"),
    "pickle as npz": ("x.npz", lambda path: path.write_bytes(pickle.dumps(REAL)), "x.npz"),
    "npy cut": (
        "x.npy",
        _cut(lambda path: np.save(path, REAL), 0.9),
        "cut short: expected 608 bytes; got 547",
    ),
    "npy header cut": ("x.npy", _cut(lambda path: np.save(path, REAL), 0.1), "is not a whole NPY file"),
    "npz cut": ("x.npz", _cut(lambda path: np.savez(path, x=REAL), 0.5), "is not a whole NPZ file"),
    "npz keys": ("x.npz", lambda path: np.savez(path, images=REAL, labels=REAL), "got images, labels"),
    "parquet cut": (
        "x.parquet",
        _cut(lambda path: FRAME.to_parquet(path), 0.6),
        "x.parquet cannot be read as a table",
    ),
    "parquet noise": ("x.parquet", _text(b"PAR1 nothing PAR1"), "x.parquet cannot be read as a table"),
    "parquet twice a name": ("x.parquet", _twice_a_name, "column names must differ; got 'a'"),
    "npy without columns": ("x.npy", lambda path: np.save(path, np.empty((5, 0))), "empty data"),
    "npy without rows": ("x.npy", lambda path: np.save(path, np.empty((0, 5))), "empty data"),
    "empty file": ("x.csv", _text(""), "x.csv is empty"),
    "csv header alone": ("x.csv", _text("a,b\n"), "empty data"),
    "csv ragged": (
        "x.csv",
        _text("a,b\n1,2\n3\n4,5\n"),
        "x.csv cannot be read as a table; .*Expected 2 columns, got 1",
    ),
    "csv with a word": ("x.csv", _text("a,b\n1,2\n2,n/a\n3,4\n4,6\n"), "column 'b' .*row 1 holds 'n/a'"),
    "csv twice a name": ("x.csv", _text("a,a\n1,2\n2,3\n3,4\n"), "column names must differ; got 'a'"),
    "csv not utf-8": ("x.csv", _text(b"a,b\n1,x\n2,\xff\n3,x\n"), "not text in UTF-8"),
    "gzip cut": ("x.csv.gz", _text(b"\x1f\x8b\x08\0\0"), "x.csv.gz cannot be read as a table"),
    "unknown format": ("x.xlsx", _text("hello"), "format of .*x.xlsx is not known; got suffix '.xlsx'"),
    "one image": ("x.png", _text("hello"), "one image is one row"),
    "empty folder": ("pictures", lambda path: path.mkdir(), "no images in"),
    "near name": ("data.csv", _text("a\n1\n"), None),
}


@pytest.mark.parametrize(("name", "make", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_files_are_refused_by_name(tmp_path: Path, name: str, make, message: str | None) -> None:
    make(tmp_path / name)
    path = tmp_path / ("dta.csv" if message is None else name)
    with pytest.raises(DataError, match=message or "no such file; .*did you mean data.csv") as caught:
        rows(path)
    assert caught.value.wrong and caught.value.given and caught.value.do
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["x.npy", "x.csv", "x.parquet", "x.npz", "x-idx3-ubyte"])
def test_a_file_that_may_not_be_read_is_said(tmp_path: Path, monkeypatch, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"something")

    def stat(self, **_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(
        DataError, match=re.escape(name) + " cannot be read; Permission denied: check its permissions"
    ):
        rows(path)


NOT_IN_SPACE = {
    "label left in": (
        np.column_stack([REAL, np.arange(20)]),
        Space.real(3),
        "did you leave the label column in",
    ),
    "wrong width": (REAL, Space.real(5), r"expected rows of shape \(n, 5\); got \(20, 3\)"),
    "above the levels": (np.array([[0, 1], [2, 17]]), Space.levels(2, 17), "row 1, site 1 holds 17"),
    "below the levels": (np.array([[0, -1]]), Space.levels(2, 17), "row 0, site 1 holds -1"),
    "between levels": (np.array([[0.5]]), Space.levels(1, 17), "row 0, site 0 holds 0.5"),
    "floats for 8 bits": (np.full((2, 1, 4, 4), 0.3), Space.levels((1, 4, 4), 256), "holds 0.3"),
    "not bits": (np.array([[2]]), Space.binary(1), "holds 2"),
}


@pytest.mark.parametrize(("values", "space", "message"), NOT_IN_SPACE.values(), ids=NOT_IN_SPACE.keys())
def test_rows_outside_a_known_space_are_refused(values: np.ndarray, space: Space, message: str) -> None:
    for door in (lambda: read(values, space), lambda: rows(np.repeat(values, 3, 0), space=space)):
        with pytest.raises(SpaceError) as caught:
            door()
        assert caught.value.wrong and caught.value.given and caught.value.do
    with pytest.raises(SpaceError, match=message):
        read(values, space)


def test_nan_and_nothing_are_refused_at_score_time() -> None:
    with pytest.raises(DataError, match="1 in column 0, the first in row 2"):
        read(changed(2, 0, np.nan), Space.real(3))
    with pytest.raises(DataError, match="empty data"):
        read(np.empty((0, 3)), Space.real(3))


def test_a_text_in_a_column_of_numbers_is_refused_at_score_time() -> None:
    space = rows(FRAME).space
    with pytest.raises(DataError, match="column 'b' must hold numbers; row 3 holds 'x'"):
        read(in_frame("b", ["x" if i == 3 else "1.5" for i in range(20)]), space)


@pytest.mark.parametrize(
    "arguments",
    [
        {"space": Space.real(3), "kinds": "real"},
        {"memory": 0},
        {"seed": -1},
        {"drop": ["a"]},
    ],
)
def test_arguments_that_contradict_are_refused(arguments: dict) -> None:
    with pytest.raises(UsageError) as caught:
        rows(REAL, **arguments)
    assert caught.value.wrong and caught.value.given and caught.value.do


def test_rows_that_are_ready_take_no_kinds_and_no_other_space() -> None:
    found = rows(REAL)
    with pytest.raises(UsageError, match="ready already"):
        rows(found, kinds="real")
    with pytest.raises(SpaceError, match="another space"):
        read(found, Space.real(4))


def test_constant_pixels_are_fine() -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 1, 4, 4), dtype=np.uint8)
    images[:, :, 0] = 0
    assert rows(images).space == Space.levels((1, 4, 4), 256)
    assert rows((images % 17).reshape(10, 16)).space == Space.levels(16, 17)


def test_every_refusal_is_a_value_error_too() -> None:
    with pytest.raises(ValueError) as caught:
        rows(np.empty((0, 3)))
    assert isinstance(caught.value, JensenError)
