"""Arguments that a stranger once got past the door: each is refused in three parts, or does what it says."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

import jensen
from jensen.codec import as_tensor
from jensen.errors import DataError, JensenError, SpaceError, UsageError

X = np.random.default_rng(0).normal(size=(60, 2))
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]})


@pytest.fixture(scope="module")
def flow() -> jensen.Fitted:
    return jensen.fit("realnvp", X, steps=3, transforms=1, hidden=[4])


ROWS: dict[str, tuple[Callable[[], Any], str]] = {
    "names that come twice": (lambda: FRAME.set_axis(["a", "a"], axis=1), "cannot be read"),
    "numbers that come twice": (lambda: FRAME.set_axis([0, 0], axis=1), "names must differ"),
    "meta": (lambda: torch.empty(60, 2, device="meta"), "meta device has no values"),
    "quantised": (lambda: torch.quantize_per_tensor(torch.rand(60, 2), 0.1, 0, torch.quint8), "cannot be read"),
    "records in a mask": (lambda: np.ma.zeros((60, 2), "f4,i4"), "array of numbers"),
    "nested": (lambda: pa.table({"a": [[1.0]] * 60}), "neither numbers, texts"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.filterwarnings("ignore:.*quantize:UserWarning", "ignore::DeprecationWarning")
def test_rows_that_are_none_are_refused(name: str) -> None:
    make, match = ROWS[name]
    with pytest.raises(DataError, match=match) as refused:
        jensen.rows(make())
    assert refused.value.given and refused.value.do


def test_a_zero_byte_in_a_name_is_refused_or_kept() -> None:
    try:  # by the release of polars
        found = jensen.rows(pl.DataFrame({"\0": X[:, 0], "b": X[:, 1]}))
    except DataError as refused:
        assert "cannot be read" in str(refused) and refused.given and refused.do
    else:
        assert [column.name for column in found.space.columns] == ["\0", "b"]


CALLS: dict[str, Callable[[jensen.Fitted], Any]] = {
    "drop": lambda f: jensen.rows(FRAME, drop=3),  # type: ignore[arg-type]
    "split": lambda f: jensen.rows(X, split=torch.tensor(3)),  # type: ignore[arg-type]
    "split of texts": lambda f: jensen.rows(X, split=("a", "b", "c")),  # type: ignore[arg-type]
    "gaps": lambda f: jensen.rows(FRAME, gaps=np.zeros(2)),  # type: ignore[arg-type]
    "binarise": lambda f: jensen.rows(X, binarise=np.zeros(2)),  # type: ignore[arg-type]
    "seed of a score": lambda f: f.score(X, seed="x"),  # type: ignore[arg-type]
    "batch": lambda f: f.sample(2, batch="x"),  # type: ignore[arg-type]
    "n": lambda f: f.sample(2**70),
    "temperature": lambda f: f.sample(2, temperature="x"),  # type: ignore[arg-type]
    "like": lambda f: f.sample_frame(2, like=Path("x")),
    "path of a save": lambda f: f.save([1]),  # type: ignore[arg-type]
    "path too long": lambda f: f.save("y" * 5000),
    "path of a load": lambda f: jensen.load(3),  # type: ignore[arg-type]
    "path of a load too long": lambda f: jensen.load("y" * 5000),
    "model of a load": lambda f: jensen.load("x", model="made"),  # type: ignore[arg-type]
    "device of a load": lambda f: jensen.load("x", device=[]),  # type: ignore[arg-type]
    "device": lambda f: f.to("tpu9"),
    "plan": lambda f: jensen.compare(["independent"], X, plan=3),  # type: ignore[arg-type]
    "level": lambda f: jensen.compare(["independent"], X, level="x"),  # type: ignore[arg-type]
    "lens": lambda f: jensen.compare(["independent"], X, lens=3),  # type: ignore[arg-type]
    "columns": lambda f: jensen.divergence(X, X + 1, columns=3),  # type: ignore[arg-type]
    "checks": lambda f: jensen.audit(f, X, checks=3),  # type: ignore[arg-type]
    "rows of an audit": lambda f: jensen.audit(torch.nn.Linear(2, 2), [[1.0]]),
    "input_shape": lambda f: jensen.receptive_field(torch.nn.Linear(2, 2), "ab", 0),  # type: ignore[arg-type]
    "example": lambda f: jensen.receptive_field(torch.nn.Linear(2, 2), (2,), 0, example=[1, 2]),  # type: ignore[arg-type]
    "support": lambda f: jensen.pose(lambda x: -x.square().sum(1), 2, support=3),  # type: ignore[arg-type]
    "scale": lambda f: jensen.pose(lambda x: -x.square().sum(1), 2, scale="x"),  # type: ignore[arg-type]
    "density of no tensor": lambda f: jensen.pose(lambda x: 3, 2),  # type: ignore[arg-type,return-value]
    "objective": lambda f: jensen.fit("realnvp", X, objective=set()),  # type: ignore[arg-type]
    "out": lambda f: jensen.fit("independent", X, out=1.5),  # type: ignore[arg-type]
    "overwrite": lambda f: f.save("x", overwrite=np.zeros(2)),  # type: ignore[arg-type]
    "shape": lambda f: jensen.Space.real("ab"),
    "levels": lambda f: jensen.Column("levels", 2.5),  # type: ignore[arg-type]
    "kind": lambda f: jensen.Column(["real"]),  # type: ignore[arg-type]
    "columns of a space": lambda f: jensen.Space((1,), (3,)),  # type: ignore[arg-type]
    "level of an interval": lambda f: jensen.functional.binomial.clopper_pearson(1, 2, "x"),  # type: ignore[arg-type]
    "log weights": lambda f: jensen.functional.bounds.iwae([0.0]),  # type: ignore[arg-type]
    "whole weights": lambda f: jensen.functional.bounds.elbo(torch.ones(2, 2, dtype=torch.int64)),
    "views": lambda f: jensen.functional.contrastive.nt_xent("a", "b", 0.5),  # type: ignore[arg-type]
    "channels": lambda f: jensen.functional.masks.conv_mask("A", "x", 1, 3),  # type: ignore[arg-type]
    "settings": lambda f: jensen.sklearn.Density("independent", settings=3).fit(X),  # type: ignore[arg-type]
    "setting": lambda f: jensen.sklearn.Density("independent", settings={"rat": 3}).fit(X),
    "random_state": lambda f: jensen.sklearn.Density("independent", random_state="x").fit(X),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_arguments_of_another_type_are_refused(
    flow: jensen.Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(JensenError) as refused:
        CALLS[name](flow)
    assert refused.value.wrong and refused.value.given and refused.value.do
    assert not list(tmp_path.iterdir())


def test_whole_numbers_beyond_int64_do_not_come_out_negative() -> None:
    values = np.array([[0], [2**63], [2**64 - 1]], np.uint64)
    assert as_tensor(values).tolist() == [[0.0], [2.0**63], [2.0**64]]
    two = np.repeat(np.array([[0, 2**63]], np.uint64), 40, 0)
    two[::3] = two[::3, ::-1]
    fitted = jensen.fit("independent", two)
    assert set(np.unique(fitted.sample(50, seed=0)).tolist()) == {0, 2**63}
    assert np.isfinite(fitted.score(two).values).all()


def test_numbers_near_the_end_of_float64_are_surveyed_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = jensen.rows(X * 1e300)
        assert found.space.kind == "real"
        grid = jensen.rows(np.round(X, 1) * 1e300, kinds="levels")
    assert grid.space.columns[0].step == pytest.approx(1e299, rel=1e-9)  # steps of 0.1, scaled


def test_features_that_are_no_numbers_are_refused() -> None:
    fitted = jensen.fit("encoder", X, steps=2, features=4)
    with pytest.raises(DataError, match="features must be numbers") as refused:
        fitted.embed(np.array([[0.0, 0.0], [1e300, -1e300]]))
    assert "the first is row 1" in refused.value.given


def test_a_category_that_the_frame_to_be_like_does_not_know_stays_in_the_sample() -> None:
    frame = pd.DataFrame({"a": list("ab") * 30, "b": X[:, 0]})
    fitted = jensen.fit("independent", frame)
    like = frame.assign(a=pd.Categorical(["z"] * 60, categories=["z"]))
    drawn = fitted.sample_frame(20, seed=0, like=like)
    assert set(drawn["a"]) == {"a", "b"} and not drawn["a"].isna().any()


def test_seeds_and_settings_of_other_libraries_number_types_are_taken(flow: jensen.Fitted) -> None:
    assert (flow.sample(3, seed=np.int64(5)) == flow.sample(np.int64(3), seed=5)).all()  # type: ignore[arg-type]
    scores = flow.score(X, seed=np.uint64(4))  # type: ignore[arg-type]
    assert (scores.values == flow.score(X, seed=4).values).all()
    plan = jensen.Plan(steps=np.int64(3), rate=Fraction(1, 500), batch=64.0)  # type: ignore[arg-type]
    assert (plan.steps, plan.rate, plan.batch) == (3, 0.002, 64) and isinstance(plan.batch, int)
    jensen.fit("realnvp", X, plan=plan, transforms=1, hidden=[4], seed=np.int64(1))


def test_names_of_columns_that_are_no_texts_are_taken_by_their_texts() -> None:
    pairs = FRAME.set_axis(pd.MultiIndex.from_tuples([("t", 1), ("t", 2)]), axis=1)
    assert [one.name for one in jensen.rows(pairs).space.columns] == ["t 1", "t 2"]
    assert [
        one.name
        for one in jensen.rows(FRAME.set_axis(pd.Index([0, None], dtype=object), axis=1)).space.columns
    ] == ["0", "None"]


def test_texts_of_every_type_of_arrow_are_read_alike() -> None:
    texts = [["1", "x", "2"][i % 3] for i in range(60)]
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        table = pa.table({"a": pa.array(texts, kind), "b": X[:, 0]})
        with pytest.raises(DataError, match="numbers but for some texts") as refused:
            jensen.rows(table)
        assert refused.value.given == "row 1 holds 'x'"


def test_errors_of_spaces_keep_their_class() -> None:
    with pytest.raises(SpaceError, match="whole number"):
        jensen.Space.levels(2, 2.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="is a number"):
        jensen.functional.contrastive.nt_xent(torch.eye(2), torch.eye(2), float("nan"))


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f.divergence.kl((torch.zeros(5), torch.zeros(6, 3))),
        lambda f: f.neighbours.balls(torch.tensor(1.0), torch.zeros(9, 2)),
        lambda f: f.enumerate.row_index(torch.zeros(0, 5), [2, 3]),
        lambda f: f.enumerate.row_index(torch.tensor(1), [2, 3]),
    ],
)
def test_mathematics_that_says_what_it_raises_says_it_in_three_parts(call: Any) -> None:
    with pytest.raises(UsageError) as told:
        call(jensen.functional)
    assert told.value.wrong and told.value.given and told.value.do
