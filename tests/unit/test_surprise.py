"""Surprising rows: blame against laws where it is known, and planted wrong cells, which are to be found."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import jensen
from jensen.cli import cli
from jensen.errors import Cannot, UsageError
from jensen.fitted import Fitted
from jensen.space import Column, Space

COLUMNS = ("city", "colour", "age", "income", "born", "yes")


def people(n: int, seed: int) -> pd.DataFrame:
    """Colour is told by city, income by age and whether yes; gaps here and there."""
    rng = np.random.default_rng(seed)
    city = rng.integers(0, 4, n)
    age = rng.integers(20, 80, n)
    yes = rng.random(n) < 0.5
    income = np.round(20.0 * age + 600 * yes + rng.normal(0, 30, n), 1)
    frame = pd.DataFrame(
        {
            "city": np.array(["Bonn", "Ghent", "Lyon", "Turin"])[city],
            "colour": np.array(["red", "green", "blue", "black"])[city],
            "age": age,
            "income": income,
            "born": pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), unit="D"),
            "yes": yes,
        }
    )
    frame.loc[rng.random(n) < 0.1, "income"] = np.nan
    return frame


@pytest.fixture(scope="module")
def rows() -> jensen.data.Rows:
    return jensen.rows(people(3000, 0))


@pytest.fixture(scope="module")
def fitted(rows: jensen.data.Rows) -> Fitted:
    return jensen.fit("made", rows, steps=700, hidden=(64, 64), components=3)


def planted(rows: jensen.data.Rows) -> tuple[NDArray[np.float64], dict[int, set[int]]]:
    """Held-out rows of which 12 have a wrong cell: where, and which columns disagree because of it."""
    x, rng = np.array(rows.test[:]), np.random.default_rng(1)
    where: dict[int, set[int]] = {}
    for number, row in enumerate(rng.choice(len(x), 12, replace=False).tolist()):
        if number % 3 == 0:  # another city: it and colour disagree, and nothing says which one is wrong
            x[row, 0], where[row] = (x[row, 0] + 1 + rng.integers(0, 3)) % 4, {0, 1}
        elif number % 3 == 1:
            x[row, 3], where[row] = 2600.0 - x[row, 3] if x[row, 3] < 900 or x[row, 3] > 1700 else 80.0, {3}
        else:
            x[row, 4], where[row] = 40_000.0, {4}
        if np.isnan(x[row, 3]):
            x[row, 3] = 20.0 * x[row, 2] + 600 * x[row, 5]
            if where[row] == {3}:
                x[row, 3] = 3500.0
    return x, where


def test_planted_wrong_cells_are_found_with_the_column_to_blame(
    rows: jensen.data.Rows, fitted: Fitted
) -> None:
    x, where = planted(rows)
    found = fitted.surprise(x, 12, ordinary=rows.train[:])
    hits = [place for place, row in enumerate(found.index.tolist()) if row in where]
    assert len(hits) >= 9
    right = [
        bool(found.columns(place, 1)) and found.columns(place, 1)[0] in where[int(found.index[place])]
        for place in hits
    ]
    assert sum(right) >= 0.8 * len(hits)
    # of a swapped category either of the two may be wrong: both are blamed, and each with what would suit
    swapped = [place for place in hits if where[int(found.index[place])] == {0, 1}]
    for place in swapped:
        assert set(found.columns(place, 2)) == {0, 1}
        city, colour = found.rows[place, :2]
        assert found.likelier[place, 0] == rows_code(rows, 1, colour) and found.likelier[
            place, 1
        ] == rows_code(rows, 0, city)
    assert swapped


def rows_code(rows: jensen.data.Rows, site: int, value: float) -> float:
    """The code of the city of a colour (site 1), or of the colour of a city (site 0)."""
    x = np.asarray(rows.train[:])
    return float(x[x[:, site] == value][0, 1 - site])


def test_blame_is_that_of_its_definition_where_it_is_known() -> None:
    """Independent columns: the mean over ordinary values of p(v) / p(x), whatever the other columns hold."""
    space = Space((3,), (Column("categorical", 3), Column("real", gaps="value"), Column("binary")))
    rng = np.random.default_rng(2)
    x = np.stack(
        [rng.choice(3, 4000, p=[0.6, 0.3, 0.1]), rng.normal(5, 2, 4000), rng.integers(0, 2, 4000)], 1
    ).astype(float)
    x[rng.random(4000) < 0.25, 1] = np.nan
    fitted = jensen.fit("independent", jensen.rows(x, space=space))
    asked = np.array([[2.0, 5.0, 0.0], [0.0, 13.0, 1.0], [0.0, np.nan, 1.0]])
    found = fitted.surprise(asked, 3, ordinary=x, draws=4000)
    by_row = {int(row): place for place, row in enumerate(found.index)}
    blame, error = (part[[by_row[0], by_row[1], by_row[2]]] for part in (found.blame, found.error))
    squares = 0.36 + 0.09 + 0.01
    assert blame[0, 0] == pytest.approx(math.log(squares / 0.1), abs=0.1)
    assert blame[:, 2] == pytest.approx(np.zeros(3), abs=0.05)
    # per standard deviation: a normal density at the mean is 1 / sqrt(2 pi), on average 1 / sqrt(4 pi)
    usual = 0.25 * 0.25 + 0.75 * 0.75 / math.sqrt(4 * math.pi)
    own = [0.75 / math.sqrt(2 * math.pi), 0.75 * math.exp(-8) / math.sqrt(2 * math.pi), 0.25]
    assert blame[:, 1] == pytest.approx([math.log(usual / p) for p in own], abs=0.3)
    assert (error[:, :2] < 0.05).all() and found.index.tolist()[0] == 1
    in_thousands = jensen.rows(x * [1, 1000, 1], space=space)
    again = jensen.fit("independent", in_thousands).surprise(
        asked * [1, 1000, 1], 3, ordinary=x * [1, 1000, 1], draws=4000
    )
    assert again.blame == pytest.approx(found.blame, abs=1e-3)  # whatever the units


def test_the_rows_are_the_least_likely_and_the_same_seed_gives_the_same(
    rows: jensen.data.Rows, fitted: Fitted
) -> None:
    found, again = (fitted.surprise(rows, 5, seed=3) for _ in range(2))
    scores = fitted.score(rows).values
    assert found.index.tolist() == np.argsort(scores, kind="stable")[:5].tolist()
    assert np.array_equal(found.blame, again.blame, equal_nan=True)
    assert found.ordinary == "values of the training rows"
    told = json.loads(json.dumps(found.to_dict()))
    assert [one["row"] for one in told["rows"]] == found.index.tolist()
    assert set(told["rows"][0]["values"]) == set(COLUMNS)
    assert fitted.surprise(np.asarray(rows.test[:])[:20], 2).ordinary == "values that the model draws"
    with pytest.raises(UsageError, match="whole number"):
        fitted.surprise(rows, 0)


def test_bounds_blame_the_wrong_column_too() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(1500, 1)) + 0.2 * rng.normal(size=(1500, 3))
    rows = jensen.rows(x)
    fitted = jensen.fit("vae", rows, steps=500, latents=2, hidden=(32,))
    odd = np.asarray(rows.test[:])[:60].copy()
    odd[7, 1] += 4.0
    found = fitted.surprise(odd, 1, ordinary=x)
    assert found.index.tolist() == [7] and found.columns(0, 1) == [1]


def test_images_and_models_without_a_likelihood_are_refused() -> None:
    digits = jensen.fit("independent", "digits")
    with pytest.raises(Cannot, match="of a table"):
        digits.surprise("digits")


def test_score_worst_tells_rows_and_columns(rows: jensen.data.Rows, fitted: Fitted, tmp_path: Path) -> None:
    fitted.save(tmp_path / "run")
    frame = people(60, 9)
    frame.loc[13, "born"] = pd.Timestamp("2079-07-01")
    frame.to_csv(tmp_path / "new.csv", index=False)
    arguments = ["score", str(tmp_path / "run"), str(tmp_path / "new.csv"), "--worst", "2", "--quiet"]
    shown = CliRunner().invoke(cli, arguments)
    assert shown.exit_code == 0, shown.output
    assert "row 13" in shown.output and "born = 2079-07-01" in " ".join(shown.output.split())
    document = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)
    worst = document["surprise"]["rows"][0]
    assert worst["row"] == 13 and worst["blame"][0]["column"] == "born"
