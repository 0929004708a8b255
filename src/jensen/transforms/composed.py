"""Invertible maps one after the other, and the usual such list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from torch import Tensor, nn

from jensen.transforms import Transform


class Composed(Transform):
    """`encode` applies the maps in order, `decode` undoes them backwards; log-determinants add."""

    def __init__(self, maps: Sequence[Transform]) -> None:
        super().__init__()
        self.maps = nn.ModuleList(maps)
        closed = [one.closed for one in maps]
        self.closed = frozenset.intersection(*closed) if closed else Transform.closed

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(x.shape[1])
        for one in cast(Iterable[Transform], self.maps):
            x, log_det = one.encode(x, c)
            total = total + log_det
        return x, total

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[1])
        for one in reversed(list(cast(Iterable[Transform], self.maps))):
            z, log_det = one.decode(z, c)
            total = total + log_det
        return z, total
