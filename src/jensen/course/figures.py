"""Data of figures, plain JSON: what is drawn, in words too, and never how. `jensen.report` draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jensen.course.claim import Figure
from jensen.quantity import Quantity

SEEN = {
    "#": "earlier, seen",
    "-": "earlier, not seen",
    "o": "the place itself, not seen",
    "@": "the place itself, seen: a leak",
    "!": "later, seen: a leak",
    ".": "later, not seen",
}
"""What a sign of `SiteLinks.states` says."""


def curves(
    title: str,
    x: tuple[str, Sequence[float]],
    y: str,
    series: Mapping[str, Sequence[float | Quantity]],
    *,
    lines: Mapping[str, float] | None = None,
    log_x: bool = False,
    log_y: bool = False,
) -> Figure:
    """Curves over common places; typed numbers bring their interval along. `lines`: levels drawn across, by name."""
    return {
        "kind": "curves",
        "title": title,
        "x": {"name": x[0], "values": list(x[1]), "log": log_x},
        "y": {"name": y, "log": log_y},
        "series": [{"name": name, **_points(values)} for name, values in series.items()],
        "lines": [{"name": name, "value": value} for name, value in (lines or {}).items()],
    }


def dots(
    title: str,
    x: str,
    rows: Mapping[str, Mapping[str, float | Quantity]],
    *,
    line: tuple[str, float] | None = None,
    log_x: bool = False,
) -> Figure:
    """A line a name, with a dot for each of its numbers. `line`: a value drawn across all of them."""
    names = list(dict.fromkeys(series for row in rows.values() for series in row))
    return {
        "kind": "dots",
        "title": title,
        "x": {"name": x, "log": log_x},
        "rows": list(rows),
        "series": [
            {"name": name, **_points([row.get(name, float("nan")) for row in rows.values()])}
            for name in names
        ],
        "line": None if line is None else {"name": line[0], "value": line[1]},
    }


def maps(title: str, drawn: Sequence[Figure], legend: Mapping[str, str]) -> Figure:
    """Maps of signs side by side, see `one_map`; `legend` says what each sign means."""
    return {"kind": "maps", "title": title, "maps": list(drawn), "legend": dict(legend)}


def one_map(
    name: str, states: Sequence[str], said: str, *, here: tuple[int, int] | None = None, valid: bool | None = None
) -> Figure:  # fmt: skip
    """A string of signs a row. `here`: the place looked at, from 0; `valid`: whether what is drawn is as it should be."""
    return {"name": name, "states": list(states), "said": said, "here": here, "valid": valid}


def pictures(title: str, sheets: Sequence[tuple[str, Any]], across: int) -> Figure:
    """Sheets of images: a caption and values (n, channels, height, width) from 0 to 1 each, `across` of them a line.

    Kept as bytes in hexadecimal, an image a string.
    """
    levels = [(caption, (255 * values.clip(0, 1)).round().astype("uint8")) for caption, values in sheets]
    return {
        "kind": "pictures",
        "title": title,
        "across": across,
        "shape": list(levels[0][1].shape[1:]),
        "sheets": [{"caption": caption, "images": [one.tobytes().hex() for one in images]} for caption, images in levels],
    }  # fmt: skip


def _points(values: Sequence[float | Quantity]) -> dict[str, Any]:
    """Values, and the ends of their intervals where they have one."""
    found = [one if isinstance(one, Quantity) else Quantity(one) if one == one else None for one in values]
    ends = [(None, None) if one is None or one.interval is None else one.interval for one in found]
    return {
        "values": [None if one is None else one.value for one in found],
        "low": [low for low, _ in ends],
        "high": [high for _, high in ends],
    }
