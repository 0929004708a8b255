"""Images along the latents of a model, as strips with words beside them: one PNG a line, so that lines stay whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.insight import QUANTILES, Insight, Path, Walk
from jensen.report import images
from jensen.report.numbers import number, plain

WIDE = 470  # pixels of a line of nine images on the page
FULL = 1500  # pixels of a line that are kept in the file, about


@dataclass(frozen=True)
class Strip:
    """A line of images: words on its left, where in it (percent) a mark stands, and what is read out."""

    head: str
    small: str
    alt: str
    uri: str
    width: int
    mark: float | None = None


@dataclass(frozen=True)
class Strips:
    """Lines below one another, with a word over every image."""

    strips: list[Strip]
    over: list[str]
    width: int


def rebuilt_strips(seen: Insight, scale: images.Scale) -> Strips:
    """Held-out images over what the model rebuilds of them."""
    assert seen.real is not None and seen.rebuilt is not None
    count = _columns(seen.real)
    lines = (("held out", seen.real), ("rebuilt", seen.rebuilt))
    strips = [_strip([rows[:count]], scale, name, "", f"{count} images: {name}") for name, rows in lines]
    return Strips(strips, [], strips[0].width)


def walk_strips(seen: Insight, scale: images.Scale) -> Strips:
    """A line for each latent that was walked along, the most used first."""
    kl = seen.diagnosis.kl
    strips = []
    for walk in seen.walks:
        head, small = f"z {walk.latent + 1}", f"{number(kl[walk.latent], 2)} nats" if kl else ""
        said = (
            f"from {plain(walk.values[0])} to {plain(walk.values[-1])}; the row itself has {plain(walk.own)}"
        )
        alt = f"Images as latent {walk.latent + 1} goes {said}"
        strips.append(_strip([walk.rows], scale, head, small, alt, _place(walk)))
    return Strips(strips, [f"{100 * one:g} %" for one in QUANTILES], strips[0].width if strips else 0)


def path_strips(seen: Insight, scale: images.Scale) -> Strips:
    """A line for each pair of held-out rows, the rows themselves at its ends."""
    strips = [_path(number + 1, path, scale) for number, path in enumerate(seen.paths)]
    return Strips(strips, [], strips[0].width if strips else 0)


def _path(number: int, path: Path, scale: images.Scale) -> Strip:
    groups = [path.ends[:1], path.rows, path.ends[1:]]
    alt = f"Pair {number}: a held-out image, {len(path.rows)} images on the way from its latents to another's, and that other image"
    return _strip(groups, scale, f"pair {number}", "", alt)


def _strip(
    groups: Sequence[NDArray[Any]],
    scale: images.Scale,
    head: str,
    small: str,
    alt: str,
    mark: float | None = None,
) -> Strip:
    step = max(
        1, -(-sum(map(len, groups)) * groups[0].shape[-1] // FULL)
    )  # every other pixel of large images
    sheets = [images.tile(images.to_bytes(rows[..., ::step, ::step], scale), len(rows)) for rows in groups]
    joined = images.beside(sheets, max(3, sheets[0].shape[0] // 3))
    each = groups[max(range(len(groups)), key=lambda one: len(groups[one]))]
    width = joined.shape[1] * max(1, round(WIDE / (9 * (-(-each.shape[-1] // step) + 1))))
    return Strip(head, small, alt, images.data_uri(joined), width, mark)


def _place(walk: Walk) -> float:
    """Where in a line of images the row's own value lies, percent; at an end where it is beyond."""
    column = np.interp(walk.own, walk.values, np.arange(len(walk.values)))
    return round(100 * (float(column) + 0.5) / len(walk.values), 1)


def _columns(rows: NDArray[Any]) -> int:
    """Images a line: fewer of large ones."""
    return min(len(rows), max(4, min(12, FULL // rows.shape[-1])))
