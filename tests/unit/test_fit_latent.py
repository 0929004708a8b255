"""Autoencoders from the user's side: fitted, scored, embedded, saved, resumed."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import jensen
from jensen.cli import cli
from jensen.errors import Cannot, SpaceError, UsageError
from jensen.fitted import Fitted
from jensen.model import Can
from jensen.objectives import OBJECTIVES, parse_objective

pytestmark = pytest.mark.filterwarnings("ignore:the posterior has collapsed")  # so short are the fits

SMALL = {"latents": 3, "hidden": (16,)}


@pytest.fixture(scope="module")
def rows() -> jensen.Rows:
    digits = jensen.rows("digits")
    bits = (np.asarray(digits.test) > 7).astype(np.int64)
    return jensen.rows(bits[:200], space=jensen.Space.binary((1, 8, 8)))


@pytest.fixture(scope="module")
def fitted(rows: jensen.Rows) -> Fitted:
    return jensen.fit("vae", rows, steps=60, **SMALL)


def test_scores_are_lower_bounds_that_never_fall_as_k_grows(fitted: Fitted, rows: jensen.Rows) -> None:
    scores = [fitted.score(rows, k=k) for k in (1, 2, 3, 5, 20, 50, 63, 64)]
    assert all(one.kind is jensen.Kind.LOWER for one in scores)
    for one, other in pairwise(scores):
        assert (other.values - one.values).min() >= -1e-9
    assert scores[-1].mean().value > scores[0].mean().value + 0.1
    assert scores[3].how["k"] == 5
    assert np.array_equal(fitted.score(rows, k=5).values, scores[3].values)
    assert not np.array_equal(fitted.score(rows, k=5, seed=1).values, scores[3].values)
    with pytest.raises(UsageError, match="k >= 1"):
        fitted.score(rows, k=0)


def test_rows_come_back_as_features_and_samples(fitted: Fitted, rows: jensen.Rows) -> None:
    assert fitted.embed(rows).shape == (len(rows.test), 3)
    assert set(np.unique(fitted.sample(20, seed=0))) <= {0, 1}
    with pytest.raises(Cannot):
        fitted.model.log_prob(None)


def test_grey_rows_are_no_bits(fitted: Fitted) -> None:
    with pytest.raises(SpaceError, match="binarise"):
        fitted.score(np.full((2, 1, 8, 8), 0.3))


BOUNDS = [name for name in OBJECTIVES if parse_objective(name).needs & (Can.LOG_WEIGHTS | Can.LOG_PROB_LOWER)]


@pytest.mark.parametrize("objective", BOUNDS)
def test_every_objective_trains_and_repeats(objective: str, rows: jensen.Rows) -> None:
    one, other = (jensen.fit("vae", rows, objective=objective, steps=40, **SMALL) for _ in range(2))
    untrained = jensen.fit("vae", rows, steps=1, **SMALL)
    gain = one.score(rows).mean().value - untrained.score(rows).mean().value
    assert gain > 3
    assert np.array_equal(one.score(rows).values, other.score(rows).values)


def test_a_conditional_autoencoder_embeds_and_scores_given_its_context(tmp_path: Path) -> None:
    rows = jensen.rows("iris", context="label")
    fitted = jensen.fit("vae", rows, steps=60, **SMALL)
    features = fitted.embed(rows)
    assert features.shape == (len(rows.test), 3)
    again = jensen.load(fitted.save(tmp_path / "run"))
    assert np.array_equal(again.embed(rows), features)
    assert np.array_equal(again.score(rows).values, fitted.score(rows).values)
    other = fitted.embed(rows.test, context=np.roll(np.asarray(rows.context.test), 1, axis=0))
    assert not np.array_equal(other, features)
    with pytest.raises(UsageError, match="context"):
        fitted.embed(np.asarray(rows.test))


def test_principal_components_are_solved_and_may_be_trained_by_a_bound() -> None:
    rows = jensen.rows("iris")
    solved = jensen.fit("ppca", rows)
    assert solved.score(rows).kind is jensen.Kind.EXACT
    trained = jensen.fit("ppca", rows, objective="iwae:k=5", steps=600, plan=jensen.Plan(rate=1e-2))
    gap = solved.score(rows.train).mean().value - trained.score(rows.train).mean().value
    assert 0 <= gap < 0.05


@pytest.mark.parametrize(
    "text", ["iwae:k=0", "elbo:beta=-1", "elbo:free_bits=x", "renyi:alpha=-1", "ciwae:beta=2", "dreg:m=3"]
)
def test_options_out_of_range_are_refused(text: str, rows: jensen.Rows) -> None:
    with pytest.raises(UsageError) as refused:
        jensen.fit("vae", rows, objective=text, steps=1, **SMALL)
    assert refused.value.wrong and refused.value.given and refused.value.do


def test_an_objective_of_latents_needs_a_model_with_latents(rows: jensen.Rows) -> None:
    with pytest.raises(Cannot, match="log_weights"):
        jensen.fit("made", rows, objective="elbo", steps=1)


def test_the_command_line_keeps_the_statements_of_a_bound_apart(
    fitted: Fitted, rows: jensen.Rows, tmp_path: Path
) -> None:
    run, source = str(fitted.save(tmp_path / "run")), str(tmp_path / "rows.npy")
    np.save(source, np.asarray(rows.test))
    scores = fitted.score(np.asarray(rows.test))
    asked = ["score", run, source, "--quiet"]
    shown = CliRunner().invoke(cli, asked).output
    for word in ("log-likelihood", "noise", "certified", "bias", "effective sample size"):
        assert word in shown
    document = json.loads(CliRunner().invoke(cli, [*asked, "--json"]).output)
    assert document["certified"]["value"] == pytest.approx(scores.certified().value)
    assert document["on_these_rows"]["interval"] == pytest.approx(scores.on_these_rows().interval)
    one = json.loads(
        CliRunner().invoke(cli, [*asked, "-k1", "--method", "annealed", "--levels", "3", "--json"]).output
    )
    assert one["on_these_rows"] is None and one["log_likelihood"]["how"]["levels"] == 3
    assert CliRunner().invoke(cli, [*asked, "--width", "-1"]).exit_code != 0
