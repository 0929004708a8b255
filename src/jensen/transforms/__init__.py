"""Invertible maps, one a file. Rows are columns here: x (d, n), so that a feature is contiguous."""

from __future__ import annotations

from torch import Tensor, nn


class Transform(nn.Module):
    """An invertible map between a data side x (d, n) and a base side z (d, n), given context features c (size, n).

    `encode` goes to the base, `decode` to the data; each returns log|det| of its own Jacobian, (n,), nats. Both carry
    gradients. A leaf says which of them are `closed`: one pass. The other takes a step a feature, or a root.
    """

    closed: frozenset[str] = frozenset({"encode", "decode"})
    triangular_in: Tensor | None = None
    """The features in an order in which each depends on itself and earlier ones alone; None where there is none."""

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x -> z and log|det dz/dx|."""
        raise NotImplementedError

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z -> x and log|det dx/dz|."""
        raise NotImplementedError

    def moving(self, x: Tensor) -> Tensor:
        """The features of x that an element-wise map moves, for who asks where they lie; none here."""
        return x[:0]
