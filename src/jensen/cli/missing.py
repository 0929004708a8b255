"""What --missing says: which sites of a row are to be drawn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.cli.drawn import column_names
from jensen.errors import DataError, SpaceError, UsageError, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jensen.space import Space

HALVES = ("bottom", "top", "left", "right")
FILES = (".npy", ".png", ".bmp", ".jpg", ".jpeg")
RANGE = re.compile(r"(rows|columns):(\d+)-(\d+)")


def parse_missing(text: str, space: Space) -> NDArray[Any]:
    """A mask (*shape), or (n, *shape) from a NPY file, True where a site is to be drawn.

    Of images: bottom, top, left, right (a half; of an odd number the middle belongs to bottom and right), rows:R1-R2 or
    columns:C1-C2, counted from 1, both ends drawn. Of tables: names of columns between commas. Of both: a file, NPY or
    for images a picture, that is not 0 where a site is to be drawn.

    >>> from jensen.space import Space
    >>> parse_missing("bottom", Space.binary((1, 3, 2))).astype(int).tolist()
    [[[0, 0], [1, 1], [1, 1]]]
    """
    if text.lower().endswith(FILES):
        return _from_file(Path(text), space)
    return _of_image(text, space) if space.is_image else _of_table(text, space)


def _of_image(text: str, space: Space) -> NDArray[Any]:
    import numpy as np

    mask = np.zeros(space.shape, bool)
    _, height, width = space.shape
    if text in HALVES:
        rows, columns = slice(None), slice(None)
        if text in ("bottom", "top"):
            rows = slice(height // 2, None) if text == "bottom" else slice(height // 2)
        else:
            columns = slice(width // 2, None) if text == "right" else slice(width // 2)
        mask[:, rows, columns] = True
        return mask
    found = RANGE.fullmatch(text)
    if found is None:
        hint = f"use {', '.join(HALVES)}, rows:1-4, columns:1-4, or a mask file .npy or .png"
        raise UsageError("unknown part of an image", f"got --missing {text}", hint)
    first, last = int(found[2]), int(found[3])
    size = height if found[1] == "rows" else width
    if not 1 <= first <= last <= size:
        raise UsageError(
            f"{found[1]} of these images go from 1 to {size}",
            f"got --missing {text}",
            "the first comes first",
        )
    place = slice(first - 1, last)
    mask[(slice(None), place) if found[1] == "rows" else (..., place)] = True
    return mask


def _of_table(text: str, space: Space) -> NDArray[Any]:
    import numpy as np

    names = column_names(space) or []
    mask = np.zeros(space.shape, bool)
    wanted = [text] if text in names else [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in names:
            raise UsageError("unknown column to draw", f"got --missing {name}", nearest(name, names))
        mask[names.index(name)] = True
    return mask


def _from_file(path: Path, space: Space) -> NDArray[Any]:
    import numpy as np

    from jensen.data.bounded import read_npy

    try:
        if path.suffix.lower() == ".npy":
            values = read_npy(path)
        else:
            from PIL import Image

            with Image.open(path) as image:
                values = np.asarray(image.convert("L"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError("the mask cannot be read", f"{path}: {reason}", "check the path") from None
    mask: NDArray[Any] = values != 0
    if space.is_image and mask.shape == space.shape[1:]:
        mask = np.broadcast_to(mask, space.shape)
    if mask.shape not in (space.shape, (len(mask), *space.shape)):
        raise SpaceError(
            f"a mask has the shape of a row, {space.shape}, or of all rows",
            f"{path} holds {mask.shape}",
            "write it again",
        )
    return mask
