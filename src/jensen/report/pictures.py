"""The rows a report draws: held-out ones and every model's samples, in the user's own units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.insight import Insight
from jensen.space import Space


@dataclass(frozen=True)
class Pictures:
    """Rows to draw: `real` (n, *shape) held-out rows, `samples` a model's name -> rows (m, *shape), `views` (n, v, *shape) of a lens,
    `insights` into the latents of the models that have some.

    A model that cannot sample has no entry. Raises SpaceError for rows of another shape. Rows that hold a
    number that is not finite are allowed, for a broken model deserves its report: they are counted, not drawn.

    >>> pictures = Pictures(Space.real(2), np.zeros((3, 2)), {"a": np.array([[0.0, np.nan], [1.0, 1.0]])})
    >>> pictures.drawable("a")
    (array([[1., 1.]]), 1)
    """

    space: Space
    real: NDArray[Any]
    samples: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    views: NDArray[Any] | None = None
    insights: Mapping[str, Insight] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.space.check_shape(self.real.shape)
        for rows in self.samples.values():
            self.space.check_shape(rows.shape)

    def drawable(self, name: str | None = None) -> tuple[NDArray[Any], int]:
        """The rows of one model, or the real ones for None, whose numbers are finite or gaps, and how many were left out."""
        rows = np.asarray(self.real if name is None else self.samples[name])
        finite = np.isfinite(rows)
        if self.space.gaps and not finite.all():
            finite |= np.isnan(rows) & self.space.may_gap()
        finite = finite.all(axis=tuple(range(1, rows.ndim)))
        return rows[finite], int((~finite).sum())

    def names(self) -> list[str]:
        """The models that have at least one row to draw, in the order given."""
        return [name for name in self.samples if len(self.drawable(name)[0])]
