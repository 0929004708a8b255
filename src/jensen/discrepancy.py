"""What a comparison of two sets of rows found: `Divergence`, its numbers, and what they say in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.errors import Cannot
from jensen.quantity import Quantity
from jensen.shifts import SIGNIFICANT, ColumnShift, RowShift
from jensen.sides import Sides


@dataclass(frozen=True, eq=False, repr=False)
class Divergence:
    """How far apart two sets of rows are, and where.

    jsd: lower bound of the Jensen-Shannon divergence in nats, 0 to log 2; its interval holds at any sample size.
    limit: the JSD is at least this in 95 % of such comparisons, whatever the laws.
    p_value: of one law behind both sides, exact (labels permuted). At 0.05 or below the two are called different.
    saturated: the critic tells nearly every row apart, and the bound is near its ceiling log 2.
    accuracy: the share of new rows put on their side, chance being 0.5. gap: the same formula on the critic's training
    rows less the bound, an estimate of how much it learnt by heart. normaliser: E_a e^logit, 1 where `log_ratio` is right.
    kl: KL(b || a) by telescoping, an estimate, where saturated; `why_no_kl` says why there is none.
    columns, rows: where they differ most. critic, chances: which critic was chosen and what each of the panel got.
    """

    jsd: Quantity
    limit: float
    p_value: float
    saturated: bool
    accuracy: Quantity
    gap: Quantity
    normaliser: Quantity
    columns: tuple[ColumnShift, ...] = ()
    rows: tuple[RowShift, ...] = ()
    kl: Quantity | None = None
    why_no_kl: str = ""
    critic: str = ""
    chances: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    how: Mapping[str, Any] = field(default_factory=dict)
    ratio: Callable[[Any], NDArray[np.float64]] | None = None
    sides: Sides | None = None

    @property
    def different(self) -> bool:
        """Whether one law behind both sides is rejected at 5 %. False means that this panel cannot tell."""
        return self.p_value <= SIGNIFICANT

    @property
    def share(self) -> float:
        """The bound as a share of log 2, its largest value; 0 where the bound is below 0 and so says nothing."""
        return max(0.0, self.jsd.value) / math.log(2)

    def log_ratio(self, rows: Any) -> NDArray[np.float64]:
        """log density of b over a's at rows like those compared, (n,), in nats: an estimate, calibrated on held-out rows.

        The sum over bridges where saturated and possible, else the logit of the chosen critic, cut at +-log of the rows
        it was judged on. log f_b = log f_a + this. Raises DataError for other columns.
        """
        if self.ratio is None:
            raise Cannot(
                "there is no log ratio", "the two sides hold the same rows", "it is 0 wherever they are"
            )
        return self.ratio(rows)

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.different and self.saturated:
            return (
                "different: nearly every row can be told apart, and the bound is near its ceiling (SATURATED)"
            )
        if self.different and self.limit > 0:
            return f"different: a Jensen-Shannon divergence of {self.limit:.2g} nats or more"
        if self.different:
            return "different, but so few rows cannot say by how much"
        return "cannot tell them apart"

    @property
    def advice(self) -> str:
        """What to do now."""
        alone = [one.name for one in self.columns if one.alone]
        if not self.different and alone:
            return f"taken alone, {_listed(alone)} differs all the same: look there"
        if not self.different:
            return "no proof that they are equal: more rows would show smaller differences"
        first = [one.name for one in self.columns if one.alone or one.needed]
        if not first:
            return "no column stands out: look at the rows that are named"
        joint = [one.name for one in self.columns if one.needed and not one.alone]
        hidden = f"; not by itself, but in how it goes with others: {_listed(joint)}" if joint else ""
        return f"look first at {_listed(first)}{hidden}"

    def to_html(
        self,
        path: str | Path,
        *,
        titles: tuple[str, str] = ("a", "b"),
        command: str = "",
        overwrite: bool = False,
    ) -> Path:
        """Write the page: one HTML file that needs nothing else. Returns where it is.

        The numbers with what they mean, the panel, how well the critic is calibrated, and the columns and rows that differ most.
        `titles`: of the two sides. Raises OutputError when `path` exists and `overwrite` is not given, or cannot be written.
        """
        from jensen.report.divergence_page import write_divergence

        return write_divergence(
            self.to_dict(), self.sides, Path(path), titles=titles, command=command, overwrite=overwrite
        )

    def describe(self) -> str:
        """A few lines: the verdict, the numbers, what to do, notes."""
        lines = [
            self.verdict,
            f"JSD {self.jsd}, {self.share:.0%} of log 2; p-value {self.p_value:.2g}; accuracy {self.accuracy}",
            self.advice,
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        return f"Divergence {self.describe()}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "verdict": self.verdict,
            "advice": self.advice,
            "different": self.different,
            "jsd": self.jsd.to_dict(),
            "limit": self.limit,
            "share_of_log_2": self.share,
            "p_value": self.p_value,
            "saturated": self.saturated,
            "accuracy": self.accuracy.to_dict(),
            "gap": self.gap.to_dict(),
            "normaliser": self.normaliser.to_dict(),
            "kl": None if self.kl is None else self.kl.to_dict(),
            "why_no_kl": self.why_no_kl or None,
            "critic": self.critic,
            "chances": dict(self.chances),
            "columns": [one.to_dict() for one in self.columns],
            "rows": [one.to_dict() for one in self.rows],
            "notes": list(self.notes),
            "how": dict(self.how),
        }


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown
