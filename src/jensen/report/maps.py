"""Maps of sites as inline SVG that takes its colours from the page: what one place sees, and a number a site.

All cells of one kind are one path, so that a map of a thousand sites stays small. Every colour has a mark of its own
beside it (hatching, a cross, a ring), for those who do not see the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

CLASSES = {"#": "seen", "-": "missed", "@": "itself leak", "o": "itself", "!": "leak", ".": "later"}
"""The state of an input, as `SiteLinks.states` has it, and its classes in the style sheet."""

LEGEND = {
    "#": "earlier, reached",
    "-": "earlier, not reached: the blind spot",
    "o": "the place itself, not seen",
    "@": "the place itself, seen: a leak",
    "!": "later, reached: a leak",
    ".": "later, not reached",
}
"""The same signs in words."""

WIDE, LONG = 400, 28  # pixels of a map; sites of a sequence in a line
STEPS = 24  # shades of a heat map
LABELLED = 10  # columns up to which a cell holds its number
MARGIN = 22
Cells = Iterable[tuple[int, int]]


def state_map(
    states: NDArray[np.str_], label: str, *, here: tuple[int, int] | None = None, cell: float | None = None
) -> Markup:
    """One channel's states (rows, columns) as squares, with a ring around the place `here`; `label` is read out."""
    lines = _lines(states, " ")
    size = cell or _cell_size(lines.shape[1])
    parts = []
    for sign, classes in CLASSES.items():
        cells = [(int(r), int(c)) for r, c in np.argwhere(lines == sign)]
        if not cells:
            continue
        parts.append(f'<path class="{classes}" d="{_squares(cells, size)}"/>')
        for classed, mark in (("missed", _stroke), ("leak", _cross)):
            if classed in classes:
                parts.append(f'<path class="mark-{classed}" d="{mark(cells, size)}"/>')
    if here is not None:
        place = divmod(here[0] * states.shape[1] + here[1], lines.shape[1])
        parts.append(f'<path class="ring" d="{_squares([place], size, 0.1)}"/>')
    return _svg(parts, lines.shape, states.shape, size, label)


def cell_legend(words: Mapping[str, str]) -> list[tuple[str, str]]:
    """Classes and words of the signs that a map has, as the template's `cells` takes them."""
    return [(CLASSES[sign], text) for sign, text in words.items()]


def heat_map(
    values: NDArray[np.float64],
    top: float,
    label: str,
    show: Callable[[float], str],
    names: Sequence[str] | None = None,
) -> Markup:
    """One channel's numbers (rows, columns) from 0 to `top` as shades; nan is an empty cell.

    Where the map is small `show` writes the number into the cell; else the shade must do. `names`: of the rows, which
    are those of the columns too, in place of their numbers.
    """
    lines = _lines(values, np.nan)
    size = _cell_size(lines.shape[1])
    level = np.where(np.isnan(lines), -1, np.rint(np.nan_to_num(lines) / (top or 1) * STEPS)).astype(int)
    parts = []
    for step in range(-1, STEPS + 1):
        cells = [(int(r), int(c)) for r, c in np.argwhere(level == step)]
        if lines.size != values.size:  # the last line of a sequence may be short
            cells = [(r, c) for r, c in cells if r * lines.shape[1] + c < values.size]
        if cells:
            shade = (
                f'class="heat" fill-opacity="{0.04 + 0.96 * step / STEPS:.2f}"'
                if step >= 0
                else 'class="later"'
            )
            parts.append(f'<path {shade} d="{_squares(cells, size)}"/>')
    if lines.shape[1] <= LABELLED:
        parts += _numbers(lines, level, size, show)
    return _svg(parts, lines.shape, values.shape, size, label, names)


def _numbers(
    lines: NDArray[np.float64], level: NDArray[np.int_], size: float, show: Callable[[float], str]
) -> list[str]:
    parts = []
    for row, column in np.argwhere(~np.isnan(lines)):
        dark = ' class="over"' if level[row, column] > 0.55 * STEPS else ""
        x, y = MARGIN + (column + 0.5) * size, MARGIN + (row + 0.5) * size
        text = escape(show(float(lines[row, column])))
        parts.append(
            f'<text{dark} x="{x:.1f}" y="{y:.1f}" dy=".35em" font-size="{size * 0.36:.1f}">{text}</text>'
        )
    return parts


