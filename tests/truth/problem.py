"""What a problem with a known answer is: four kinds, each a few lines of data that a runner can judge.

Exact: the product's number and the truth, side by side. Covered: an interval of a level that must hold the truth as often
as it says. Bounded: a number that is below (or above) its truth with a stated probability. Ordered: comparisons in which no
proven order may be false, but for the stated share of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

FAMILIES = ("autoregressive", "flow", "latent", "adversarial", "contrastive", "every family")

WITHIN = 1e-5
"""Relative error that is allowed to a number that the product calls exact."""

LOW, HIGH = 0.93, 0.975
"""Where the coverage of an interval of 95 % has to lie."""


@dataclass(frozen=True)
class Exact:
    """`compute` returns pairs of a truth and what the product says, arrays or numbers of one shape.

    The error is |found - truth| / max(|truth|, 0.001): a truth of 0, such as the logarithm of a total mass, has no other.
    """

    name: str
    family: str
    compute: Callable[[], Iterable[tuple[Any, Any]]]
    within: float = WITHIN
    why: str = ""
    """Where `within` is not 1e-5: from what it follows."""


@dataclass(frozen=True)
class Covered:
    """`draw` makes new data by a seed and returns an interval's two ends and the truth that it should hold.

    `conservative`: wider than its level by design, so that only too few hits are a fault. `repeats` are doubled up to `most`
    until the share of hits is decided. `of`: what the truth is.
    """

    name: str
    family: str
    draw: Callable[[int], tuple[float, float, float]]
    of: str
    repeats: int = 2000
    most: int = 8000
    conservative: bool = False
    level: float = 0.95


@dataclass(frozen=True)
class Bounded:
    """`draw` makes new data by a seed and returns a bound and its truth; `above`: the bound is an upper one.

    It is on the wrong side in at most `misses` of the repeats.
    """

    name: str
    family: str
    draw: Callable[[int], tuple[float, float]]
    misses: float = 0.05
    above: bool = False
    repeats: int = 1000


@dataclass(frozen=True)
class Ordered:
    """`draw` makes a comparison by a seed: how many orders it proves, and how many of those are false.

    All orders of a comparison are right together with probability `level`.
    """

    name: str
    family: str
    draw: Callable[[int], tuple[int, int]]
    repeats: int
    level: float = 0.95


Problem = Exact | Covered | Bounded | Ordered
