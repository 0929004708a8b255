"""A refined model against laws whose density is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jensen
from jensen.adapt.samples import samples_of
from jensen.errors import Cannot, DataError, JensenWarning, UsageError
from jensen.resampling import by_rejection, by_weight, pool_size
from jensen.space import Space


def lumps(n: int, seed: int = 0) -> np.ndarray:
    """Half N(-2, 0.5^2), half N(2, 0.5^2), and a column of N(0, 1)."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.choice([-2.0, 2.0], n) + 0.5 * rng.normal(size=n), rng.normal(size=n)], 1)


def log_lumps(x: np.ndarray) -> np.ndarray:
    """Its log density (n,)."""
    first = np.logaddexp(*(-((x[:, 0] - m) ** 2) / 0.5 for m in (-2.0, 2.0))) - math.log(2 * 0.5)
    return first - x[:, 1] ** 2 / 2 - math.log(2 * math.pi)


@pytest.fixture(scope="module")
def refined():
    return jensen.fit("independent", lumps(2400)).refine(jensen.rows(lumps(2400)))


def test_refining_a_gaussian_finds_the_two_lumps(refined) -> None:
    """Independent normals lose KL nats a row; the critic wins most of them back, and says so without having seen the rows."""
    fresh = lumps(4000, seed=9)
    truth = log_lumps(fresh)
    before, after = refined.fitted.score(fresh), refined.score(fresh)
    assert after.kind is jensen.Kind.ESTIMATE
    lost = (truth - before.values).mean()  # KL(lumps || normals)
    assert 0.3 < lost < 0.9
    assert abs((truth - after.values).mean()) < 0.35 * lost
    assert np.abs(truth - after.values).mean() < 0.45
    assert refined.gain.interval[0] > 0.5 * lost and refined.after.value > refined.before.value


def test_the_refined_density_integrates_to_one(refined) -> None:
    """Over f0: E_f0 f1 / f0 = 1, on 20,000 samples that no part of it has seen, to five standard errors and those of Z."""
    ratio = np.exp(refined.log_ratio(refined.fitted.sample(20_000, seed=77)))
    noise = ratio.std() * math.sqrt(1 / 20_000 + 1 / refined.normaliser.how["n"])
    assert abs(ratio.mean() - 1) < 5 * noise


def test_samples_that_pass_follow_the_corrected_law(refined) -> None:
    """Mass between the lumps, |x| < 1: 2.3 % in truth, far more before; and the bound on the JSD falls."""
    share = [(np.abs(one.sample(4000, seed=1)[:, 0]) < 1).mean() for one in (refined.fitted, refined)]
    assert share[0] > 0.3 and share[1] < 0.08
    assert refined.jsd_after.value < refined.jsd_before.value / 2
    assert np.array_equal(refined.sample(50, seed=3), refined.sample(50, seed=3))


def test_what_only_samples_is_resampled_and_gets_no_density() -> None:
    rows = lumps(1200)
    rng = np.random.default_rng(5)
    broad = np.stack([rng.uniform(-4, 4, 60_000), rng.normal(size=60_000)], 1)
    theirs = samples_of("theirs", broad, Space.real(2))
    found = theirs.refine(jensen.rows(rows))
    assert found.after is None and found.jsd_after.value < found.jsd_before.value
    assert found.sample(100, seed=0).shape == (100, 2)
    with pytest.raises(Cannot, match="log_prob"):
        found.score(rows)


def test_what_cannot_be_refined_says_why() -> None:
    fitted = jensen.fit("independent", lumps(300))
    with pytest.raises(DataError, match="needs 40"):
        fitted.refine(lumps(60))
    with pytest.raises(DataError, match="other rows"):
        fitted.refine(jensen.rows(np.random.default_rng(0).normal(size=(300, 3))))
    given = jensen.fit("made", jensen.rows("iris", context="label"), steps=2, hidden=(8,))
    with pytest.raises(Cannot, match="conditional"):
        given.refine(jensen.rows("iris"))


def tilted(x: np.ndarray) -> np.ndarray:
    """log N(1, 1) - log N(0, 1)."""
    return x[:, 0] - 0.5


def normal(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 1))


