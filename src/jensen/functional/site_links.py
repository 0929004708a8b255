"""What the sites of a row see of each other: the map of one place, its blind spot, and the exact parallel steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.functional.order import Order, fold_ranks
from jensen.functional.schedule import parallel_schedule

LARGE = 1024
"""Sites beyond which not all pairs are kept: they are that many times that many."""

EARLIER, MISSED, ITSELF_SEEN, ITSELF, LATER_SEEN, LATER = "#-@o!."
"""What an input is to a place: earlier and seen; earlier and not seen (the blind spot); the place itself, seen (a leak)
or not; later and seen (a leak); later and not seen."""


@dataclass(frozen=True)
class SiteLinks:
    """What the output at one place of a row may depend on, and all pairs of sites where there are few enough.

    `shape`: of a row. `at`: the place, from 0. `seen` (k, d): the inputs that reach each of the k sites at the place
    (channels, where they are ordered), whose ranks are `ranks` (k,). `order`: who comes before whom, or None and
    `why_no_order`; `own`: the model says it, else it is raster order. `matrix` (sites, sites): all pairs by rank, or
    None. `in_training`: how training mode differs, in words.
    """

    shape: tuple[int, ...]
    at: tuple[int, ...]
    seen: Tensor
    ranks: Tensor
    order: Order | None
    own: bool
    why_no_order: str
    matrix: Tensor | None
    in_training: str = ""

    @property
    def reached(self) -> NDArray[np.bool_]:
        """The inputs that reach the place, in a row's shape."""
        return np.asarray(self.seen.any(0).reshape(self.shape).numpy())

    @property
    def earlier(self) -> int:
        """How many sites come before the place."""
        return int(self.ranks.max())

    @property
    def earlier_reached(self) -> int:
        """How many of them the place sees. The rest is its blind spot."""
        return self._count(EARLIER)

    @property
    def sees_itself(self) -> bool:
        """Whether a site at the place reaches its own output: a leak."""
        return self._count(ITSELF_SEEN) > 0

    @property
    def later_seen(self) -> int:
        """How many later sites the place sees: each is a leak."""
        return self._count(LATER_SEEN)

    def _which(self, sign: str) -> Tensor:
        """The inputs (d,) that some site at the place sees and that are earlier, itself or later to that site."""
        assert self.order is not None
        theirs, mine = self.order.inputs, self.ranks[:, None]
        there = {EARLIER: theirs < mine, ITSELF_SEEN: theirs == mine, LATER_SEEN: theirs > mine}[sign]
        return (self.seen & there).any(0)

    def _count(self, sign: str) -> int:
        assert self.order is not None
        return int(fold_ranks(self._which(sign), self.order.inputs, self.order.sites).sum())

    @cached_property
    def states(self) -> NDArray[np.str_]:
        """One of the six signs an input, in a row's shape; without an order only seen and not."""
        if self.order is None:
            return np.where(self.reached, EARLIER, LATER)
        theirs = self.order.inputs
        states = np.where((theirs < self.ranks.max()).numpy(), MISSED, LATER)
        states[torch.isin(theirs, self.ranks).numpy()] = ITSELF
        for sign in (EARLIER, ITSELF_SEEN, LATER_SEEN):
            states[self._which(sign).numpy()] = sign
        return np.asarray(states.reshape(self.shape))

    @property
    def why_no_steps(self) -> str:
        """Why a row is not known to be drawn in parallel steps; empty where it is."""
        if self.order is None:
            return self.why_no_order
        if self.matrix is None:
            return f"not counted beyond {LARGE:,} sites, here {self.order.sites:,}"
        return "there are none: a site sees itself or a later one" if bool(self.matrix.triu().any()) else ""

    @cached_property
    def levels(self) -> Tensor | None:
        """The step (sites,), from 0 and by rank, in which each site can be drawn; None for `why_no_steps`."""
        return None if self.matrix is None or self.why_no_steps else parallel_schedule(self.matrix)

    @property
    def steps(self) -> int | None:
        """How many exact parallel steps draw a row."""
        return None if self.levels is None else int(self.levels.max()) + 1

    @cached_property
    def shares(self) -> Tensor | None:
        """The share (sites,) of its earlier sites that each site sees, by rank; nan for the first."""
        if self.matrix is None:
            return None
        return self.matrix.tril(-1).sum(1) / torch.arange(len(self.matrix))

    def by_channel(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values in a row's shape as maps (channels, rows, columns); a sequence is one row."""
        return values.reshape(-1, *(self.shape[-2:] if len(self.shape) > 2 else (1, self.shape[-1])))

    def on_map(self, by_rank: Tensor) -> NDArray[np.float64]:
        """Numbers (sites,) by rank, in a row's shape."""
        assert self.order is not None
        return np.asarray(by_rank.double()[self.order.inputs].reshape(self.shape).numpy())

    @property
    def evidence(self) -> str:
        """The count of inputs in a sentence."""
        return f"{int(self.reached.sum())} of {self.reached.size} inputs reach the output at {place_name(self.at)}"

    def words(self) -> list[str]:
        """What the place sees and misses, and the count of exact parallel steps, a line each."""
        lines = []
        if self.order is not None:
            whose = "the model's own" if self.own else "raster"
            missed = self.earlier - self.earlier_reached
            blind = f", {missed:,} in the blind spot" if missed else ", no blind spot here"
            seen = f"{self.earlier_reached:,} of {self.earlier:,} earlier sites reached ({whose} order)"
            lines += [f"{seen}{blind if self.earlier else ''}", _leak(self.sees_itself, self.later_seen)]
            sites = f"{self.order.sites:,} site{'s' if self.order.sites > 1 else ''}"
        if self.steps is None:
            lines.append(f"exact parallel steps: {self.why_no_steps}")
        else:
            lines.append(f"drawn in {self.steps:,} exact parallel steps of {sites}")
        return [*lines, self.in_training] if self.in_training else lines

    def to_dict(self) -> dict[str, Any]:
        """Like a verdict that claims nothing; the place counts from 1, `reached` is 0 and 1 in a row's shape.

        `states` holds the signs, a list a channel and a string a row of its map.
        """
        facts = {
            "check": "receptive_field",
            "holds": None,
            "evidence": self.evidence,
            "at": [place + 1 for place in self.at],
            "reached": self.reached.astype(int).tolist(),
            "states": [["".join(row) for row in channel] for channel in self.by_channel(self.states)],
            "order": None if self.order is None else "own" if self.own else "raster",
        }
        if self.order is not None:
            facts |= {
                "sites": self.order.sites,
                "earlier": self.earlier,
                "earlier_reached": self.earlier_reached,
                "sees_itself": self.sees_itself,
                "later_seen": self.later_seen,
            }
        steps = {"parallel_steps": self.steps, "why_no_steps": self.why_no_steps or None}
        return {**facts, **steps, "in_training": self.in_training}


def _leak(itself: bool, later: int) -> str:
    """Whether a place sees what it must not.

    >>> _leak(False, 0), _leak(True, 1)
    ('sees neither itself nor a later site', 'a leak: it sees itself and 1 later site')
    """
    seen = ["itself"] if itself else []
    seen += [f"{later:,} later site{'s' if later > 1 else ''}"] if later else []
    return f"a leak: it sees {' and '.join(seen)}" if seen else "sees neither itself nor a later site"


def place_name(at: Sequence[int]) -> str:
    """Where a place, from 0, is: as one says it, from 1.

    >>> place_name((2, 2)), place_name((0, 2, 3)), place_name((6,))
    ('row 3, column 3', 'channel 1, row 3, column 4', 'place 7')
    """
    axes = ("channel", "row", "column")[-len(at) :] if 2 <= len(at) <= 3 else ("place",) * len(at)
    return ", ".join(f"{axis} {place + 1}" for axis, place in zip(axes, at))
