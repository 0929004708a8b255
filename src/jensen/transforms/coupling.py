"""Coupling: half the features move by element-wise maps whose parameters the other half gives (Dinh et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jensen.errors import SpaceError
from jensen.nn.conditioner import Conditioner
from jensen.nn.elementwise import Elementwise
from jensen.transforms import Transform


class Coupling(Transform):
    """z = (x_a, m(x_b; network(x_a, c))), both ways in one pass. `flip`: the first half moves, not the second."""

    def __init__(
        self, features: int, each: Elementwise, hidden: Sequence[int], *, context: int = 0, flip: bool = False
    ) -> None:
        super().__init__()
        if features < 2:
            raise SpaceError(
                "a coupling needs two features: one half moves the other",
                f"got {features}",
                "use maf or spline-flow with coupling=False",
            )
        self.features, self.each, self.flip, self.first = features, each, flip, features // 2
        stays, moves = features // 2, features - features // 2
        if flip:
            stays, moves = moves, stays
        self.network = Conditioner(stays, moves, each.parameters, hidden, context=context)

    @property
    def triangular_in(self) -> Tensor:  # type: ignore[override]
        """The half that stays, then the half that moves."""
        features = torch.arange(self.features)
        return features.roll(-self.first) if self.flip else features

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._move(x, c, forward=True)

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._move(z, c, forward=False)

    def moving(self, x: Tensor) -> Tensor:
        return x[: self.first] if self.flip else x[self.first :]

    def _move(self, x: Tensor, c: Tensor | None, forward: bool) -> tuple[Tensor, Tensor]:
        top, bottom = x[: self.first], x[self.first :]
        stays, moves = (bottom, top) if self.flip else (top, bottom)
        through = self.each.forward if forward else self.each.inverse
        moved, log_slope = through(moves, self.network(stays, c))
        parts = (moved, stays) if self.flip else (stays, moved)
        return torch.cat(parts), log_slope.sum(0)
