"""One small record for whatever a benchmark measures: a number, its interval, the goal, and how noisy the run was.

A speed is the peer's CPU time over jensen's, so above 1 jensen is faster: the median of the ratios round by round, with the
interval of the sign test. That interval covers the median at 95 % or more whatever the law of the noise, as long as
rounds are independent; the quartiles of the tables say how rounds scatter, not how well the median is known.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

TIMES = "times as fast"
SAME = 1.05
"""A run is quiet enough when jensen against itself is found to be 1 within this factor, the whole interval of it. Most
goals are 1.15 or more, so noise of this size turns no verdict on them; nearer goals come out as undecided."""
WIDEST = 1.25
"""The upper end of a ratio's interval over the lower one, at most: wider, even its second digit says nothing."""
FEWEST = 6
"""Rounds below which the sign test has no 95 % interval: 1 - 2 / 2^5 is less."""


@dataclass(frozen=True)
class Record:
    """What was measured over which peer.

    `ratio`: a speed in `unit` "times as fast", or another number in its unit. `low`, `high`: its 95 % interval, None for a
    number that has none (a count, a peak of memory). `goal`: what `ratio` is to be at least, or at most where `less` is
    true. `control`: jensen's side against itself in the same run (ratio, low, high); None where nothing was timed.
    """

    name: str
    peer: str
    ratio: float
    low: float | None
    high: float | None
    unit: str
    goal: float | None
    command: str
    less: bool = False
    control: tuple[float, float, float] | None = None
    rounds: int | None = None

    def verdict(self) -> str:
        """Met or missed where the whole interval says so, else undecided; nothing without a goal."""
        if self.goal is None:
            return ""
        ends = [self.ratio if end is None else end for end in (self.low, self.high)]
        good = [end <= self.goal if self.less else end >= self.goal for end in ends]
        return "met" if all(good) else "undecided" if any(good) else "missed"

    def trouble(self) -> str | None:
        """Why this run was too noisy to be reported, or None."""
        if self.control is None:
            return None
        if self.rounds is not None and self.rounds < FEWEST:
            return f"{self.rounds} rounds give no 95 % interval; {FEWEST} are the fewest"
        middle, low, high = self.control
        if not (1 / SAME <= low <= high <= SAME):
            return (
                f"jensen against itself came out at {middle:.3f} [{low:.3f}, {high:.3f}]; quiet is an interval within "
                f"{1 / SAME:.3f} to {SAME}"
            )
        if self.unit == TIMES and self.low and self.high and self.high > WIDEST * self.low:
            return (
                f"its interval is [{self.low:.3g}, {self.high:.3g}], a factor of {self.high / self.low:.2f}; "
                f"quiet is at most {WIDEST}"
            )
        return None


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The median and the narrowest pair of ordered values that covers the true one at 95 % or more.

    With fewer than six values the least and the greatest, which cover it at 1 - 2^(1 - n) only.
    """
    ordered, n = sorted(values), len(values)
    tails = accumulate(math.comb(n, j) for j in range(n))  # 2^n P(at most j of n fair coins are heads)
    cut = max(sum(2 * tail <= 0.05 * 2**n for tail in tails) - 1, 0)
    return statistics.median(ordered), ordered[cut], ordered[n - 1 - cut]


def share(
    count: int, of: int, *, name: str, peer: str, goal: float | None, command: str, less: bool = False
) -> Record:
    """A share of repeats with its exact interval (Clopper and Pearson)."""
    from scipy.stats import beta

    low = float(beta.ppf(0.025, count, of - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, of - count)) if count < of else 1.0
    return Record(name, peer, count / of, low, high, "of repeats", goal, command, less)


def averaged(
    values: Sequence[float],
    name: str,
    peer: str,
    unit: str,
    goal: float | None,
    less: bool = False,
    *,
    command: str,
) -> Record:
    """A mean over runs with Student's interval."""
    from scipy.stats import t

    width = float(t.ppf(0.975, len(values) - 1)) / len(values) ** 0.5
    middle, half = statistics.fmean(values), width * statistics.stdev(values)
    return Record(name, peer, middle, middle - half, middle + half, unit, goal, command, less)


def single(name: str, value: float, unit: str, goal: float, *, command: str) -> Record:
    """A number without an interval, such as the worst of some runs."""
    return Record(name, "alone", value, None, None, unit, goal, command)


def left_out(peer: str) -> None:
    """Say that a peer is not there; on stderr, so that JSON stays JSON."""
    print(f"{peer} is not installed: left out", file=sys.stderr)


def dumps(records: Sequence[Record], **content: Any) -> str:
    """What every benchmark prints with --json: its conditions, its records, and whatever else it knows."""
    return json.dumps(content | {"records": [asdict(one) for one in records]}, indent=1, default=float)


def loads(content: Mapping[str, Any]) -> list[Record]:
    """The records of such an object."""
    return [
        Record(**{**one, "control": None if one["control"] is None else tuple(one["control"])})
        for one in content["records"]
    ]
