"""The pictures of the report: held-out rows beside every model's samples, as many and on the same scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from jensen.report import correlations, images
from jensen.report.marginals import plot_marginal
from jensen.report.numbers import plain
from jensen.report.pairs import MOST, plot_pairs, points
from jensen.report.pictures import Pictures
from jensen.report.sheets import Sheet, image_sheet

COLUMNS = 24  # marginal plots of a wide table
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """Everything the samples' section shows."""

    said: list[str]
    grids: list[Sheet] = field(default_factory=list)
    pairs: list[tuple[str, int, Markup]] = field(default_factory=list)
    columns: list[Markup] = field(default_factory=list)
    correlations: list[Sheet] = field(default_factory=list)


def draw_samples(pictures: Pictures, places: Mapping[str, int]) -> Drawn:
    """Draw rows for their space: image grids, a pair plot, or single columns and correlations."""
    names = [name for name in places if name in pictures.names()]
    if not len(pictures.drawable()[0]):
        return Drawn(["There are no held-out rows to draw."])
    left_out = _left_out(pictures)
    if pictures.space.is_image:
        drawn = _grids(pictures, names, places)
    elif pictures.space.dims <= MOST:
        drawn = _pairs(pictures, names, places)
    else:
        drawn = _wide(pictures, names, places)
    return Drawn([*drawn.said, *left_out], drawn.grids, drawn.pairs, drawn.columns, drawn.correlations)


def _left_out(pictures: Pictures) -> list[str]:
    counts = {name: pictures.drawable(name)[1] for name in pictures.samples}
    return [
        f"Not drawn for numbers that are not finite: {count:,} of {len(pictures.samples[name]):,} samples of {name}."
        for name, count in counts.items()
        if count
    ]


def _grids(pictures: Pictures, names: list[str], places: Mapping[str, int]) -> Drawn:
    space = pictures.space
    real, _ = pictures.drawable()
    sampled = {name: pictures.drawable(name)[0] for name in names}
    count = images.how_many(space, [len(real), *map(len, sampled.values())])
    scale = images.scale_of(space, real)
    grids = [image_sheet(real[:count], scale, "real, held out")]
    grids += [image_sheet(rows[:count], scale, name, places[name]) for name, rows in sampled.items()]
    return Drawn(
        [
            f"{count} images each, not chosen: the first ones.",
            *_scale_said(space.kind, scale, space.shape[0]),
        ],
        grids,
    )


def _scale_said(kind: str, scale: images.Scale, channels: int) -> list[str]:
    low, high = (plain(end) for end in scale)
    said = [
        f"The same scale for all: black is {low}, {'full brightness' if channels == 3 else 'white'} is {high}"
    ]
    said[0] += ", the 1st and 99th percentile of the real rows." if kind == "real" else "."
    if channels not in (1, 3):
        said.append(f"Only the first of {channels} channels is shown.")
    return said


def _flat(rows: NDArray[Any]) -> Rows:
    return np.asarray(rows, dtype=np.float64)


def _equal(pictures: Pictures, names: list[str]) -> tuple[Rows, dict[str, Rows]]:
    real = _flat(pictures.drawable()[0])
    sampled = {name: _flat(pictures.drawable(name)[0]) for name in names}
    return real, {name: rows[: len(real)] for name, rows in sampled.items()}


def _fewer(real: Rows, sampled: Mapping[str, Rows]) -> list[str]:
    """The models with fewer samples than there are real rows."""
    few = [f"{name}: {len(rows):,}" for name, rows in sampled.items() if len(rows) < len(real)]
    return [f"There are fewer samples of {', '.join(few)}."] if few else []


def _pairs(pictures: Pictures, names: list[str], places: Mapping[str, int]) -> Drawn:
    real, sampled = _equal(pictures, names)
    plots = [
        (name, places[name], plot_pairs(pictures.space, real, rows, name, places[name]))
        for name, rows in sampled.items()
    ]
    if not plots:
        return _columns(pictures, real, sampled, places)
    said = [
        f"Shares of values in {len(real):,} real rows and as many samples; outer bins also hold what lies beyond."
    ]
    if pictures.space.dims > 1:
        dots = min(len(real), points(pictures.space.dims))
        said.append(
            f"Pairs show the first {dots:,} of both, on the real rows' axes; codes are spread a little."
        )
    said += _fewer(real, sampled)
    if pictures.space.kind != "mixed":
        return Drawn(said, pairs=plots)
    return Drawn(said, pairs=plots, columns=_columns(pictures, real, sampled, places).columns)


def _wide(pictures: Pictures, names: list[str], places: Mapping[str, int]) -> Drawn:
    real, sampled = _equal(pictures, names)
    drawn = _columns(pictures, real, sampled, places)
    if pictures.space.gaps or any(column.kind == "categorical" for column in pictures.space.columns):
        return drawn  # codes do not correlate: the map of pairs says what hangs together
    matrices = [_matrix(real, "real, held out", None)]
    matrices += [_matrix(rows, name, places[name]) for name, rows in sampled.items()]
    return Drawn(drawn.said, columns=drawn.columns, correlations=matrices)


def _columns(pictures: Pictures, real: Rows, sampled: Mapping[str, Rows], places: Mapping[str, int]) -> Drawn:
    d, shown = pictures.space.dims, min(COLUMNS, pictures.space.dims)
    plots = [
        plot_marginal(
            pictures.space, site, real[:, site], {n: rows[:, site] for n, rows in sampled.items()},
            {name: places[name] for name in sampled},
        )
        for site in range(shown)
    ]  # fmt: skip
    said = [
        f"Shares of values in {len(real):,} real rows and as many samples of each model; outer bins also hold what lies beyond."
    ]
    if shown < d:
        said.append(f"The first {shown} of {d} columns; {d - shown} are left out.")
    said += _fewer(real, sampled)
    return Drawn(said, columns=plots)


def _matrix(rows: Rows, caption: str, place: int | None) -> Sheet:
    picture = correlations.sheet(correlations.correlations(rows))
    alt = f"Correlations of the columns: {caption}"
    return Sheet(caption, alt, images.data_uri(picture), images.natural_width(picture), place)


def draw_views(pictures: Pictures) -> Sheet | None:
    """The views of a lens: a line for each image, itself first."""
    if pictures.views is None or not pictures.space.is_image or not len(pictures.drawable()[0]):
        return None
    scale = images.scale_of(pictures.space, pictures.drawable()[0])
    lines, across, *shape = pictures.views.shape
    tiled = images.tile(images.to_bytes(pictures.views.reshape(lines * across, *shape), scale), across)
    caption = "a held-out image and its views, line by line"
    return Sheet(caption, caption, images.data_uri(tiled), images.natural_width(tiled))
