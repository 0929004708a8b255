"""What a fitted flow says of itself: the record, a warning where it is doubtful, a line of `jensen fit`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import jensen
from jensen.cli import cli

SMALL: dict[str, Any] = {"transforms": 1, "hidden": (8,), "steps": 2}


def clipped() -> np.ndarray:
    """Normal rows without tails: nothing lies beyond five deviations."""
    return np.random.default_rng(0).normal(size=(1000, 2)).clip(-2, 2)


def test_few_values_beyond_the_bound_are_noted_and_many_are_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = jensen.fit("spline-flow", clipped(), **SMALL)
    assert [(note["name"], note["doubtful"]) for note in quiet.record["notes"]] == [("tails", False)]
    assert quiet.record["notes"][0]["text"].startswith("0 % of the values")
    with pytest.warns(jensen.JensenWarning, match="Raise bound"):
        loud = jensen.fit("spline-flow", clipped(), bound=0.5, **SMALL)
    # of a normal variable, clipped beyond 2, 62 % lies beyond half a deviation
    share = float(loud.record["notes"][0]["text"].split(" %")[0])
    assert share == pytest.approx(61.7, abs=6)


def test_one_column_through_affine_maps_is_said_to_be_a_normal_law() -> None:
    column = np.random.default_rng(0).exponential(size=(200, 1))
    for name in ("maf", "iaf"):
        with pytest.warns(jensen.JensenWarning, match="normal law.*use spline-flow"):
            jensen.fit(name, column, **SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jensen.fit("maf", np.hstack([column, column]), **SMALL)
        jensen.fit("spline-flow", column, bound=12.0, **SMALL)


def test_the_command_prints_the_notes_and_keeps_them_in_the_run(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", clipped())
    words = ["fit", str(tmp_path / "rows.npy"), "--model", "spline-flow", "--steps", "2", "--out"]
    settings = ["--set", "transforms=1", "--set", "bound=0.5", "--quiet"]
    done = CliRunner().invoke(cli, [*words, str(tmp_path / "run"), *settings], prog_name="jensen")
    assert done.exit_code == 0, done.output
    assert "tails" in done.output and "warning: " in done.output
    assert jensen.load(tmp_path / "run").record["notes"][0]["doubtful"]
