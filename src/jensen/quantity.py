"""Numbers with a type: what a number claims, in which unit, how sure it is and where it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jensen.errors import Cannot, Incomparable, JensenError, UsageError
from jensen.functional.intervals import SURE_OF_SKEW, certificate_margin, mean_interval, t_quantile
from jensen.notebook import number_html

Unit = Literal["nats", "bits/dim", "seconds", "rows/s", ""]
Measure = Literal["mass", "density", "mixed"]


class Impossible(JensenError):
    """A number that no correct computation can give."""


class Kind(Enum):
    """What a number claims of the truth, in expectation. Noise is the interval's affair, not the kind's."""

    EXACT = "exact"
    LOWER = "lower"
    UPPER = "upper"
    ESTIMATE = "estimate"

    def __add__(self, other: Kind) -> Kind:
        """The kind of a sum: equal kinds stay, exact gives way, anything else is an estimate.

        >>> Kind.LOWER + Kind.EXACT, Kind.LOWER + Kind.UPPER
        (<Kind.LOWER: 'lower'>, <Kind.ESTIMATE: 'estimate'>)
        """
        if self is other or other is Kind.EXACT:
            return self
        return other if self is Kind.EXACT else Kind.ESTIMATE

    def __neg__(self) -> Kind:
        """The kind of a negated number: lower and upper bound change places."""
        return {Kind.LOWER: Kind.UPPER, Kind.UPPER: Kind.LOWER}.get(self, self)

    @property
    def sign(self) -> str:
        """How the truth stands to the printed number: `=`, `>=`, `<=` or `~`."""
        return {Kind.EXACT: "=", Kind.LOWER: ">=", Kind.UPPER: "<=", Kind.ESTIMATE: "~"}[self]


@dataclass(frozen=True)
class Quantity:
    """One number and what it says.

    `interval` covers the expectation of `value` (not the truth behind a bound) with probability `level`;
    None means that the value carries no noise. `how` is provenance: n, k, seed, codec, rows, ...

    >>> Quantity(-3.0, Kind.LOWER, "nats", "mass", (-3.5, -2.5))
    >= -3.000 nats [-3.500, -2.500]
    """

    value: float
    kind: Kind = Kind.EXACT
    unit: Unit = ""
    measure: Measure | None = None
    interval: tuple[float, float] | None = None
    level: float = 0.95
    how: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if math.isnan(self.value):
            raise Impossible(
                "a quantity must be a number", "got nan", "look for the first nan in the rows or the model"
            )
        if not 0 <= self.level < 1:
            raise UsageError("a level lies between 0 and 1", f"got {self.level}", "0.95 is usual")
        if self.interval is not None and not self.interval[0] <= self.value <= self.interval[1]:
            raise Impossible("an interval must contain its value", f"got {self.value} and {self.interval}")

    def __add__(self, other: Quantity) -> Quantity:
        """Sum. The ends of the intervals add, and so do their error levels (no independence is assumed).

        Raises Incomparable when unit, measure or the lens that both were seen through differ.
        """
        if not isinstance(other, Quantity):
            return NotImplemented
        self._must_match(other)
        interval, level = _add_intervals(self, other)
        return Quantity(
            self.value + other.value,
            self.kind + other.kind,
            self.unit,
            self.measure,
            interval,
            level,
            {"terms": [dict(self.how), dict(other.how)]},
        )

    def __neg__(self) -> Quantity:
        return self * -1.0

    def __sub__(self, other: Quantity) -> Quantity:
        return self + (-other)

    def __mul__(self, factor: float) -> Quantity:
        """Multiplication by a known finite constant; a negative one turns a lower bound into an upper one."""
        if not isinstance(factor, Real) or not math.isfinite(factor):
            raise UsageError(
                "a quantity is multiplied by a finite constant", f"got {factor!r}", "pass a finite number"
            )
        factor = float(factor)
        ends = None
        if self.interval is not None:
            low, high = (_times(end, factor) for end in self.interval)
            ends = (min(low, high), max(low, high))
        kind = -self.kind if factor < 0 else self.kind
        return replace(self, value=_times(self.value, factor), kind=kind, interval=ends)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        text = f"{self.kind.sign} {self.value:.3f}"
        if self.unit:
            text += f" {self.unit}"
        if self.interval is not None:
            text += f" [{self.interval[0]:.3f}, {self.interval[1]:.3f}]"
        if self.unit == "bits/dim" and "binarisation" in self.how:
            text += f" (binarisation: {self.how['binarisation']})"
        return text

    def _repr_html_(self) -> str:
        """For notebooks: the number with its sign and interval; its origin on hover."""
        ends = "" if self.interval is None else f"[{self.interval[0]:.3f}, {self.interval[1]:.3f}]"
        plain = (str, int, float, bool)
        said = {name: one for name, one in self.how.items() if isinstance(one, plain)}
        if self.interval is not None:
            said = {"level": f"{self.level:g}", **said}
        return number_html(self.kind.sign, f"{self.value:.3f}", self.unit, ends, said)

    def bits_per_dim(self, dims: int) -> Quantity:
        """The cost -nats / (dims ln 2): a lower bound on the log-likelihood is an upper bound on the bits."""
        if dims < 1:
            raise UsageError(
                "bits/dim need at least one dimension",
                f"got {dims}",
                "pass the number of dimensions of a row",
            )
        if self.unit != "nats":
            raise Incomparable(
                "bits/dim are made from nats", f"got {self.unit or 'no unit'}", "take the number in nats"
            )
        return replace(self * (-1.0 / (dims * math.log(2))), unit="bits/dim")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; an infinite end of an interval becomes None."""
        ends = None if self.interval is None else [e if math.isfinite(e) else None for e in self.interval]
        return {
            "value": self.value if math.isfinite(self.value) else None,
            "kind": self.kind.value,
            "sign": self.kind.sign,
            "unit": self.unit,
            "measure": self.measure,
            "interval": ends,
            "level": self.level,
            "how": _plain(self.how),
        }

    def _must_match(self, other: Quantity) -> None:
        for what in ("unit", "measure"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                raise Incomparable(
                    f"numbers of another {what} do not add",
                    f"got {mine or 'none'} and {theirs or 'none'}",
                    "score both on the same rows in the same space",
                )
        lenses = self.how.get("lens"), other.how.get("lens")
        if lenses[0] != lenses[1]:
            raise Incomparable(
                "numbers through another lens do not add",
                f"got {lenses[0] or 'none'} and {lenses[1] or 'none'}",
                "look at both through the same encoder",
            )


@dataclass(frozen=True, eq=False)
class Scores:
    """One log-likelihood a row: `values` (n,) in nats, in the user's own units.

    `dims` is the number of sites of a row, `rows` the hash of the rows scored: only scores of the same rows
    compare. Raises Impossible when the values claim a mass above one.

    >>> scores = Scores(np.log([0.5, 0.25]), Kind.EXACT, "mass", dims=1, rows="r")
    >>> scores.mean()
    = -1.040 nats [-5.443, 3.364]
    >>> scores.bits_per_dim.values
    array([1., 2.])
    """

    values: NDArray[np.float64]
    kind: Kind
    measure: Measure
    dims: int
    rows: str
    unit: Unit = "nats"
    how: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or len(self.values) == 0:
            raise UsageError(
                "expected one score a row", f"got shape {self.values.shape}", "flatten them to one a row"
            )
        if np.isnan(self.values).any():
            bad = int(np.flatnonzero(np.isnan(self.values))[0])
            raise Impossible(
                "a score must be a number", f"row {bad} got nan", "look for nan in the row or the weights"
            )
        if self.unit == "nats" and self.measure == "mass" and self.kind in (Kind.EXACT, Kind.LOWER):
            _check_mass(self.values, self.kind, self.dims)

    def __len__(self) -> int:
        return len(self.values)

    def mean(self, level: float = 0.95) -> Quantity:
        """The mean score with its interval over rows, Student's t widened for skew (these weights, rows like these)."""
        return Quantity(
            float(self.values.mean()),
            self.kind,
            self.unit,
            self.measure,
            mean_interval(self.values, level),
            level,
            {
                **self.how,
                "n": len(self),
                "rows": self.rows,
                "interval": "Student t, widened for skew, over rows, these weights",
            },
        )

    def on_these_rows(self, level: float = 0.95) -> Quantity:
        """The mean bound with the interval of its Monte-Carlo noise alone: these rows, these weights, other draws.

        Student's t, from the differences of 8 blocks of draws. Says nothing of other rows, nor of the bound's distance to log p.
        Raises Cannot where the scores carry no such noise, or too few draws to know it.
        """
        noise = self.how.get("noise_sd")
        if noise is None:
            raise Cannot(
                "these scores do not know their Monte-Carlo noise",
                f"got {self.kind.value} scores, k={self.how.get('k')}",
                "score a model with latents; annealed, with k of 2 or more",
            )
        freedom = self.how.get("noise_freedom", math.inf)  # infinite: a normal law
        half = t_quantile(level, freedom) * float(noise)
        half = half * math.log(2) ** -1 / self.dims if self.unit == "bits/dim" else half
        mean, said = float(self.values.mean()), "Monte-Carlo noise, these rows"
        how = {**self.how, "n": len(self), "rows": self.rows, "interval": said}
        return Quantity(mean, self.kind, self.unit, self.measure, (mean - half, mean + half), level, how)

    def certified(self, alpha: float = 0.05) -> Quantity:
        """A number below the mean of log p over these rows with probability 1 - alpha, whatever the weights are like.

        mean L_k - log(1 / alpha) / n, by Markov's inequality (`functional.bounds.certified`): no normal law, no variance.
        It holds for k, width and seed fixed beforehand, not for the best of several, and speaks of these rows alone.
        Raises Cannot for scores that are no bounds by unbiased weights.
        """
        if self.kind is not Kind.LOWER or self.unit != "nats" or "method" not in self.how:
            raise Cannot(
                "a certificate is for lower bounds by importance weights, in nats",
                f"got {self.kind.value} scores in {self.unit}",
                "score a model with latents",
            )
        value = float(self.values.mean()) - certificate_margin(len(self), alpha)
        how = {**self.how, "n": len(self), "rows": self.rows, "certified": f"with probability {1 - alpha:g}"}
        return Quantity(value, Kind.LOWER, "nats", self.measure, None, 1 - alpha, how)

    @property
    def bits_per_dim(self) -> Scores:
        """The same scores as costs in bits per dimension: -nats / (dims ln 2)."""
        if self.unit == "bits/dim":
            return self
        return replace(
            self, values=-self.values / (self.dims * math.log(2)), kind=-self.kind, unit="bits/dim"
        )


class Answer(Enum):
    """The three answers an ordering can get."""

    PROVEN = "proven"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Order:
    """Whether the first model's mean log-likelihood exceeds the second's, and by how much."""

    answer: Answer
    difference: Quantity


def paired_difference(first: Scores, second: Scores, level: float = 0.95) -> Quantity:
    """The mean of `first - second` over the rows both scored, with the interval of the paired differences.

    Orders rest on it, so that it leans to the safe side: twice the standard error of their skewness is allowed for; two
    differences, which say nothing of their law, bound nothing, nor do those that are all one number other than 0. Raises Incomparable for other rows, units, measures or numbers of sites, and for other contexts: log p(x | c) and
    log p(x) answer different questions.
    """
    for what in ("unit", "measure", "dims"):
        mine, theirs = getattr(first, what), getattr(second, what)
        if mine != theirs:
            raise Incomparable(
                f"scores of another {what} do not compare",
                f"got {mine} and {theirs}",
                "score both models on the same rows",
            )
    if first.rows != second.rows:
        raise _other_rows(first, second)
    if any(first.how.get(what) != second.how.get(what) for what in ("context", "context_hash")):
        given = ", ".join(_conditioned(scores) for scores in (first, second))
        raise Incomparable(
            "scores given different contexts do not compare",
            f"got {given}",
            "condition both models on the same context, or neither",
        )
    if len(first) != len(second):
        raise Incomparable(
            "scores of another number of rows do not compare",
            f"got {len(first)} and {len(second)}",
            "score the same rows with both",
        )
    both_impossible = np.isinf(first.values) & (first.values == second.values)
    with np.errstate(invalid="ignore"):
        values = np.where(both_impossible, 0.0, first.values - second.values)
    # each model excludes a row that the other allows: the mean difference is inf - inf, so nothing is known of it
    torn = bool((values == np.inf).any() and (values == -np.inf).any())
    how = {"paired": [dict(first.how), dict(second.how)], "n": len(first), "rows": first.rows}
    interval = (-math.inf, math.inf)
    if not torn and len(values) > 2 and not no_spread(values):
        interval = mean_interval(values, level, skew_errors=SURE_OF_SKEW)
    return Quantity(
        0.0 if torn else float(values.mean()),
        Kind.ESTIMATE if torn else first.kind + -second.kind,
        first.unit,
        first.measure,
        interval,
        level,
        how,
    )


def no_spread(values: NDArray[np.float64]) -> bool:
    """Whether values (n,) other than 0 are one number up to rounding: they show no spread, and so do those of a law that
    seldom, and then greatly, differs."""
    size = float(np.abs(values).max())
    return 0 < size < math.inf and float(np.ptp(values)) <= 1e-6 * size


def order(first: Scores, second: Scores, level: float = 0.95) -> Order:
    """Decide "first is better than second" from paired differences of log-likelihood.

    Proven needs a difference that is exact or a lower bound, with its interval above zero; refuted the
    mirror image. Two lower bounds, whose difference is an estimate, stay undecided whatever the numbers.

    >>> a = Scores(np.full(9, -1.0) - np.arange(9) / 100, Kind.EXACT, "mass", 1, "r")
    >>> b = Scores(np.full(9, -2.0), Kind.EXACT, "mass", 1, "r")
    >>> order(a, b).answer.value, order(b, a).answer.value
    ('proven', 'refuted')
    """
    if first.unit != "nats":
        raise Incomparable(
            "models are ordered by log-likelihood in nats", f"got {first.unit}", "score both in nats"
        )
    return decide(paired_difference(first, second, level))


def decide(difference: Quantity) -> Order:
    """What a difference of two log-likelihoods proves: "first is better" by its kind and its interval."""
    low, high = difference.interval or (difference.value, difference.value)
    if low > 0 and difference.kind in (Kind.EXACT, Kind.LOWER):
        return Order(Answer.PROVEN, difference)
    if high < 0 and difference.kind in (Kind.EXACT, Kind.UPPER):
        return Order(Answer.REFUTED, difference)
    return Order(Answer.UNDECIDED, difference)


def _conditioned(scores: Scores) -> str:
    names = scores.how.get("context")
    return f"log p(x | {', '.join(names)})" if names else "log p(x)"


def _check_mass(values: NDArray[np.float64], kind: Kind, dims: int) -> None:
    mean, worst = float(values.mean()), float(values.max())
    # a site's log mass is rounded to about 1e-7 in float32; a noisy bound may exceed zero on some rows, or on a few
    # rows together, but its expectation may not
    surely = mean if kind is Kind.EXACT else mean_interval(values, 0.9999)[0]
    if surely > 1e-6 * dims or (kind is Kind.EXACT and worst > 1e-5 * dims):
        raise Impossible(
            "a log mass above zero is a probability above one",
            f"got a mean of {mean:.4g} and a largest of {worst:.4g} nats",
            "was a density scored on discrete rows? pass the space, or audit the model with mass_sums",
        )


def _other_rows(first: Scores, second: Scores) -> Incomparable:
    """The rows differ, perhaps because the same grey rows were binarised in two ways."""
    mine, theirs = (scores.how.get("binarisation", "none") for scores in (first, second))
    if mine == theirs:
        given = f"got {first.rows} and {second.rows}"
        return Incomparable(
            "scores of other rows do not compare", given, "score both models on the same rows"
        )
    return Incomparable(
        "scores of rows that are binarised in another way do not compare",
        f"got {mine} and {theirs} (rows {first.rows} and {second.rows})",
        "binarise the rows once, jensen.rows(..., binarise=...), and score both models on them",
    )


def _add_intervals(a: Quantity, b: Quantity) -> tuple[tuple[float, float] | None, float]:
    if a.interval is None and b.interval is None:
        return None, max(0.0, min(a.level, b.level))
    low_a, high_a = a.interval or (a.value, a.value)
    low_b, high_b = b.interval or (b.value, b.value)
    # an end at infinity stays there, whatever is added to it
    low = -math.inf if -math.inf in (low_a, low_b) else low_a + low_b
    high = math.inf if math.inf in (high_a, high_b) else high_a + high_b
    misses = (1 - a.level) * (a.interval is not None) + (1 - b.level) * (b.interval is not None)
    return (low, high), max(0.0, 1 - misses)


def _times(end: float, factor: float) -> float:
    return 0.0 if factor == 0 else end * factor


def _plain(value: Any) -> Any:
    """Provenance in plain JSON types: NumPy scalars become Python's, a number that is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
