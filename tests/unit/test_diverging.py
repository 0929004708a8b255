"""`jensen.divergence`: what it says of tables, images and bad input, in Python and on the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import jensen
from jensen.cli import cli
from jensen.critics import panel
from jensen.data.grid import match_grid
from jensen.data.pair import read_pair
from jensen.errors import Cannot, DataError, UsageError
from jensen.shifts import marginal
from jensen.space import Column, Space

QUICK = {"critics": ["quadratic"]}


def normal(n: int, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def table(n: int, seed: int, rose: float = 0.3, gaps: float = 0.1) -> pd.DataFrame:
    """A number with gaps, a category and a count."""
    rng = np.random.default_rng(seed)
    x = np.where(rng.random(n) < gaps, np.nan, rng.normal(size=n))
    kind = np.where(rng.random(n) < rose, "rose", "tulip")
    return pd.DataFrame({"x": x, "kind": kind, "count": rng.integers(0, 9, n)})


# ---------------------------------------------------------------------------------------------------------------
# What differs
# ---------------------------------------------------------------------------------------------------------------


def test_one_law_behind_both_cannot_be_told_apart() -> None:
    found = jensen.divergence(normal(400, seed=2), normal(400, seed=3), **QUICK)
    assert not found.different and found.limit <= 0 and not found.saturated
    assert "cannot tell" in found.verdict and "no proof" in found.advice


def test_a_shifted_column_is_named_with_its_rows_and_its_ratio() -> None:
    a, b = normal(800), normal(800, seed=1)
    b[:, 1] += 1.2
    found = jensen.divergence(a, b, **QUICK)
    assert found.different and 0 < found.limit <= found.jsd.value
    assert found.columns[0].name == "1" and found.columns[0].alone and found.columns[0].needed
    assert not any(one.alone for one in found.columns[1:])
    # log b/a = 1.2 x - 0.72
    x = np.array([[0.0, 0.6, 0.0], [0.0, 1.6, 0.0], [0.0, -0.4, 0.0]])
    assert found.log_ratio(x) == pytest.approx([0.0, 1.2, -1.2], abs=0.45)
    for one in found.rows:  # the rows named are those on the far side of their own law
        assert (a if one.side == "a" else b)[one.row, 1] * (1 if one.side == "b" else -1) > 0.8


def test_a_change_of_dependence_alone_is_found_and_called_so() -> None:
    a, b = normal(1500), normal(1500, seed=1)
    b[:, 2] = 0.8 * b[:, 0] + 0.6 * b[:, 2]
    found = jensen.divergence(a, b, **QUICK)
    assert found.different and not any(one.alone for one in found.columns)
    assert {one.name for one in found.columns if one.needed} == {"0", "2"}
    assert "not by itself" in found.advice


def test_categories_and_gaps_count_as_differences() -> None:
    kind = jensen.divergence(table(900, 0), table(900, 1, rose=0.6), critics=["trees", "quadratic"])
    assert kind.different and kind.columns[0].name == "kind" and "'rose' 3" in kind.columns[0].change
    gaps = jensen.divergence(table(900, 0), table(900, 1, gaps=0.4), critics=["trees", "mlp"])
    assert gaps.different and gaps.columns[0].name == "x" and "missing" in gaps.columns[0].change
    assert not jensen.divergence(table(900, 0), table(900, 1), **QUICK).different


@pytest.mark.parametrize("critic", ["trees", "mlp", "quadratic"])
def test_every_critic_of_tables_takes_gaps_categories_and_unknown_labels(critic: str) -> None:
    a, b = table(300, 0), table(300, 1).assign(kind=lambda t: t.kind.where(t.index % 3 > 0, "lily"))
    found = jensen.divergence(a, b, critics=[critic])
    assert found.different and found.columns[0].name == "kind"
    new = a.head(3).assign(kind=["lily", "orchid", None])  # a label that neither side has, and none
    assert np.isfinite(found.log_ratio(new)).all()
    assert found.log_ratio(new)[0] > 0  # lilies are of b alone


def test_samples_are_matched_to_the_grid_of_the_data_first() -> None:
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 17, (600, 4)).astype(float)
    near = rng.integers(0, 17, (600, 4)) + rng.normal(0, 0.01, (600, 4))
    matched = jensen.divergence(whole, near, critics=["trees"])
    assert not matched.different and "rounded to the grid" in " ".join(matched.notes)
    # without that, trees see the first decimal: two laws with grids of their own are left as they are
    halves = jensen.divergence(whole, rng.integers(0, 34, (600, 4)) / 2, critics=["trees"])
    assert halves.different and not any("grid" in note for note in halves.notes)


def test_a_grid_is_found_only_where_values_repeat() -> None:
    rng = np.random.default_rng(0)
    cents = rng.integers(0, 10**6, (60, 1)) / 100
    grid = match_grid(cents, rng.normal(size=(60, 1)), Space.real(1), ["price"])
    assert grid.notes == () and grid.sides == ({}, {})


def test_images_are_compared_by_a_convolutional_critic_too() -> None:
    assert "cnn" in panel(Space.real((1, 8, 8)))
    digits = np.asarray(jensen.rows("digits").train[:])[:300]
    turned = digits[:, :, ::-1].copy()
    found = jensen.divergence(digits, turned, critics=["cnn"], seed=1)
    assert found.different and found.columns[0].name.startswith("row ")
    with pytest.raises(DataError, match="one shape"):
        jensen.divergence(digits, digits.reshape(300, 64))


def test_features_of_a_lens_are_a_critic_of_their_own() -> None:
    a, b = normal(500, 40), normal(500, 40, seed=1)
    b[:, 0] *= np.sign(b[:, 0] * b[:, 1])  # the sign of a product: hopeless without the right feature
    found = jensen.divergence(
        a, b, critics=["lens"], features=lambda x: np.stack([x[:, 0] * x[:, 1], x[:, 2]], 1)
    )
    assert found.different and found.critic == "lens"
    with pytest.raises(UsageError, match="features"):
        jensen.divergence(a, b, critics=["lens"])


def test_far_apart_is_called_saturated_with_a_telescoped_estimate() -> None:
    a, b = normal(600, 2) + 6, normal(600, 2, seed=1)  # KL = 36 nats
    found = jensen.divergence(a, b, **QUICK)
    assert found.saturated and "SATURATED" in found.verdict and found.jsd.value <= math.log(2)
    assert found.kl is not None and found.kl.kind is jensen.Kind.ESTIMATE
    assert found.kl.value == pytest.approx(36, rel=0.15)
    assert found.log_ratio([[0.0, 0.0]])[0] == pytest.approx(36, rel=0.2)
    labelled = jensen.divergence(table(100, 0), table(100, 1).assign(x=99.0), **QUICK)
    assert labelled.saturated and labelled.kl is None and "telescoping needs" in labelled.why_no_kl


def test_the_same_seed_gives_the_same_numbers_and_leaves_torch_s_alone() -> None:
    import torch

    state = torch.random.get_rng_state()
    first, second = (
        jensen.divergence(normal(200), normal(200, seed=1), critics=["mlp", "trees"]) for _ in range(2)
    )
    assert first.to_dict() == second.to_dict()
    assert torch.equal(state, torch.random.get_rng_state())
    other = jensen.divergence(normal(200), normal(200, seed=1), critics=["mlp", "trees"], seed=1)
    assert other.jsd != first.jsd


def test_only_the_report_s_rows_count_for_the_bound() -> None:
    found = jensen.divergence(normal(200), normal(300, seed=1), **QUICK)
    assert found.how["a"] == {"rows": 200, "train": 100, "choose": 30, "report": 70}
    assert (found.jsd.how["n_real"], found.jsd.how["n_fake"]) == (105, 70)


def test_more_rows_than_asked_for_are_drawn_from_at_random() -> None:
    found = jensen.divergence(normal(500), normal(100, seed=1), most=100, **QUICK)
    assert found.how["a"]["rows"] == 100 and any("random 100" in note for note in found.notes)


def test_marginal_distances_are_those_of_scipy() -> None:
    from scipy.stats import chi2_contingency, ks_2samp

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=300), rng.normal(0.2, 1, 400)
    distance, p = marginal(a, b, Column("real"))
    theirs = ks_2samp(a, b, method="asymp")
    assert distance == pytest.approx(theirs.statistic) and p == pytest.approx(theirs.pvalue, rel=0.2)
    c, d = rng.choice(3, 300, p=[0.2, 0.3, 0.5]).astype(float), rng.choice(3, 400).astype(float)
    counts = np.stack([np.bincount(x.astype(int)) for x in (c, d)])
    distance, p = marginal(c, d, Column("categorical", 3))
    assert p == pytest.approx(chi2_contingency(counts).pvalue)
    assert distance == pytest.approx(abs(np.diff(counts / counts.sum(1, keepdims=True), axis=0)).sum() / 2)


# ---------------------------------------------------------------------------------------------------------------
# Bad input
# ---------------------------------------------------------------------------------------------------------------


def test_identical_sets_and_constants_are_answered_honestly() -> None:
    x = normal(100)
    same = jensen.divergence(x, x[::-1])
    assert not same.different and same.jsd.value == 0 and any("same rows" in note for note in same.notes)
    with pytest.raises(Cannot):
        same.log_ratio(x)
    assert not jensen.divergence(np.ones((50, 2)), np.ones((60, 2))).different
    constant = jensen.divergence(
        np.column_stack([x, np.ones(100)]), np.column_stack([x + 3, np.ones(100)]), **QUICK
    )
    assert any("left out" in note for note in constant.notes) and len(constant.columns) == 3
    apart = jensen.divergence(np.ones((50, 1)), np.zeros((50, 1)), **QUICK)
    assert (
        apart.different and apart.saturated and any("constant on each side" in note for note in apart.notes)
    )


def test_shared_rows_are_counted() -> None:
    x = normal(200)
    found = jensen.divergence(x[:150], x[50:], **QUICK)
    assert any("100 rows of b also are rows of a" in note for note in found.notes)


@pytest.mark.parametrize(
    "a, b, options, says",
    [
        (normal(50, 3), normal(50, 2), {}, "3 in a and 2 in b"),
        (normal(50), normal(39), {}, "at least 40 rows"),
        (normal(50), np.full((50, 3), np.inf), {}, "infinite"),
        (table(50, 0), table(50, 1).drop(columns="kind"), {}, "only a has 'kind'"),
        (table(50, 0), table(50, 1).assign(y=1), {}, "only b has 'y'"),
        (table(50, 0), table(50, 1).assign(kind=1.0), {}, "another kind"),
        (table(50, 0), table(50, 1), {"columns": ["knid"]}, "did you mean kind"),
        (table(50, 0), table(50, 1), {"drop": ["x", "kind", "count"]}, "all were dropped"),
        (table(50, 0)[["x", "kind"]], normal(50, 2), {}, "another kind"),
        (pd.DataFrame({"id": [f"a{i}" for i in range(60)]}),) * 2 + ({}, "identifier"),
        (normal(50), normal(50, seed=1), {"critics": ["forest"]}, "unknown critic"),
        (normal(50), normal(50) + 1, {"features": 3}, "features is a function"),
        (normal(50), normal(50), {"seed": -1}, "seed is a whole number, 0 or more"),
    ],
)
def test_what_cannot_be_compared_is_said_in_three_parts(
    a: Any, b: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises((DataError, UsageError), match=says) as told:
        jensen.divergence(a, b, **options)
    assert told.value.wrong and told.value.given


def test_columns_are_matched_by_name_whatever_their_order() -> None:
    first = table(60, 0)
    pair = read_pair(first, first[["count", "kind", "x"]])
    assert np.array_equal(pair.a, pair.b, equal_nan=True)
    mixed = read_pair(first[["x", "count"]], first[["x", "count"]].to_numpy())
    assert mixed.names == ("x", "count") and np.array_equal(mixed.a, mixed.b, equal_nan=True)
    part = read_pair(first, first.drop(columns="kind"), columns=["count", "x"])
    assert part.a.shape == (60, 2) and part.encode(first[["count", "x"]].to_numpy()).shape == (60, 2)
    with pytest.raises(DataError, match="expected rows like"):
        part.encode(np.zeros((3, 1)))


# ---------------------------------------------------------------------------------------------------------------
# The command line
# ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def months(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    table(300, 0).to_csv("a.csv", index=False)
    table(300, 1, rose=0.7).to_csv("b.csv", index=False)
    return tmp_path


def run(*words: str) -> Any:
    return CliRunner().invoke(cli, ["divergence", *words])


def test_the_command_prints_the_verdict_the_bound_and_the_column(months: Path) -> None:
    done = run("a.csv", "b.csv")
    assert done.exit_code == 0, done.output
    first = done.output.splitlines()[0]
    assert first.startswith("a = a.csv, b = b.csv: different")
    for word in (
        "of the largest, log 2",
        "p-value",
        "sure at any sample size",
        "'tulip'",
        "look first at kind",
    ):
        assert word in done.output


def test_the_command_s_json_is_the_record_and_nothing_else(months: Path) -> None:
    done = run("a.csv", "b.csv", "--json", "--columns", "kind,count", "--seed", "1")
    found = json.loads(done.stdout)
    assert (
        found["different"] is True
        and found["jsd"]["kind"] == "lower"
        and found["columns"][0]["name"] == "kind"
    )
    assert found["how"]["seed"] == 1 and len(found["columns"]) == 2
    assert found["limit"] <= found["jsd"]["value"] and 0 < found["share_of_log_2"] < 1


def test_the_command_s_errors_name_its_options(months: Path) -> None:
    table(300, 1).drop(columns="x").to_csv("c.csv", index=False)
    done = run("a.csv", "c.csv")
    assert done.exit_code == 2 and "--drop x" in done.output and "--columns" in done.output


def test_dates_are_compared_as_times_and_told_as_dates() -> None:
    when = pd.Timestamp("2020-01-01") + pd.to_timedelta(
        np.random.default_rng(0).integers(0, 300, 400), unit="D"
    )
    a = pd.DataFrame({"when": when, "x": np.random.default_rng(1).normal(size=400)})
    b = a.assign(when=a["when"] + pd.Timedelta(days=150), x=a["x"].to_numpy()[::-1])
    found = jensen.divergence(a, b)
    assert found.p_value < 0.01
    (shift,) = [column for column in found.columns if column.name == "when"]
    assert shift.change.startswith("2020-") and "->" in shift.change
    with pytest.raises(jensen.DataError, match="'when' is of another kind"):
        jensen.divergence(a, b.assign(when=1.0))
