"""Whether numbers lie on a lattice low, low + step, ...: a density there can be made as large as one likes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# a finer lattice than this is what any rounded number lies on, and says nothing
MOST_POINTS = 1_000_000
LEAST_STEP = 1e-290
"""Below it, one over a step is no number."""


@dataclass(frozen=True)
class Lattice:
    """The points low + step * k, k = 0 ... points - 1; values lie within `tolerance` of them."""

    low: float
    step: float
    points: int
    tolerance: float

    @property
    def high(self) -> float:
        """The largest point."""
        return self.low + self.step * (self.points - 1)

    def holds(self, values: NDArray[np.float64]) -> bool:
        """Whether all values (any shape) are points, up to rounding."""
        index = np.rint((values - self.low) / self.step)
        return bool((abs(values - (self.low + self.step * index)) <= self.tolerance).all())


def find_lattice(distinct: NDArray[np.float64]) -> Lattice | None:
    """The coarsest lattice through sorted distinct values (m,), or None when there is none worth the name.

    The step is the greatest common divisor of the gaps, found by Euclid's algorithm up to rounding error of
    float64, then of float32 (rounded to float32 and read back, multiples of 0.01 are no longer exact).

    >>> find_lattice(np.array([0.0, 0.02, 0.05, 1.0])).step
    0.01
    >>> find_lattice(np.sort(np.random.default_rng(0).normal(size=100))) is None
    True
    """
    if len(distinct) < 2 or not LEAST_STEP < np.ptp(distinct) / MOST_POINTS < np.inf:
        return None
    largest = float(max(abs(distinct[0]), abs(distinct[-1])))
    for precision in (np.float64, np.float32):
        tolerance = 4 * float(np.finfo(precision).eps) * largest
        step = _common_step(np.diff(distinct), tolerance)
        if step is None or (distinct[-1] - distinct[0]) / step > MOST_POINTS:
            continue
        for candidate in _round_numbers(step):
            low = float(f"{distinct[0]:.12g}") if precision is np.float64 else float(distinct[0])
            points = int(np.rint((distinct[-1] - low) / candidate)) + 1
            lattice = Lattice(low, candidate, points, tolerance)
            if lattice.holds(distinct):
                return lattice
    return None


def _common_step(gaps: NDArray[np.float64], tolerance: float) -> float | None:
    """Euclid's algorithm on all gaps at once; None when it ends in the rounding error."""
    gaps = gaps[gaps > tolerance]
    # 64 tolerances: a number that is on no lattice passes one test by chance about once in 32
    if len(gaps) == 0 or (step := float(gaps.min())) <= 64 * tolerance:
        return None
    while True:
        rest = abs(gaps - step * np.rint(gaps / step))
        # the error of `step` itself grows with the multiple, hence the relative term
        real = rest > tolerance * (1 + gaps / step)
        if not real.any():
            multiples = np.rint(gaps / step)
            # least squares, of gaps in steps: their own squares may be beyond float64
            return step * float((gaps / step * multiples).sum() / (multiples * multiples).sum())
        step = float(rest[real].min())
        if step <= 64 * tolerance:
            return None


def _round_numbers(step: float) -> list[float]:
    """The numbers a person would have meant by this step, best first: 1/255, 2/255, 0.01, itself."""
    fractions = [k / whole for k in (1, 2) if (whole := round(k / step)) >= 1]
    return [*fractions, float(f"{step:.12g}"), step]


def widen(lattice: Lattice) -> Lattice:
    """Extend a lattice inside [0, 1] or [-1, 1] to the whole interval: the largest value need not have occurred.

    >>> widen(Lattice(0.0, 1 / 255, 240, 1e-9)).points
    256
    """
    for low, high in ((0.0, 1.0), (-1.0, 1.0)):
        count = (high - low) / lattice.step
        offset = (lattice.low - low) / lattice.step
        inside = lattice.low >= low - lattice.tolerance and lattice.high <= high + lattice.tolerance
        whole = abs(count - round(count)) < 1e-3 and abs(offset - round(offset)) < 1e-3
        if inside and whole and round(count) <= 255:
            return Lattice(low, (high - low) / round(count), round(count) + 1, lattice.tolerance)
    return lattice
