"""Completing rows at the door: which rows, gaps and masks are taken, what is refused, and what the command does."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result

import jensen
from jensen.cli import cli
from jensen.cli.missing import parse_missing
from jensen.codec import Dequantise, Integers, Standardise
from jensen.data.gaps import read_gaps
from jensen.errors import Cannot, DataError, JensenWarning, SpaceError, UsageError
from jensen.fitted import Fitted
from jensen.models import model_class
from jensen.space import Column, Space

TABLE = Space(
    (3,),
    (
        Column("categorical", 3, name="colour", labels=("blue", "green", "red")),
        Column("levels", 5, low=0.5, step=0.1, name="size"),
        Column("binary", 2, name="old", labels=("false", "true")),
    ),
)


def made(space: Space, codec: Any = None) -> Fitted:
    torch.manual_seed(0)
    model = model_class("made")(space, hidden=(8,)).eval()
    return Fitted(model, codec or Integers(space), [], {})


def frame(**other: Any) -> pd.DataFrame:
    known = {"colour": ["red", "blue", "green"], "size": [0.5, 0.7, 0.9], "old": [True, False, True]}
    return pd.DataFrame({**known, **other})


@pytest.fixture(scope="module")
def table() -> Fitted:
    return made(TABLE)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.int64])
def test_observed_values_stay_bit_for_bit_whatever_their_type(dtype: Any) -> None:
    space = Space.levels(4, 6)
    rows = np.arange(12).reshape(3, 4).astype(dtype) % 6
    mask = np.array([False, True, False, True])
    found = made(space).complete(rows, mask, 5, particles=32, seed=0)
    assert (found.rows[:, :, ~mask] == rows[:, None, ~mask]).all()
    drawn = found.rows[:, :, mask]
    assert found.rows.shape == (3, 5, 4) and ((drawn >= 0) & (drawn < 6)).all() and len(np.unique(drawn)) > 3


def test_real_values_stay_bit_for_bit_and_in_their_units() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(1e9, 1e3, (50, 3))
    codec = Standardise.fit(Space.real(3), torch.from_numpy(rows))
    found = made(Space.real(3), codec).complete(rows, np.array([False, True, False]), 4, particles=64, seed=0)
    assert (found.rows[:, :, [0, 2]] == rows[:, None, [0, 2]]).all()
    assert abs(found.rows[:, :, 1] - 1e9).max() < 2e4 and len(np.unique(found.rows[:, :, 1])) == 200


def test_missing_sites_may_hold_anything_and_the_gaps_are_the_default(table: Fitted) -> None:
    mask = np.array([[False, True, False], [False, False, False], [True, False, False]])
    whole = np.array([[2, 0.6, 1], [0, 0.7, 0], [1, 0.9, 1]])
    odd = np.where(mask, [[np.nan] * 3, [0] * 3, [1e9] * 3], whole)
    holes = np.where(mask, np.nan, whole)
    found = [
        table.complete(rows, which, 3, particles=32, seed=1)
        for rows, which in ((whole, mask), (odd, mask), (holes, None), (holes.tolist(), None))
    ]
    for other in found[1:]:
        assert (other.rows == found[0].rows).all() and (other.missing == mask).all()
    assert (found[0].rows[1] == whole[1]).all() and found[0].exact.tolist() == [False, True, False]


def test_empty_cells_of_a_table_are_gaps_whatever_the_column(table: Fitted, tmp_path: Path) -> None:
    gapped = frame(colour=["red", None, "green"], size=[None, 0.7, 0.9], old=[True, None, True])
    gapped.to_csv(tmp_path / "t.csv", index=False)
    gapped[["old", "size", "colour"]].to_parquet(tmp_path / "t.parquet")
    want = [[False, True, False], [True, False, True], [False, False, False]]
    for source in (gapped, tmp_path / "t.csv", tmp_path / "t.parquet"):
        rows, gaps = read_gaps(source, TABLE)
        assert gaps.tolist() == want
        assert rows[0, [0, 2]].tolist() == [2, 1] and rows[1, 1] == 0.7 and rows[2].tolist() == [1, 0.9, 1]
        TABLE.check(rows)
    found = table.complete(gapped, None, 4, particles=32, seed=0)
    assert (found.missing == want).all() and (found.rows[2] == rows[2]).all()


def test_a_column_without_any_value_can_be_completed(table: Fitted, tmp_path: Path) -> None:
    for name in ("colour", "size", "old"):
        frame(**{name: [None] * 3}).to_csv(tmp_path / "t.csv", index=False)
        _, gaps = read_gaps(tmp_path / "t.csv", TABLE)
        assert gaps.all(0).tolist() == [name == one.name for one in TABLE.columns]


def test_rows_are_read_as_everywhere(table: Fitted) -> None:
    rows, gaps = read_gaps(frame(extra=[1, 2, 3]), TABLE, drop=["extra"], first=2)
    assert rows.shape == (2, 3) and not gaps.any()
    with pytest.raises(SpaceError, match="'extra'"):
        table.complete(frame(extra=[1, 2, 3]), np.array([True, False, False]))
    with pytest.raises(DataError, match=r"does not know.*'pink'"):
        table.complete(frame(colour=["red", "pink", None]))
    part = jensen.rows(np.array([[i % 3, 0.5 + i % 5 / 10, i % 2] for i in range(60)]), space=TABLE)
    assert len(table.complete(part, np.array([False, False, True]), seed=0)) == len(part.test)


@pytest.mark.parametrize("n, particles", [(0, 8), (1.5, 8), (1, 0), (1, -3)])
def test_numbers_below_one_are_refused(table: Fitted, n: Any, particles: Any) -> None:
    with pytest.raises(UsageError, match=r"whole number from 1 on; got (n|particles)="):
        table.complete(frame(), np.array([False, False, True]), n, particles=particles)


def test_masks_that_leave_nothing_to_do_or_nothing_to_go_by_are_refused(table: Fitted) -> None:
    with pytest.raises(UsageError, match="nothing to draw; got a mask without True"):
        table.complete(frame(), np.zeros(3, bool))
    with pytest.raises(UsageError, match="nothing to draw; got rows without a gap"):
        table.complete(frame())
    with pytest.raises(UsageError, match=r"nothing is observed.*use sample"):
        table.complete(frame(), np.ones(3, bool))


def test_masks_of_another_shape_or_type_are_refused(table: Fitted) -> None:
    with pytest.raises(SpaceError, match=r"\(3,\), or of all rows, \(3, 3\); got \(2,\)"):
        table.complete(frame(), np.array([True, False]))
    with pytest.raises(UsageError, match=r"got values of type int64: pass mask.astype\(bool\)"):
        table.complete(frame(), np.array([0, 0, 1]))


def test_observed_gaps_and_values_outside_the_space_are_named(table: Fitted) -> None:
    mask = np.array([False, False, True])
    with pytest.raises(SpaceError, match="needs a value; row 1, column 'size' holds none"):
        table.complete(frame(size=[0.5, None, 0.9]), mask)
    with pytest.raises(SpaceError, match=r"row 2, column 'size' holds 0\.95"):
        table.complete(frame(size=[0.5, 0.6, 0.95]), mask)
    with pytest.raises(SpaceError, match="row 0, site 0,1,0 holds none"):
        rows = np.zeros((2, 1, 2, 2))
        rows[0, 0, 1, 0] = np.nan
        made(Space.binary((1, 2, 2))).complete(rows, np.array([[[True, True], [False, False]]]))


def test_models_without_conditionals_and_noisy_codecs_cannot() -> None:
    space = Space.levels(2, 3)
    mask = np.array([True, False])
    independent = Fitted(model_class("independent")(space), Integers(space), [], {})
    with pytest.raises(
        Cannot, match=r"Independent cannot complete rows.*it can: sample.*fit an autoregressive"
    ):
        independent.complete([[0, 1]], mask)
    with pytest.raises(Cannot, match="sees levels with noise added"):
        made(Space.real(2), Dequantise(space)).complete([[0, 1]], mask)


def test_a_context_that_the_model_does_not_take_is_refused(table: Fitted) -> None:
    with pytest.raises(Cannot, match="without a context"):
        table.complete(frame(), np.array([False, False, True]), context=np.zeros(3))


def test_few_particles_are_noted_and_warned_of(table: Fitted) -> None:
    mask = np.array([True, False, False])
    with pytest.warns(
        JensenWarning, match="effective sample size is low, 1 at the least, in 3 of 3 rows"
    ) as told:
        found = table.complete(frame(), mask, 2, particles=1, seed=0)
    assert told[0].filename == __file__, "the warning points at the user's line"
    assert "raise particles" in found.notes[-1] and ">= " in repr(found)
    enough = table.complete(frame(), mask, 2, particles=200, seed=0)
    assert (enough.ess > 10).all() and "200 particles" in repr(enough)


def test_a_seed_repeats_and_training_mode_is_kept(table: Fitted) -> None:
    mask = np.array([False, True, False])
    first, again, other = (table.complete(frame(), mask, 30, seed=seed).rows for seed in (4, 4, 5))
    assert (first == again).all() and (first != other).any()
    table.model.train()
    assert (table.complete(frame(), mask, 30, seed=4).rows == first).all() and table.model.training
    table.model.eval()


def test_progress_counts_every_completion_once(table: Fitted) -> None:
    told: list[int] = []
    rows = np.array([[0, np.nan, 0], [1, 0.5, np.nan]])
    table.complete(rows, None, 600, seed=0, watch=told.append)
    assert told == sorted(set(told)) and told[-1] == 1200 and len(told) > 2


# ---------------------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------------------


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="jensen", catch_exceptions=False)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, `table` and `images`, in the folder we stand in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made(TABLE).save("table")
    made(Space.levels((1, 4, 4), 17)).save("images")
    return tmp_path


def test_gaps_of_a_table_are_filled_and_printed_as_csv(runs: Path) -> None:
    frame(colour=["red", None, "green"]).to_csv("t.csv", index=False)
    result = run("complete", "table", "t.csv", "-n", 2, "--seed", 1)
    found = pd.read_csv(io.StringIO(result.stdout))
    assert list(found) == ["colour", "size", "old"] and len(found) == 6
    assert found["size"].tolist() == [0.5, 0.5, 0.7, 0.7, 0.9, 0.9] and found["colour"][0] == "red"
    assert set(found["colour"]) <= {"red", "green", "blue"}
    assert "2 x 3 rows, 0 to 1 of 3 sites drawn, seed 1" in result.stderr
    assert run("complete", "table", "t.csv", "-n", 2, "--seed", 1, "-q").stdout == result.stdout


def test_named_columns_are_drawn_and_json_is_one_document(runs: Path) -> None:
    frame(size=[None] * 3).to_csv("t.csv", index=False)
    facts = json.loads(
        run("complete", "table", "t.csv", "--missing", "size, old", "--first", 2, "--json").stdout
    )
    assert np.shape(facts["completions"]) == (2, 1, 3) and facts["exact"] == [True, True]
    assert facts["log_observed"]["sign"] == "=" and facts["particles"] == 256
    assert facts["notes"] == ["exact: the observed sites come first in the model's order"]


def test_images_are_completed_into_a_file_and_a_low_sample_size_is_told_even_if_quiet(runs: Path) -> None:
    images = np.random.default_rng(0).integers(0, 17, (3, 1, 4, 4))
    np.save("x.npy", images)
    result = run(
        "complete", "images", "x.npy", "--missing", "top", "-n", 2, "--particles", 2, "--out", "y.npy", "-q"
    )
    assert result.stdout == "" and "warning: the effective sample size is low" in result.stderr
    assert "raise --particles" in result.stderr
    found = np.load("y.npy")
    assert found.shape == (6, 1, 4, 4) and (found[::2, :, 2:] == images[:, :, 2:]).all()
    again = run("complete", "images", "x.npy", "--missing", "bottom", "--out", "y.npy")
    assert again.exit_code == 2 and "--overwrite" in again.stderr


def test_masks_come_from_words_ranges_and_files(runs: Path) -> None:
    from PIL import Image

    space = Space.binary((2, 3, 4))
    rows = {"bottom": [1, 2], "top": [0], "rows:2-2": [1]}
    columns = {"left": [0, 1], "right": [2, 3], "columns:1-3": [0, 1, 2]}
    for axis, words in ((1, rows), (2, columns)):
        for text, places in words.items():
            want = np.zeros(space.shape, bool)
            np.moveaxis(want, axis, 0)[places] = True
            assert (parse_missing(text, space) == want).all(), text
    one = np.arange(12).reshape(3, 4) % 5 == 0
    np.save("mask.npy", one)
    Image.fromarray((one * 255).astype(np.uint8)).save("mask.png")
    for name in ("mask.npy", "mask.png"):
        assert (parse_missing(name, space) == one).all() and parse_missing(name, space).shape == space.shape


@pytest.mark.parametrize(
    "text, error",
    [
        ("middle", "unknown part of an image"),
        ("rows:0-2", "rows of these images go from 1 to 4"),
        ("columns:3-9", "columns of these images go from 1 to 4"),
        ("nowhere.npy", "the mask cannot be read"),
    ],
)
def test_parts_of_images_that_are_none_are_refused(runs: Path, text: str, error: str) -> None:
    np.save("x.npy", np.zeros((2, 1, 4, 4), int))
    result = run("complete", "images", "x.npy", "--missing", text, "--out", "y.npy")
    assert result.exit_code == 2 and error in result.stderr and "do:" in result.stderr


def test_unknown_columns_and_rows_without_gaps_are_refused(runs: Path) -> None:
    frame().to_csv("t.csv", index=False)
    assert "did you mean colour" in run("complete", "table", "t.csv", "--missing", "color").stderr
    result = run("complete", "table", "t.csv")
    assert (
        result.exit_code == 2 and "t.csv has no empty cells" in result.stderr and "--missing" in result.stderr
    )
