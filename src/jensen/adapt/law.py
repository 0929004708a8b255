"""What a library's file says of one of its objects: steps between rows and base, and the laws at both ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from jensen.errors import UsageError

Way = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Rows (n, *shape) to rows, and log|det|: (n,), or with further axes, which are summed."""


@dataclass(frozen=True)
class Step:
    """One map: `encode` towards the base, `decode` towards the rows; a way that is missing raises NotImplementedError."""

    name: str
    encode: Way
    decode: Way


class Law(nn.Module):
    """An object of another library. A leaf writes what the library has; the rest is missing.

    Whatever has state is a module of it, so that a deep copy in float64 is one of the object.
    """

    event_shape: tuple[int, ...] | None = None
    """Of one row, where the object says it."""
    context: Tensor | None

    def __init__(self, context: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("context", None if context is None else context.detach().flatten())

    def given(self, n: int) -> Tensor | None:
        """The context of n rows, (n, size)."""
        return None if self.context is None else self.context.expand(n, -1)

    def steps(self, n: int) -> Sequence[Step]:
        """The maps from n rows to base, in order."""
        raise NotImplementedError("it has no maps")

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) (n,)."""
        raise NotImplementedError("it has no log_prob")

    def sample(self, n: int) -> Tensor:
        """n rows, from torch's own random state."""
        raise NotImplementedError("it does not sample")

    def drawn(self, n: int) -> tuple[Tensor, Tensor]:
        """n rows and log q of the pass that drew them."""
        raise NotImplementedError("it does not sample with a density")

    def base_log_prob(self, z: Tensor) -> Tensor:
        """log density (n,) of base points (n, *shape)."""
        raise NotImplementedError("it has no base")


def unknown(thing: Any, library: str, takes: str) -> UsageError:
    """The error for an object that is none of a library's."""
    return UsageError(
        f"this is no {library} object that can be looked at",
        f"got {type(thing).__module__}.{type(thing).__qualname__}",
        f"pass {takes}",
    )
