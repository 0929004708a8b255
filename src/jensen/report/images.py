"""Grids of images as small PNGs: one pixel a site, enlarged without smoothing by the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.space import Space

Scale = tuple[float, float]
WIDE = 260  # pixels of a grid on the page


def scale_of(space: Space, real: NDArray[Any]) -> Scale:
    """The values drawn black and white: the ends of the levels, or the 1st and 99th percentile of real rows."""
    column = space.columns[0]
    if column.kind != "real":
        return column.low, column.high
    low, high = (float(end) for end in np.percentile(np.asarray(real, dtype=np.float64), [1, 99]))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def to_bytes(rows: NDArray[Any], scale: Scale) -> NDArray[np.uint8]:
    """Images (n, c, h, w) as 8-bit grey (n, h, w, 1) or colour (n, h, w, 3); any other c shows channel one."""
    low, high = scale
    values = np.clip((np.asarray(rows, dtype=np.float64) - low) / (high - low), 0.0, 1.0)
    if values.shape[1] not in (1, 3):
        values = values[:, :1]
    return np.rint(values * 255).astype(np.uint8).transpose(0, 2, 3, 1)


def tile(pixels: NDArray[np.uint8], across: int, gap: int = 1) -> NDArray[np.uint8]:
    """Lay images (n, h, w, c) out in rows of `across` with clear gaps; the last channel is opacity."""
    n, height, width, channels = pixels.shape
    down = -(-n // across)
    sheet = np.zeros((down * (height + gap) - gap, across * (width + gap) - gap, channels + 1), np.uint8)
    for index, image in enumerate(pixels):
        top, left = (index // across) * (height + gap), (index % across) * (width + gap)
        sheet[top : top + height, left : left + width, :channels] = image
        sheet[top : top + height, left : left + width, channels] = 255
    return sheet


def data_uri(sheet: NDArray[np.uint8]) -> str:
    """A sheet (h, w, 2 or 4) of grey or colour with opacity as a PNG inside a data URI."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def how_many(space: Space, available: Sequence[int]) -> int:
    """How many images every grid shows: the same number for all, fewer when images are large."""
    most = max(4, min(36, (420 // max(space.shape[1:])) ** 2))
    return min([most, *available])


def across(count: int) -> int:
    """Images a line, so that the grid is about square.

    >>> across(36), across(10), across(1)
    (6, 4, 1)
    """
    return max(1, int(np.ceil(np.sqrt(count))))


def natural_width(sheet: NDArray[np.uint8]) -> int:
    """A width on the page that is a whole multiple of the sheet's, so that all pixels look alike."""
    return int(sheet.shape[1] * max(1, round(WIDE / sheet.shape[1])))


def beside(sheets: Sequence[NDArray[np.uint8]], gap: int) -> NDArray[np.uint8]:
    """Sheets (h, w, c) of one height side by side, with clear gaps.

    >>> beside([np.ones((2, 3, 2), np.uint8)] * 2, gap=4).shape
    (2, 10, 2)
    """
    height, _, channels = sheets[0].shape
    clear = np.zeros((height, gap, channels), np.uint8)
    parts = [part for sheet in sheets for part in (clear, sheet)]
    return np.concatenate(parts[1:], axis=1)
