"""One PNG on a page with its caption: a grid of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from jensen.report import images


@dataclass(frozen=True)
class Sheet:
    """A PNG with its caption; `width` is its natural width on the page in pixels."""

    caption: str
    alt: str
    uri: str
    width: int
    place: int | None = None  # the model's place in the record, for its colour; None for real rows


def image_sheet(rows: NDArray[Any], scale: images.Scale, caption: str, place: int | None = None) -> Sheet:
    """Images (n, c, h, w) in a grid that is about square."""
    tiled = images.tile(images.to_bytes(rows, scale), images.across(len(rows)))
    alt = f"{len(rows)} images: {caption}"
    return Sheet(caption, alt, images.data_uri(tiled), images.natural_width(tiled), place)
