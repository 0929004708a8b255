"""A context keeps to its row from the user's data to the score, and means what the user said."""

from __future__ import annotations

import gzip
import json
import math
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from conditional_models import Counted, Line, Sites

import jensen
from jensen.checks.fixed import fixed
from jensen.codec import Integers
from jensen.context import ContextCodec
from jensen.data import Contexts
from jensen.data.given import contexts_of, read_contexts
from jensen.errors import Cannot, DataError, Incomparable, JensenError, SpaceError, UsageError
from jensen.feed import Feed
from jensen.model import Can
from jensen.models import CATALOGUE, model_class
from jensen.plan import Plan
from jensen.quantity import Kind, Scores, paired_difference
from jensen.space import Column, Space
from jensen.train import Interrupted, Moment

FAST = Plan(steps=400, rate=0.05, average=0.0, checks=2)
SPECIES = ("setosa", "versicolor", "virginica")


def flags(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bits (n, 4) that a class "a", "b" or "c" decides with probability 0.9, and the classes."""
    generator = np.random.default_rng(seed)
    code = generator.integers(3, size=n)
    ideal = np.array([[0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0]])[code]
    return np.where(generator.random((n, 4)) < 0.9, ideal, 1 - ideal), np.array(list("abc"))[code]


@pytest.fixture(scope="module")
def rows() -> jensen.Rows:
    x, y = flags()
    return jensen.rows(x, context=y)


@pytest.fixture(scope="module")
def fitted(rows: jensen.Rows) -> jensen.Fitted:
    return jensen.fit(Sites, rows, plan=FAST)


# ---------------------------------------------------------------------------------------------------------------
# From the user's data to Rows
# ---------------------------------------------------------------------------------------------------------------


def as_numpy(n: int) -> Any:
    return np.arange(n) % 97


@pytest.mark.parametrize(
    "wrap",
    [
        as_numpy,
        lambda n: as_numpy(n).tolist(),
        lambda n: tuple(as_numpy(n).tolist()),
        lambda n: torch.from_numpy(as_numpy(n)),
        lambda n: pd.Series(as_numpy(n)),
        lambda n: pl.Series("who", as_numpy(n)),
        lambda n: as_numpy(n).astype(">i2"),
        lambda n: as_numpy(n)[:, None],
        lambda n: pd.DataFrame({"who": as_numpy(n)}),
    ],
    ids=["array", "list", "tuple", "tensor", "pandas", "polars", "big-endian", "column", "frame"],
)
def test_a_context_beside_the_rows_is_split_at_the_very_same_positions(wrap: Any) -> None:
    n = 485
    x = np.column_stack([np.arange(n), np.arange(n) ** 2]).astype(float)
    data = jensen.rows(x, context=wrap(n), seed=3)
    assert data.context is not None and data.context.space.column(0).kind == "categorical"
    for part in ("train", "valid", "test"):
        assert np.array_equal(getattr(data.context, part)[:, 0], getattr(data, part)[:, 0] % 97)


@pytest.mark.parametrize("suffix", ["npy", "idx", "idx.gz", "csv", "parquet", "texts.npy"])
def test_a_context_may_be_a_file_and_rows_may_stay_on_disk(tmp_path: Path, suffix: str) -> None:
    n = 300
    who = np.arange(n) % 7
    np.save(tmp_path / "x.npy", np.column_stack([np.arange(n), np.arange(n) % 5]).astype(np.int32))
    path = tmp_path / f"who.{suffix}"
    if suffix == "npy":
        np.save(path, who)
    elif suffix == "texts.npy":
        np.save(path, np.array([f"{one}" for one in who]))
    elif suffix.startswith("idx"):
        packed = b"\0\0\x08\x01" + struct.pack(">I", n) + who.astype(np.uint8).tobytes()
        path.write_bytes(gzip.compress(packed) if suffix.endswith("gz") else packed)
    elif suffix == "csv":
        path.write_text("\n".join(map(str, who)) + "\n")
    else:
        pd.DataFrame({"who": who}).to_parquet(path)
    data = jensen.rows(tmp_path / "x.npy", context=str(path), memory=100, space=Space.real(2))
    assert not isinstance(data.train, np.ndarray) and data.context is not None
    assert data.context.space.max_levels == 7
    assert np.array_equal(data.context.train[:, 0], data.train[:][:, 0] % 7)


def test_a_column_of_the_table_becomes_the_context_and_leaves_the_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "row": np.arange(200.0) / 7,
            "kind": [f"k{i % 3}" for i in range(200)],
            "age": np.arange(200) % 50 + 20,
            "dose": np.sqrt(np.arange(200.0)),
            "ill": np.arange(200) % 2 == 0,
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=50)
    for source, memory in ((frame, 1 << 30), (tmp_path / "t.csv", 1 << 30), (tmp_path / "t.parquet", 700)):
        data = jensen.rows(
            source, context=["ill", "kind", "dose", "age"], kinds={"age": "real"}, memory=memory
        )
        assert data.space.columns[0].name == "row" and data.space.dims == 1
        assert data.context is not None and data.context.names == ("ill", "kind", "dose", "age")
        ill, kind, dose, age = (data.context.space.column(site) for site in range(4))
        assert ill.labels == ("false", "true") and kind.labels == ("k0", "k1", "k2")
        assert (dose.kind, age.kind) == ("real", "real")
        position = np.rint(np.asarray(data.test[:])[:, 0] * 7)
        expected = np.column_stack([position % 2 == 0, position % 3, np.sqrt(position), position % 50 + 20])
        np.testing.assert_allclose(data.context.test, expected)
        assert "given ill (false, true), kind (k0, k1, k2), dose (real), age (real)" in data.describe()


@pytest.mark.parametrize("name, classes", [("digits", 10), ("iris", 3), ("wine", 3), ("breast_cancer", 2)])
def test_the_label_of_an_example_is_its_class(name: str, classes: int) -> None:
    from sklearn import datasets

    data = jensen.rows(name, context="label")
    assert data.context is not None and data.context.names == ("label",)
    column = data.context.space.column(0)
    assert (column.kind, column.levels) == ("categorical", classes)
    target = getattr(datasets, f"load_{name}")()
    found = np.concatenate([data.context.train, data.context.valid, data.context.test])[:, 0]
    if column.labels is None:
        mine = np.bincount(found.astype(int))
    else:
        names = [column.labels[int(code)] for code in found]
        mine = np.array([names.count(one) for one in target.target_names])
    assert np.array_equal(mine, np.bincount(target.target))
    assert np.array_equal(data.train, jensen.rows(name).train)
    assert data.hash == jensen.rows(name).hash


def test_the_target_of_diabetes_is_a_number_and_a_column_of_an_example_may_be_a_context() -> None:
    diabetes = jensen.rows("diabetes", context="label").context
    assert diabetes is not None and diabetes.space.column(0).kind == "real"
    wine = jensen.rows("wine", context="alcohol")
    assert wine.context is not None and wine.context.names == ("alcohol",) and wine.space.dims == 12


@pytest.mark.parametrize(
    "context, wrong",
    [
        (np.arange(49), "expected one context a row"),
        (np.zeros(50, int), "the same in every row"),
        (["only"] * 50, "the same in every row"),
        ([None] + ["a", "b"] * 24 + ["a"], "no gaps"),
        (np.r_[np.nan, np.arange(49.0)], "no gaps"),
        (np.r_[np.inf, np.arange(49.0)], "finite"),
        (np.zeros((50, 2, 2)), "one vector a row"),
        (["a"] * 25 + [1] * 25, "cannot be read"),
        ([[1, 2]] * 49 + [[1]], "one length"),
        ("ay", "neither a column nor a file"),
        (["ay"], "unknown column in context"),
        (object(), "no context"),
        (pd.Series([f"id{i}" for i in range(50)]).repeat(30).to_numpy(), "expected one context a row"),
    ],
)
def test_a_context_that_cannot_be_used_is_refused_in_three_parts(context: Any, wrong: str) -> None:
    frame = pd.DataFrame({"a": np.arange(50) / 7, "b": np.sqrt(np.arange(50))})
    with pytest.raises(JensenError, match=wrong) as caught:
        jensen.rows(frame, context=context)
    assert caught.value.wrong and caught.value.given and caught.value.do


def test_an_identifier_is_no_class_and_the_error_says_how_to_make_it_a_number() -> None:
    x = np.random.default_rng(0).normal(size=(3000, 2))
    with pytest.raises(DataError, match="too many classes") as caught:
        jensen.rows(x, context=np.arange(3000))
    assert "kinds={'context': 'real'}" in caught.value.do
    data = jensen.rows(x, context=np.arange(3000), kinds={"context": "real"})
    assert data.context is not None and data.context.space.kind == "real"


def test_a_class_without_training_rows_is_said() -> None:
    y = ["common"] * 199 + ["rare"]
    for seed in range(20):
        data = jensen.rows(np.random.default_rng(0).normal(size=(200, 2)), context=y, seed=seed)
        absent = data.context is not None and not (data.context.train == 1).any()
        assert absent == any("no training row has context=rare" in note for note in data.notes)


# ---------------------------------------------------------------------------------------------------------------
# The codec, and values of the user in a known space
# ---------------------------------------------------------------------------------------------------------------


def test_the_codec_gives_codes_and_standardised_numbers_and_survives_its_record() -> None:
    columns = (
        Column("categorical", 3, name="y", labels=("a", "b", "c")),
        Column("levels", 4, 10.0, 5.0, "dose"),
        Column("real", name="t"),
    )
    values = np.array([[0, 10, 1e9], [2, 25, 1e9 + 2], [1, 15, 1e9 + 4]])
    codec = ContextCodec.fit(Space((3,), columns), values)
    encoded = codec.encode(values)
    root = math.sqrt(1.5)
    assert encoded.dtype == torch.float32
    torch.testing.assert_close(encoded, torch.tensor([[0, 0, -root], [2, 3, 0], [1, 1, root]]))
    again = ContextCodec.from_dict(json.loads(json.dumps(codec.to_dict())))
    assert torch.equal(again.encode(values), encoded) and again.space == codec.space
    assert [column.low for column in codec.model_space.columns] == [0, 0, 0]
    assert codec.say(encoded[1]) == "y=c, dose=25, t=1e+09"


FLOWER = Space((1,), (Column("categorical", 3, name="label", labels=SPECIES),))
NUMBERS = Space((1,), (Column("categorical", 3, name="year", labels=("1", "2", "5")),))
PLAIN = Space((1,), (Column("categorical", 10, name="digit"),))
BOTH = Space((2,), (Column("categorical", 2, name="sex", labels=("f", "m")), Column("real", name="age")))


@pytest.mark.parametrize(
    "space, given, expected",
    [
        (FLOWER, "versicolor", [[1], [1]]),
        (FLOWER, 2, [[2], [2]]),
        (FLOWER, "2", [[2], [2]]),
        (FLOWER, np.array(["virginica", "setosa"]), [[2], [0]]),
        (FLOWER, pd.Series([1, 0]), [[1], [0]]),
        (FLOWER, {"label": "setosa"}, [[0], [0]]),
        (NUMBERS, 5, [[2], [2]]),
        (NUMBERS, 1, [[0], [0]]),
        (NUMBERS, [2, 1], [[1], [0]]),
        (NUMBERS, "5", [[2], [2]]),
        (PLAIN, 7, [[7], [7]]),
        (PLAIN, "7", [[7], [7]]),
        (PLAIN, torch.tensor([1, 2]), [[1], [2]]),
        (BOTH, ["m", 40], [[1, 40], [1, 40]]),
        (BOTH, {"age": 40, "sex": "f"}, [[0, 40], [0, 40]]),
        (BOTH, {"age": [40, 50], "sex": ["f", "m"]}, [[0, 40], [1, 50]]),
        (BOTH, [["f", 1.5], ["m", 2]], [[0, 1.5], [1, 2]]),
        (BOTH, pd.DataFrame({"age": [1, 2], "sex": ["m", "f"]}), [[1, 1], [0, 2]]),
        (BOTH, Contexts(BOTH, np.array([[1.0, 3.0]])), [[1, 3], [1, 3]]),
    ],
)
def test_values_of_the_user_mean_the_class_he_named(space: Space, given: Any, expected: Any) -> None:
    assert read_contexts(given, space, 2).values.tolist() == expected


@pytest.mark.parametrize(
    "space, given, said",
    [
        (FLOWER, "setos", "did you mean setosa"),
        (FLOWER, 3, "known: setosa, versicolor, virginica"),
        (FLOWER, -1, "known: setosa"),
        (FLOWER, 0.5, "known: setosa"),
        (FLOWER, [0, 1, 2], "one a row: 2"),
        (NUMBERS, 0, "known: 1, 2, 5"),
        (PLAIN, 10, "known: 0, 1, 2"),
        (PLAIN, "x", "known: 0, 1, 2"),
        (PLAIN, float("nan"), "gaps"),
        (BOTH, "m", "a context of 2 columns"),
        (BOTH, ["m", "old"], "finite numbers"),
        (BOTH, {"age": 1, "sexe": "m"}, "did you mean sex"),
    ],
)
def test_a_value_outside_the_space_is_refused_with_what_there_is(space: Space, given: Any, said: str) -> None:
    with pytest.raises((SpaceError, DataError)) as caught:
        read_contexts(given, space, 2)
    assert said in str(caught.value)
    assert caught.value.wrong and caught.value.given and caught.value.do


def test_contexts_of_other_rows_are_matched_by_label_and_not_by_code() -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    data = jensen.rows(x, context=["virginica", "setosa"] * 20)
    assert data.context is not None
    found = contexts_of(data, FLOWER)
    assert found is not None
    assert np.array_equal(found.values, np.where(data.context.test == 1, 2, 0))


# ---------------------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------------------


class OnDisk:
    """Rows that are not an array: the feed must stream them."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.shape = rows, rows.shape

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: object) -> np.ndarray:
        return self.rows[index]


