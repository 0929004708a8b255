"""The algebra of typed numbers never turns a bound into something stronger."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jensen.errors import Incomparable, UsageError
from jensen.functional.intervals import SURE_OF_SKEW, half_sum_interval, mean_interval
from jensen.quantity import Answer, Impossible, Kind, Quantity, Scores, order, paired_difference

KINDS = list(Kind)
PAIRS = list(itertools.product(KINDS, KINDS))
EXACT, LOWER, UPPER, ESTIMATE = Kind.EXACT, Kind.LOWER, Kind.UPPER, Kind.ESTIMATE
CLAIMS_BELOW = {EXACT, LOWER}
"""Kinds that claim expectation <= truth."""
CLAIMS_ABOVE = {EXACT, UPPER}
"""Kinds that claim expectation >= truth."""

# ---------------------------------------------------------------------------------------------------------------
# The semantic model: what a Quantity says of a truth. All numbers below are quarters of small integers, and the
# factors are dyadic, so float64 computes every truth, expectation and interval end without rounding.
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """A truth, the expectation of the number measured for it, the number itself, and the kinds it was made from."""

    truth: float
    expectation: float
    quantity: Quantity
    leaves: frozenset[Kind]
    """The kinds of the leaves, each turned round once for every negative factor above it."""

    @property
    def holds(self) -> bool:
        """Whether all that the quantity says is true."""
        kind, interval = self.quantity.kind, self.quantity.interval
        below = kind not in CLAIMS_BELOW or self.expectation <= self.truth
        above = kind not in CLAIMS_ABOVE or self.expectation >= self.truth
        if interval is None:
            covered = self.quantity.value == self.expectation
        else:
            covered = interval[0] <= self.expectation <= interval[1]
        return below and above and covered

    def __add__(self, other: Claim) -> Claim:
        return Claim(
            self.truth + other.truth,
            self.expectation + other.expectation,
            self.quantity + other.quantity,
            self.leaves | other.leaves,
        )

    def __sub__(self, other: Claim) -> Claim:
        return Claim(
            self.truth - other.truth,
            self.expectation - other.expectation,
            self.quantity - other.quantity,
            self.leaves | turned(other.leaves),
        )

    def __neg__(self) -> Claim:
        return Claim(-self.truth, -self.expectation, -self.quantity, turned(self.leaves))

    def __mul__(self, factor: float) -> Claim:
        leaves = turned(self.leaves) if factor < 0 else self.leaves
        return Claim(self.truth * factor, self.expectation * factor, self.quantity * factor, leaves)


def turned(kinds: frozenset[Kind]) -> frozenset[Kind]:
    swap = {LOWER: UPPER, UPPER: LOWER, EXACT: EXACT, ESTIMATE: ESTIMATE}
    return frozenset(swap[kind] for kind in kinds)


def strongest(kinds: frozenset[Kind]) -> Kind:
    """The most that a sum of such leaves may claim: what every leaf claims, and nothing after an estimate."""
    below, above = kinds <= CLAIMS_BELOW, kinds <= CLAIMS_ABOVE
    return {(True, True): EXACT, (True, False): LOWER, (False, True): UPPER, (False, False): ESTIMATE}[
        below, above
    ]


QUARTERS = st.integers(-400, 400).map(lambda n: n / 4)
SLACKS = st.integers(0, 40).map(lambda n: n / 4)
FACTORS = st.sampled_from([-3.0, -2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0, 3])


@st.composite
def valid_claims(draw: st.DrawFn) -> Claim:
    kind = draw(st.sampled_from(KINDS))
    expectation = draw(QUARTERS)
    truth = {
        EXACT: lambda: expectation,
        LOWER: lambda: expectation + draw(SLACKS),
        UPPER: lambda: expectation - draw(SLACKS),
        ESTIMATE: lambda: draw(QUARTERS),
    }[kind]()
    value, interval = expectation, None
    if draw(st.booleans()):
        value = draw(QUARTERS)
        low, high = min(value, expectation) - draw(SLACKS), max(value, expectation) + draw(SLACKS)
        interval = (draw(st.sampled_from([low, -math.inf])), draw(st.sampled_from([high, math.inf])))
    level = draw(st.sampled_from([0.5, 0.75, 0.9, 0.95, 0.99]))
    return Claim(
        truth, expectation, Quantity(value, kind, "nats", "mass", interval, level), frozenset({kind})
    )


def trees(leaves: st.SearchStrategy[Claim]) -> st.SearchStrategy[Claim]:
    """Random expressions of +, -, unary - and multiplication by a constant."""
    return st.recursive(
        leaves,
        lambda parts: st.one_of(
            st.tuples(parts, parts).map(lambda pair: pair[0] + pair[1]),
            st.tuples(parts, parts).map(lambda pair: pair[0] - pair[1]),
            parts.map(lambda part: -part),
            st.tuples(parts, FACTORS).map(lambda pair: pair[0] * pair[1]),
        ),
        max_leaves=8,
    )


@settings(max_examples=400)
@given(trees(valid_claims()))
def test_every_expression_of_true_statements_is_a_true_statement(claim: Claim) -> None:
    assert claim.holds


@settings(max_examples=200)
@given(trees(valid_claims()))
def test_an_expression_claims_what_all_its_terms_claim_and_no_more(claim: Claim) -> None:
    assert claim.quantity.kind is strongest(claim.leaves)


@given(trees(valid_claims()), st.integers(1, 3072))
def test_bits_per_dim_of_a_true_statement_is_a_true_statement(claim: Claim, dims: int) -> None:
    # rounding is monotone, so one float factor keeps every <= and every equality
    factor = -1.0 / (dims * math.log(2))
    bits = claim.quantity.bits_per_dim(dims)
    assert replace(
        claim, truth=claim.truth * factor, expectation=claim.expectation * factor, quantity=bits
    ).holds
    assert bits.kind is -claim.quantity.kind
    assert bits.unit == "bits/dim"


@given(valid_claims(), trees(valid_claims()))
def test_nothing_added_to_an_estimate_makes_it_a_bound(claim: Claim, other: Claim) -> None:
    estimate = replace(claim.quantity, kind=ESTIMATE)
    for composed in (
        estimate + other.quantity,
        other.quantity - estimate,
        -estimate,
        estimate * -2.0,
        estimate * 0.0,
    ):
        assert composed.kind is ESTIMATE


@pytest.mark.parametrize("first, second", PAIRS)
def test_a_sum_of_kinds_claims_exactly_what_both_claim(first: Kind, second: Kind) -> None:
    assert first + second is strongest(frozenset({first, second}))


def test_kinds_add_commutatively_and_associatively_with_exact_as_zero_and_estimate_absorbing() -> None:
    for a, b, c in itertools.product(KINDS, repeat=3):
        assert a + b is b + a
        assert (a + b) + c is a + (b + c)
        assert -(a + b) is (-a) + (-b)
        opposite = -a
        assert -opposite is a
        assert a + EXACT is a
        assert a + ESTIMATE is ESTIMATE


def test_a_lower_minus_a_lower_bound_and_a_lower_plus_an_upper_bound_are_estimates() -> None:
    lower, upper = Quantity(1.0, LOWER), Quantity(2.0, UPPER)
    assert (lower - lower).kind is ESTIMATE
    assert (lower + upper).kind is ESTIMATE
    assert (lower - upper).kind is LOWER
    assert (upper - lower).kind is UPPER


@given(trees(valid_claims()), trees(valid_claims()), FACTORS)
def test_no_operation_raises_the_level_of_its_operands(a: Claim, b: Claim, factor: float) -> None:
    first, second = a.quantity, b.quantity
    total = first + second
    noisy = [q.level for q in (first, second) if q.interval is not None] or [first.level, second.level]
    # 1 - (1 - level) rounds twice, by at most 2**-54 each time
    assert total.level <= min(noisy) + 2**-53
    assert total.level == (second + first).level
    assert (first * factor).level == first.level


def test_error_levels_add_up_in_a_sum_and_never_pass_below_zero() -> None:
    noisy = Quantity(0.0, interval=(-1.0, 1.0), level=0.75)
    assert (noisy + noisy).level == 0.5  # 1 - 2 * 0.25: Bonferroni, without independence
    assert (noisy + noisy + noisy + noisy + noisy).level == 0.0
    assert (noisy + Quantity(1.0, level=0.5)).level == 0.75  # a number without noise cannot miss


def test_a_sum_of_intervals_holds_the_sum_of_any_two_points_in_them() -> None:
    total = Quantity(0.0, interval=(-1.0, 2.0)) - Quantity(5.0, interval=(3.0, 9.0))
    assert total.interval == (-10.0, -1.0)
    assert (Quantity(1.0, interval=(0.0, 4.0)) * -2.0).interval == (-8.0, 0.0)
    assert (Quantity(1.0, interval=(-math.inf, math.inf)) * 0.0).interval == (0.0, 0.0)


def test_an_unbounded_interval_plus_an_infinite_number_is_that_infinity_and_no_error() -> None:
    total = Quantity(0.0, interval=(-math.inf, math.inf)) + Quantity(math.inf)
    assert total.value == math.inf


# ---------------------------------------------------------------------------------------------------------------
# What cannot be composed, and what cannot exist
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        Quantity(1.0, EXACT, "bits/dim", "mass"),
        Quantity(1.0, EXACT, "seconds", "mass"),
        Quantity(1.0, EXACT, "nats", "density"),
        Quantity(1.0, EXACT, "nats", "mixed"),
        Quantity(1.0, EXACT, "nats", None),
    ],
)
def test_another_unit_or_measure_is_incomparable(other: Quantity) -> None:
    one = Quantity(1.0, EXACT, "nats", "mass")
    for compose in (lambda: one + other, lambda: other + one, lambda: one - other):
        with pytest.raises(Incomparable):
            compose()


def test_bits_per_dim_are_made_from_nats_only() -> None:
    with pytest.raises(Incomparable, match="nats"):
        Quantity(1.0, unit="seconds").bits_per_dim(3)


@pytest.mark.parametrize("factor", [math.nan, math.inf, -math.inf, "2", None])
def test_a_factor_is_a_finite_number(factor: object) -> None:
    with pytest.raises(UsageError):
        Quantity(1.0) * factor  # type: ignore[operator]


@pytest.mark.parametrize(
    "value, interval", [(math.nan, None), (math.nan, (0.0, 1.0)), (2.0, (0.0, 1.0)), (0.5, (math.nan, 1.0))]
)
def test_nan_and_an_interval_without_its_value_are_impossible(
    value: float, interval: tuple[float, float] | None
) -> None:
    with pytest.raises(Impossible):
        Quantity(value, interval=interval)


def test_infinity_minus_infinity_is_impossible() -> None:
    with pytest.raises(Impossible):
        Quantity(-math.inf) - Quantity(-math.inf)


# ---------------------------------------------------------------------------------------------------------------
# Scores
# ---------------------------------------------------------------------------------------------------------------


def scores(
    values: list[float] | np.ndarray,
    kind: Kind = EXACT,
    measure: str = "density",
    dims: int = 1,
    rows: str = "r",
) -> Scores:
    return Scores(np.array(values, dtype=np.float64), kind, measure, dims, rows, how={"seed": 0})  # type: ignore[arg-type]


def test_a_nan_score_is_impossible_and_its_row_is_named() -> None:
    with pytest.raises(Impossible, match="row 1"):
        scores([-1.0, math.nan, -2.0])


@pytest.mark.parametrize("values", [[], [[-1.0, -2.0]]])
def test_scores_are_one_number_a_row(values: list) -> None:
    with pytest.raises(UsageError):
        scores(values)


@pytest.mark.parametrize("kind", [EXACT, LOWER])
def test_a_mean_log_mass_above_zero_is_impossible(kind: Kind) -> None:
    # 200 rows: the interval of the mean, 0.125 +- 0.1 at 99.99 %, is above zero, so it is no noise of a bound
    with pytest.raises(Impossible, match="above one"):
        scores([0.5, -0.25] * 100, kind, "mass")


def test_a_bound_that_a_few_noisy_rows_lift_above_zero_is_not_called_impossible() -> None:
    assert scores([0.5], LOWER, "mass").mean().value == 0.5
    assert scores([0.5, -0.25], LOWER, "mass").mean().value == 0.125


def test_one_exact_log_mass_above_zero_is_impossible_and_one_bound_above_zero_is_noise() -> None:
    values = [0.5, -2.0]
    with pytest.raises(Impossible, match="above one"):
        scores(values, EXACT, "mass")
    assert scores(values, LOWER, "mass").mean().value == -0.75


def test_an_upper_bound_of_a_log_mass_may_exceed_zero() -> None:
    # it is loose there, and true: log P(x) <= 0 <= 0.3
    assert scores([0.3, 0.1], UPPER, "mass").mean().value == pytest.approx(0.2, abs=1e-15)


def test_densities_and_costs_may_take_either_sign() -> None:
    assert scores([3.0, 5.0], EXACT, "density").mean().value == 4.0
    assert scores([-3.0, -5.0], EXACT, "mass").bits_per_dim.mean().value == pytest.approx(4 / math.log(2))


def test_bits_per_dim_of_scores_turns_a_lower_bound_into_an_upper_one() -> None:
    for kind in KINDS:
        bits = scores(np.log([0.5, 0.125]), kind, "mass", dims=2).bits_per_dim
        np.testing.assert_allclose(bits.values, [0.5, 1.5], rtol=1e-15)
        assert bits.kind is -kind
        assert bits.bits_per_dim is bits


def test_the_mean_of_bits_is_the_bits_of_the_mean() -> None:
    nats = scores([-1.0, -2.5, -7.0], LOWER, "mass", dims=4)
    one, other = nats.bits_per_dim.mean(), nats.mean().bits_per_dim(4)
    assert (
        (one.kind, one.unit, one.measure)
        == (other.kind, other.unit, other.measure)
        == (UPPER, "bits/dim", "mass")
    )
    # the same six operations in another order: a few units in the last place
    assert one.value == pytest.approx(other.value, rel=1e-14)
    assert one.interval == pytest.approx(other.interval, rel=1e-14)


def test_a_row_of_zero_mass_makes_the_mean_minus_infinity_with_no_finite_interval() -> None:
    mean = scores([-1.0, -math.inf], EXACT, "mass").mean()
    assert mean.value == -math.inf
    assert mean.interval == (-math.inf, math.inf)


# ---------------------------------------------------------------------------------------------------------------
# Orders
# ---------------------------------------------------------------------------------------------------------------

VALUES = st.integers(-40, 40).map(lambda n: n / 4)


@st.composite
def score_pairs(draw: st.DrawFn) -> tuple[Scores, Scores]:
    n = draw(st.integers(1, 6))
    sides = [draw(st.lists(VALUES, min_size=n, max_size=n)) for _ in range(2)]
    if draw(st.booleans()):
        row = draw(st.integers(0, n - 1))
        sides[0][row] = -math.inf
        if draw(st.booleans()):
            sides[1][row] = -math.inf
    first, second = (scores(side, draw(st.sampled_from(KINDS))) for side in sides)
    return first, second


@given(score_pairs())
def test_an_order_is_proven_exactly_when_the_reverse_is_refuted(pair: tuple[Scores, Scores]) -> None:
    first, second = pair
    there, back = order(first, second), order(second, first)
    mirror = {
        Answer.PROVEN: Answer.REFUTED,
        Answer.REFUTED: Answer.PROVEN,
        Answer.UNDECIDED: Answer.UNDECIDED,
    }
    assert back.answer is mirror[there.answer]
    low, high = there.difference.interval
    assert back.difference.value == -there.difference.value
    assert back.difference.interval == (-high, -low)
    assert back.difference.kind is -there.difference.kind


@given(score_pairs())
def test_what_is_proven_is_claimed_by_both_kinds_and_by_the_interval(pair: tuple[Scores, Scores]) -> None:
    first, second = pair
    result = order(first, second)
    low, high = mean_interval(_differences(first, second))
    if result.answer is Answer.PROVEN:
        assert first.kind in CLAIMS_BELOW and second.kind in CLAIMS_ABOVE and low > 0
    if result.answer is Answer.REFUTED:
        assert first.kind in CLAIMS_ABOVE and second.kind in CLAIMS_BELOW and high < 0


def _differences(first: Scores, second: Scores) -> np.ndarray:
    pairs = zip(first.values, second.values, strict=True)
    return np.array([0.0 if math.isinf(a) and a == b else a - b for a, b in pairs])


@pytest.mark.parametrize("first, second", PAIRS)
def test_a_clear_difference_is_decided_by_the_kinds_alone(first: Kind, second: Kind) -> None:
    high, low = [-1.0, -1.1, -0.9, -1.0], [-5.0, -5.2, -4.9, -5.1]
    can_prove = first in CLAIMS_BELOW and second in CLAIMS_ABOVE
    can_refute = first in CLAIMS_ABOVE and second in CLAIMS_BELOW
    assert order(scores(high, first), scores(low, second)).answer is (
        Answer.PROVEN if can_prove else Answer.UNDECIDED
    )
    assert order(scores(low, first), scores(high, second)).answer is (
        Answer.REFUTED if can_refute else Answer.UNDECIDED
    )


@given(score_pairs(), st.sampled_from([LOWER, UPPER, ESTIMATE]))
def test_two_bounds_of_one_side_are_never_ordered(pair: tuple[Scores, Scores], kind: Kind) -> None:
    first, second = (replace(side, kind=kind) for side in pair)
    assert order(first, second).answer is Answer.UNDECIDED
    assert order(first, second).difference.kind is ESTIMATE


@given(score_pairs())
def test_a_model_is_never_ordered_against_itself(pair: tuple[Scores, Scores]) -> None:
    first, _ = pair
    assert order(first, first).answer is Answer.UNDECIDED
    assert order(first, first).difference.value == 0.0


def test_an_interval_that_holds_zero_proves_nothing() -> None:
    # differences -1, 0, 4: mean 1, standard error 1.53
    assert order(scores([0.0, 0.0, 4.0]), scores([1.0, 0.0, 0.0])).answer is Answer.UNDECIDED


def test_one_row_proves_nothing() -> None:
    assert order(scores([0.0]), scores([-100.0])).answer is Answer.UNDECIDED


def test_pairing_removes_what_both_models_find_hard() -> None:
    # rows differ by hundreds of nats, models by 1 +- 0.1 on each row
    hard = np.array([0.0, -100.0, -200.0, -300.0])
    better, worse = scores(hard + np.array([1.0, 1.1, 0.9, 1.0])), scores(hard)
    assert order(better, worse).answer is Answer.PROVEN
    assert paired_difference(better, worse).value == pytest.approx(1.0, abs=1e-12)


def test_rows_impossible_under_both_models_count_as_ties() -> None:
    difference = paired_difference(scores([-math.inf, -1.0, -3.0]), scores([-math.inf, -2.0, -1.0]))
    expected = mean_interval(np.array([0.0, 1.0, -2.0]), skew_errors=SURE_OF_SKEW)
    assert difference.value == pytest.approx(-1 / 3, abs=1e-15)
    assert difference.interval == expected


def test_a_row_impossible_under_one_model_leaves_the_order_open() -> None:
    result = order(scores([-math.inf, -1.0, -1.0]), scores([-9.0, -9.0, -9.0]))
    assert result.answer is Answer.UNDECIDED
    assert result.difference.value == -math.inf
    assert result.difference.interval == (-math.inf, math.inf)


def test_different_rows_impossible_under_either_model_leave_the_order_open() -> None:
    # each model rules out a row that the other allows: the means are both -inf, and neither is better
    result = order(scores([-math.inf, -1.0, -2.0]), scores([-1.0, -math.inf, -2.0]))
    assert result.answer is Answer.UNDECIDED


@pytest.mark.parametrize(
    "what, other", [("rows", "s"), ("dims", 2), ("measure", "mass"), ("unit", "bits/dim")]
)
def test_scores_of_other_rows_sites_measures_or_units_are_incomparable(what: str, other: object) -> None:
    one = scores([-1.0, -2.0])
    two = replace(one, **{what: other})
    for compose in (paired_difference, order):
        with pytest.raises(Incomparable, match=what if compose is paired_difference else None):
            compose(one, two)


def test_models_are_not_ordered_by_their_costs() -> None:
    bits = scores([-1.0, -2.0]).bits_per_dim
    with pytest.raises(Incomparable, match="nats"):
        order(bits, bits)


# ---------------------------------------------------------------------------------------------------------------
# Provenance as JSON
# ---------------------------------------------------------------------------------------------------------------


@given(trees(valid_claims()))
def test_every_quantity_is_strict_json(claim: Claim) -> None:
    quantity = claim.quantity
    record = json.loads(json.dumps(quantity.to_dict(), allow_nan=False))
    assert record["value"] == quantity.value
    assert record["kind"] == quantity.kind.value
    assert record["sign"] == quantity.kind.sign
    if quantity.interval is None:
        assert record["interval"] is None
    else:
        assert record["interval"] == [end if math.isfinite(end) else None for end in quantity.interval]


@given(score_pairs())
def test_means_and_paired_differences_of_scores_are_strict_json(pair: tuple[Scores, Scores]) -> None:
    first, second = pair
    for quantity in (first.mean(), paired_difference(first, second), order(first, second).difference):
        record = json.loads(json.dumps(quantity.to_dict(), allow_nan=False))
        assert record["how"]["n"] == len(first)
        assert record["how"]["rows"] == "r"
        assert record["value"] == (quantity.value if math.isfinite(quantity.value) else None)


@pytest.mark.parametrize("kind, sign", [(EXACT, "="), (LOWER, ">="), (UPPER, "<="), (ESTIMATE, "~")])
def test_a_printed_number_shows_how_the_truth_stands_to_it(kind: Kind, sign: str) -> None:
    assert repr(Quantity(1.5, kind, "nats", "mass", (1.0, 2.0))) == f"{sign} 1.500 nats [1.000, 2.000]"


# ---------------------------------------------------------------------------------------------------------------
# Intervals
# ---------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30),
    st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]),
)
def test_the_interval_holds_that_of_the_t_test_and_is_it_for_symmetric_values(
    values: list[float], level: float
) -> None:
    rows = np.array(values)
    assume(rows.std() > 1e-3)  # scipy warns of cancellation for constant rows
    theirs = scipy.stats.ttest_1samp(rows, 0.0).confidence_interval(level)
    low, high = mean_interval(rows, level)
    assert low <= theirs.low + 1e-9 and high >= theirs.high - 1e-9
    both = np.concatenate([rows, -rows]) + 1e4  # a mean of next to nothing makes scipy warn as well
    theirs = scipy.stats.ttest_1samp(both, 0.0).confidence_interval(level)
    # both compute mean -+ t s / sqrt n in float64 from |values| <= 1e3; t <= 64 and s <= 1.5e3 cost 1e5 ulps; a skewness
    # below 1e-6 moves an end by less than 1e-6 (t^2 + 1) standard errors
    assert mean_interval(both, level) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


@pytest.mark.parametrize("n, level", [(2, 0.9), (5, 0.95), (20, 0.5), (20, 0.95)])
def test_the_interval_covers_the_mean_of_normal_rows_as_often_as_its_level_says(n: int, level: float) -> None:
    trials = 2000
    draws = np.random.default_rng(n).normal(3.0, 2.0, size=(trials, n))
    hits = sum(low <= 3.0 <= high for low, high in (mean_interval(row, level) for row in draws))
    # exact coverage makes hits binomial: four standard errors; the noise of the skewness widens by 0.02 at most
    noise = 4 * math.sqrt(level * (1 - level) / trials)
    assert -noise < hits / trials - level < noise + 0.02


SKEWED = {
    "squares": lambda rng, n: 0.5 - rng.normal(size=n) ** 2 / 2,  # the log-likelihoods of one real column
    "exponential": lambda rng, n: rng.exponential(size=n) - 1,
}


@pytest.mark.parametrize("law", SKEWED)
def test_an_interval_of_skewed_values_covers_as_often_as_it_says(law: str) -> None:
    """Of 30 values Student's t alone covers 90.8 % (squares) and 93.0 %, four standard errors and more too few."""
    trials, rng = 2000, np.random.default_rng(1)
    draws = [SKEWED[law](rng, 30) for _ in range(trials)]
    hits = sum(low <= 0 <= high for low, high in map(mean_interval, draws))
    assert abs(hits / trials - 0.95) < 0.01 + 3 * math.sqrt(0.95 * 0.05 / trials)
    halves = [half_sum_interval(draw, -SKEWED[law](rng, 60)) for draw in draws]
    assert abs(sum(low <= 0 <= high for low, high in halves) / trials - 0.95) < 0.025