def _lines(values: NDArray[Any], empty: object) -> NDArray[Any]:
    """A long sequence in several lines, its last one filled up."""
    if values.shape[0] != 1 or values.shape[1] <= LONG:
        return values
    rows = -(-values.shape[1] // LONG)
    lines = np.full(rows * LONG, empty, dtype=values.dtype)
    lines[: values.shape[1]] = values[0]
    return lines.reshape(rows, LONG)


def _cell_size(columns: int) -> float:
    return float(np.clip(WIDE / columns, 5, 40))


def _svg(
    parts: Sequence[str],
    drawn: tuple[int, ...],
    shape: tuple[int, ...],
    size: float,
    label: str,
    named: Sequence[str] | None = None,
) -> Markup:
    rows, columns = drawn
    if named is not None:
        return _named(parts, rows, size, label, named)
    width, height = MARGIN + columns * size + 1, MARGIN + rows * size + 1
    folded = drawn != shape
    names = [
        f'<text class="tick" x="{MARGIN + (c + 0.5) * size:.1f}" y="{MARGIN - 6}">{c + 1}</text>'
        for c in _ticks(columns)
    ]
    names += [
        f'<text class="tick row" x="{MARGIN - 5}" y="{MARGIN + (r + 0.5) * size:.1f}" dy=".35em">{r * columns + 1 if folded else r + 1}</text>'
        for r in (range(rows) if folded else _ticks(rows))
        if rows > 1
    ]
    return Markup(
        f'<svg class="plot map" role="img" aria-label="{escape(label)}" viewBox="0 0 {width:.1f} {height:.1f}" '
        f'style="--natural:{width:.0f}px">{"".join([*parts, *names])}</svg>'
    )


def _named(parts: Sequence[str], rows: int, size: float, label: str, names: Sequence[str]) -> Markup:
    """A square map with the names of its rows to the left, numbered as its columns are."""
    room = 6.2 * max(len(name) + len(str(rows)) + 1 for name in names)
    x, side = room - MARGIN, MARGIN + rows * size + 1
    every = max(1, round(9 / size))
    ticks = [
        f'<text class="tick" x="{MARGIN + (c + 0.5) * size:.1f}" y="{MARGIN - 6}">{c + 1}</text>'
        for c in range(0, rows, max(every, 1 + rows // 20))
    ]
    ticks += [
        f'<text class="tick row" x="{MARGIN - 5}" y="{MARGIN + (r + 0.5) * size:.1f}" dy=".35em">{escape(names[r])} {r + 1}</text>'
        for r in range(0, rows, every)
    ]
    return Markup(
        f'<svg class="plot map" role="img" aria-label="{escape(label)}" viewBox="{-x:.1f} 0 {x + side:.1f} {side:.1f}" '
        f'style="--natural:{x + side:.0f}px">{"".join([*parts, *ticks])}</svg>'
    )


def _ticks(count: int) -> list[int]:
    """Every place of a small map, the first and every fifth of a large one, from 0."""
    return list(range(count)) if count <= 12 else [0, *range(4, count, 5)]


def _squares(cells: Cells, size: float, inset: float = 0.04) -> str:
    side = size * (1 - 2 * inset)
    return "".join(
        f"M{MARGIN + (c + inset) * size:.4g} {MARGIN + (r + inset) * size:.4g}h{side:.4g}v{side:.4g}h-{side:.4g}z"
        for r, c in cells
    )


def _stroke(cells: Cells, size: float) -> str:
    """A line from corner to corner."""
    a = size * 0.12
    return "".join(
        f"M{MARGIN + c * size + a:.4g} {MARGIN + (r + 1) * size - a:.4g}l{size - 2 * a:.4g} -{size - 2 * a:.4g}"
        for r, c in cells
    )


def _cross(cells: Cells, size: float) -> str:
    a, side = size * 0.27, size * 0.46
    return "".join(
        f"M{MARGIN + c * size + a:.4g} {MARGIN + r * size + a:.4g}l{side:.4g} {side:.4g}m0 -{side:.4g}l-{side:.4g} {side:.4g}"
        for r, c in cells
    )
