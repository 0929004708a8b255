"""Laws of a critic's bound: never above the truth beyond its level, and calibrated, on pairs whose JSD is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from known_pairs import FAR, NULL, ONE_D, SATURATED, TEN_D, KnownPair, exact_jsd
from scipy.stats import binom, kstest

import jensen
from jensen.critics.judgement import Judgement, bound, judge
from jensen.critics.platt import fit_platt
from jensen.critics.telescope import telescope
from jensen.functional.betting import lower_limit
from jensen.functional.binomial import clopper_pearson, upper_limit
from jensen.functional.critic_limits import betting_limits, fano_limit
from jensen.functional.ratio import log_density, normaliser, waymarks
from jensen.space import Space

PAIRS = {"1-D": ONE_D, "10-D": TEN_D, "12.5 nats": SATURATED, "null": NULL}


def most_misses(repeats: int, rate: float = 0.05) -> int:
    """The 99.9 % point of as many chances to miss as there are repeats."""
    return int(binom.ppf(0.999, repeats, rate))


def judged(pair: KnownPair, n: int, seed: int, names: tuple[str, ...] | None = None) -> Judgement:
    x0, x1 = pair.draw(n, seed)
    return judge(x0, x1, Space.real(x0.shape[1]), seed=seed, names=names, permutations=999)


def test_the_quoted_divergences_are_those_of_quadrature() -> None:
    assert exact_jsd(ONE_D.log_ratio, 1.0, 0.7) == pytest.approx(ONE_D.jsd, abs=1e-5)
    for pair, shift in ((SATURATED, 5.0), (FAR, 8.0)):  # only the direction of the shift matters

        def along(x: np.ndarray, shift: float = shift) -> np.ndarray:
            return shift**2 / 2 - shift * x[:, 0]

        assert exact_jsd(along, shift, 1.0) == pytest.approx(pair.jsd, abs=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_the_optimal_critic_reaches_the_divergence_in_expectation(name: str) -> None:
    pair = PAIRS[name]
    x0, x1 = pair.draw(40_000, 0)
    found = jensen.functional.divergence.jsd_lower(
        torch.from_numpy(pair.log_ratio(x1)), torch.from_numpy(pair.log_ratio(x0))
    )
    low, high = found.interval or (0.0, 0.0)
    four_errors = 4 * max((high - low) / 2 / 1.96, 1e-9)
    assert abs(found.value - pair.jsd) < four_errors


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", ["betting", "fano"])
def test_limits_are_above_the_truth_in_few_runs_even_of_the_optimal_critic(name: str, kind: str) -> None:
    pair, n, repeats = PAIRS[name], 250, 200
    misses = 0
    for seed in range(repeats):
        x0, x1 = pair.draw(n, seed)
        _, limit = bound(pair.log_ratio(x0), pair.log_ratio(x1), math.log(n), kind)
        misses += limit > pair.jsd
    assert misses <= most_misses(repeats)


def test_limits_are_sharp_enough_to_be_of_use() -> None:
    n, limits = 1000, {"betting": [], "fano": []}
    for seed in range(20):
        x0, x1 = TEN_D.draw(n, seed)
        l0, l1 = TEN_D.log_ratio(x0), TEN_D.log_ratio(x1)
        limits["betting"].append(betting_limits(l1, l0, math.log(n))[0])
        limits["fano"].append(fano_limit(l1, l0))
    # published means of the same pair at the same n: .210 and .150, each +-.015 between runs
    assert np.mean(limits["betting"]) == pytest.approx(0.210, abs=0.012)
    assert np.mean(limits["fano"]) == pytest.approx(0.150, abs=0.012)


def test_betting_holds_for_a_skewed_law_where_the_normal_approximation_does_not() -> None:
    n, repeats, rate = 200, 300, 0.99
    rng = np.random.default_rng(0)
    rows = (rng.random((repeats, n)) < rate).astype(float)  # nearly always 1: a critic near saturation
    betting = sum(lower_limit(x) > rate for x in rows)
    normal = sum(x.mean() - 1.645 * x.std() / math.sqrt(n) > rate for x in rows)
    assert betting <= most_misses(repeats) < normal


def test_betting_agrees_with_its_definition_row_by_row() -> None:
    x = np.random.default_rng(1).random(60)
    alpha, limit = 0.1, lower_limit(np.random.default_rng(1).random(60), 0.1)

    def wealth(m: float) -> float:
        best, total, squares, seen, log_wealth, v = -math.inf, 0.5, 0.25, 0, 0.0, 0.25
        for value in x:
            stake = min(math.sqrt(2 * math.log(1 / alpha) / (len(x) * v)), 0.9 / m)
            log_wealth += math.log(1 + stake * (value - m))
            best, seen, total = max(best, log_wealth), seen + 1, total + value
            squares += (value - total / (seen + 1)) ** 2
            v = squares / (seen + 1)
        return best

    assert wealth(limit - 1e-6) >= math.log(1 / alpha) > wealth(limit + 1e-6)


@pytest.mark.parametrize("n, rate", [(10, 0.05), (50, 0.3), (200, 0.9)])
def test_binomial_limits_miss_no_more_than_they_say(n: int, rate: float) -> None:
    events = np.arange(n + 1)
    chances = binom.pmf(events, n, rate)
    above = np.array([upper_limit(int(k), n) < rate for k in events])
    ends = [clopper_pearson(int(k), n) for k in events]
    outside = np.array([not low <= rate <= high for low, high in ends])
    assert chances[above].sum() <= 0.05 + 1e-12
    assert chances[outside].sum() <= 0.05 + 1e-12


def test_a_fresh_critic_s_limit_is_seldom_above_the_truth() -> None:
    repeats = 40
    found = [judged(ONE_D, 600, seed, ("quadratic",)) for seed in range(repeats)]
    assert sum(one.limit > ONE_D.jsd for one in found) <= most_misses(repeats)
    assert np.mean([one.jsd.value for one in found]) == pytest.approx(ONE_D.jsd, abs=0.02)
    assert all(one.jsd.kind is jensen.Kind.LOWER and one.gap.kind is jensen.Kind.ESTIMATE for one in found)


def test_p_values_of_one_law_are_uniform() -> None:
    def p_value(seed: int) -> float:
        rng = np.random.default_rng([seed, 103])
        x = rng.normal(size=(2, 120, 3))
        return judge(x[0], x[1], Space.real(3), seed=seed, names=("quadratic",), permutations=999).p_value

    p_values = [p_value(seed) for seed in range(80)]
    assert kstest(p_values, "uniform").pvalue > 0.001
    assert sum(p <= 0.05 for p in p_values) <= most_misses(len(p_values))


def test_training_rows_would_claim_a_divergence_that_is_not_there() -> None:
    found = judged(NULL, 600, 0, ("quadratic",))
    train = [x[part.train] for x, part in zip(NULL.draw(600, 0), found.parts)]
    claimed, _ = bound(found.critic.raw(train[0]), found.critic.raw(train[1]), 6.0, "betting")
    assert claimed.interval is not None and claimed.interval[0] > 0  # without any doubt, and wrong
    assert found.limit <= 0 and found.p_value > 0.01


def test_a_saturated_critic_is_flagged_and_its_telescope_sees_beyond() -> None:
    found = judged(FAR, 4000, 0, ("quadratic",))
    assert found.saturated and found.jsd.value <= math.log(2)
    x0, x1 = FAR.draw(4000, 0)
    seen = telescope(x0[found.parts[0].train], x1[found.parts[1].train], Space.real(10))
    kl = seen.kl(x1[found.parts[1].report])
    assert kl.kind is jensen.Kind.ESTIMATE
    assert kl.value == pytest.approx(32, rel=0.1)
    assert found.l1.mean() < 10  # one critic alone cannot


def test_the_ratio_of_a_critic_is_near_that_of_the_laws() -> None:
    found = judged(TEN_D, 4000, 1, ("quadratic",))
    x0, x1 = TEN_D.draw(2000, 999)
    log_f0 = -(((x1 - 0.5 * np.repeat([1, 0], 5)) / np.repeat([1, 0.7], 5)) ** 2).sum(1) / 2
    log_f0 -= 5 * math.log(2 * math.pi) + 5 * math.log(0.7)
    log_f1 = -(x1**2).sum(1) / 2 - 5 * math.log(2 * math.pi)
    estimated = log_density(torch.from_numpy(log_f0), torch.from_numpy(found.critic(x1)))
    assert float((estimated - torch.from_numpy(log_f1)).abs().mean()) < 0.45
    assert 0.85 < normaliser(torch.from_numpy(found.critic(x0))).value < 1.15


def test_f1_is_f0_d_over_one_minus_d_for_the_optimal_critic() -> None:
    x = ONE_D.draw(50, 0)[1]
    log_f0 = torch.from_numpy(-(((x[:, 0] - 1) / 0.7) ** 2) / 2 - math.log(0.7) - math.log(2 * math.pi) / 2)
    log_f1 = torch.from_numpy(-(x[:, 0] ** 2) / 2 - math.log(2 * math.pi) / 2)
    d = (log_f1.exp() / (log_f0.exp() + log_f1.exp())).double()
    assert torch.allclose(log_density(log_f0, (d / (1 - d)).log()), log_f1, atol=1e-9)


def test_waymarks_keep_the_spread_of_standardised_ends() -> None:
    rng = torch.Generator().manual_seed(0)
    x1, x0 = (torch.randn(20_000, 1, generator=rng) for _ in range(2))
    for mark in waymarks(x1, x0, 4):
        assert float(mark.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * 20_000))


# ---------------------------------------------------------------------------------------------------------------
# Calibrated
# ---------------------------------------------------------------------------------------------------------------


def test_calibration_shrinks_a_critic_that_is_too_sure_to_the_log_ratio() -> None:
    x0, x1 = TEN_D.draw(4000, 3)
    platt = fit_platt(3 * TEN_D.log_ratio(x0), 3 * TEN_D.log_ratio(x1) + 0.0)
    assert platt.slope == pytest.approx(1 / 3, abs=0.03)
    assert platt.bias == pytest.approx(0, abs=0.1)


def test_calibration_never_stretches_and_leaves_a_calibrated_critic_alone() -> None:
    x0, x1 = TEN_D.draw(2000, 4)
    shrunk = fit_platt(TEN_D.log_ratio(x0) / 3, TEN_D.log_ratio(x1) / 3)
    assert shrunk.slope <= 1
    exact = fit_platt(TEN_D.log_ratio(x0), TEN_D.log_ratio(x1))
    assert exact == (1.0, 0.0) or abs(exact.slope - 1) < 0.1


def test_calibration_of_separable_rows_stays_finite() -> None:
    platt = fit_platt(np.full(30, -5.0) - np.arange(30), np.full(30, 5.0) + np.arange(30))
    assert 0 <= platt.slope <= 1 and math.isfinite(platt.bias)


def test_calibration_silences_a_critic_that_is_wrong() -> None:
    rng = np.random.default_rng(0)
    platt = fit_platt(rng.normal(1, 2, 400), rng.normal(-1, 2, 400))
    assert platt.slope == 0 and abs(platt.bias) < 1e-4  # the optimiser's tolerance


# ---------------------------------------------------------------------------------------------------------------
# Soaks
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_whole_panel_is_seldom_above_the_truth_and_mostly_near_it() -> None:
    limits = [judged(ONE_D, 6000, seed).limit for seed in range(50)]
    assert sum(limit > ONE_D.jsd for limit in limits) <= most_misses(50)
    assert sum(0.12 <= limit <= ONE_D.jsd for limit in limits) >= 45


@pytest.mark.slow
def test_the_whole_panel_rejects_one_law_in_few_runs() -> None:
    found = [judged(NULL, 1000, seed) for seed in range(100)]
    assert sum(one.p_value <= 0.05 for one in found) <= most_misses(100)
    assert sum(one.limit > 0 for one in found) <= most_misses(100)
    assert np.mean([one.jsd.value for one in found]) < 0.002


@pytest.mark.slow
@pytest.mark.parametrize("critic", ["mlp", "quadratic"])
def test_calibrated_critics_normalise(critic: str) -> None:
    found = [judged(TEN_D, 4000, seed, (critic,)) for seed in range(10)]
    assert np.mean([one.normaliser.value for one in found]) == pytest.approx(1, abs=0.1)