@pytest.mark.parametrize("law", SKEWED)
def test_an_order_at_the_level_of_many_is_wrong_as_rarely_as_it_says(law: str) -> None:
    """The level that the 45 orders of ten models share. With t alone 15 and 8 times as many would be wrong of 30 rows."""
    trials, level, rng = 4000, 1 - 0.05 / 45, np.random.default_rng(2)
    still = np.zeros(30)
    wrong = sum(
        order(scores(SKEWED[law](rng, 30)), scores(still), level).answer is not Answer.UNDECIDED
        for _ in range(trials)
    )
    assert wrong <= trials * (1 - level) + 3 * math.sqrt(trials * (1 - level))


def test_differences_that_are_all_one_number_order_nothing() -> None:
    """Nine rows of ten gain 0.1 and one loses 2: the nine that are seen in 39 % of the samples of nine say nothing of it."""
    one, other = scores([-1.0] * 9), scores([-1.1] * 9)
    assert order(one, other).answer is Answer.UNDECIDED
    assert paired_difference(one, other).interval == (-math.inf, math.inf)


def test_the_mean_of_scores_carries_the_interval_of_its_own_rows() -> None:
    values = np.random.default_rng(0).normal(-5.0, 1.0, size=12)
    mean = scores(values).mean(0.9)
    assert mean.level == 0.9
    assert mean.interval == mean_interval(values, 0.9)


@pytest.mark.parametrize("values", [[1.0], [1.0, -math.inf], [1.0, math.inf, 2.0]])
def test_one_value_or_an_infinite_one_bounds_nothing(values: list[float]) -> None:
    assert mean_interval(np.array(values)) == (-math.inf, math.inf)
