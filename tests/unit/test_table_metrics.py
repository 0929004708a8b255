"""Metrics of tables: against values by hand, laws of known distance, and samples of known faults."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from jensen.errors import Cannot, UsageError
from jensen.functional.gower import nearest_mixed
from jensen.metrics import measure
from jensen.metrics.closeness import closeness
from jensen.metrics.columns import column_distance, real_to_real
from jensen.metrics.pairs import pair_differences, pairs_real_to_real
from jensen.metrics.table import Tables, cells
from jensen.metrics.utility import targets, utility
from jensen.space import Column, Space

NAN = float("nan")
SPACE = Space(
    (5,),
    (
        Column("real", name="size", gaps="value"),
        Column("categorical", 3, name="kind", labels=("a", "b", "c"), gaps="value"),
        Column("levels", 6, name="count"),
        Column("binary", name="yes"),
        Column("real", name="day", time="days"),
    ),
)
Values = NDArray[np.float64]


def law(n: int, seed: int, *, tied: bool = True) -> Values:
    """Rows of a law with gaps in which kind tells of size, and count of yes; not `tied`: columns alike, and independent."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    yes = (rng.random(n) < 0.4).astype(float)
    told = [kind, yes] if tied else [rng.choice(3, n, p=[0.5, 0.3, 0.2]), (rng.random(n) < 0.4).astype(float)]
    size = 2.0 * told[0] + rng.normal(size=n)
    count = np.clip(2 * told[1] + rng.integers(0, 4, n), 0, 5)
    day = np.floor(rng.uniform(9000, 20000, n))
    found = np.stack([size, kind, count, yes, day], 1).astype(float)
    found[rng.random(n) < 0.2, 0] = NAN
    found[rng.random(n) < 0.1, 1] = NAN
    return found


def tables(fake: Values, n: int = 600, train: int = 900) -> Tables:
    return Tables(law(n, 1), fake, law(train, 2), SPACE)


# --- columns ---------------------------------------------------------------------------------------------------------


def test_the_distance_of_numbers_is_that_of_kolmogorov_and_smirnov() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=300), np.round(rng.normal(0.2, 1.3, 500), 1)
    assert column_distance(x, y, Column("real")).value == pytest.approx(ks_2samp(x, y).statistic, abs=1e-12)


def test_the_total_variation_counts_gaps_as_a_value_unless_they_are_unseen() -> None:
    x, y = np.array([0, 0, 1, NAN]), np.array([0, 1, 1, 1, NAN, NAN, NAN, NAN])
    found = column_distance(x, y, Column("categorical", 3, labels=("a", "b", "c"), gaps="value"))
    assert found.value == pytest.approx(0.5 - 0.125) and found.how["witness"] == "a"
    unseen = column_distance(x, y, Column("categorical", 3, gaps="unseen"))
    assert unseen.value == pytest.approx(2 / 3 - 1 / 4)
    numbers = column_distance(
        np.array([NAN, 1.0, 2.0, 3.0]), np.array([1.0, 2, 3, 3]), Column("real", gaps="value")
    )
    assert numbers.value == pytest.approx(0.25) and numbers.how["witness"] == "gaps"
    with pytest.raises(Cannot, match="no value"):
        column_distance(np.full(3, NAN), y, Column("categorical", 3, gaps="unseen"))


def test_intervals_of_a_distance_hold_the_truth_in_nineteen_of_twenty_runs() -> None:
    """Two normal laws a standard deviation apart: the distance is 2 Phi(1/2) - 1, its witness nearly always near 1/2. Of 200
    runs 190 are expected, with a standard deviation of 3; the optimism of the witness costs a few."""
    rng, truth, column = np.random.default_rng(3), math.erf(0.5 / math.sqrt(2)), Column("real")
    hits = 0
    for _ in range(200):
        low, high = column_distance(rng.normal(size=800), rng.normal(1, 1, 800), column).interval or (1, 0)
        hits += low <= truth <= high
    assert hits >= 190 - 4 * 3


