"""What a claim of the course says on this run: what was looked at, whether it holds, and the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jensen.quantity import Quantity

Figure = dict[str, Any]
"""Data of a drawing, plain JSON: see `jensen.course.figures`."""


@dataclass(frozen=True)
class Finding:
    """One part of a claim, looked at on this run.

    `holds`: True or False where the numbers decide; None where this run is too noisy to. `numbers`: by name, typed where
    they carry noise or are bounds.
    """

    what: str
    holds: bool | None
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"what": self.what, "holds": self.holds, "numbers": plain(dict(self.numbers))}


@dataclass(frozen=True)
class Shown:
    """What a claim's file gives back: findings, a line that sums them up, and data of figures."""

    findings: tuple[Finding, ...]
    summary: str
    figures: tuple[Figure, ...] = ()

    @property
    def holds(self) -> bool | None:
        """A part that fails decides, then one that is not decided.

        >>> Shown((Finding("a", True), Finding("b", None)), "").holds is None
        True
        """
        answers = [finding.holds for finding in self.findings]
        return False if False in answers else None if None in answers else True


@dataclass(frozen=True)
class Claim:
    """A claim of the course, executed."""

    id: str
    statement: str
    shown: Shown
    seed: int
    seconds: float

    @property
    def holds(self) -> bool | None:
        """Whether it held on this run; None: not decided."""
        return self.shown.holds

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: claim, statement, holds, and the evidence with findings and figures."""
        return {
            "claim": self.id,
            "statement": self.statement,
            "holds": self.holds,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "evidence": {
                "summary": self.shown.summary,
                "findings": [finding.to_dict() for finding in self.shown.findings],
                "figures": plain(list(self.shown.figures)),
            },
        }


def plain(value: Any) -> Any:
    """Quantities, arrays and NumPy numbers as plain JSON types; a number that is not finite becomes None."""
    if isinstance(value, Quantity):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
