"""Two models by the bounds of their critics: the interval covers, pairing helps, and one law twice stays undecided."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.integrate

import jensen
from jensen.critics.platt import log_losses
from jensen.errors import Incomparable, UsageError
from jensen.freshness import Fresh
from jensen.functional.bootstrap import sum_of_means_interval
from jensen.functional.intervals import half_sum_interval
from jensen.quantity import Kind, Quantity
from jensen.separation import bound_difference, separations

N = 300
REPEATS = 200
SLACK = 3 * math.sqrt(0.05 * 0.95 / REPEATS)


def fresh(shift: float, rows: np.ndarray, samples: np.ndarray, slope: float = 1.0) -> Fresh:
    """N(shift, 1) against rows of N(0, 1) by their exact log ratio, (shift^2 / 2 - shift x), times `slope`."""
    l0, l1 = (slope * (shift**2 / 2 - shift * x) for x in (samples, rows))
    on_samples, on_rows = log_losses(l0, l1)
    value = math.log(2) - (on_samples.mean() + on_rows.mean()) / 2
    return Fresh(
        Quantity(float(value), Kind.LOWER, "nats"), on_samples, on_rows, tuple(range(len(rows))), len(samples)
    )


def exact(shift: float) -> float:
    """The JSD of N(0, 1) and N(shift, 1) by quadrature."""
    x = np.linspace(-12, 12, 20_001)
    p, q = (np.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0, shift))
    m = (p + q) / 2
    terms = sum(side * np.log(np.maximum(side, 1e-300) / np.maximum(m, 1e-300)) for side in (p, q)) / 2
    return float(scipy.integrate.trapezoid(terms, x))


def both(seed: int, first: float, second: float, noise: str = "same") -> tuple[Fresh, Fresh]:
    rng = np.random.default_rng(seed)
    rows, z = rng.normal(size=N), rng.normal(size=N)
    other = z if noise == "same" else rng.normal(size=N)
    return fresh(first, rows, first + z), fresh(second, rows, second + other)


def test_the_interval_of_a_skewed_mean_covers_as_often_as_it_says() -> None:
    """Of 60 exponential values; the error of the studentised bootstrap is of order 1 / n."""
    hits = 0
    for seed in range(REPEATS):
        low, high = sum_of_means_interval([np.random.default_rng(seed).exponential(size=60)], seed=seed)
        hits += low <= 1 <= high
    assert hits / REPEATS > 0.95 - 1 / 60 - SLACK


def test_it_is_welchs_interval_where_the_means_are_normal() -> None:
    """2,000 normal values a set: both intervals agree to a twentieth of their width (4,000 redraws leave 2 %)."""
    a, b = np.random.default_rng(0).normal(size=(2, 2000))
    mine, theirs = sum_of_means_interval([a / 2, b / 2]), half_sum_interval(a, b)
    assert np.abs(np.subtract(mine, theirs)).max() < 0.05 * (theirs[1] - theirs[0])


def test_what_has_no_spread_and_what_has_no_end_is_said() -> None:
    assert sum_of_means_interval([np.full(9, 2.0), np.zeros(4)]) == (2.0, 2.0)
    assert sum_of_means_interval([np.zeros(9), np.zeros(1)]) == (-math.inf, math.inf)
    assert sum_of_means_interval([np.array([0.0, np.inf, 1.0])]) == (-math.inf, math.inf)
    with pytest.raises(UsageError, match="level"):
        sum_of_means_interval([np.arange(3.0)], 1.0)


def test_the_difference_of_two_known_divergences_is_covered() -> None:
    truth, hits, widths = exact(1.2) - exact(0.8), 0, []
    for seed in range(REPEATS):
        found = bound_difference(*both(seed, 1.2, 0.8), seed=seed)
        low, high = found.interval or (0, 0)
        hits += low <= truth <= high
        widths.append(high - low)
    assert hits / REPEATS > 0.95 - 1 / N - SLACK
    assert found.kind is Kind.ESTIMATE and "order no two truths" in found.how["about"]
    # in pairs the interval is far shorter than that of two bounds apart, Welch's over the four sets
    one, two = both(0, 1.2, 0.8)
    apart = [half_sum_interval(x.on_samples, x.on_rows) for x in (one, two)]
    assert np.mean(widths) < 0.5 * math.hypot(*(high - low for low, high in apart))


def test_one_law_twice_is_decided_as_rarely_as_the_level_says() -> None:
    """The same law and critic, other samples: the bounds are equal in expectation."""
    decided = [
        separations(dict(zip("ab", both(seed, 0.8, 0.8, "other"))), seed=seed)[0].decided
        for seed in range(REPEATS)
    ]
    assert np.mean(decided) < 0.05 + 1 / N + SLACK


def test_a_model_against_itself_differs_by_nothing() -> None:
    one, _ = both(0, 0.8, 0.8)
    (found,) = separations({"a": one, "b": one})
    assert found.difference.interval == (0.0, 0.0) and not found.decided


def test_samples_of_other_numbers_are_not_paired_and_other_rows_are_refused() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=N)
    one, two = fresh(1.2, rows, 1.2 + rng.normal(size=N)), fresh(0.8, rows, 0.8 + rng.normal(size=2 * N))
    found = bound_difference(one, two)
    assert found.value == pytest.approx(one.jsd.value - two.jsd.value, abs=1e-12)
    assert "samples in pairs" not in found.how["interval"] and found.how["n_samples"] == [N, 2 * N]
    other = fresh(0.8, rows[:-1], rng.normal(size=N))
    with pytest.raises(Incomparable, match="other held-out rows"):
        bound_difference(one, other)


def test_a_comparison_decides_what_it_can_and_says_what_it_is_about(tmp_path: Path) -> None:
    """N(0.8, 1) in two columns against rows of N(0, 1), and twice N(0, 1) itself; all three pairs together at 95 %."""
    rng = np.random.default_rng(0)
    rows, far, near, again = (
        rng.normal(shift, 1, (n, 2)) for shift, n in ((0, 4000), (0.8, 1200), (0, 1200), (0, 1200))
    )
    found = jensen.compare({"far": far, "near": near, "again": again}, rows)
    answers = {frozenset((one.closer, one.farther)): one for one in found.separations()}
    assert len(answers) == 3 and {one.difference.level for one in answers.values()} == {1 - 0.05 / 3}
    for name in ("near", "again"):
        one = answers[frozenset((name, "far"))]
        assert one.decided and one.farther == "far" and one.difference.value > 0
    assert not answers[frozenset(("near", "again"))].decided
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert sum(one["decided"] for one in record["separations"]) == 2
    assert "order no two truths" in record["separations_note"]
    table = found.table()
    assert "far is told apart more easily than near" in table and "undecided: " in table
    assert found.orders() == []  # nothing here has a likelihood: no order is claimed
    page = found.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "more easily than near" in page and "undecided</span>" in page
