"""What is written can be read back as it was, and nothing is half-written."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from jensen.data import output, read, rows, write
from jensen.errors import OutputError, SpaceError, UsageError
from jensen.space import Column, Space

RNG = np.random.default_rng(6)
N = 40
FRAME = pd.DataFrame(
    {
        "x": RNG.normal(size=N),
        "age": RNG.integers(0, 90, N),
        "price": np.round(RNG.integers(0, 90, N) * 0.1, 1),
        "city": RNG.choice(["Bonn", "Ghent, East", 'the "Turin"'], N),
        "yes": RNG.random(N) > 0.5,
        "size": RNG.choice([3, 7, 9], N),
    }
)
KINDS = {"age": "levels", "price": "levels", "size": "categorical"}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    found = rows(FRAME, kinds=KINDS)
    values = read(FRAME, found.space)
    write(tmp_path / f"t{suffix}", values, found.space)
    back = pd.read_csv(tmp_path / "t.csv") if suffix == ".csv" else pd.read_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(back, FRAME, check_dtype=False)
    assert [kind.kind for kind in back.dtypes] == [kind.kind for kind in FRAME.dtypes]
    np.testing.assert_array_equal(read(tmp_path / f"t{suffix}", found.space), values)


def test_csv_writes_whole_numbers_decimals_and_floats_as_typed(tmp_path: Path) -> None:
    space = Space(
        (3,), (Column("levels", 9, name="a"), Column("levels", 99, 0.0, 0.1, "b"), Column("real", name="c"))
    )
    write(tmp_path / "t.csv", np.array([[3.0, 3 * 0.1, 0.1]]), space)
    assert (tmp_path / "t.csv").read_text().splitlines() == ['"a","b","c"', "3,0.3,0.1"]
    write(tmp_path / "u.csv", np.array([[0.1, 2.0]], dtype=np.float32), Space.real(2))
    assert (tmp_path / "u.csv").read_text().splitlines()[1] == "0.1,2"


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    images, space = RNG.integers(0, 17, (9, 1, 8, 8)).astype(np.float32), Space.levels((1, 8, 8), 17)
    write(tmp_path / f"x{suffix}", images, space)
    back = read(tmp_path / f"x{suffix}", space)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, images)
    real = RNG.normal(size=(9, 4))
    write(tmp_path / f"y{suffix}", real, Space.real(4))
    np.testing.assert_array_equal(read(tmp_path / f"y{suffix}", Space.real(4)), real)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_of_pngs_holds_the_pixels(tmp_path: Path, channels: int) -> None:
    images, space = (
        RNG.integers(0, 256, (5, channels, 6, 7), dtype=np.uint8),
        Space.levels((channels, 6, 7), 256),
    )
    write(tmp_path / "out", images, space)
    np.testing.assert_array_equal(read(tmp_path / "out", space), images)


def test_few_levels_are_stretched_for_the_eye(tmp_path: Path) -> None:
    write(tmp_path / "out", np.array([[[[0, 8, 16]]]]), Space.levels((1, 1, 3), 17))
    assert np.asarray(Image.open(tmp_path / "out" / "00000.png")).tolist() == [[0, 128, 255]]


def test_an_existing_file_is_kept_unless_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    write(path, np.zeros((1, 2)), Space.real(2))
    with pytest.raises(OutputError, match="already exists"):
        write(path, np.ones((1, 2)), Space.real(2))
    assert np.load(path).sum() == 0
    write(path, np.ones((1, 2)), Space.real(2), overwrite=True)
    assert np.load(path).sum() == 2


def test_only_folders_of_pngs_are_overwritten(tmp_path: Path) -> None:
    space, images = Space.binary((1, 2, 2)), np.zeros((3, 1, 2, 2))
    write(tmp_path / "out", images, space)
    write(tmp_path / "out", images[:1], space, overwrite=True)
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["00000.png"]
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="folder of other files"):
        write(tmp_path / "out", images, space, overwrite=True)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "Read-only file system"),
        (errno.EACCES, "Permission denied"),
    ],
)
def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch, number, words
) -> None:
    import os

    write(tmp_path / "x.npy", np.zeros((1, 2)), Space.real(2))

    def refuse(file, *_, **__) -> None:
        file.write(b"half")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(output.np, "save", refuse)
    with pytest.raises(OutputError, match=words) as caught:
        write(tmp_path / "x.npy", np.ones((1, 2)), Space.real(2), overwrite=True)
    assert caught.value.wrong and caught.value.given and caught.value.do
    assert [one.name for one in tmp_path.iterdir()] == ["x.npy"]
    assert np.load(tmp_path / "x.npy").sum() == 0


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"its folder does not exist: make .*nowhere first"):
        write(tmp_path / "nowhere" / "x.npy", np.zeros((1, 2)), Space.real(2))


@pytest.mark.parametrize(
    ("name", "space", "error", "message"),
    [
        ("x.json", Space.real(2), UsageError, "unknown format"),
        ("x", Space.real(2), UsageError, "PNG holds"),
        ("x", Space.real((1, 1, 2)), UsageError, "PNG holds"),
        ("x.csv", Space.real((1, 1, 2)), UsageError, "holds tables"),
        ("x.npy", Space.real(3), SpaceError, "expected rows of shape"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    tmp_path: Path, name: str, space: Space, error, message: str
) -> None:
    with pytest.raises(error, match=message):
        write(
            tmp_path / name,
            np.zeros((4, *space.shape))[:, :2] if name == "x.npy" else np.zeros((4, *space.shape)),
            space,
        )
    assert list(tmp_path.iterdir()) == []


def test_rows_outside_the_space_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="row 1, site 0 holds 5"):
        write(tmp_path / "x.npy", np.array([[0], [5]]), Space.levels(1, 3))
    assert list(tmp_path.iterdir()) == []
