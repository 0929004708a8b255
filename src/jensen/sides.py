"""The rows that were compared and what the critic said of those it had not seen: what a page draws of a divergence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.space import Space

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Sides:
    """Rows `a` (n0, d) and `b` (n1, d), images flattened, gaps as nan, and names (d,) of the columns.

    `logits`: calibrated log-odds of "from b" at the report's rows of either side; `report`: the positions of those in a and
    b; `where`: their positions in the sources.
    """

    space: Space
    names: tuple[str, ...]
    a: Array
    b: Array
    logits: tuple[NDArray[np.float64], NDArray[np.float64]]
    report: tuple[Array, Array]
    where: tuple[Array, Array]

    def most_unlike(self, side: int, count: int) -> tuple[Array, Array, NDArray[np.float64]]:
        """Rows of a side (0 or 1) that are most unlike the other, among the report's: rows, positions in the source, logits."""
        logit = self.logits[side]
        order = np.argsort(logit if side == 0 else -logit, kind="stable")[:count]
        rows = (self.a, self.b)[side][self.report[side][order]]
        return rows, self.where[side][order], logit[order]
