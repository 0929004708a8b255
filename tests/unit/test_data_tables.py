"""DataFrames, CSV and Parquet become the same rows, with names, kinds and labels."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jensen.data import read, rows
from jensen.errors import DataError, SpaceError
from jensen.space import Column

N = 60
RNG = np.random.default_rng(1)
TABLE = {
    "height": RNG.normal(170, 10, N),
    "age": RNG.integers(18, 40, N),
    "smokes": RNG.random(N) > 0.5,
    "city": [("Bonn", "Ghent", "Turin")[i % 3] for i in range(N)],
}
CODES = np.column_stack([TABLE["height"], TABLE["age"], TABLE["smokes"], np.arange(N) % 3])


def frames() -> list:
    frame = pd.DataFrame(TABLE)
    indexed = frame.set_index(pd.Index(range(100, 100 + N)))
    factors = frame.assign(city=frame["city"].astype("category"))
    return [frame, indexed, factors, pl.DataFrame(TABLE), pl.LazyFrame(TABLE), pa.table(TABLE)]


@pytest.mark.parametrize("frame", frames(), ids=["pandas", "index", "factors", "polars", "lazy", "arrow"])
def test_every_dataframe_gives_the_same_rows(frame) -> None:
    found = rows(frame)
    assert [column.name for column in found.space.columns] == list(TABLE)
    assert [column.kind for column in found.space.columns] == ["real", "levels", "binary", "categorical"]
    assert found.space.columns[3].labels == ("Bonn", "Ghent", "Turin")
    np.testing.assert_array_equal(read(frame, found.space), CODES)
    assert found.hash == rows(pd.DataFrame(TABLE)).hash


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".parquet"])
def test_files_give_the_rows_of_the_frame(tmp_path: Path, suffix: str) -> None:
    frame, path = pd.DataFrame(TABLE), tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    found = rows(path, seed=4)
    assert found.hash == rows(frame).hash
    assert found.space == rows(frame).space
    np.testing.assert_array_equal(found.valid, rows(frame, seed=4).valid)


def test_a_csv_of_numbers_without_a_header_keeps_its_first_line(tmp_path: Path) -> None:
    values = np.round(RNG.normal(size=(10, 3)), 6)
    np.savetxt(tmp_path / "x.csv", values, delimiter=",", fmt="%.6f")
    found = rows(tmp_path / "x.csv")
    np.testing.assert_array_equal(read(tmp_path / "x.csv", found.space), values)
    assert any("first line holds numbers" in note for note in found.notes)


def test_dropped_columns_are_no_part_of_a_row() -> None:
    found = rows(pd.DataFrame(TABLE), drop="city")
    assert found.space.shape == (3,)
    with pytest.raises(DataError, match="did you mean city"):
        rows(pd.DataFrame(TABLE), drop=["citi"])


def test_integers_of_small_range_and_texts_alone_are_discrete() -> None:
    found = rows(pd.DataFrame(TABLE), drop=["height"])
    assert [column.kind for column in found.space.columns] == ["levels", "binary", "categorical"]
    ages = TABLE["age"]
    assert found.space.columns[0] == Column("levels", int(np.ptp(ages)) + 1, float(ages.min()), 1.0, "age")
    assert found.space.measure == "mass"


def test_a_lattice_among_real_columns_is_said_once_with_its_step() -> None:
    frame = pd.DataFrame(TABLE).assign(price=np.round(RNG.integers(0, 9, N) * 0.05, 2))
    (note,) = [note for note in rows(frame).notes if "lattice" in note]
    assert "'price' (step 0.05)" in note and "kinds={'price': 'levels'}" in note
    assert "height" not in note and "age" not in note  # whole numbers of a mixed table are levels anyhow


def test_kinds_override_by_name() -> None:
    frame = pd.DataFrame(TABLE).assign(
        price=np.round(RNG.integers(0, 9, N) * 0.05, 2), level=np.arange(N) % 4
    )
    kinds = {"price": "levels", "age": "categorical", "smokes": "real", "level": "categorical"}
    columns = {column.name: column for column in rows(frame, kinds=kinds).space.columns}
    assert columns["price"].kind == "levels" and columns["price"].step == pytest.approx(0.05)
    assert columns["price"].levels == 9
    assert columns["age"].labels == tuple(str(age) for age in np.unique(TABLE["age"]))
    assert columns["smokes"].kind == "real"
    assert columns["level"] == Column("categorical", 4, name="level")


def test_numeric_categories_are_mapped_through_their_labels() -> None:
    frame = pd.DataFrame({"a": [3, 7, 9] * 5, "b": RNG.normal(size=15)})
    found = rows(frame, kinds={"a": "categorical"})
    np.testing.assert_array_equal(read(frame, found.space)[:, 0], [0, 1, 2] * 5)


def test_columns_are_matched_by_name_in_any_order() -> None:
    frame = pd.DataFrame(TABLE)
    space = rows(frame).space
    np.testing.assert_array_equal(read(frame[["city", "age", "smokes", "height"]], space), CODES)


def test_extra_columns_are_refused_until_dropped() -> None:
    frame = pd.DataFrame(TABLE)
    space = rows(frame).space
    wide = frame.assign(label=1)
    with pytest.raises(SpaceError, match=r"'label'.*drop='label'"):
        read(wide, space)
    np.testing.assert_array_equal(read(wide, space, drop="label"), CODES)


def test_missing_columns_are_named() -> None:
    frame = pd.DataFrame(TABLE)
    with pytest.raises(SpaceError, match="lacks the columns 'age'"):
        read(frame.drop(columns="age"), rows(frame).space)


def test_an_unseen_label_is_refused_with_its_row() -> None:
    frame = pd.DataFrame(TABLE)
    changed = frame.assign(city=["Gent" if i == 7 else city for i, city in enumerate(TABLE["city"])])
    with pytest.raises(DataError, match=r"row 7 holds 'Gent'.*did you mean Ghent"):
        read(changed, rows(frame).space)


def test_a_table_without_names_in_the_space_is_matched_by_position() -> None:
    frame = pd.DataFrame(TABLE)[["height", "age"]]
    space = rows(CODES[:, :2]).space
    np.testing.assert_array_equal(read(frame, space), CODES[:, :2])
    with pytest.raises(SpaceError, match="did you leave the label column in"):
        read(pd.DataFrame(TABLE)[["height", "age", "smokes"]], space)


def test_a_given_space_is_kept_and_checked() -> None:
    frame = pd.DataFrame(TABLE)
    space = rows(frame).space
    assert rows(frame, space=space).space is space
    with pytest.raises(SpaceError, match="row 5, column 'smokes' holds 2"):
        rows(
            frame.assign(smokes=[2 if i == 5 else 0 for i in range(N)]).astype({"smokes": float}),
            space=_numbers(space),
        )


def _numbers(space):
    """The space with bits as plain numbers, so that a wrong one reaches the check of levels."""
    return space.with_columns(
        [
            Column(c.kind, c.levels, c.low, c.step, c.name, c.labels if c.name == "city" else None)
            for c in space.columns
        ]
    )


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_separators_are_told_apart(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    pd.DataFrame(TABLE).to_csv(path, index=False, sep=";")
    found = rows(path)
    assert found.space.shape == (4,)
    assert any("';'" in note for note in found.notes)


def test_describe_lists_the_columns_by_kind() -> None:
    text = rows(pd.DataFrame(TABLE), name="people").describe()
    assert text.splitlines()[0].startswith("people: 60 rows (42 train, 6 valid, 12 test), seed 0, hash ")
    assert (
        "real: height" in text and "levels: age" in text and "categorical: city" in text and "note: " in text
    )


def test_gzip_is_read_like_the_file_itself(tmp_path: Path) -> None:
    text = "a,b\n" + "".join(f"{i % 9},{i * i / 7}\n" for i in range(30))
    (tmp_path / "x.csv").write_text(text)
    with gzip.open(tmp_path / "y.csv.gz", "wt") as file:
        file.write(text)
    assert rows(tmp_path / "x.csv").hash == rows(tmp_path / "y.csv.gz").hash


def test_parquet_of_dictionaries_and_decimals(tmp_path: Path) -> None:
    table = pa.table(
        {
            "d": pa.array([i / 4 for i in range(8)]).cast(pa.decimal128(10, 2)),
            "k": pa.array(["u", "v"] * 4).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    found = rows(tmp_path / "t.parquet")
    np.testing.assert_array_equal(
        read(table, found.space), np.column_stack([np.arange(8) / 4, np.arange(8) % 2])
    )
