"""CSV files that nobody prepared: a result, or three lines that say what to do; never a traceback, in bounded memory."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import jensen
from jensen.cli import cli
from jensen.errors import UsageError
from jensen.foresight import foresee, refuse_too_large
from jensen.models import model_class
from jensen.space import Column, Space

RNG = np.random.default_rng(0)
Make = Callable[[int], Iterable[Any]]


def number(n: int) -> Iterable[Any]:
    return np.round(RNG.normal(size=n), 3)


def day(i: int) -> str:
    return f"2024-01-{1 + i % 28:02d}"


FAULTY: dict[str, tuple[dict[str, Make], int, str, str]] = {
    # columns, rows, what the error says, what to do
    "one value": ({"x": number, "c": lambda n: ["same"] * n}, 90, "constant column", "--drop c"),
    "one number": ({"x": number, "c": lambda n: [7] * n}, 90, "constant column", "--drop c"),
    "50,000 categories": (
        {"x": number, "c": lambda n: [f"id{i}" for i in range(n)]},
        50_000,
        "looks like an identifier",
        "--drop c",
    ),
    "all missing": ({"x": number, "y": number, "c": lambda n: [""] * n}, 90, "is empty", "--drop c"),
    "no such day": (
        {"x": number, "c": lambda n: ["2024-02-30", *map(day, range(n - 1))]},
        90,
        "dates but for some texts",
        "repair or drop such rows",
    ),
    "a year too far": (
        {"x": number, "c": lambda n: ["12024-01-01", *map(day, range(n - 1))]},
        90,
        "dates but for some texts",
        "--kinds c=categorical",
    ),
    "a text among dates": (
        {"x": number, "c": lambda n: ["never" if i % 30 == 0 else day(i) for i in range(n)]},
        90,
        "dates but for some texts",
        "--kinds c=categorical",
    ),
    "a text among numbers": (
        {"x": number, "c": lambda n: ["unknown" if i % 30 == 0 else i / 2 for i in range(n)]},
        90,
        "numbers but for some texts",
        "--kinds c=categorical",
    ),
    "infinity": (
        {"x": number, "y": lambda n: ["inf", *range(n - 1)]},
        90,
        "expected finite numbers",
        "drop or fill them",
    ),
    "the same name twice": ({"x": number, "x ": number}, 90, "column names must differ", "rename one"),
    "an index": ({"id": lambda n: range(n), "x": number}, 90, "numbers the rows", "--drop id"),
    "an index without a name": ({"": lambda n: range(n), "x": number}, 90, "numbers the rows", "--drop ''"),
    "free text": (
        {"x": number, "c": lambda n: [f"the {i} of {7919 * i % 101}" for i in range(n)]},
        90,
        "looks like an identifier",
        "--drop c",
    ),
    "3 rows": ({"x": number, "c": lambda n: ["a", "b", "a"]}, 3, "one training row", "add rows"),
    "1 row": ({"x": number}, 1, "too few rows", "add rows"),
    "no rows": ({"x": number, "c": lambda n: []}, 0, "expected rows", "check what was read"),
}


def write(path: Path, columns: dict[str, Make], n: int) -> str:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow([name.strip() for name in columns])
        writer.writerows(zip(*(make(n) for make in columns.values())))
    return str(path)


def run(*words: str) -> Result:
    """A command in this process; what it does not catch fails the test."""
    return CliRunner().invoke(cli, [*words, "--quiet"], prog_name="jensen", catch_exceptions=False)


@pytest.mark.parametrize("name", FAULTY)
def test_what_cannot_be_learned_from_is_told_in_three_lines(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    columns, n, wrong, do = FAULTY[name]
    path = write(tmp_path / "rows.csv", columns, n)
    for words in (
        ("fit", path, "--model", "made", "--steps", "2"),
        ("compare", path, "--models", "independent"),
    ):
        found = run(*words)
        told = " ".join(found.output.split())
        assert found.exit_code == 2, found.output
        assert all(f"{part}:" in told for part in ("error", "given", "do"))
        assert wrong in told and do in told
    assert not (tmp_path / "runs").exists() and not (tmp_path / "report").exists()


def test_dates_at_the_ends_of_the_calendar_are_compared_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(
        tmp_path / "rows.csv",
        {"x": number, "when": lambda n: ["0001-01-01", "9999-12-31", day(0)] * (n // 3)},
        90,
    )
    found = run("compare", path, "--models", "independent")
    assert found.exit_code == 0, found.output
    assert "year" in (tmp_path / "report" / "rows.html").read_text(encoding="utf-8")


def test_3000_columns_are_compared_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "rows.csv", {f"x{i}": number for i in range(3000)}, 150)
    found = run("compare", path, "--models", "independent")
    assert found.exit_code == 0, found.output
    assert "only the first 200 of 3,000 columns" in " ".join(found.output.split())
    assert (tmp_path / "report" / "rows.html").stat().st_size < 4e6


def test_a_model_that_memory_cannot_hold_is_refused_before_it_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "rows.csv", {f"x{i}": number for i in range(3000)}, 20)
    monkeypatch.setattr("jensen.foresight.free_memory", lambda: 1_000_000_000)
    found = run("fit", path, "--model", "made", "--steps", "2")
    told = " ".join(found.output.split())
    assert found.exit_code == 2 and "too large for this machine" in told
    # 512 x 512, 3000 x 3 x 512 and 512 x 90,000 weights, and their biases
    assert "47,969,168 parameters" in told and "1.0 GB are free" in told and "drop columns" in told


SOME = tuple(
    Column("real") if i % 3 else Column("categorical", 3 + (i == 400), gaps="level" if i == 400 else "")
    for i in range(700)
)


@pytest.mark.parametrize("name", ["made", "vae", "transformer", "realnvp"])
@pytest.mark.parametrize("space", [Space.real(700), Space((700,), SOME)], ids=["real", "mixed"])
def test_the_weights_foreseen_are_those_of_the_model(name: str, space: Space) -> None:
    """By interpolation of a polynomial, exact but for the share of categories among the columns left, 1 %."""
    cls = model_class(name)
    if space.kind not in cls.accepts:
        with pytest.raises(jensen.errors.SpaceError):
            cls(space)
        return
    small = {"made": {"hidden": (32,)}, "vae": {"hidden": (32,)}}.get(name, {})
    found = foresee(cls, space, small, 64)
    built = sum(weights.numel() for weights in cls(space, **small).parameters())
    assert found is not None
    assert found.parameters == pytest.approx(built, rel=0.01 if space.kind == "mixed" else 1e-6)
    assert found.bytes > 6 * 4 * 0.99 * built
    assert foresee(cls, space, small, 640).bytes > found.bytes  # type: ignore[union-attr]
    refuse_too_large(cls, space, small, 64, free=2 * found.bytes)
    with pytest.raises(UsageError, match=f"{found.parameters:,} parameters"):
        refuse_too_large(cls, space, small, 64, free=found.bytes)


def test_small_tables_images_and_arguments_that_fit_no_fewer_columns_are_not_foreseen() -> None:
    cls = model_class("made")
    assert foresee(cls, Space.real(20), {}, 64) is None
    assert foresee(cls, Space.levels((1, 28, 28), 256), {}, 64) is None
    assert foresee(cls, Space.real(700), {"order": list(range(700))}, 64) is None
