"""What a verb cannot do is said in three lines with exit code 2, and nothing half-written is left."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from jensen.cli import cli
from jensen.cli.wording import as_options

GOOD = "\n".join(
    ["a,b,c", *(f"{n * 0.37 % 1:.6f},{n * 0.73 % 1:.6f},{n * n * 0.11 % 1:.6f}" for n in range(40))]
)
FIT = ("--model", "independent")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder with a good table and a finished run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("good.csv").write_text(GOOD, encoding="utf-8")
    assert jensen("fit", "good.csv", *FIT, "--out", "run").exit_code == 0
    return tmp_path


def jensen(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="jensen", catch_exceptions=False)


def tree() -> dict[str, int]:
    """Every file and folder here, with its size."""
    return {str(path): path.stat().st_size if path.is_file() else 0 for path in Path().rglob("*")}


def refused(*words: object) -> str:
    """The three lines of an error, after checking that it is one and that nothing was left behind."""
    before = tree()
    result = jensen(*words)
    assert result.exit_code == 2, result.output
    found = re.search(r"^error: .*(\ngiven: .*)?(\ndo: .*)?\n\Z", result.stderr, re.MULTILINE)
    assert found is not None, result.stderr
    assert "Traceback" not in result.output and tree() == before
    return found[0]


def csv_with(*rows: str) -> Callable[[], Any]:
    return lambda: Path("bad.csv").write_text("\n".join(rows), encoding="utf-8")


LINES = GOOD.splitlines()
BAD_ROWS = {
    "nothing": (csv_with(), "empty"),
    "a header alone": (csv_with(LINES[0], ""), "empty data"),
    "one row": (csv_with(*LINES[:2]), "given: 1"),
    "a column of gaps": (csv_with("a,b", *(f"{n}.5," for n in range(20))), "--drop b"),
    "infinity": (csv_with(*LINES, "inf,1,2"), "inf"),
    "a word among numbers": (csv_with(*LINES, "x,1,2"), "'a'"),
    "a constant column": (csv_with("a,b", *(f"{n}.5,7" for n in range(20))), "--drop b"),
    "a ragged line": (csv_with(*LINES, "1,2"), "Expected 3 columns, got 2"),
}


@pytest.mark.parametrize("name", list(BAD_ROWS))
@pytest.mark.parametrize("verb", ["fit", "compare"])
def test_rows_that_cannot_be_modelled(name: str, verb: str) -> None:
    make, told = BAD_ROWS[name]
    make()
    assert told in refused(verb, "bad.csv", *(FIT if verb == "fit" else ("--models", "independent")))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fti"], "did you mean fit?"),
        (["fit", "good.csv", "--model", "independant"], "did you mean independent?"),
        (["fit", "digts", *FIT], "did you mean digits"),
        (["fit", "god.csv", *FIT], "did you mean good.csv?"),
        (["fit", "good.csv", *FIT, "--steps", "0"], "steps >= 1"),
        (["fit", "good.csv", *FIT, "--steps", "-3"], "steps >= 1"),
        (["fit", "good.csv", *FIT, "--seconds", "-1"], "seconds > 0"),
        (["fit", "good.csv", *FIT, "--seconds", "nan"], "seconds > 0"),
        (["fit", "good.csv", *FIT, "--set", "smothing=1"], "did you mean smoothing?"),
        (["fit", "good.csv", *FIT, "--set", "batch=some"], "batch is a whole number"),
        (["fit", "good.csv", *FIT, "--set", "steps=3"], "pass --steps"),
        (["fit", "good.csv", *FIT, "--kinds", "z=real"], "unknown column"),
        (["fit", "good.csv", *FIT, "--kinds", "rael"], "did you mean real?"),
        (["fit", "good.csv", *FIT, "--drop", "z"], "'z'"),
        (["fit", "good.csv", *FIT, "--device", "abacus"], "use auto or cpu"),
        (["fit", "good.csv", *FIT, "--out", "run"], "--overwrite"),
        (["fit", "good.csv", *FIT, "--out", "good.csv"], "is a file"),
        (["fit", "good.csv", *FIT, "--out", "run", "--resume"], "solved in one call"),
        (["fit", "digits", "--model", "made", "--out", "r", "--set", "batch=Infinity"], "whole number"),
        (["fit", "digits", "--model", "made", "--out", "r", "--seed", "-1"], "from 0 to 2^32 - 1"),
        (["fit", "digits", "--model", "made", "--out", "r", "--device", "meta"], "device cannot be used"),
        (["fit", "good.csv", "--model", "pixelcnn"], "models images"),
        (["fit", "digits", "--model", "made", "--out", "r", "--resume"], "no interrupted run"),
        (["compare", "good.csv", "--models", "independent,independant"], "did you mean independent?"),
        (["compare", "good.csv", "--models", ""], "at least one model"),
        (["compare", "good.csv", "--steps", "0"], "steps >= 1"),
        (["compare", "good.csv", "--runs", "nowhere"], "no run here"),
        (["compare", "good.csv", "--report", "good.csv"], "--overwrite"),
        (["compare", "good.csv", "--set", "hidden=[3]"], "unknown setting"),
        (["sample", "nowhere"], "no run here"),
        (["sample", "run", "-n", "0"], "at least one row"),
        (["sample", "run", "-n", "1000000"], "pass --out"),
        (["sample", "run", "--out", "good.csv"], "--overwrite"),
        (["sample", "run", "--out", "s.xls"], "unknown format"),
        (["sample", "run", "--out", "nowhere/s.csv"], "folder"),
        (["score", "run", "digits"], "expected rows of shape (n, 3)"),
        (["score", "run", "good.csv", "-k", "0"], "k >= 1"),
        (["score", "run", "good.csv", "--out", "s.txt"], ".csv"),
        (["score", "run", "good.csv", "--out", "good.csv"], "--overwrite"),
        (["audit", "run", "--checks", "leak"], "no_leak"),
        (["audit", "nowhere.py:make"], "no such file"),
        (["audit", "nowhere.py"], "nowhere.py:make"),
        (["audit", "run", "--at", "1,1"], "no receptive field"),
        (["models", "independant"], "did you mean independent?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_that_make_no_sense(words: list[str], told: str) -> None:
    text = refused(*words)
    assert told in text and "\ngiven: " in text


def test_a_label_left_in_is_named_and_can_be_dropped() -> None:
    lines = [f"{line},{'y' if n else 'label'}" for n, line in enumerate(LINES)]
    Path("labelled.csv").write_text("\n".join(lines), encoding="utf-8")
    assert "--drop label" in refused("score", "run", "labelled.csv")
    assert jensen("score", "run", "labelled.csv", "--drop", "label").exit_code == 0


def test_images_of_different_sizes_are_refused() -> None:
    from PIL import Image

    Path("pictures").mkdir()
    for number, size in enumerate((8, 8, 9, 8)):
        Image.new("L", (size, 8), size).save(f"pictures/{number}.png")
    assert "size" in refused("fit", "pictures", "--model", "independent")


def test_a_folder_that_shares_its_name_with_an_example_is_not_passed_over_in_silence() -> None:
    Path("wine").mkdir()
    assert "your own is ./wine" in jensen("fit", "wine", *FIT).stderr
    assert "no images" in refused("fit", "./wine", *FIT, "--out", "r")


def test_a_truncated_file_is_refused() -> None:
    np.savez("x.npz", x=np.eye(50))
    whole = Path("x.npz").read_bytes()
    Path("x.npz").write_bytes(whole[: len(whole) // 2])
    assert "x.npz" in refused("fit", "x.npz", *FIT)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.json", b"{"),
        ("model.json", b"{}"),
        ("model.json", b'{"format": 99}'),
        ("model.safetensors", b"short"),
        ("model.safetensors", None),
        ("history.csv", b"step,loss\nx,y\n"),
    ],
)
def test_a_damaged_run_is_refused(file: str, content: bytes | None) -> None:
    path = Path("run", file)
    path.unlink() if content is None else path.write_bytes(content)
    for words in (
        ["sample", "run"],
        ["score", "run", "good.csv"],
        ["audit", "run"],
        ["compare", "good.csv", "--runs", "run"],
    ):
        refused(*words)


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("model", [["independent"], ["made", "--steps", "20", "--set", "hidden=[4]"]])
def test_a_full_disk_leaves_no_half_of_a_run(model: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jensen.store.save_file", full)
    assert "No space left" in refused("fit", "digits", "--model", *model, "--out", "new")


def test_a_disk_that_fills_up_between_two_files_leaves_no_half_of_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jensen.fitted.card_text", full)  # after the weights and the history
    assert "No space left" in refused("fit", "good.csv", *FIT, "--out", "new")


def test_a_full_disk_leaves_no_half_of_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("report").mkdir()
    monkeypatch.setattr("jensen.report.written.os.replace", full)
    assert "No space left" in refused("compare", "good.csv", "--models", "independent")


def test_a_full_disk_leaves_no_half_of_the_scores_or_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.replace", full)
    assert "No space left" in refused("score", "run", "good.csv", "--out", "s.csv")
    assert "disk is full" in refused("sample", "run", "--out", "s.csv")


def test_a_folder_that_may_not_be_written_is_told_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jensen.cli.output.os.access", lambda path, mode: False)
    for words in (
        ["fit", "nowhere.csv", *FIT, "--out", "new"],
        ["compare", "nowhere.csv"],
        ["score", "run", "nowhere.csv", "--out", "s.csv"],
        ["sample", "nowhere", "--out", "s.csv"],
    ):
        assert "cannot be written" in refused(*words)


def test_what_is_there_is_replaced_when_asked() -> None:
    for words in (
        ["fit", "good.csv", *FIT, "--out", "run"],
        ["score", "run", "good.csv", "--out", "s.csv"],
        ["sample", "run", "--out", "s.csv"],
        ["compare", "good.csv", "--models", "independent", "--report", "r.html"],
    ):
        Path("s.csv").touch()
        Path("r.html").touch()
        refused(*words)
        assert jensen(*words, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("words", "part", "told"),
    [
        (["fit", "good.csv", "--model", "independant"], "do", "did you mean independent?"),
        (["fit", "good.csv"], "wrong", "--model"),
        (["nonsense"], "wrong", "unknown verb"),
        (["score", "run", "digits"], "given", "1797"),
    ],
)
def test_an_error_in_json_is_one_document(words: list[str], part: str, told: str) -> None:
    result = jensen(*words, "--json")
    assert result.exit_code == 2 and result.stderr == ""
    error = json.loads(result.stdout)["error"]
    assert list(error) == ["wrong", "given", "do"] and told in error[part]


def test_an_error_of_a_users_file_is_told_with_its_line() -> None:
    Path("net.py").write_text("import torch\n\ndef make():\n    return torch.nope\n", encoding="utf-8")
    Path("half.py").write_text("def make(:\n", encoding="utf-8")
    Path("needy.py").write_text("def make(size):\n    return size\n\nthree = 3\n", encoding="utf-8")
    assert "(line 4)" in refused("audit", "net.py:make", "--input-shape", "3")
    assert "SyntaxError" in refused("audit", "half.py:make", "--input-shape", "3")
    assert "without arguments" in refused("audit", "needy.py:make", "--input-shape", "3")
    assert "did you mean make?" in refused("audit", "needy.py:mak", "--input-shape", "3")
    assert "given: int" in refused("audit", "needy.py:three", "--input-shape", "3")


def test_a_module_without_a_shape_is_asked_for_it() -> None:
    Path("net.py").write_text("from torch import nn\nnet = nn.Conv2d(1, 1, 1)\n", encoding="utf-8")
    assert "--input-shape" in refused("audit", "net.py:net")
    text = refused("audit", "net.py:net", "--input-shape", "1,4,4", "--at", "5,1", "--checks", "no_leak")
    assert "given: 5,1" in text and "count from 1" in text


def test_an_error_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("jensen.load", broken, raising=False)
    with pytest.raises(ZeroDivisionError, match="ours"):
        jensen("sample", "run")


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    command = f"{sys.executable} -m jensen models --json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[" and done.stderr == ""


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("choose another, or pass overwrite", "choose another, or pass --overwrite"),
        ("pass overwrite=True, or another name", "pass --overwrite, or another name"),
        ("fit without resume", "fit without --resume"),
        ("pass kinds={'a b': 'levels'} for a mass", "pass --kinds 'a b=levels' for a mass"),
        ('pass drop=["it\'s"]', "pass --drop 'it'\"'\"'s'"),
        ("drop it first, or pass drop='name'", "drop it first, or pass --drop name"),
        ("k=64 is usual", "-k 64 is usual"),
        (
            "kinds inferred: real; pass kinds= to change them",
            "kinds inferred: real; pass --kinds to change them",
        ),
    ],
)
def test_arguments_are_named_as_options(said: str, meant: str) -> None:
    assert as_options(said) == meant


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "good.csv", "--models", "independent", "--report", "z" * 300),
        ("fit", "good.csv", *FIT, "--out", "z" * 300),
        ("sample", "run", "--context", "z" * 300),
        ("course", "a1", "--html", "z" * 300),
    ],
)
def test_a_name_too_long_for_a_file_is_said(words: tuple[str, ...]) -> None:
    assert "long" in refused(*words) or words[0] == "sample"


def test_more_threads_than_there_can_be_are_refused() -> None:
    for verb in (("sample", "run"), ("course", "a1"), ("divergence", "good.csv", "good.csv")):
        result = jensen(*verb, "--threads", "99999999999999999999")
        assert result.exit_code == 2 and "1024" in result.stderr


def test_a_seed_beyond_64_bits_is_refused() -> None:
    assert "64 bits" in refused(
        "complete", "run", "good.csv", "--missing", "a", "--seed", "99999999999999999999"
    )


def test_a_word_that_moves_the_terminal_is_shown_as_an_escape() -> None:
    result = jensen("score", "run", "good.csv", "\u202e")
    assert result.exit_code == 2 and "\u202e" not in result.stderr and r"\u202e" in result.stderr
