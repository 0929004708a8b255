"""The estimators keep scikit-learn's protocol, and say what the models behind them say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import jensen
from jensen.errors import DataError, SpaceError, UsageError
from jensen.models.ppca import PPCA
from jensen.objectives.contrastive import Contrastive
from jensen.sklearn import Density, Embedding, Synthesizer

pytestmark = [
    # five steps teach an encoder nothing, and it says so; scikit-learn's checks bring warnings of their own
    pytest.mark.filterwarnings("ignore::jensen.errors.JensenWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]

SMALL = {"transforms": 1, "hidden": (8,)}


@parametrize_with_checks(
    [
        Density(steps=5, hyper=SMALL),
        Density("independent"),
        Embedding(steps=5, hyper={"features": 4, "width": 8}),
        Synthesizer(steps=5),
    ]
)
def test_the_estimators_keep_the_protocol(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def correlated(n: int = 300, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)) @ np.array([[1, 2, 0], [0, 1, 1], [0, 0, 0.5]])


def test_scores_are_those_of_the_model_in_nats_of_the_user_s_units() -> None:
    """A Gaussian fitted in closed form: the mean score is close to minus the entropy of the law."""
    x, new = correlated(4000), correlated(2000, 1)
    density = Density(PPCA, hyper={"latents": 2}).fit(x)
    scores = density.score_samples(new)
    np.testing.assert_allclose(scores, density.fitted_.score(new).values, rtol=0, atol=1e-9)
    assert density.score(new) == pytest.approx(scores.mean())
    entropy = 1.5 * np.log(2 * np.pi * np.e) + np.log(0.5)  # |det| of the mixing is 0.5
    # 2000 scores with a standard deviation of sqrt(3/2): five standard errors
    assert abs(scores.mean() + entropy) < 5 * np.sqrt(1.5 / 2000) + 0.02
    scaled = Density(PPCA, hyper={"latents": 2}).fit(10 * x).score(10 * new)
    assert scaled == pytest.approx(scores.mean() - 3 * np.log(10), abs=1e-6)


def test_samples_follow_the_model_and_repeat_by_seed() -> None:
    x = correlated(2000)
    density = Density(PPCA, hyper={"latents": 2}).fit(x)
    drawn = density.sample(4000, random_state=1)
    # five standard errors of a covariance, sqrt(2 / 4000) of the largest variance, and as much for the fit
    assert np.abs(np.cov(drawn.T) - np.cov(x.T)).max() < 2 * 5 * 5 * np.sqrt(2 / 4000)
    assert np.array_equal(density.sample(3, random_state=1), density.sample(3, random_state=1))
    assert not np.array_equal(density.sample(3), density.sample(3))


def test_a_grid_search_finds_the_model_that_explains_held_out_rows() -> None:
    pipe = make_pipeline(StandardScaler(), Density("independent"))
    grid = [
        {"density__model": ["independent"]},
        {"density__model": ["ppca"], "density__hyper": [{"latents": 2}]},
    ]
    search = GridSearchCV(pipe, grid, cv=3).fit(correlated())
    assert search.best_params_["density__model"] == "ppca"
    scores = search.cv_results_["mean_test_score"]
    # what dependence is worth to a Gaussian: -log det(correlations) / 2 = 1.6 nats; two latents hold most of it
    assert scores[0] + 0.8 < scores[1] < scores[0] + 1.8


def test_features_of_flat_images_serve_a_classifier_in_a_pipeline() -> None:
    data = jensen.rows("digits", context="label")
    x, y = np.asarray(data.train[:400]).reshape(400, 64), data.context.train[:400].ravel()  # type: ignore[union-attr]
    eye = Embedding(image_shape=(1, 8, 8), steps=40, hyper={"width": 8, "features": 16}, kinds=None)
    pipe = make_pipeline(eye, StandardScaler(), LogisticRegression(max_iter=200))
    assert cross_val_score(pipe, x, y, cv=2).mean() > 0.5  # a guess has 0.1
    fitted = clone(eye).fit(x)
    assert fitted.transform(x).shape == (400, 16) and fitted.get_feature_names_out()[0] == "embedding0"
    np.testing.assert_allclose(fitted.transform(x[:7]), fitted.transform(x)[:7], rtol=0, atol=1e-9)
    assert "small" in str(fitted.fitted_.record["objective"]) or "auto" in str(
        fitted.fitted_.record["objective"]
    )


def test_a_fit_leaves_the_arguments_as_they_are() -> None:
    x = correlated(60)
    aim, model = Contrastive(), jensen.models.encoder.Encoder(jensen.Space.real(3), features=4, width=8)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    eye = Embedding(model, objective=aim, steps=3).fit(x)
    assert all((model.state_dict()[name] == tensor).all() for name, tensor in before.items())
    assert eye.fitted_.model is not model and "_turn" not in vars(aim)
    assert clone(eye).get_params()["steps"] == 3


def table(n: int = 150) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    colour = rng.choice(["red", "green", "blue"], n, p=[0.7, 0.2, 0.1])
    on = np.where(colour == "red", rng.random(n) < 0.95, rng.random(n) < 0.05)
    return {"colour": colour, "on": on, "count": rng.integers(0, 9, n), "half": rng.integers(0, 5, n) * 0.5}


KINDS = {"half": "levels", "count": "levels"}


def test_a_pandas_table_comes_back_with_its_columns_types_and_labels() -> None:
    frame = pd.DataFrame(table()).astype({"colour": "category", "count": "int8"})
    made = Synthesizer(steps=60, kinds=KINDS).fit(frame).sample(400, random_state=0)
    assert isinstance(made, pd.DataFrame) and list(made.columns) == list(frame.columns)
    pd.testing.assert_series_equal(made.dtypes, frame.dtypes)
    assert set(made["half"]) <= {0, 0.5, 1, 1.5, 2} and made["count"].between(0, 8).all()
    # red things are on, others are off: 400 draws, five standard errors of at most 0.05 about what few steps learn
    by = made.groupby(made["colour"] == "red")["on"].mean()
    assert by[True] > by[False] + 0.25
    assert made.equals(Synthesizer(steps=60, kinds=KINDS).fit(frame).sample(400, random_state=0))


@pytest.mark.parametrize("make", [pl.DataFrame, pl.LazyFrame, pa.table])
def test_tables_of_other_libraries_come_back_as_such(make: Callable[[Any], Any]) -> None:
    frame = make(table())
    made = Synthesizer(steps=3, kinds=KINDS).fit(frame).sample(9, random_state=0)
    frame = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    assert type(made) is type(frame) and made.schema == frame.schema and len(made) == 9


def test_whole_numbers_among_real_columns_are_rounded_and_stay_in_their_type() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=200).astype("f4"), "age": rng.exponential(9, 200).astype("u1")}
    )
    frame["n"] = rng.integers(0, 10_000, 200)
    synthesizer = Synthesizer("ppca", hyper={"latents": 1}).fit(frame)
    made = synthesizer.sample(500, random_state=0)
    pd.testing.assert_series_equal(made.dtypes, frame.dtypes)
    plain = synthesizer.fitted_.sample(500, seed=int(np.random.RandomState(0).randint(2**31 - 1)))
    assert plain[:, 1].min() < -1  # a Gaussian knows no zero: without the range's end this would become 255
    assert np.array_equal(made["age"], np.rint(plain[:, 1]).clip(0, 255)) and (made["age"] == 0).sum() > 20
    numbered = frame.set_axis(range(3), axis=1)
    assert list(Synthesizer("ppca", hyper={"latents": 1}).fit(numbered).sample(2).columns) == [0, 1, 2]


def test_columns_that_no_model_takes_together_and_wrong_shapes_are_named() -> None:
    class Taking:
        accepts = frozenset({"real"})

    x = correlated(40)
    with pytest.raises(UsageError, match="image_shape"):
        Density("independent", image_shape=(1, 2, 2)).fit(x)
    with pytest.raises(UsageError, match="validation_fraction"):
        Density("independent", validation_fraction=1.0).fit(x)
    with pytest.raises(UsageError, match="too few rows"):
        Density("independent", validation_fraction=0.99).fit(x)
    with pytest.raises(DataError, match="cannot be binary"):
        Density("independent", kinds="binary").fit(x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jensen.sklearn.synthesizer.model_class", lambda name: Taking)
        with pytest.raises(SpaceError, match="no model takes categorical"):
            Synthesizer().fit(pd.DataFrame(table())[["colour", "on"]])


def test_the_package_imports_neither_scikit_learn_nor_torch_until_it_is_asked_for() -> None:
    code = "import sys, jensen; assert not {'sklearn', 'torch'} & set(sys.modules); jensen.sklearn.Density"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
