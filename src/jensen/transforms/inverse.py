"""A map turned round: what led to the base leads to the data."""

from __future__ import annotations

from torch import Tensor

from jensen.transforms import Transform


class Inverse(Transform):
    """z = decode of another map, x = its encode. Turned round, an autoregressive map samples in one pass (Kingma et al. 2016)."""

    def __init__(self, turned: Transform) -> None:
        super().__init__()
        self.turned = turned
        other = {"encode": "decode", "decode": "encode"}
        self.closed = frozenset(other[way] for way in turned.closed)

    @property
    def triangular_in(self) -> Tensor | None:  # type: ignore[override]
        """The inverse of a triangular map is triangular in the same order."""
        return self.turned.triangular_in

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.turned.decode(x, c)

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.turned.encode(z, c)

    def moving(self, x: Tensor) -> Tensor:
        return self.turned.moving(x)