@pytest.mark.parametrize("wrap", [lambda x: x, OnDisk], ids=["memory", "disk"])
def test_every_row_meets_its_own_context_in_every_batch_also_after_a_resume(
    wrap: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jensen.feed.SHARD_BYTES", 8 * 100)
    ids = np.arange(730).reshape(-1, 1)
    space, device = Space.levels(1, 730), torch.device("cpu")
    c = torch.from_numpy(ids).float() * 2
    feed = Feed(wrap(ids), Integers(space), 10, 3, device, torch.float32, context=c)
    plain = Feed(wrap(ids), Integers(space), 10, 3, device, torch.float32)
    source, without, later = feed.batches(), plain.batches(), feed.batches(120)
    for step in range(200):
        x, given = next(source)
        assert given is not None and torch.equal(given, 2.0 * x)
        same, nothing = next(without)
        assert torch.equal(same, x) and nothing is None
        if step >= 120:
            late, late_given = next(later)
            assert torch.equal(late, x) and late_given is not None and torch.equal(late_given, given)
    for limit in (50, 10_000):
        x, given = feed.sample(limit)
        assert given is not None and torch.equal(given, 2.0 * x)


def test_a_conditional_model_recovers_the_distribution_of_each_class(
    rows: jensen.Rows, fitted: jensen.Fitted
) -> None:
    assert rows.context is not None
    for code, name in enumerate("abc"):
        mine = rows.train[rows.context.train[:, 0] == code]
        share = fitted.sample(20_000, seed=1, context=name).mean(0)
        # the shares of the class's training rows, within the noise of the samples and what 400 steps leave
        np.testing.assert_allclose(share, mine.mean(0), atol=0.02)
    # the score is the exact log mass given the class: 4 bits, each right with 0.9, cost 4 * H(0.9) nats
    mean = fitted.score(rows).mean()
    entropy = -4 * (0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert mean.kind is Kind.EXACT and abs(mean.value + entropy) < 0.35
    assert mean.value > jensen.fit("made", rows.train, plan=FAST, hidden=[16]).score(rows.test).mean().value


def test_regression_on_a_real_context_is_least_squares() -> None:
    generator = np.random.default_rng(0)
    t = generator.normal(3000.0, 500.0, 800)  # a context far from zero is standardised
    x = np.column_stack([2e-3 * t, -1e-3 * t]) + generator.normal(size=(800, 2))
    data = jensen.rows(x, context=t)
    fitted = jensen.fit(Line, data, plan=Plan(steps=600, rate=0.05, checks=2))
    assert data.context is not None
    design = np.column_stack([np.ones(len(data.train)), data.context.train[:, 0]])
    slope, *_ = np.linalg.lstsq(design, data.train, rcond=None)
    residual = data.train - design @ slope
    at = np.column_stack([np.ones(len(data.test)), data.context.test[:, 0]])
    z = (data.test - at @ slope) / residual.std(0)
    oracle = (-0.5 * z**2 - np.log(residual.std(0)) - 0.5 * math.log(2 * math.pi)).sum(1)
    np.testing.assert_allclose(fitted.score(data).values, oracle, atol=0.1)


def test_a_model_that_solves_itself_gets_the_contexts(rows: jensen.Rows) -> None:
    fitted = jensen.fit(Counted, rows)
    assert rows.context is not None
    code = rows.context.train[:, 0]
    share = np.array([[(rows.train[code == one] == bit).mean(0) for bit in (0, 1)] for one in range(3)])
    test = rows.test.astype(int)
    expected = np.log(share[rows.context.test[:, 0].astype(int)[:, None], test, np.arange(4)]).sum(1)
    np.testing.assert_allclose(fitted.score(rows).values, expected, atol=1e-3)


def test_a_resumed_conditional_run_ends_as_an_uninterrupted_one(rows: jensen.Rows, tmp_path: Path) -> None:
    import signal

    def press(moment: Moment) -> None:
        if moment.step >= 40:
            signal.raise_signal(signal.SIGINT)

    whole = jensen.fit(Sites, rows, steps=90)
    with pytest.raises(Interrupted):
        jensen.fit(Sites, rows, steps=90, out=tmp_path / "r", watch=press)
    x, y = flags()
    other = jensen.rows(x, context=np.roll(y, 1))
    with pytest.raises(DataError, match="other rows"):
        jensen.fit(Sites, other, steps=90, out=tmp_path / "r", resume=True)
    resumed = jensen.fit(Sites, rows, steps=90, out=tmp_path / "r", resume=True)
    for one, two in zip(whole.model.parameters(), resumed.model.parameters()):
        assert torch.equal(one, two)


def test_save_and_load_keep_scores_samples_and_labels(
    fitted: jensen.Fitted, rows: jensen.Rows, tmp_path: Path
) -> None:
    again = jensen.load(fitted.save(tmp_path / "run"), model=Sites)
    assert again.context_space == fitted.context_space == rows.context.space
    assert np.array_equal(again.score(rows).values, fitted.score(rows).values)
    assert np.array_equal(again.sample(9, 4, "b"), fitted.sample(9, 4, "b"))
    assert "given: context (a, b, c)" in (tmp_path / "run" / "card.md").read_text(encoding="utf-8")
    assert again.record["data"]["context"] == {"names": ["context"], "hash": rows.context.hash}


def test_bits_drawn_afresh_keep_to_the_contexts_of_their_grey_rows() -> None:
    y = np.random.default_rng(0).integers(2, size=300)
    grey = np.repeat(16 * y[:, None], 4, 1).astype(np.uint8)  # black or white: no draw is left to chance
    data = jensen.rows(grey, space=Space.levels(4, 17), binarise="dynamic", context=y)
    fitted = jensen.fit(Sites, data, plan=FAST)
    assert fitted.score(data).mean().value > -0.1
    (verdict,) = jensen.compare({"it": fitted}, data).entries
    assert verdict.scores is not None and verdict.scores.how["context"] == ["context"]


CONDITIONAL = [name for name in CATALOGUE if model_class(name).takes_context]


@pytest.mark.filterwarnings("ignore:the posterior has collapsed")  # so short are the fits
@pytest.mark.filterwarnings("ignore:samples leave out")
@pytest.mark.parametrize("name", CONDITIONAL)
def test_every_model_of_the_catalogue_that_takes_a_context_keeps_it_from_fit_to_load(
    name: str, tmp_path: Path
) -> None:
    x, y = flags(120)
    images = np.concatenate([x, x], 1).reshape(-1, 1, 2, 4)
    data = jensen.rows(images, context=y)
    fitted = jensen.fit(name, data, steps=4)
    again = jensen.load(fitted.save(tmp_path / "run"))
    assert fitted.model.context is not None and fitted.model.context == again.model.context
    assert np.array_equal(again.sample(3, 0, ["a", "c", "b"]), fitted.sample(3, 0, ["a", "c", "b"]))
    if not fitted.can & (Can.LOG_PROB | Can.LOG_PROB_LOWER):
        assert not np.array_equal(fitted.sample(64, 0, "a"), fitted.sample(64, 0, "b"))
        return
    assert np.array_equal(again.score(data).values, fitted.score(data).values)
    assert not np.array_equal(
        fitted.score(images, context="a").values, fitted.score(images, context="b").values
    )


def test_made_learns_the_classes(rows: jensen.Rows) -> None:
    given = jensen.fit("made", rows, plan=FAST, hidden=[16], dropout=0.0).score(rows).mean()
    without = jensen.fit("made", rows.train, plan=FAST, hidden=[16], dropout=0.0).score(rows.test).mean()
    assert given.value > without.value + 0.3  # at most log 3 nats, the information in the class


# ---------------------------------------------------------------------------------------------------------------
# Scoring and sampling
# ---------------------------------------------------------------------------------------------------------------


def test_the_context_of_a_score_is_that_of_the_rows_a_value_or_one_a_row(
    fitted: jensen.Fitted, rows: jensen.Rows
) -> None:
    assert rows.context is not None
    known = fitted.score(rows)
    labels = np.array(list("abc"))[rows.context.test[:, 0].astype(int)]
    assert np.array_equal(fitted.score(rows.test, context=labels).values, known.values)
    assert np.array_equal(fitted.score(rows.test, context=rows.context.held_out).values, known.values)
    every = np.stack([fitted.score(rows.test, context=one).values for one in "abc"])
    chosen = every[rows.context.test[:, 0].astype(int), np.arange(len(labels))]
    np.testing.assert_allclose(chosen, known.values, atol=1e-5)
    assert known.how["context"] == ["context"]


def test_a_table_that_holds_the_context_needs_no_other(tmp_path: Path) -> None:
    x, y = flags()
    frame = pd.DataFrame(x, columns=list("pqrs")).assign(kind=y)
    fitted = jensen.fit(Sites, frame, context="kind", plan=FAST)
    few = frame.iloc[:50][["kind", "s", "q", "p", "r"]]  # matched by name, in any order
    few.to_csv(tmp_path / "few.csv", index=False)
    expected = fitted.score(frame.iloc[:50].drop(columns="kind"), context=y[:50]).values
    assert np.array_equal(fitted.score(few).values, expected)
    assert np.array_equal(fitted.score(tmp_path / "few.csv").values, expected)
    (verdict,) = jensen.audit(fitted, tmp_path / "few.csv", checks=["declared_abilities"])
    assert verdict.holds and verdict.evidence.endswith(f"given kind={y[0]}")
    only = frame[frame.kind == "b"].iloc[:5]  # a file with a single class is read with all classes of the fit
    assert np.array_equal(
        fitted.score(only).values, fitted.score(only.drop(columns="kind"), context="b").values
    )


def test_samples_of_several_contexts_are_those_of_each(fitted: jensen.Fitted) -> None:
    many = fitted.sample(600, seed=0, context=["a", "b", "c"] * 200, batch=7)
    ideal = {"a": [0, 0, 1, 1], "b": [1, 1, 0, 0], "c": [1, 0, 1, 0]}
    for place, name in enumerate("abc"):
        assert np.array_equal(np.rint(many[place::3].mean(0)), ideal[name])
    assert np.array_equal(fitted.sample(5, 1, "c"), fitted.sample(5, 1, ["c"] * 5))


def test_without_a_context_the_model_is_unconditional_and_takes_none(rows: jensen.Rows) -> None:
    plain = jensen.fit(Sites, rows.train, steps=5)
    assert plain.context_space is None and plain.model.context is None
    plain.score(rows)  # rows that have a context beside them: log p(x)
    with pytest.raises(Cannot, match="takes none"):
        plain.sample(3, context="a")
    with pytest.raises(Cannot, match="takes none"):
        plain.score(rows, context="a")


def test_a_missing_context_says_which_there_are(fitted: jensen.Fitted, rows: jensen.Rows) -> None:
    for call in (lambda: fitted.sample(3), lambda: fitted.score(rows.test)):
        with pytest.raises(UsageError, match=r"needs a context; got none: pass context: context \(a, b, c\)"):
            call()


def test_fit_refuses_a_context_it_cannot_use(rows: jensen.Rows) -> None:
    with pytest.raises(Cannot, match="independent takes no context") as caught:
        jensen.fit("independent", rows)
    assert caught.value.given and caught.value.do
    with pytest.raises(UsageError, match=r"pass it to jensen.rows"):
        jensen.fit(Sites, rows, context="label")
    with pytest.raises(UsageError, match="another context"):
        jensen.fit(Sites(Space.binary(4)), rows)
    with pytest.raises(UsageError, match="another context"):
        jensen.fit(Sites(Space.binary(4), context=Space.categorical(1, 2)), rows)
    built = ContextCodec.fit(rows.context.space, rows.context.train).model_space
    assert jensen.fit(Sites(Space.binary(4), context=built), rows, steps=3).context_space is not None


# ---------------------------------------------------------------------------------------------------------------
# Judging
# ---------------------------------------------------------------------------------------------------------------


def test_scores_given_a_context_do_not_compare_with_scores_without(
    fitted: jensen.Fitted, rows: jensen.Rows
) -> None:
    plain = jensen.fit(Sites, rows.train, steps=5)
    given, without = fitted.score(rows), plain.score(rows.test)
    with pytest.raises(Incomparable, match=r"log p\(x \| context\), log p\(x\)"):
        paired_difference(given, without)
    with pytest.raises(Incomparable):
        paired_difference(given, fitted.score(rows.test, context="a"))
    assert paired_difference(given, fitted.score(rows)).value == 0
    for models, data in (({"p": plain}, rows), ({"g": fitted}, jensen.rows(flags()[0]))):
        with pytest.raises(Incomparable, match="do not compare"):
            jensen.compare(models, data)


def test_a_comparison_on_rows_with_a_context_is_conditional_throughout(
    fitted: jensen.Fitted, rows: jensen.Rows
) -> None:
    weak = jensen.fit(Sites, rows, plan=FAST, gain=0.0)  # takes the context and does not use it
    result = jensen.compare({"uses": fitted, "ignores": weak}, rows)
    (pair,) = result.orders()
    assert (pair.better, pair.order.answer.value) == ("uses", "proven")
    record = result.to_dict()
    assert record["title"].endswith("given context") and record["data"]["context"]["names"] == ["context"]
    for model in record["models"]:
        assert not any(verdict["holds"] is False for verdict in model["audit"])
    with pytest.raises(Cannot, match="independent takes no context"):
        jensen.compare({"uses": fitted, "baseline": "independent"}, rows)


def test_the_default_line_up_holds_only_models_that_take_the_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from jensen.lineup import line_up

    bits = jensen.rows(flags()[0], context=flags()[1])
    assert "independent" not in line_up(bits) and "made" in line_up(bits)
    with pytest.raises(Cannot, match="no model of the default line-up takes a context") as caught:
        for name in CONDITIONAL:
            monkeypatch.setattr(model_class(name), "takes_context", False)
        line_up(jensen.rows("wine", context="label"))
    assert caught.value.given and caught.value.do


@pytest.mark.parametrize("rows_given", [True, False])
def test_every_check_runs_on_a_conditional_model_at_one_context(
    fitted: jensen.Fitted, rows: jensen.Rows, rows_given: bool
) -> None:
    verdicts = {verdict.name: verdict for verdict in jensen.audit(fitted, rows if rows_given else None)}
    assert set(verdicts) == set(jensen.checks.check_names())
    code = int(rows.context.test[0, 0]) if rows_given else 0
    # a model that is no flow has no two directions
    assert {v.name for v in verdicts.values() if not v.details.get("applies", True)} == {
        "log_det",
        "round_trip",
        "direction_agreement",
        "mode_coverage",  # of a law whose modes are known
        "triangular",
        "monotone",
        "onto",
        "generator_gradient",
    }
    for verdict in (v for v in verdicts.values() if v.details.get("applies", True)):
        assert verdict.holds is True, verdict
        assert verdict.evidence.endswith(f"given context={'abc'[code]}")
    # raw models too, and with them a real context
    line = jensen.audit(
        Line(Space.real(2), context=Space.real(2)), checks=["mass_sums", "declared_abilities"]
    )
    assert all(verdict.holds for verdict in line)


def test_the_receptive_field_of_a_conditional_model_is_that_at_one_context() -> None:
    from jensen.links import site_links

    links = site_links(model_class("made")(Space.binary(5), context=Space.categorical(1, 3), hidden=[16]))
    assert (links.earlier, links.sees_itself, links.later_seen) == (2, False, 0)


def test_a_fault_of_a_conditional_model_is_found_through_the_view() -> None:
    class Leaky(Sites):
        """A site sees the next one, under every context."""

        def conditionals(self, x: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
            return super().conditionals(x, c) * (1 + x.roll(-1, 1).unsqueeze(-1))

    class Greedy(Sites):
        """Twice the mass under the first class."""

        def log_prob(self, x: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
            return super().log_prob(x, c) + math.log(2)

    context = Space.categorical(1, 3)
    for cls, check in ((Leaky, "no_leak"), (Leaky, "mass_sums"), (Greedy, "mass_sums")):
        (verdict,) = jensen.audit(cls(Space.binary(3), context=context), checks=[check])
        assert verdict.holds is False, verdict


def test_the_view_shares_the_weights_and_leaves_the_model_as_it_was() -> None:
    model = Sites(Space.binary(3), context=Space.categorical(1, 3))
    view = fixed(model, torch.tensor([2.0]))
    x = torch.zeros(5, 3, dtype=torch.long)
    assert type(model) is Sites and isinstance(view, Sites) and view.can == model.can
    assert torch.equal(view.log_prob(x), model.log_prob(x, torch.full((5, 1), 2.0)))
    assert torch.equal(view.log_prob(x, torch.zeros(5, 1)), model.log_prob(x, torch.zeros(5, 1)))
    with pytest.raises(SpaceError, match="needs a context"):
        model.log_prob(x)
    assert all(one is two for one, two in zip(view.parameters(), model.parameters()))


def test_exact_scores_given_a_context_are_log_masses_that_sum_to_one(fitted: jensen.Fitted) -> None:
    every = np.array([[(i >> k) & 1 for k in range(4)] for i in range(16)])
    for name in "abc":
        scores = fitted.score(every, context=name)
        assert isinstance(scores, Scores) and abs(np.exp(scores.values).sum() - 1) < 1e-5
    assert all(a != b for a, b in pairwise(fitted.score(every, context=one).mean().value for one in "abc"))


def test_a_series_as_context_may_have_any_name() -> None:
    polars = pytest.importorskip("polars")
    found = jensen.rows(
        np.random.default_rng(0).normal(size=(40, 2)), context=polars.Series("\0", [0, 1] * 20)
    )
    assert found.context is not None and len(found.context.names) == 1
