"""A receptive field as a map of characters, and what it says in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jensen.cli.terminal import style
from jensen.errors import Cannot, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jensen.functional.site_links import SiteLinks

WIDE = 40
"""Columns beyond which the map has no blanks between them."""


def look(
    subject: Any, rows: Any, input_shape: Sequence[int] | None, at: Sequence[int] | None, channel_order: bool
) -> SiteLinks | Cannot:
    """What the output at the place `at`, from 1, may depend on; the reason where that is not proven.

    Raises UsageError for a place outside the output, and for a model without sites when a place was named.
    """
    from jensen.links import site_links

    place = None if at is None else [number - 1 for number in at]
    try:
        return site_links(subject, rows, input_shape=input_shape, channel_order=channel_order, at=place)
    except Cannot as error:
        return error
    except UsageError as error:
        if at is None:
            return Cannot(error.wrong, error.given)
        if not error.wrong.startswith("expected a position"):
            raise
        given = f"got {','.join(map(str, at))} for {error.given.rpartition(' for ')[2]}"
        raise UsageError(
            "--at names no place of the output", given, "count from 1: row,column or channel,row,column"
        ) from None


def document(found: SiteLinks | Cannot) -> dict[str, Any]:
    """The field as plain JSON types, or why there is none."""
    if isinstance(found, Cannot):
        return {"check": "receptive_field", "holds": None, "evidence": str(found)}
    return found.to_dict()


def drawn(found: SiteLinks | Cannot) -> str:
    """One map a channel with the place itself marked, then the counts."""
    if isinstance(found, Cannot):
        return f"{style('Receptive field: none', bold=True)}; {found}"
    shape = found.shape
    maps = found.states.reshape(-1, *shape[-2:]) if len(shape) > 1 else found.states.reshape(1, 1, -1)
    here = (found.at[-2] if len(found.at) > 1 and len(shape) > 1 else 0, found.at[-1])
    parts = [style(f"Receptive field: {found.evidence}", bold=True)]
    for channel, one in enumerate(maps):
        if len(maps) > 1:
            parts.append(f"channel {channel + 1}")
        parts += _map(one, here)
    parts.append("  # reached   . not reached   @ the place itself, reached   o not reached")
    return "\n".join([*parts, *(f"  {line}" for line in found.words())])


def signs_drawn(figure: Mapping[str, Any]) -> str:
    """A figure of maps of signs, as `jensen.course.figures.maps` makes them, in characters."""
    import numpy as np

    parts = [style(figure["title"], bold=True)]
    for one in figure["maps"]:
        states = np.array([list(row) for row in one["states"]])
        here = (-1, -1) if one["here"] is None else (one["here"][0], one["here"][1])
        parts += [f"  {one['said']}", *_map(states, here)]
    used = {sign for one in figure["maps"] for row in one["states"] for sign in row}
    shown = dict.fromkeys(_plain(sign) for sign in figure["legend"] if sign in used)
    said = {
        mark: [text for sign, text in figure["legend"].items() if _plain(sign) == mark and sign in used]
        for mark in shown
    }
    return "\n".join(
        [*parts, "  " + "   ".join(f"{mark} {' or '.join(texts)}" for mark, texts in said.items())]
    )


def _plain(sign: str) -> str:
    """The character that stands for a sign without colour."""
    return "@" if sign == "@" else "o" if sign == "o" else "#" if sign in "#!" else "."


def _map(states: NDArray[np.str_], here: tuple[int, int]) -> list[str]:
    rows, columns = states.shape
    blank = " " if columns <= WIDE else ""
    head = blank.join(str((column + 1) % 10) for column in range(columns))
    lines = [style(f"  {'':>4}  {head}", dim=True)]
    for row in range(rows):
        cells = [_cell(str(states[row, column]), (row, column) == here) for column in range(columns)]
        lines.append(f"  {style(f'{row + 1:>4}', dim=True)}  {blank.join(cells)}")
    return lines


def _cell(state: str, here: bool) -> str:
    """A sign in plain text; the colour tells a leak and the blind spot from the rest."""
    leak = state in "@!"
    if here:
        return style("@" if state in "#@!" else "o", fg="red" if leak else "yellow", bold=True)
    if state in "#@!":
        return style("#", fg="red" if leak else "green", bold=leak)
    return style(".", fg="yellow") if state == "-" else style(".", dim=True)
