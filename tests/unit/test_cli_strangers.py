"""Names, labels and notes of strangers move no cursor and forge no line of what the command line says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from jensen.cli import cli
from jensen.cli.terminal import echo, style
from jensen.printable import printable

TITLE, CLEAR, TURN = "\x1b]0;owned\x07", "\x1b[2J\x1b[8m", "\u202eexe.txt"
FORGED = "x\nerror: forged\r\x0bdo: obey"
EVIL = f"{TITLE}{CLEAR}{TURN}{FORGED}"
OWN_COLOURS = re.compile(r"\x1b\[(?:0|1|2|22|3[0-7])m")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def jensen(*words: object, code: int = 0) -> Result:
    """A verb as on a terminal that shows colours."""
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False, color=True)
    assert result.exit_code == code, result.output
    return result


def check(text: str) -> None:
    """Nothing of the stranger's acts on a terminal."""
    assert "\x1b[8m" not in text and "\x1b[2J" not in text
    left = OWN_COLOURS.sub("", text)
    assert not [c for c in left if c not in "\n\t" and printable(c) != c], repr(text)
    assert not re.search(r"^ *(error: forged|do: obey)", left, re.MULTILINE), text


def table(name: str = "rows.parquet", column: str = EVIL) -> str:
    """A Parquet file, whose names and labels may hold line breaks; of a CSV file, those without."""
    rng = np.random.default_rng(0)
    label = EVIL if name.endswith(".parquet") else EVIL.partition("\n")[0]
    column = column if name.endswith(".parquet") else column.partition("\n")[0]
    frame = pd.DataFrame(
        {
            column: rng.normal(size=90) + 3 * name.startswith("other"),
            "b": rng.normal(size=90),
            "kind": [f"p{label}", f"q{label}"] * 45,
        }
    )
    frame.to_parquet(name) if name.endswith(".parquet") else frame.to_csv(name, index=False)
    return name


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_of_a_stranger_do_not_act_on_the_terminal(suffix: str) -> None:
    rows = table(f"rows.{suffix}")
    for words in (
        ("fit", rows, "--model", "independent", "--out", "run"),
        ("score", "run", rows),
        ("compare", rows, "--models", "independent", "--report", "page.html"),
        ("divergence", rows, table(f"other.{suffix}")),
        ("audit", "run"),
        ("fit", rows, "--model", "realnvp", "--steps", "5", "--context", "kind", "--out", "given"),
    ):
        result = jensen(*words, code=0)
        check(result.output + result.stderr)
        page = Path("page.html").read_text(encoding="utf-8") if "page.html" in words else ""
        assert "\x1b" not in page and "\u202e" not in page


def test_errors_that_name_a_strangers_columns_and_labels_do_not_act_on_the_terminal() -> None:
    rows = table()
    jensen("fit", rows, "--model", "independent", "--out", "run")
    pd.DataFrame({EVIL: [1.0], "b": [2.0], "kind": [TITLE + TURN]}).to_parquet("odd.parquet")
    pd.DataFrame({TITLE: [1.0, 2.0], "b": [2.0, 1.0]}).to_parquet("less.parquet")
    for words in (
        ("score", "run", "odd.parquet"),
        ("score", "run", "less.parquet"),
        ("fit", rows, "--model", "made", "--drop", "nothing"),
        ("score", "run", f"{TITLE}.csv"),
    ):
        result = jensen(*words, code=2)
        check(result.stderr)
        assert result.stderr.count("error:") == result.stderr.count("error: forged") + 1
    document = json.loads(jensen("score", "run", "odd.parquet", "--json", code=2).stdout)
    assert TURN in document["error"]["given"] + document["error"]["wrong"] or "\\u202e" in str(document)


def test_the_record_of_a_strangers_run_does_not_act_on_the_terminal() -> None:
    rows = table("rows.parquet", "a")
    jensen("fit", rows, "--model", "independent", "--out", "run")
    path = Path("run/model.json")

    def spoil(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: spoil(one) for key, one in value.items()}
        if isinstance(value, list):
            return [spoil(one) for one in value]
        return EVIL if value in ("a", "rows.parquet", "mean") else value

    record = spoil(json.loads(path.read_text()))
    record["notes"] = [{"name": EVIL, "text": EVIL, "doubtful": True}]
    record["data"]["notes"] = [EVIL]
    path.write_text(json.dumps(record))
    for words in (("sample", "run", "-n", "3", "--json"), ("audit", "run"), ("score", "run", rows)):
        result = CliRunner().invoke(cli, list(words), color=True)
        assert result.exit_code in (0, 1, 2) and not isinstance(result.exception, Exception)
        check(result.output + result.stderr)
        if "--json" in words:
            assert EVIL in json.loads(result.stdout)["columns"]
    record["model"]["name"] = record["model"]["class"] = EVIL
    path.write_text(json.dumps(record))
    check(jensen("audit", "run", code=2).stderr)


def test_rows_go_to_a_pipe_as_they_are_and_to_a_terminal_fit_to_be_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from jensen.cli.terminal import rows_out

    rows_out(f"{TITLE}\n")
    assert capsys.readouterr().out == f"{TITLE}\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    rows_out(f"{TITLE}\n")
    assert capsys.readouterr().out == "\\x1b]0;owned\\x07\n"


def test_colours_are_ours_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    said: list[str] = []
    monkeypatch.setattr(click, "echo", lambda text, **_: said.append(text))
    echo(f"{style('head', fg='red')} \x1b[31mnot red {style(chr(27) + '[8m', bold=True)}")
    assert said == ["\x1b[31mhead\x1b[0m \\x1b[31mnot red \x1b[1m\\x1b[8m\x1b[0m"]