@pytest.mark.parametrize("column", [Column("real"), Column("categorical", 4)])
def test_what_real_against_real_gives_is_what_fresh_rows_give(column: Column) -> None:
    rng = np.random.default_rng(4)

    def draw(n: int) -> Values:
        return rng.normal(size=n) if column.kind == "real" else rng.integers(0, 4, n).astype(float)

    fresh = [column_distance(draw(200), draw(300), column).value for _ in range(300)]
    error = 5 * np.std(fresh) * math.sqrt(1 / 300 + 1 / 100)
    for pool in (draw(4000), draw(300)):  # the second is too small for 200 and 300 rows
        mean, high = real_to_real(pool, column, 200, 300)
        # a pool of 300 has margins of its own: another tenth
        assert mean == pytest.approx(np.mean(fresh), abs=error + 0.1 * np.mean(fresh) * (len(pool) < 500))
        assert np.mean(np.array(fresh) > high) < 0.15 and high > mean


def test_every_column_has_its_distance_and_the_faulty_one_stands_out() -> None:
    fake = law(900, 5)
    fake[:, 4] += 2000
    found = measure("columns", fake, _Rows(), seed=0)
    assert isinstance(found, dict) and list(found) == ["size", "kind", "count", "yes", "day"]
    beyond = {name: one.value > one.how["high"] for name, one in found.items()}
    assert beyond["day"] and sum(beyond.values()) <= 2
    how = found["day"].how
    # 2000 of 11000 days later: real rows are too many up to any day of the common range
    assert np.datetime64(how["witness"].removeprefix("values up to ")) > np.datetime64("1994-09-01")
    assert how["share_of_real"] - how["share_of_samples"] == pytest.approx(2000 / 11000, abs=0.06)


class _Rows:
    """What `measure` reads of rows."""

    space, test, train = SPACE, law(600, 1), law(900, 2)


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_cramers_v_of_a_table_is_that_of_its_chi_square() -> None:
    rng = np.random.default_rng(6)
    a = rng.integers(0, 3, 5000).astype(float)
    b = np.where(rng.random(5000) < 0.5, a, rng.integers(0, 3, 5000))
    rows, space = np.stack([a, b], 1), Space.categorical(2, 3)
    found = pair_differences(Tables(rows, rows[::-1].copy(), rows, space))
    # P(b = a) is 1/2 + 1/6: phi^2 = 2 (1/2)^2 = 1/2 of 2 cells too many, so that V = 1/2
    assert found.real[0, 1] == pytest.approx(0.5, abs=0.04)
    assert found.difference[0, 1] == 0 and found.mean.value == 0


def test_independent_samples_are_as_far_off_as_the_real_rows_hang_together() -> None:
    found = pair_differences(tables(law(2000, 7, tied=False), n=2000))
    worst = {frozenset(pair): one for pair, one in found.largest}
    for pair in ({0, 1}, {2, 3}):
        one = worst[frozenset(pair)]
        assert one.value == pytest.approx(one.how["v_real"], abs=0.06) and one.value > 0.4
        assert one.how["v_samples"] < 0.1 and (one.interval or (0, 0))[0] > 0.3
    assert found.mean.value > 2 * found.mean.how["real_to_real"]


def test_a_dependence_turned_round_is_seen_although_its_strength_is_the_same() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(3000, 1))
    rows = np.hstack([x, x + rng.normal(size=x.shape)])
    space = Space.real(2)
    turned = np.hstack([rows[:, :1], -rows[:, 1:]])
    found = pair_differences(Tables(rows, turned, rows, space))
    assert abs(found.real[0, 1] - found.fake[0, 1]) < 0.05
    assert found.difference[0, 1] > 1.3 * found.real[0, 1]


def test_real_rows_against_real_rows_differ_by_what_chance_gives() -> None:
    values, usual = [], []
    for seed in range(6):
        one = Tables(law(600, 50 + seed), law(900, 70 + seed), law(900, 90 + seed), SPACE, seed)
        values.append(pair_differences(one).mean.value)
        usual.append(pairs_real_to_real(one)[0])
    assert np.mean(values) == pytest.approx(np.mean(usual), rel=0.35)


