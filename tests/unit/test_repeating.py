"""These weights or this method: intervals over rows and seeds, and orders of methods."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jensen
from jensen.quantity import Answer, Kind, Scores
from jensen.repeating import interval_of, methods_of


def scores(values: np.ndarray, kind: Kind = Kind.EXACT) -> Scores:
    return Scores(values, kind, "density", 2, "rows")


def test_the_interval_covers_the_mean_of_a_two_way_law() -> None:
    """v = mu + a_s + b_r + e with known spreads: 95 % intervals cover mu in 93 to 99.5 % of 800 draws (a little wide)."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(800):
        a, b = rng.normal(0, 0.3, (5, 1)), rng.normal(0, 1.0, (1, 60))
        values = 2.0 + a + b + rng.normal(0, 0.5, (5, 60))
        low, high = interval_of(values, 0.95)
        hits += low <= 2.0 <= high
    assert 0.93 <= hits / 800 <= 0.995


def test_few_seeds_prove_false_orders_as_rarely_as_they_say() -> None:
    """Three equal methods, 2 seeds each: with one quantile for seeds and rows one comparison in six had a false order."""
    rng, wrong = np.random.default_rng(4), 0
    for _ in range(400):
        hard = rng.normal(size=40)
        tables = {
            name: [scores(hard + 0.3 * rng.normal() + 0.1 * rng.normal(size=40)) for _ in range(2)]
            for name in "abc"
        }
        found = methods_of(tables, range(2), 0.95).orders
        wrong += any(one.order.answer is not Answer.UNDECIDED for one in found)
    assert wrong <= 400 * 0.05 + 3 * math.sqrt(400 * 0.05 * 0.95)


def test_without_seed_noise_the_interval_is_that_of_the_rows() -> None:
    rng = np.random.default_rng(1)
    row = rng.normal(size=400)
    low, high = interval_of(np.stack([row] * 4), 0.95)
    half = 1.966 * row.std(ddof=1) / math.sqrt(400)
    assert high - low == pytest.approx(2 * half, rel=2e-3)


def test_an_order_of_weights_that_seeds_overturn_is_no_order_of_methods() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0, 1, 500)
    steady = [scores(base + 0.01 * rng.normal(size=500)) for _ in range(5)]
    lucky = [scores(base + shift) for shift in (0.5, -0.6, 0.4, -0.5, 0.1)]
    better = [scores(base + 1.0 + shift) for shift in (0.02, -0.02, 0.0, 0.01, -0.01)]
    found = methods_of({"steady": steady, "lucky": lucky, "better": better}, range(5), 0.95)
    told = {(one.better, one.worse): one.order.answer for one in found.orders}
    assert jensen.quantity.order(lucky[0], steady[0]).answer is Answer.PROVEN  # of these weights
    assert told[("better", "steady")] is Answer.PROVEN
    assert {told.get(("steady", "lucky")), told.get(("lucky", "steady"))} == {None, Answer.UNDECIDED}
    assert found.methods[0].name == "better"
    spread = next(one for one in found.methods if one.name == "lucky")
    assert spread.between == pytest.approx(np.std([0.5, -0.6, 0.4, -0.5, 0.1], ddof=1), abs=1e-9)


def test_bounds_prove_no_more_of_methods_than_of_weights() -> None:
    base, rough = np.random.default_rng(3).normal(0, 1, (2, 100))
    high = [scores(base + 2 + 0.1 * rough + s, Kind.LOWER) for s in (0.0, 0.01, 0.02)]
    low = [scores(base + s, Kind.LOWER) for s in (0.0, 0.01, 0.02)]
    exact = [scores(base + s) for s in (0.0, 0.01, 0.02)]
    both = methods_of({"a": high, "b": low}, range(3), 0.95).orders[0].order
    assert both.answer is Answer.UNDECIDED and both.difference.kind is Kind.ESTIMATE
    assert methods_of({"a": high, "b": exact}, range(3), 0.95).orders[0].order.answer is Answer.PROVEN


def test_a_comparison_with_seeds_says_both() -> None:
    plan = jensen.Plan(steps=40)
    result = jensen.compare(["independent", "made"], "iris", seeds=3, plan=plan, lens=None)
    record = result.to_dict()
    assert record["methods"]["seeds"] == [0, 1, 2]
    methods = {one["name"]: one for one in record["methods"]["methods"]}
    assert methods["independent"]["between"] == 0.0  # counting has no seed
    assert len(set(methods["made"]["each"])) == 3
    first = next(one for one in record["models"] if one["name"] == "made")["log_likelihood"]["value"]
    assert first == pytest.approx(methods["made"]["each"][0], abs=1e-9)
    text = result.table()
    assert "each fitted with 3 seeds" in text and "from seed to seed" in text
    assert jensen.compare(["independent"], "iris").to_dict()["methods"] is None
    with pytest.raises(jensen.UsageError, match="seeds=0"):
        jensen.compare(["independent"], "iris", seeds=0)


@pytest.mark.filterwarnings("ignore::jensen.errors.JensenWarning")  # two steps make no generator
def test_a_setting_that_is_given_is_kept_also_where_it_equals_the_default() -> None:
    assert jensen.Plan().given == frozenset() and jensen.Plan(batch=128).given == {"batch"}
    assert jensen.Plan(batch=128).replaced(rate=1e-3).given == {"batch", "rate"}
    x = np.random.default_rng(0).normal(size=(600, 2))
    usual = jensen.fit("gan", x, steps=2).record["plan"]["batch"]
    told = jensen.fit("gan", x, plan=jensen.Plan(steps=2, batch=128)).record["plan"]["batch"]
    assert (usual, told) == (512, 128)
