"""Comparisons: the same rows, proven orders only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import jensen
from jensen.errors import SpaceError, UsageError
from jensen.quantity import Answer


@pytest.fixture(scope="module")
def result() -> jensen.Comparison:
    fitted = jensen.fit("made", "digits", steps=150, hidden=[64])
    return jensen.compare(
        {"network": fitted, "baseline": "independent", "blobs": "mixture"}, "digits", k=4, lens=None
    )


def test_the_order_of_two_exact_models_is_proven_and_a_bound_below_stays_a_bound(
    result: jensen.Comparison,
) -> None:
    answers = {(pair.better, pair.worse): pair.order for pair in result.orders()}
    proven = answers[("network", "baseline")]
    assert proven.answer is Answer.PROVEN and proven.difference.value > 0
    # the mixture's number is a lower bound: being above it proves nothing
    assert answers[("baseline", "blobs")].answer is Answer.UNDECIDED


def test_all_pairs_share_the_level(result: jensen.Comparison) -> None:
    assert {pair.order.difference.level for pair in result.orders()} == {1 - 0.05 / 3}


def test_the_record_is_plain_json_and_complete(result: jensen.Comparison) -> None:
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert [m["name"] for m in record["models"]] == ["network", "baseline", "blobs"]
    assert [m["log_likelihood"]["sign"] for m in record["models"]] == ["=", "=", ">="]
    assert [m["bits_per_dim"]["sign"] for m in record["models"]] == ["=", "=", "<="]
    assert all(m["audit"] and not any(v["holds"] is False for v in m["audit"]) for m in record["models"])


def test_the_report_is_written_once(result: jensen.Comparison, tmp_path: Path) -> None:
    path = result.to_html(tmp_path / "report.html")
    assert "<html" in path.read_text(encoding="utf-8")
    with pytest.raises(jensen.JensenError, match="overwrite"):
        result.to_html(path)


def test_a_model_of_another_split_is_said_to_have_seen_the_rows(result: jensen.Comparison) -> None:
    other = jensen.fit("independent", jensen.rows("digits", seed=3))
    notes = jensen.compare([other], "digits", lens=None).to_dict()["data"]["notes"]
    assert any("may have seen" in note for note in notes)
    assert not any("may have seen" in note for note in result.to_dict()["data"]["notes"])


def test_the_default_line_up_fits_the_rows() -> None:
    from jensen.lineup import line_up

    assert line_up(jensen.rows("digits")) == ["independent", "mixture", "made", "pixelcnn"]
    assert line_up(jensen.rows("wine")) == ["independent", "mixture", "made"]
    bits = np.random.default_rng(0).integers(0, 2, (60, 5))
    assert line_up(jensen.rows(bits)) == ["independent", "mixture", "made"]


def test_names_are_checked_before_anything_is_fitted() -> None:
    with pytest.raises(UsageError, match="did you mean made"):
        jensen.compare(["independent", "mad"], "digits")
    with pytest.raises(UsageError, match="at least one model"):
        jensen.compare([], "digits")


def test_another_split_of_the_same_rows_and_seed_is_another_split() -> None:
    x = np.random.default_rng(0).normal(size=(200, 2))
    most = jensen.fit("independent", jensen.rows(x, split=(0.9, 0.05, 0.05)))
    assert any("may have seen" in note for note in jensen.compare(most, jensen.rows(x)).facts["warnings"])


def test_the_level_is_that_of_every_interval() -> None:
    record = jensen.compare(["independent"], "iris", level=0.5).to_dict()
    assert record["models"][0]["log_likelihood"]["level"] == 0.5
    for level in (0.0, 1.5):
        with pytest.raises(UsageError, match="between 0 and 1"):
            jensen.compare(["independent"], "iris", level=level)


def test_what_is_no_model_is_refused_before_the_fits() -> None:
    for models in ([3], {"a": None}):
        with pytest.raises(UsageError, match="expected names"):
            jensen.compare(models, "iris")


def test_a_table_of_mixed_columns_is_compared_on_one_measure() -> None:
    plan = jensen.Plan(steps=30)
    found = jensen.compare(None, "diabetes", plan=plan).to_dict()
    models = {model["name"]: model for model in found["models"]}
    assert set(models) == {"independent", "made", "transformer", "spline-flow"}
    scores = {name: model["log_likelihood"] for name, model in models.items()}
    assert {score["measure"] for score in scores.values()} == {"mixed"}
    assert scores["made"]["kind"] == "exact" and scores["spline-flow"]["kind"] == "lower"


def test_samples_made_elsewhere_are_judged_beside_models_and_cannot_be_scored(tmp_path: Path) -> None:
    """The same bound as of the laws themselves: N(0.8, 1) in two columns against N(0, 1) has a JSD of 0.138 nats."""
    rng = np.random.default_rng(0)
    rows, far, near = (rng.normal(shift, 1, (n, 2)) for shift, n in ((0, 4000), (0.8, 1200), (0, 1200)))
    np.save(tmp_path / "near.npy", near)
    found = jensen.compare({"far": far, "near": tmp_path / "near.npy", "few": near[:30]}, rows).to_dict()
    told = {model["name"]: model for model in found["models"]}
    assert told["near"]["jsd"]["value"] < 0.03 < 0.08 < told["far"]["jsd"]["value"] < 0.17
    assert told["far"]["jsd"]["interval"][0] < 0.138 and told["far"]["jsd"]["kind"] == "lower"
    assert "40 samples" in told["few"]["why_no_jsd"] and told["far"]["why_not"].startswith("cannot")
    assert told["far"]["audit"] == [] and told["far"]["abilities"] == ["sample"]
    assert any("far is rows made elsewhere" in note for note in found["data"]["notes"])
    with pytest.raises(SpaceError):
        jensen.compare({"wide": rng.normal(size=(99, 3))}, rows)
