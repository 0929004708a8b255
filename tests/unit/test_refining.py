"""A refined model against laws whose density is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jensen
from jensen.adapt.samples import samples_of
from jensen.errors import Cannot, DataError
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
