"""Arrays, tensors, lists, NPY and NPZ become the rows they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from jensen.data import hash_rows, read, rows
from jensen.space import Space

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(20, 3))
COLOUR = RNG.integers(0, 256, (12, 3, 5, 6), dtype=np.uint8)


def everything(found) -> np.ndarray:
    return np.concatenate([found.train[:], found.valid[:], found.test[:]])


def same_rows(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays hold the same rows in any order."""
    flat = [np.asarray(x, dtype=float).reshape(len(x), -1) for x in (a, b)]
    return np.array_equal(*(x[np.lexsort(x.T)] for x in flat))


def test_a_split_is_a_partition_of_the_rows() -> None:
    assert same_rows(everything(rows(REAL)), REAL)


@pytest.mark.parametrize(
    "source",
    [
        REAL.tolist(),
        torch.tensor(REAL, requires_grad=True),
        np.asfortranarray(REAL),
        REAL.astype(">f8"),
        torch.tensor(REAL).to_sparse(),
    ],
    ids=["list", "tensor", "fortran", "big-endian", "sparse"],
)
def test_the_same_numbers_give_the_same_rows_whatever_holds_them(source) -> None:
    found, expected = rows(source, seed=3), rows(REAL, seed=3)
    assert found.hash == expected.hash
    np.testing.assert_array_equal(found.test, expected.test)


def test_bfloat16_keeps_its_values() -> None:
    tensor = torch.tensor(REAL).bfloat16()
    assert same_rows(everything(rows(tensor)), tensor.float().numpy())


def test_grey_images_get_a_channel() -> None:
    assert rows(COLOUR[:, 0]).space.shape == (1, 5, 6)


def test_channels_last_are_moved_and_said() -> None:
    found = rows(np.moveaxis(COLOUR, 1, -1))
    assert found.hash == rows(COLOUR).hash
    assert any("channels were last" in note for note in found.notes)


def test_an_ambiguous_layout_is_said() -> None:
    assert any("fits channels first and last" in note for note in rows(COLOUR[:, :, :3, :3]).notes)


def test_a_known_space_decides_the_layout() -> None:
    square = COLOUR[:, :, :3, :4]
    last = np.moveaxis(square, 1, -1)
    np.testing.assert_array_equal(read(last, Space.levels((3, 3, 4), 256)), square)
    np.testing.assert_array_equal(read(square, Space.levels((3, 3, 4), 256)), square)


def test_bits_become_zero_and_one() -> None:
    bits = RNG.random((9, 4)) > 0.5
    found = rows(bits)
    assert found.space == Space.binary(4)
    assert same_rows(everything(found), bits)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("values", [REAL, COLOUR, COLOUR[:, 0], REAL.astype("f4"), REAL > 0], ids=str)
def test_npy_gives_the_rows_saved(tmp_path: Path, values: np.ndarray, order: str) -> None:
    np.save(tmp_path / "x.npy", np.asarray(values, order=order))
    found = rows(tmp_path / "x.npy", seed=1)
    assert found.hash == rows(values, seed=1).hash
    assert found.name == "x.npy"
    np.testing.assert_array_equal(found.train, rows(values, seed=1).train)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("names", [("only",), ("x", "y"), ("labels", "train")])
def test_npz_gives_its_only_array_or_the_one_that_is_named_so(tmp_path: Path, save, names) -> None:
    chosen = "x" if "x" in names else names[-1]
    save(tmp_path / "a.npz", **{name: REAL if name == chosen else np.arange(20) for name in names})
    found = rows(str(tmp_path / "a.npz"))
    assert found.hash == hash_rows(REAL)
    assert any(repr(chosen) in note for note in found.notes)


def test_rows_are_returned_as_they_are() -> None:
    found = rows(REAL)
    assert rows(found) is found
    assert read(found, found.space) is found.test


def test_importing_data_loads_no_heavy_library() -> None:
    import subprocess
    import sys

    code = "import sys, jensen.data; print([m for m in ('torch','sklearn','pandas','pyarrow','narwhals','PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
