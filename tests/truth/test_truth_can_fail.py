"""The suite finds what is wrong: problems that are made wrong on purpose are flagged, each by its own kind of judgement."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import run
from catalogue import problems
from judging import binomial, judge
from problem import Bounded, Covered, Exact, Ordered
from scipy.stats import binomtest

from jensen.functional.intervals import mean_interval
from jensen.quantity import Answer, Kind, Scores, order


def normal(share: float) -> Covered:
    """The t-interval of 20 normal values, made longer or shorter."""

    def draw(seed: int) -> tuple[float, float, float]:
        x = np.random.default_rng(seed).normal(size=20)
        low, high = mean_interval(x)
        middle, half = (low + high) / 2, (high - low) / 2
        return middle - share * half, middle + share * half, 0.0

    return Covered("normal values", "every family", draw, "0")


def test_a_number_that_is_off_by_two_hundred_thousandths_is_flagged() -> None:
    for wrong, holds in ((1 + 2e-5, False), (1 - 2e-5, False), (1 + 2e-6, True), (math.nan, False)):
        assert (
            judge(Exact("one", "flow", lambda wrong=wrong: [(2.0, 2.0), (5.0, 5.0 * wrong)])).holds is holds
        )
    with pytest.raises(ValueError, match="no pair"):
        judge(Exact("none", "flow", list))
    with pytest.raises(ValueError, match="compare"):
        judge(Exact("shapes", "flow", lambda: [([1.0, 1.0], 1.0)]))


def test_an_interval_that_is_a_seventh_too_short_is_flagged() -> None:
    """95.7 % become 92 %, less than 93."""
    right, short = judge(normal(1.0)), judge(normal(0.85))
    assert right.holds and right.decided
    assert not short.holds


def test_an_interval_that_is_a_quarter_too_long_is_flagged_unless_it_is_so_by_design() -> None:
    assert not judge(normal(1.3)).holds
    assert judge(replace(normal(1.3), conservative=True)).holds


def test_repeats_are_doubled_until_the_share_is_decided() -> None:
    doubtful = replace(normal(0.9), repeats=100, most=3200)
    assert judge(doubtful).repeats > 100
    assert judge(replace(normal(1.0), repeats=2000)).repeats == 2000


def test_a_bound_that_is_raised_is_flagged() -> None:
    one = problems()["certified log-likelihood, k = 1, q 1 times as wide"]
    assert isinstance(one, Bounded)
    assert judge(one, 0.2).holds
    raised = replace(one, draw=lambda seed: (one.draw(seed)[0] + 0.5, one.draw(seed)[1]))
    assert not judge(raised, 0.2).holds
    assert not judge(replace(raised, draw=lambda seed: one.draw(seed)[::-1]), 0.2).holds
    assert judge(replace(raised, draw=lambda seed: one.draw(seed)[::-1], above=True), 0.2).holds


def test_orders_at_a_level_that_is_not_theirs_are_flagged() -> None:
    """Equal models ordered at 80 % instead of 95: every fifth comparison proves something."""

    def draw(seed: int) -> tuple[int, int]:
        x = np.random.default_rng(seed).normal(size=(2, 30))
        found = order(*(Scores(row, Kind.EXACT, "density", 1, "rows") for row in x), 0.8)
        wrong = found.answer is not Answer.UNDECIDED
        return int(wrong), int(wrong)

    assert not judge(Ordered("equal", "every family", draw, 400)).holds
    assert judge(Ordered("equal", "every family", draw, 400, level=0.7)).holds


def test_a_share_comes_with_its_binomial_interval() -> None:
    assert binomial(0, 10) == pytest.approx((0.0, 0.30850), abs=1e-5)
    counted = binomtest(380, 400).proportion_ci(0.95, method="exact")
    assert binomial(380, 400) == pytest.approx((counted.low, counted.high), abs=1e-9)


def test_a_missed_goal_ends_with_status_one_and_is_named_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = replace(normal(0.8), name="a short interval")
    monkeypatch.setattr(run, "problems", lambda: {"a short interval": wrong, "right": normal(1.0)})
    for only, status in (("right", 0), ("", 1), ("nothing like it", 2)):
        monkeypatch.setattr(sys, "argv", ["run.py", "--only", only, "--scale", "0.5"])
        assert run.main() == status
        if status < 2:
            last = capsys.readouterr().out.strip().splitlines()[-1]
            assert last == ("MISSED 1: a short interval" if status else "every goal is met")
