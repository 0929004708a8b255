"""How bits were made of grey values: numbers of bits made in two ways do not compare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from jensen.errors import SpaceError


@dataclass(frozen=True)
class Binarisation:
    """Grey values from `low` to `high` as bits.

    threshold: bit = (grey - low) / (high - low) > threshold. dynamic: the bit is one with that share as its
    probability, for training afresh in every batch, for scoring drawn once from `seed` (Salakhutdinov & Murray 2008).
    `step` is that of the grey levels; None for real greys.

    >>> (
    ...     Binarisation("dynamic", None, 0, 0.0, 255.0, 1.0).how,
    ...     Binarisation("threshold", 0.5, None, 0.0, 1.0).how,
    ... )
    ('dynamic, seed 0', 'threshold 0.5')
    """

    kind: Literal["threshold", "dynamic"]
    threshold: float | None
    seed: int | None
    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("threshold", "dynamic"):
            raise SpaceError("unknown kind of binarisation", f"got {self.kind!r}", "use threshold or dynamic")
        has, lacks = ("threshold", "seed") if self.kind == "threshold" else ("seed", "threshold")
        if getattr(self, has) is None or getattr(self, lacks) is not None:
            given = f"got threshold={self.threshold} and seed={self.seed}"
            raise SpaceError(
                f"a {self.kind} binarisation has a {has} and no {lacks}", given, "pass that one alone"
            )
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise SpaceError("a threshold lies between 0 and 1", f"got {self.threshold}", "0.5 is usual")
        if not -math.inf < self.low < self.high < math.inf or (self.step is not None and not self.step > 0):
            given = f"got {self.low} to {self.high} in steps of {self.step}"
            raise SpaceError(
                "grey values have a range low < high and a step above zero",
                given,
                "8-bit greys: 0 to 255 in steps of 1",
            )

    @property
    def how(self) -> str:
        """As a number's provenance says it."""
        return f"threshold {self.threshold:g}" if self.kind == "threshold" else f"dynamic, seed {self.seed}"

    def describe(self) -> str:
        """As a sentence on the rows says it."""
        if self.kind == "threshold":
            return f"binarised at {self.threshold:g}"
        return f"binarised dynamically (seed {self.seed})"

    def grey(self) -> str:
        """The values that it takes, in words."""
        steps = "" if self.step is None else f" in steps of {self.step:g}"
        return f"{self.low:g} to {self.high:g}{steps}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Binarisation:
        """The inverse of to_dict."""
        return cls(**record)