def test_a_single_column_has_no_pairs_and_cells_hold_what_they_say() -> None:
    one = Tables(np.zeros((5, 1)), np.zeros((5, 1)), None, Space.real(1))
    with pytest.raises(Cannot, match="no pairs"):
        pair_differences(one)
    column = Column("categorical", 9, gaps="value")
    cut = cells(column, np.array([0.0, 0, 0, 5, 5, 7, NAN]), 3)
    assert cut.count == 4  # 0 and 5, all others, and gaps
    assert cut.codes(np.array([0.0, 5, 7, 8, NAN])).tolist() == [0, 1, 2, 2, 3]
    numbers = cells(Column("real", gaps="unseen"), np.arange(100.0), 4)
    assert numbers.codes(np.array([-5.0, 30, 60, 1e9, NAN])).tolist() == [0, 1, 2, 3, -1]


# --- utility ---------------------------------------------------------------------------------------------------------


def test_a_learner_loses_nothing_on_rows_of_the_law_and_all_on_independent_ones() -> None:
    same, apart = tables(law(900, 9)), tables(law(900, 9, tied=False))
    assert set(targets(same, 2)) <= {0, 1, 2, 3}
    kept, lost = utility(same, "kind"), utility(apart, "kind")
    assert kept.real.value > kept.real.how["chance"] + 0.05
    low, high = kept.lost.interval or (1, 1)
    assert low < 0.02 and high > -0.02
    assert (lost.lost.interval or (0, 0))[1] < 0
    assert kept.lost.value == pytest.approx(kept.synthetic.value - kept.real.value)
    assert utility(same, 1).synthetic.value == kept.synthetic.value
    with pytest.raises(UsageError, match="unknown target"):
        utility(same, "knid")
    with pytest.raises(Cannot, match="rows of each part"):
        utility(Tables(law(20, 1), law(20, 2), law(20, 3), SPACE), 1)


# --- closeness -------------------------------------------------------------------------------------------------------


def test_gowers_distance_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(10)
    x, y = law(40, 11)[:, :4], law(30, 12)[:, :4]
    scale = torch.tensor([3.0, 0.0, 5.0, 0.0])
    for unseen in (torch.tensor([False] * 4), torch.tensor([True, False, False, False])):
        table = np.array([[_gower(a, b, scale.tolist(), unseen.tolist()) for b in y] for a in x])
        but = torch.from_numpy(rng.integers(0, 30, 40))
        for left_out in (None, but):
            if left_out is not None:
                table[np.arange(40), left_out.numpy()] = np.inf
            distance, where = nearest_mixed(
                torch.from_numpy(x), torch.from_numpy(y), scale, unseen=unseen, but=left_out, chunk=7
            )
            assert distance.numpy() == pytest.approx(table.min(1), abs=1e-6)
            assert table[np.arange(40), where.numpy()] == pytest.approx(table.min(1), abs=1e-6)


def _gower(a: Values, b: Values, scale: list[float], unseen: list[bool]) -> float:
    parts = []
    for u, v, wide, skip in zip(a, b, scale, unseen):
        if np.isnan(u) or np.isnan(v):
            if not skip:
                parts.append(float(np.isnan(u) != np.isnan(v)))
        else:
            parts.append(min(1.0, abs(u - v) / wide) if wide else float(u != v))
    return float(np.mean(parts))


def test_copies_are_found_and_fresh_rows_are_as_near_as_held_out_ones() -> None:
    train, fresh = law(900, 2), law(900, 13)
    half = fresh.copy()
    half[::2] = train[::2]
    copied, honest = closeness(tables(half)), closeness(tables(fresh))
    assert copied["exact copies"].value == 0.5 and honest["exact copies"].value < 0.01
    low, high = honest["nearer than held-out rows"].interval or (1, 0)
    assert low - 0.02 < 0.5 < high + 0.02
    assert (copied["nearer than held-out rows"].interval or (0, 0))[0] > 0.65
    # half are at distance 0 and the rest as near as held-out rows: 1/2 + 1/2 x 1/2
    assert copied["nearer than held-out rows"].value == pytest.approx(0.75, abs=0.05)
    assert copied["authenticity"].value < 0.6 * copied["authenticity of held-out rows"].value
    assert honest["nearer than held-out rows"].how["caution"] == "privacy evidence, not a promise"
    alone = measure("closeness", fresh, _Alone())
    assert isinstance(alone, str) and "training rows" in alone


class _Alone(_Rows):
    train: Any = law(2, 2)
