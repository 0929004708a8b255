"""What a check says: it holds, it fails, or it cannot be decided, and the evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jensen.notebook import verdict_html


@dataclass(frozen=True)
class Verdict:
    """The answer of one check.

    `holds`: True or False where the evidence decides; None where nothing is proven, never for a failure that was seen.
    `evidence`: one or two sentences with the numbers behind it. `details`: the same numbers, plain JSON types.

    >>> Verdict("mass_sums", True, "512 rows sum to 1").to_dict()
    {'check': 'mass_sums', 'holds': True, 'evidence': '512 rows sum to 1'}
    """

    name: str
    holds: bool | None
    evidence: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """For notebooks: one line."""
        return verdict_html(self.name, self.holds, self.evidence, bool(self.details.get("applies", True)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; a number that is not finite becomes None."""
        details = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in self.details.items()
        }
        return {"check": self.name, "holds": self.holds, "evidence": self.evidence, **details}


def both(first: bool | None, second: bool | None) -> bool | None:
    """The conjunction: a failure wins, then what is not decided.

    >>> both(True, None), both(None, False)
    (None, False)
    """
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


def sentences(*texts: str) -> str:
    """Texts as sentences one after the other; empty ones are left out.

    >>> sentences("the sum is 1", "", "no leak")
    'the sum is 1. no leak'
    """
    return ". ".join(text for text in texts if text)
