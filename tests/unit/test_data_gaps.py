"""Tables with gaps, dates and whole numbers: what is read, and what is written again."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from jensen.data import read, rows, write
from jensen.data.frames import as_frame
from jensen.data.settle import beyond, settle
from jensen.data.times import time_column, time_numbers
from jensen.errors import DataError, SpaceError, UsageError
from jensen.space import Column, Space

RNG = np.random.default_rng(5)
N = 80


def table() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "age": RNG.integers(18, 900, N),
            "city": RNG.choice(["Bonn", "Ghent", "Turin"], N),
            "born": pd.Timestamp("1990-01-01") + pd.to_timedelta(RNG.integers(0, 9000, N), unit="D"),
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(3600 * RNG.integers(0, 9000, N), unit="s"),
            "income": np.round(RNG.normal(1000, 200, N), 2),
            "kids": RNG.integers(0, 5, N).astype(float),
            "yes": RNG.random(N) < 0.4,
        }
    )
    frame.loc[::7, "income"] = np.nan
    frame.loc[::9, "city"] = None
    frame.loc[::8, "kids"] = np.nan
    frame.loc[::11, "born"] = pd.NaT
    return frame


FRAME = table()


def test_a_mixed_table_has_a_column_of_its_kind_for_each() -> None:
    space = rows(FRAME).space
    kinds = {column.name: (column.kind, column.gaps, column.time) for column in space.columns}
    assert kinds == {
        "age": ("levels", "", ""),
        "city": ("categorical", "value", ""),
        "born": ("real", "value", "days"),
        "seen": ("real", "", "seconds"),
        "income": ("real", "value", ""),
        "kids": ("levels", "value", ""),
        "yes": ("binary", "", ""),
    }
    assert space.kind == "mixed" and space.measure == "mixed"
    found = {column.name: column for column in space.columns}
    assert found["income"].grain == 0.01 and found["born"].grain == 1.0 and found["seen"].grain == 3600.0
    assert found["income"].seen == (FRAME["income"].min(), FRAME["income"].max())
    assert Space.from_dict(space.to_dict()) == space
    assert Space.from_dict(space.to_dict()).columns[4].seen == found["income"].seen


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_every_way_in_gives_the_same_rows_and_what_is_written_reads_as_the_same(
    tmp_path: Path, suffix: str, library: str
) -> None:
    frame = {
        "pandas": FRAME,
        "polars": pl.from_pandas(FRAME),
        "arrow": pa.Table.from_pandas(FRAME, preserve_index=False),
    }[library]
    found = rows(frame)
    assert found.hash == rows(FRAME).hash and found.space == rows(FRAME).space
    values = read(frame, found.space)
    write(tmp_path / f"x{suffix}", np.asarray(values[:]), found.space)
    np.testing.assert_array_equal(np.asarray(read(tmp_path / f"x{suffix}", found.space)[:]), values[:])
    again = rows(tmp_path / f"x{suffix}")
    assert again.hash == found.hash and again.space == found.space


@pytest.mark.parametrize("like", [FRAME, pl.from_pandas(FRAME)], ids=["pandas", "polars"])
def test_a_frame_of_rows_is_like_the_one_they_were_read_from(like) -> None:
    found = rows(like)
    frame = as_frame(np.asarray(read(like, found.space)[:]), found.space, like)
    assert type(frame) is type(like) and list(frame.columns) == list(like.columns)
    assert list(frame.dtypes) == list(like.dtypes)
    if isinstance(like, pd.DataFrame):
        # before pandas 3 a column of objects marks a gap by None or nan, which are not equal to themselves there
        ours, theirs = (side.astype(object).where(side.notna(), "gap") for side in (frame, like))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    else:
        assert frame.equals(like)


def test_gaps_are_unseen_or_refused_where_the_user_says_so() -> None:
    unseen = rows(FRAME, gaps="unseen")
    assert {column.gaps for column in unseen.space.columns} == {"", "unseen"}
    assert any("unseen" in note for note in unseen.notes)
    with pytest.raises(DataError, match=r"missing 9 in column 'city', the first in row 0.*gaps='value'"):
        rows(FRAME, gaps="refuse")
    with pytest.raises(UsageError, match="'value', 'unseen' or 'refuse'"):
        rows(FRAME, gaps="drop")


def test_nan_in_an_array_is_an_error_unless_it_is_said_to_be_a_gap() -> None:
    x = RNG.normal(size=(40, 3))
    x[4, 1] = np.nan
    with pytest.raises(DataError, match=r"1 in column 1, the first in row 4.*gaps='value'"):
        rows(x)
    found = rows(x, gaps="value")
    assert found.space.measure == "mixed" and found.space.gaps == {"value"}
    assert rows(x, gaps="unseen").space.measure == "density"
    x[5, 2] = np.inf
    with pytest.raises(DataError, match="1 in column 2, the first in row 5"):
        rows(x, gaps="value")
    with pytest.raises(SpaceError, match="row 1, site 1 holds nan"):
        Space((2,), (Column("real", gaps="value"), Column("real"))).check(
            np.array([[np.nan, 1], [1, np.nan]])
        )


def test_nan_among_halves_is_a_gap() -> None:
    halves = np.where(np.arange(N) % 9, RNG.normal(size=N), np.nan).astype(np.float16)
    found = rows(pa.table({"x": halves, "y": RNG.normal(size=N)}))
    assert [column.gaps for column in found.space.columns] == ["value", ""]


def test_columns_that_can_only_be_left_out_are_named_together() -> None:
    frame = FRAME.assign(id=np.arange(N) + 7, key=[f"k{i}" for i in range(N)], same=1, none=np.nan)
    with pytest.raises(DataError) as caught:
        rows(frame)
    assert all(f"'{name}'" in caught.value.do for name in ("id", "key", "same", "none"))
    assert "numbers the rows" in caught.value.given and "identifier" in caught.value.given
    rows(frame, drop=["id", "key", "same", "none"])
    with pytest.raises(DataError, match=r"'id' numbers the rows.*drop=..id"):
        rows(FRAME.assign(id=np.arange(N)))


def test_times_are_numbers_and_numbers_are_times() -> None:
    stamps = pa.array([datetime.datetime(2020, 2, 29, 12, 0, 0, 250), None])
    seconds = time_numbers(stamps)
    assert seconds[0] == pytest.approx(1582977600.00025, abs=1e-6) and np.isnan(seconds[1])
    assert time_column(seconds, "seconds").to_pylist() == stamps.to_pylist()
    zone = pa.array([datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)]).cast(
        pa.timestamp("us", "Europe/Rome")
    )
    assert time_numbers(zone)[0] == datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC).timestamp()
    early = pa.array([datetime.date(1066, 10, 14)])
    assert time_column(time_numbers(early, "days"), "days").to_pylist() == early.to_pylist()


def test_dates_where_numbers_are_known_and_numbers_where_dates_are_known_are_refused() -> None:
    space = rows(FRAME).space
    with pytest.raises(DataError, match="'born' must hold dates"):
        read(FRAME.assign(born=1.0), space)
    with pytest.raises(DataError, match="'age' must hold numbers"):
        read(FRAME.assign(age=FRAME["seen"]), space)


def test_samples_are_settled_on_what_was_seen_and_how_many_were_moved_is_said() -> None:
    column = Column("real", name="x", grain=0.5, seen=(0.25, 3.25))
    assert settle(np.array([-1.0, 0.9, 2.6, 9.0, np.nan]), column)[:4].tolist() == [0.25, 0.75, 2.75, 3.25]
    told = beyond(np.array([[-1.0], [1.0], [9.0]]), Space((1,), (column,)))
    assert told.startswith("2 values lie beyond the range that was seen") and "x (2)" in told
    assert beyond(np.array([[1.0]]), Space((1,), (column,))) == ""
