"""A folder of images of one size, decoded by Pillow at once or, when larger than memory, as needed."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.arraylike import OnDisk, Source
from jensen.data.bounded import check_regular, check_size
from jensen.errors import DataError

ONE_IMAGE = 16 << 20
"""Bytes that a single image may take, however little memory is to be used: it is decoded whole."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
# what Pillow calls a picture's layout -> what it is decoded to
MODES = {"1": "L", "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "P": "RGB", "PA": "RGBA"}


# what Pillow raises for damage, besides its own: some of its readers let through what Python's tools do
BROKEN: tuple[type[Exception], ...] = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, AttributeError),
    *(OverflowError, MemoryError, NotImplementedError, struct.error, zlib.error, Warning),
)


class ImageRows(OnDisk):
    """Images (n, channels, height, width) of 8 bits in files of one size, decoded when they are read.

    Raises DataError for a file that is damaged, transparent, or of another size or colour than the first.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        with ThreadPoolExecutor(max_workers=4) as pool:
            heads = list(pool.map(_head, paths))
        for path, head in zip(paths, heads, strict=True):
            if head[:2] != heads[0][:2]:
                raise DataError(
                    "expected images of one size and colour",
                    f"{paths[0].name} is {_words(heads[0])}, {path.name} is {_words(head)}",
                    "resize or convert them first",
                )
        self.opaque = sum(alpha for _, _, alpha in heads)
        size, colours, _ = heads[0]
        self.shape = (len(paths), colours, size[1], size[0])

    def read(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        out = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for i, row in enumerate(rows.tolist()):
            out[i] = self._decode(self.paths[row])
        return out

    def _decode(self, path: Path) -> NDArray[np.uint8]:
        with _picture(path) as picture:
            mode = _mode(picture)
            pixels = np.asarray(picture.convert(mode))
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        if mode in ("LA", "RGBA"):
            if (pixels[..., -1] != 255).any():
                raise DataError(
                    f"{path} is transparent in places: expected opaque images",
                    f"got opacity down to {pixels[..., -1].min()} of 255",
                    "flatten the images onto a background first",
                )
            pixels = pixels[..., :-1]
        channels_first = np.moveaxis(pixels, -1, 0)
        if channels_first.shape != self.shape[1:]:
            raise DataError(
                f"{path} changed while it was being read",
                f"got shape {channels_first.shape} after {self.shape[1:]}",
                "keep the files in place while they are used",
            )
        return channels_first


def from_folder(folder: Path, memory: int) -> Source:
    """Images of a folder and its subfolders, sorted by path; above `memory` bytes they are decoded as needed.

    Grey images get one channel, colour three. Raises DataError for a folder without images.
    """
    paths = _files(folder)
    if not paths:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise DataError(f"no images in {folder}", f"looked for {suffixes}", "check the path")
    rows = ImageRows(paths)
    check_size(f"an image of {folder}", int(np.prod(rows.shape[1:])), max(memory, ONE_IMAGE))
    notes: list[str] = []
    if any(path.parent != folder for path in paths):
        notes.append("images of subfolders are taken together; the folders' names are not used")
    if rows.opaque:
        notes.append(
            f"{rows.opaque} images have an alpha channel; it must be opaque throughout and is left out"
        )
    if int(np.prod(rows.shape)) > memory:
        notes.append("larger than memory: images are decoded as needed")
        return Source(folder.name, rows, notes=tuple(notes))
    return Source(folder.name, rows[:], notes=tuple(notes))


def _files(folder: Path) -> list[Path]:
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(root, name) for name in names if Path(name).suffix.lower() in SUFFIXES and name[0] != "."
        ]
    return sorted(found)


def _head(path: Path) -> tuple[tuple[int, int], int, bool]:
    """Size, number of colours, and whether there is an alpha channel, from the header alone."""
    with _picture(path) as picture:
        # MPO: what telephones write, a JPEG with a second view behind it
        if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
            raise DataError(f"{path} is a film", f"got {picture.n_frames} frames", "save its frames as files")
        mode = _mode(picture)
        return picture.size, 1 if mode[0] == "L" else 3, mode in ("LA", "RGBA")


def _mode(picture: Any) -> str:
    mode = MODES.get(picture.mode)
    if mode is None:
        raise DataError(
            f"{picture.filename} is neither grey nor RGB with 8 bits",
            f"got Pillow's mode {picture.mode}",
            "convert it to 8-bit grey or RGB",
        )
    transparent = "transparency" in picture.info and mode in ("L", "RGB")
    return mode + "A" if transparent and picture.mode != "1" else mode


@contextmanager
def _picture(path: Path) -> Iterator[Any]:
    from PIL import Image

    try:
        check_regular(path)
        with Image.open(path) as picture:
            yield picture
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} is larger than any image", str(error), "scale it down") from error
    except BROKEN as error:
        raise DataError(
            f"{path} is no whole image", str(error).split("\n")[0], "copy the file again, or remove it"
        ) from error


def _words(head: tuple[tuple[int, int], int, bool]) -> str:
    (width, height), colours, _ = head
    return f"{'grey' if colours == 1 else 'RGB'} {width}x{height}"
