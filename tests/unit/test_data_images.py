"""IDX files and folders of images become the pixels they hold."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jensen.data import read, rows
from jensen.errors import DataError
from jensen.space import Space

RNG = np.random.default_rng(2)
GREY = RNG.integers(0, 256, (10, 6, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (8, 6, 7, 3), dtype=np.uint8)


def idx_bytes(values: np.ndarray, code: int = 8) -> bytes:
    return (
        bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    )


def save_all(folder: Path, images: np.ndarray, suffix: str = ".png") -> Path:
    folder.mkdir(exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03d}{suffix}")
    return folder


@pytest.mark.parametrize("name", ["t-images-idx3-ubyte", "t-images-idx3-ubyte.gz", "other.bin"])
def test_idx_gives_the_images_written(tmp_path: Path, name: str) -> None:
    data = idx_bytes(GREY)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    found = rows(tmp_path / name)
    assert found.space == Space.levels((1, 6, 7), 256)
    np.testing.assert_array_equal(read(tmp_path / name, found.space)[:, 0], GREY)


def test_idx_of_big_endian_floats(tmp_path: Path) -> None:
    values = RNG.normal(size=(9, 4)).astype(">f4")
    (tmp_path / "x").write_bytes(idx_bytes(values, 0x0D))
    np.testing.assert_array_equal(read(tmp_path / "x", Space.real(4)), values)


def test_idx_larger_than_memory_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(idx_bytes(GREY))
    large = rows(tmp_path / "x", memory=10)
    assert not isinstance(large.train, np.ndarray)
    np.testing.assert_array_equal(large.train[:], rows(GREY).train)


def test_idx_of_no_rows_that_no_memory_could_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 0, 2**32 - 1, 2**32 - 1))
    with pytest.raises(DataError, match="says more values than any memory holds"):
        rows(tmp_path / "x")


def test_idx_cut_short_says_how_many_bytes_are_missing(tmp_path: Path) -> None:
    data = idx_bytes(GREY)
    (tmp_path / "x").write_bytes(data[:-20])
    with pytest.raises(DataError, match=r"expected 420 bytes.*got 400"):
        rows(tmp_path / "x")
    (tmp_path / "y.gz").write_bytes(gzip.compress(data)[:-30])
    with pytest.raises(DataError, match=r"y.gz.*expected 420 bytes"):
        rows(tmp_path / "y.gz")
    (tmp_path / "z").write_bytes(data[:9])
    with pytest.raises(DataError, match=r"expected 16 bytes; got 9"):
        rows(tmp_path / "z")


@pytest.mark.parametrize("memory", [1 << 30, 100])
def test_a_folder_gives_its_images_sorted_by_name(tmp_path: Path, memory: int) -> None:
    colour = save_all(tmp_path / "colour", COLOUR)
    found = rows(colour, memory=memory)
    assert found.space == Space.levels((3, 6, 7), 256)
    np.testing.assert_array_equal(read(colour, found.space, memory=memory)[:], np.moveaxis(COLOUR, -1, 1))
    grey = save_all(tmp_path / "grey", GREY, ".bmp")
    np.testing.assert_array_equal(read(grey, rows(grey).space, memory=memory)[:], GREY[:, None])


def test_a_folder_decoded_as_needed_gives_the_same_split(tmp_path: Path) -> None:
    folder = save_all(tmp_path / "c", COLOUR)
    small, large = rows(folder, seed=5), rows(folder, seed=5, memory=100)
    assert not isinstance(large.test, np.ndarray)
    assert small.hash == large.hash
    np.testing.assert_array_equal(large.test[:], small.test)


def test_subfolders_are_taken_together_and_that_is_said(tmp_path: Path) -> None:
    save_all(tmp_path / "a", COLOUR[:4])
    save_all(tmp_path / "b", COLOUR[4:])
    found = rows(tmp_path)
    assert any("subfolders" in note for note in found.notes)
    np.testing.assert_array_equal(read(tmp_path, found.space), np.moveaxis(COLOUR, -1, 1))


def test_opaque_alpha_is_left_out_and_said(tmp_path: Path) -> None:
    opaque = np.concatenate([COLOUR, np.full((8, 6, 7, 1), 255, np.uint8)], -1)
    found = rows(save_all(tmp_path / "a", opaque))
    assert any("alpha" in note for note in found.notes)
    assert found.space.shape == (3, 6, 7)


def test_transparency_is_refused_with_the_file(tmp_path: Path) -> None:
    clear = np.concatenate([COLOUR, np.full((8, 6, 7, 1), 128, np.uint8)], -1)
    with pytest.raises(DataError, match=r"000.png is transparent.*128 of 255"):
        rows(save_all(tmp_path / "a", clear))


def test_images_of_two_sizes_are_named_with_their_sizes(tmp_path: Path) -> None:
    folder = save_all(tmp_path / "a", GREY)
    Image.fromarray(GREY[0, :5]).save(folder / "odd.png")
    with pytest.raises(DataError, match=r"000.png is grey 7x6, odd.png is grey 7x5"):
        rows(folder)


def test_grey_among_colour_is_named(tmp_path: Path) -> None:
    folder = save_all(tmp_path / "a", COLOUR)
    Image.fromarray(GREY[0]).save(folder / "z.png")
    with pytest.raises(DataError, match=r"000.png is RGB 7x6, z.png is grey 7x6"):
        rows(folder)


def test_black_and_white_images_are_binary(tmp_path: Path) -> None:
    found = rows(save_all(tmp_path / "a", np.where(GREY > 127, 255, 0).astype(np.uint8)))
    assert found.space == Space.binary((1, 6, 7), 0.0, 255.0)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    folder = save_all(tmp_path / "a", RNG.integers(0, 256, (4, 40, 40), dtype=np.uint8))
    whole = (folder / "002.png").read_bytes()
    (folder / "002.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"002.png is no whole image"):
        rows(folder)
    (folder / "002.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"002.png is no whole image"):
        rows(folder)


def test_sixteen_bit_and_moving_pictures_are_refused(tmp_path: Path) -> None:
    Image.fromarray(GREY[0].astype(np.uint16) * 256).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="neither grey nor RGB with 8 bits"):
        rows(tmp_path)
    (tmp_path / "a.png").unlink()
    frames = [Image.fromarray(image) for image in GREY]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="is a film"):
        rows(tmp_path)