def test_rows_by_weight_follow_the_other_law_and_their_worth_is_the_known_one() -> None:
    """N(0, 1) by weights e^(x - 1/2) is N(1, 1); E w^2 = e, so that the pool is worth a share 1 / e."""
    found = by_weight(normal, tilted, 4000, 40_000, 0)
    # the variance of the mean: of 4,000 systematic rows at most 1 / 4000, and of the pool's own error var / ess
    error = math.sqrt(1 / 4000 + 1 / found.ess)
    assert abs(found.rows.mean() - 1) < 5 * error
    assert abs(found.rows.var() - 1) < 5 * math.sqrt(2) * error
    assert found.ess / found.pool == pytest.approx(
        1 / math.e, rel=0.06
    )  # E w^4 is finite: its error is 1.6 %
    assert found.pool == 40_000 and found.notes == () and found.distinct > 3600
    again = by_weight(normal, tilted, 4000, 40_000, 0)
    assert np.array_equal(found.rows, again.rows)


def test_equal_weights_take_every_row_as_often() -> None:
    found = by_weight(lambda n, seed: np.arange(n)[:, None], lambda x: np.zeros(len(x)), 30, 10, 3)
    assert np.bincount(found.rows[:, 0]).tolist() == [3] * 10
    assert found.ess == pytest.approx(10) and found.distinct == 10
    assert any("fewer than the 30" in note for note in found.notes)
    assert any("10 of the 30 rows are distinct" in note for note in found.notes)


def test_a_law_that_is_hardly_ever_drawn_is_warned_of() -> None:
    """N(5, 1) from N(0, 1): E w^2 = e^25, so that a handful of rows has all the weight."""
    found = by_weight(normal, lambda x: 5 * x[:, 0] - 12.5, 500, 20_000, 0)
    assert found.ess < 50 and any("heavy tail" in note for note in found.notes)
    assert abs(found.rows.mean() - 5) > 0.5  # the warning is due: the mean is far off


def test_both_ways_agree() -> None:
    """A ratio with a ceiling: x in [-1, 1] tilted by e^x has the mean coth(1) - 1 = 0.3130."""

    def draw(n: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).uniform(-1, 1, (n, 1))

    def ratio(x: np.ndarray) -> np.ndarray:
        return x[:, 0]

    truth = 1 / math.tanh(1) - 1
    passed = by_rejection(draw, ratio, 1.0, 0.43, 8000, 0)
    weighed = by_weight(draw, ratio, 8000, pool_size(8000, 0.75), 0)
    for rows in (passed, weighed.rows):
        assert abs(rows.mean() - truth) < 5 * 0.58 / math.sqrt(8000)


def test_a_pool_is_worth_four_times_the_rows_or_as_large_as_allowed() -> None:
    assert pool_size(100, 0.5) == 800 and pool_size(100, 0.0) == 30_000


def test_a_refined_model_draws_by_weight_too(refined) -> None:
    found = refined.resample(2000, 1)
    share = (np.abs(found.rows[:, 0]) < 1).mean()
    assert share < 0.08 and found.ess > 2000 and found.rows.shape == (2000, 2)
    assert np.array_equal(refined.sample(50, 3, by="resampling"), refined.resample(50, 3).rows)
    assert 0 < refined.to_dict()["effective_share"] <= 1
    with pytest.warns(JensenWarning, match="fewer than the 400"):
        small = refined.__class__(**{**vars(refined), "fitted": _Few(refined.fitted)})
        small.sample(400, 0, by="resampling")
    with pytest.raises(UsageError, match="did you mean rejection"):
        refined.sample(5, by="rejecting")


class _Few:
    """A model of which there are 300 samples."""

    def __init__(self, fitted) -> None:
        self.fitted, self.record = fitted, {"samples": 300}

    def sample(self, n: int, seed: int) -> np.ndarray:
        assert n <= 300
        return self.fitted.sample(n, seed=seed)


@pytest.mark.filterwarnings(
    "ignore::jensen.errors.JensenWarning"
)  # so few steps leave both models much to be doubted
@pytest.mark.parametrize("model, hyper", [("vae", {"hidden": (16,), "latents": 2}), ("gan", {"width": 16})])
def test_models_that_only_sample_or_have_a_bound_are_drawn_by_weight(model: str, hyper: dict) -> None:
    """After a few steps both are far from the rows; the weights bring the spread of the first column nearer to the rows'."""
    rows = lumps(800)
    fitted = jensen.fit(model, rows, steps=60, seed=0, **hyper)
    found = fitted.refine(jensen.rows(rows))
    drawn = found.resample(1000, 0)
    assert found.after is None and drawn.rows.shape == (1000, 2) and drawn.ess <= drawn.pool
    before = np.abs(fitted.sample(4000, seed=1)[:, 0]).mean()
    truth = np.abs(lumps(20_000)[:, 0]).mean()
    assert abs(np.abs(drawn.rows[:, 0]).mean() - truth) < 0.7 * abs(before - truth)
