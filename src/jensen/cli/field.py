"""A receptive field as a map of characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from jensen.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDE = 40
"""Columns beyond which the map has no blanks between them."""


@dataclass(frozen=True)
class Field:
    """The inputs `reached`, of a row's shape, by the output at `at`, counted from 1."""

    at: tuple[int, ...]
    reached: NDArray[np.bool_]

    @property
    def evidence(self) -> str:
        """The count in a sentence."""
        return f"{int(self.reached.sum())} of {self.reached.size} inputs reach the output at {_name(self.at)}"

    def to_dict(self) -> dict[str, Any]:
        """Like a verdict that claims nothing, with the map as 0 and 1 in a row's shape."""
        return {
            "check": "receptive_field",
            "holds": None,
            "evidence": self.evidence,
            "at": list(self.at),
            "reached": self.reached.astype(int).tolist(),
        }

    def text(self) -> str:
        """One map a channel, with the position itself marked."""
        shape = self.reached.shape
        maps = self.reached.reshape(-1, *shape[-2:]) if len(shape) > 1 else self.reached.reshape(1, 1, -1)
        parts = [click.style(f"Receptive field: {self.evidence}", bold=True)]
        for channel, one in enumerate(maps):
            if len(maps) > 1:
                parts.append(f"channel {channel + 1}")
            parts += self._map(one)
        return "\n".join(
            [*parts, "  # reached   . not reached   @ the place itself, reached   o not reached"]
        )

    def _map(self, reached: NDArray[np.bool_]) -> list[str]:
        rows, columns = reached.shape
        blank = " " if columns <= WIDE else ""
        here = (self.at[-2] - 1 if len(self.at) > 1 else 0, self.at[-1] - 1)
        head = blank.join(str((column + 1) % 10) for column in range(columns))
        lines = [click.style(f"  {'':>4}  {head}", dim=True)]
        for row in range(rows):
            cells = [_cell(bool(reached[row, column]), (row, column) == here) for column in range(columns)]
            lines.append(f"  {click.style(f'{row + 1:>4}', dim=True)}  {blank.join(cells)}")
        return lines


def reach(subject: Any, input_shape: Sequence[int] | None, at: Sequence[int]) -> Field:
    """The receptive field of the output at `at`; of a model, that of the parameters of a site's distribution.

    Raises UsageError for a place outside the output, Cannot when an operation of the module has no rule.
    """
    from jensen import receptive_field

    function, shape, dtype, after = _followed(subject, input_shape)
    position: Any = (*(place - 1 for place in at), *after)
    try:
        return Field(tuple(at), receptive_field(function, shape, position, dtype=dtype))
    except UsageError as error:
        if not error.wrong.startswith("expected a position"):
            raise
        given = f"got {','.join(map(str, at))} for {error.given.rpartition(' for ')[2]}"
        raise UsageError(
            "--at names no place of the output", given, "count from 1: row,column or channel,row,column"
        ) from None


def _followed(
    subject: Any, input_shape: Sequence[int] | None
) -> tuple[Any, Sequence[int], Any, tuple[Any, ...]]:
    """What is followed, a row's shape and type, and the axes behind the sites (a model's parameters of a site)."""
    import torch

    from jensen.checks.subject import View
    from jensen.model import Model

    model: Any = getattr(subject, "model", subject)
    if not isinstance(model, Model):
        assert input_shape is not None  # the audit before refused a module without
        return model, input_shape, None, ()
    if not hasattr(model, "conditionals"):
        raise UsageError(
            "the model has no parameters site by site, so no receptive field",
            f"got {type(model).__name__}",
            "leave --at out",
        )
    dtype = torch.int64 if model.space.measure == "mass" else None
    conditionals: Any = model.conditionals
    return View(model, conditionals), model.space.shape, dtype, (slice(None),)


def _cell(reached: bool, here: bool) -> str:
    if here:
        return click.style("@" if reached else "o", fg="red" if reached else "yellow", bold=True)
    return click.style("#", fg="green") if reached else click.style(".", dim=True)


def _name(at: Sequence[int]) -> str:
    """Where it is, as one says it.

    >>> _name((3, 3)), _name((1, 3, 4)), _name((7,))
    ('row 3, column 3', 'channel 1, row 3, column 4', 'place 7')
    """
    axes = ("channel", "row", "column")[-len(at) :] if 2 <= len(at) <= 3 else ("place",) * len(at)
    return ", ".join(f"{axis} {place}" for axis, place in zip(axes, at))
