"""Samples of a table in a comparison: the record, the text, the page, and what cannot be computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import jensen
from jensen.adapt.samples import samples_of
from jensen.comparison import Comparison
from jensen.fidelity import METRICS
from jensen.report.fidelity import fidelity_lines, fidelity_view
from jensen.report.marginals import bin_edges, gap_share, level_shares, shares_in_bins
from jensen.report.pictures import Pictures
from jensen.space import Column, Space

NAN = float("nan")


def frame(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    city = rng.integers(0, 3, n)
    size = np.round(3.0 * city + rng.normal(size=n), 2)
    found = pd.DataFrame(
        {
            "size": np.where(rng.random(n) < 0.2, NAN, size),
            "city": np.array(["Bonn", "Ghent", "Lyon"], dtype=object)[city],
            "born": pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), unit="D"),
            "count": rng.integers(0, 5, n),
        }
    )
    found.loc[rng.random(n) < 0.15, "city"] = None
    return found


@pytest.fixture(scope="module")
def result() -> Comparison:
    data = jensen.rows(frame(900, 0))
    few = samples_of("few", frame(30, 5), data.space)
    same = frame(500, 6)
    copied = frame(900, 0).iloc[:300]
    return jensen.compare({"independent": "independent", "few": few, "same": same, "copied": copied}, data)


def of(result: Comparison, name: str) -> dict[str, Any]:
    record = json.loads(json.dumps(result.to_dict()))
    return next(one for one in record["fidelity"]["models"] if one["name"] == name)  # type: ignore[no-any-return]


def test_the_record_holds_every_metric_or_the_reason(result: Comparison) -> None:
    one = of(result, "independent")
    assert list(one["columns"]) == ["size", "city", "born", "count"] and one["why_not"] == {}
    assert {tuple(pair["columns"]) for pair in one["pairs"]["largest"][:1]} == {("size", "city")}
    assert one["pairs"]["largest"][0]["value"] > 0.4 > one["pairs"]["mean"]["value"]
    lost = {use["target"]: use["lost"]["interval"][1] for use in one["utility"]}
    assert min(lost["size"], lost["city"]) < 0
    few = of(result, "few")
    assert list(few["why_not"]) == ["utility"] and "50 rows" in few["why_not"]["utility"]


def test_rows_of_the_law_are_good_and_copies_are_told(result: Comparison) -> None:
    same, copied = of(result, "same"), of(result, "copied")
    low, high = same["closeness"]["nearer than held-out rows"]["interval"]
    assert low < 0.52 and high > 0.48
    assert same["pairs"]["largest"][0]["value"] < 2 * same["pairs"]["largest"][0]["how"]["real_to_real"]
    assert copied["closeness"]["exact copies"]["value"] > 0.5
    assert copied["closeness"]["nearer than held-out rows"]["interval"][0] > 0.6


def test_the_same_seed_gives_the_same_record(result: Comparison) -> None:
    data = jensen.rows(frame(900, 0))
    again = jensen.compare({"independent": "independent"}, data)
    assert of(again, "independent") == of(result, "independent")


def test_the_text_has_a_line_a_model_and_the_page_a_section(result: Comparison, tmp_path: Path) -> None:
    record = result.to_dict()
    lines = fidelity_lines(record)
    assert [line.split()[0] for line in lines[4:8]] == [one["name"] for one in record["fidelity"]["models"]]
    line = next(line for line in lines if line.startswith("independent "))
    assert "size and city" in line and "cannot" not in line
    assert any(line.startswith("few, utility: cannot, because") for line in lines)
    page = result.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    section = page[page.index('id="fidelity"') : page.index('id="training"')]
    assert section.count("<svg") == 5  # real rows, and four models
    assert "privacy evidence, not a promise" in section and "few, utility: cannot, because" in section
    share = np.isnan(np.asarray(result.data.test[:])[:, 0]).mean()
    assert f"gaps {100 * share:.0f} %" in page and "There are fewer samples of few: 30." in page
    assert "Lyon" in page and ">gap<" in page and ">2000<" in page  # a bar for gaps, and a date axis
    view = fidelity_view(record, {one["name"]: place for place, one in enumerate(record["models"])})
    assert view is not None and {row["name"] for row in view["rows"]} == {
        "independent",
        "few",
        "same",
        "copied",
    }


def test_images_have_no_columns_and_a_model_that_does_not_sample_says_so() -> None:
    digits = jensen.compare(["independent"], "digits", lens=None)
    assert digits.fidelity is None and digits.to_dict()["fidelity"] is None
    assert fidelity_lines(digits.to_dict()) == []
    rng = np.random.default_rng(0)
    data = jensen.rows(rng.normal(size=(60, 2)))
    tiny = jensen.compare(["independent"], data)
    assert tiny.fidelity is not None
    assert tiny.fidelity.of("independent").why_not.keys() == set(METRICS)
    assert any(
        "cannot, because columns need 20 held-out rows" in line for line in fidelity_lines(tiny.to_dict())
    )


def test_wide_tables_say_what_is_not_looked_at() -> None:
    x = np.random.default_rng(1).normal(size=(150, 210))
    found = jensen.compare(["independent"], x)
    assert found.fidelity is not None
    one = found.fidelity.of("independent")
    assert len(one.columns) == 200 and one.pairs is not None and len(one.pairs.names) == 40
    assert any("only the first 200 of 210 columns" in note for note in found.fidelity.notes)


# --- drawings --------------------------------------------------------------------------------------------------------


def test_shares_are_of_all_values_gaps_included() -> None:
    values = np.array([0.5, NAN, 1.5, NAN])
    assert shares_in_bins(values, np.array([0.0, 1.0, 2.0])).tolist() == [0.25, 0.25]
    assert gap_share(values) == 0.5
    column = Column("categorical", 20, gaps="value")
    codes = np.array([0.0, 0, 1, NAN])
    assert level_shares(column, codes, [0]).tolist() == [0.5, 0.25]
    assert np.isfinite(bin_edges(Column("real", gaps="value"), np.array([NAN, NAN]))).all()


def test_gaps_are_drawn_and_other_numbers_that_are_not_finite_are_not() -> None:
    space = Space((2,), (Column("real", gaps="value"), Column("real")))
    rows = np.array([[NAN, 1.0], [1.0, NAN], [np.inf, 1.0], [1.0, 2.0]])
    drawn, left = Pictures(space, rows).drawable()
    assert np.array_equal(drawn, rows[[0, 3]], equal_nan=True) and left == 2
