"""The command line: what every verb prints and writes, and what help costs."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from jensen.cli import EXAMPLES, SECTIONS, VERBS, cli
from jensen.cli.failures import resume_command
from jensen.cli.options import EXAMPLES as BUNDLED
from jensen.cli.options import make_plan, parse_kinds, parse_settings, parse_shape, plan_names, split_settings
from jensen.cli.progress import Bars, Lines, clock
from jensen.errors import UsageError

MADE = ("--model", "made", "--steps", "40", "--set", "hidden=[16]", "--set", "batch=64")
HEAVY = {
    "torch",
    "numpy",
    "rich",
    "sklearn",
    "scipy",
    "pandas",
    "pyarrow",
    "narwhals",
    "matplotlib",
    "jinja2",
}
LEAKY = """
from torch import nn

def strict():
    return nn.Sequential(nn.ConstantPad2d((1, -1, 0, 0), 0.0), nn.Conv2d(1, 1, 1))

def leaky():
    return nn.Conv2d(1, 1, 3, padding=1)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder to stand in, and one thread also for verbs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs: made on digits, independent sites on wine."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        assert jensen("fit", "digits", *MADE, "--out", folder / "made").exit_code == 0
        assert jensen("fit", "wine", "--model", "independent", "--out", folder / "wine").exit_code == 0
    return folder


def jensen(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="jensen", catch_exceptions=False)


def document(*words: object) -> Any:
    result = jensen(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_help_and_import_load_nothing_heavy() -> None:
    code = (
        "import sys, jensen\nfrom jensen.cli import cli, VERBS\n"
        "for words in (['--help'], *([verb, '--help'] for verb in VERBS)):\n"
        "    assert cli.main(words, standalone_mode=False) == 0\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stderr.split())


def test_the_command_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "jensen", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and re.fullmatch(r"jensen, version \d+\.\d+\.\d+\S*\n", done.stdout)


def test_the_help_names_every_verb_once_and_where_to_begin() -> None:
    text = jensen("--help").output
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(VERBS)
    for name, (_, about) in VERBS.items():
        assert len(re.findall(rf"^  {name}  ", text, re.MULTILINE)) == 1
        assert about.split()[0] in text
    assert all(example in text for example in EXAMPLES)


@pytest.mark.parametrize("name", list(VERBS))
def test_every_verb_has_an_example_that_its_own_options_accept(name: str) -> None:
    verb = cli.get_command(click.Context(cli), name)
    text = jensen(name, "--help").output
    assert "--json" in text and verb.examples
    for example in (*verb.examples, *(one for one in EXAMPLES if one.split()[1] == name)):
        words = shlex.split(example)
        assert words[:2] == ["jensen", name]
        verb.make_context(name, words[2:])  # raises where an option is unknown
    for example in verb.examples:
        assert example in text


def test_the_listed_examples_are_the_bundled_ones() -> None:
    from jensen.data import describe_examples

    assert list(BUNDLED) == describe_examples()


def test_fit_prints_the_rows_the_score_and_the_run_and_writes_it() -> None:
    result = jensen("fit", "digits", *MADE)
    assert result.exit_code == 0
    assert "1,797 rows (1,150 train, 150 valid, 497 test)" in result.stdout
    assert re.search(
        r"log-likelihood +\S*= -1\d\d\.\d+ nats \[-.*a mass; 95% interval, 497 rows", result.stdout
    )
    assert re.search(r"cost +\S*= [23]\.\d+ bits/dim", result.stdout)
    assert "runs/made-digits" in result.stdout and "jensen sample runs/made-digits" in result.stdout
    assert re.match(r"made: [\d,]+ parameters, [\d.]+ MB in training; step 20, 50%, loss ", result.stderr)
    assert {one.name for one in Path("runs/made-digits").iterdir()} == {
        "model.safetensors",
        "model.json",
        "history.csv",
        "card.md",
    }


def test_fit_in_json_is_one_document_and_quiet_says_nothing_else() -> None:
    result = jensen("fit", "digits", *MADE, "--json", "--quiet", "--out", "r")
    facts = json.loads(result.stdout)
    assert result.stderr == ""
    assert facts["log_likelihood"]["sign"] == "=" and facts["bits_per_dim"]["unit"] == "bits/dim"
    assert facts["hyper"]["hidden"] == [16] and facts["record"]["plan"]["batch"] == 64
    assert facts["record"]["run"]["steps"] == 40 and facts["run"] == "r"


def test_kinds_and_drop_shape_the_rows() -> None:
    table = "\n".join(["a,b,label", *(f"{n % 3},{n % 5},{'xy'[n % 2]}" for n in range(60))])
    Path("t.csv").write_text(table, encoding="utf-8")
    facts = document(
        "fit",
        "t.csv",
        "--model",
        "independent",
        "--drop",
        "label",
        "--kinds",
        "a=categorical",
        "--kinds",
        "b=levels",
    )
    assert facts["run"] == "runs/independent-t"
    assert facts["space"] == "2 columns (1 categorical, 1 levels), mass"


def test_a_density_of_levels_is_printed_as_a_bound() -> None:
    table = "\n".join(["a,b", *(f"{n % 7},{n * n % 11}" for n in range(90))])
    Path("t.csv").write_text(table, encoding="utf-8")
    words = ("fit", "t.csv", "--model", "mixture", "--set", "components=1", "--out", "r")
    result = jensen(*words)
    assert re.search(r"log-likelihood +\S*>= -", result.stdout) and re.search(r"cost +\S*<= ", result.stdout)
    jensen("score", "r", "t.csv", "--all", "--out", "s.csv")
    assert Path("s.csv").read_text().startswith("row,log_likelihood_lower_nats\n")


def test_a_table_is_sampled_as_csv_and_a_seed_repeats_it(runs: Path) -> None:
    first, again = (jensen("sample", runs / "wine", "-n", "3", "--seed", "5") for _ in range(2))
    lines = list(csv.reader(io.StringIO(first.stdout)))
    assert lines[0][:2] == ["alcohol", "malic_acid"] and len(lines) == 4
    assert np.isfinite(np.array(lines[1:], dtype=float)).all()
    assert first.stdout == again.stdout and "seed 5" in first.stderr
    facts = document("sample", runs / "wine", "-n", "3", "--seed", "5")
    # a table is written on the steps that its values were seen in: whole numbers in the last column
    off = np.abs(np.array(facts["rows"]) - np.array(lines[1:], dtype=float)).max(0)
    assert off[-1] <= 0.5 and (off[:4] <= 0.005 + 1e-9 + 0.05 * (np.arange(4) == 3)).all()
    assert all(float(line[-1]).is_integer() for line in lines[1:])
    assert facts["columns"] == lines[0] and facts["seed"] == 5


def test_the_seed_that_was_drawn_is_told(runs: Path) -> None:
    first = jensen("sample", runs / "wine", "-n", "2")
    seed = re.search(r"seed (\d+)", first.stderr)[1]
    assert jensen("sample", runs / "wine", "-n", "2", "--seed", seed).stdout == first.stdout


@pytest.mark.parametrize("out", ["s.npy", "s.npz", "s"])
def test_images_are_sampled_into_files(runs: Path, out: str) -> None:
    facts = document("sample", runs / "made", "-n", "4", "--seed", "1", "--out", out)
    assert facts["rows"] is None and facts["out"] == out
    if out == "s":
        assert len(list(Path(out).glob("*.png"))) == 4
    else:
        if out.endswith("npy"):
            values = np.load(out)
        else:
            with np.load(out) as found:
                values = found["x"]
        assert values.shape == (4, 1, 8, 8) and values.max() <= 16


def test_known_rows_are_scored_on_their_held_out_part(runs: Path) -> None:
    facts = document("score", runs / "made", "digits", "--out", "deep/s.csv")
    assert (facts["part"], facts["n"]) == ("held-out", 497)
    scores = np.loadtxt("deep/s.csv", delimiter=",", skiprows=1)
    assert scores.shape == (497, 2)
    assert scores[:, 1].mean() == pytest.approx(facts["log_likelihood"]["value"], rel=1e-12)
    everything = document("score", runs / "made", "digits", "--all")
    assert (everything["part"], everything["n"]) == ("all", 1797)
    assert "held-out part of digits, 497 rows" in jensen("score", runs / "made", "digits").stdout


def test_the_held_out_part_is_the_one_that_fit_scored(runs: Path) -> None:
    fitted = document("fit", "wine", "--model", "independent")
    facts = document("score", fitted["run"], "wine")
    assert (
        facts["part"] == "held-out" and facts["log_likelihood"]["value"] == fitted["log_likelihood"]["value"]
    )


def test_new_rows_are_all_scored(runs: Path) -> None:
    jensen("sample", runs / "wine", "-n", "20", "--out", "new.csv")
    facts = document("score", runs / "wine", "new.csv")
    assert (facts["part"], facts["n"], facts["bits_per_dim"]) == ("new", 20, None)
    assert "all 20 rows of new.csv" in jensen("score", runs / "wine", "new.csv").stdout


def test_compare_prints_the_table_the_orders_and_the_report(runs: Path) -> None:
    words = ("compare", "digits", "--models", "independent", "--runs", runs / "made", "--lens", "none")
    result = jensen(*words)
    assert result.exit_code == 0
    assert re.search(r"^independent +\S*= -10\d", result.stdout, re.MULTILINE)
    assert re.search(r"^  independent > made by [\d.]+ nats \[", result.stdout, re.MULTILINE)
    assert result.stdout.splitlines()[-1] == "report: report/digits.html"
    assert "<html" in Path("report/digits.html").read_text(encoding="utf-8")
    assert re.search(r"^made: .*audit", result.stderr, re.MULTILINE)


def test_compare_in_json_keeps_the_command_and_names_the_report(runs: Path) -> None:
    facts = document("compare", "wine", "--runs", runs / "wine", "--report", "new/w.html", "-q")
    assert [model["name"] for model in facts["models"]] == ["wine"]
    assert facts["report"] == "new/w.html" and Path("new/w.html").is_file()
    assert facts["record"]["command"].startswith("jensen compare wine --runs ")


def test_a_run_that_is_what_it_claims_passes_its_audit(runs: Path) -> None:
    verdicts = document("audit", runs / "made", "--rows", "digits", "--checks", "no_leak,save_load_same")
    assert [(one["check"], one["holds"]) for one in verdicts] == [("no_leak", True), ("save_load_same", True)]
    assert all(one["evidence"] for one in verdicts)
    text = jensen("audit", runs / "made", "--checks", "save_load_same", "--at", "3,3").stdout
    assert re.search(r"holds +save_load_same", text)
    # MADE in raster order sees the 18 pixels before row 3, column 3 of 8x8, and not the place itself
    assert "18 of 64 inputs reach the output at row 3, column 3" in text and "# # o . ." in text


def test_a_leak_fails_the_audit_with_exit_code_one() -> None:
    Path("net.py").write_text(LEAKY, encoding="utf-8")
    words = ("audit", "net.py:leaky", "--input-shape", "1,4,4")
    result = jensen(*words)
    assert result.exit_code == 1 and re.search(r"FAILS +no_leak", result.stdout)
    assert "these do not apply: mass_sums" in result.stdout
    result = jensen(*words, "--at", "1,2", "--json")
    assert result.exit_code == 1
    found = {one["check"]: one for one in json.loads(result.stdout)}
    assert found["no_leak"]["holds"] is False
    # a 3x3 window around row 1, column 2, cut by the upper edge
    assert found["receptive_field"]["reached"] == [[[1, 1, 1, 0], [1, 1, 1, 0], [0] * 4, [0] * 4]]


def test_the_receptive_field_is_drawn_with_its_place() -> None:
    Path("net.py").write_text(LEAKY, encoding="utf-8")
    result = jensen("audit", "net.py:strict", "--input-shape", "1,3,3", "--at", "2,3")
    assert result.exit_code == 0
    drawn = result.stdout.splitlines()[-8:-4]
    assert [line.split() for line in drawn] == [
        ["1", "2", "3"],
        ["1", ".", ".", "."],
        ["2", ".", "#", "o"],
        ["3", ".", ".", "."],
    ]


def test_models_lists_the_catalogue() -> None:
    from jensen.models import CATALOGUE, model_class

    facts = document("models")
    assert [one["name"] for one in facts] == list(CATALOGUE)
    by_name = {one["name"]: one for one in facts}
    assert by_name["made"]["accepts"] == ["binary", "levels", "categorical", "real", "mixed"]
    assert by_name["mixture"]["by_bound"] == ["binary", "levels", "categorical", "mixed"]
    assert "solve" in by_name["independent"]["can"] and "log_prob" in by_name["pixelcnn"]["can"]
    assert by_name["made"]["cheap"] is None and by_name["iaf"]["cheap"] == ["sample"]
    assert "score and sample in one pass" in jensen("models", "realnvp").stdout
    assert "score in one pass; sample in many steps" in jensen("models", "maf").stdout
    arguments = {one["name"]: one["default"] for one in document("models", "made")["arguments"]}
    defaults = inspect.signature(model_class("made")).parameters
    assert arguments["hidden"] == list(defaults["hidden"].default) and arguments["head"] is None
    assert f"hidden={arguments['hidden']}" in jensen("models").stdout
    assert "`channels`: width" in jensen("models", "pixelcnn").stdout


def test_settings_go_to_the_loop_first_then_to_the_model() -> None:
    texts = ["rate=1e-3", "hidden=[8, 8]", "head=categorical", "batch=32"]
    loop, hyper = split_settings(texts, ["hidden", "head"])
    assert loop == {"rate": 1e-3, "batch": 32} and hyper == {"hidden": [8, 8], "head": "categorical"}
    assert {"batch", "rate", "clip", "patience", "average"} <= set(plan_names())
    assert make_plan(5, None, loop).rate == 1e-3


@pytest.mark.parametrize(
    "settings", [{"batch": "many"}, {"batch": 1.5}, {"rate": True}, {"rate": None}, {"patience": -1}]
)
def test_a_setting_of_another_type_or_range_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        make_plan(5, None, settings)


@pytest.mark.parametrize(
    "call",
    [
        lambda: parse_settings(["batch"]),
        lambda: parse_settings(["=3"]),
        lambda: split_settings(["steps=3"], []),
        lambda: parse_kinds(["real", "a=levels"]),
        lambda: parse_shape("1,x", "--at"),
        lambda: parse_shape("0,3", "--at"),
    ],
)
def test_options_that_make_no_sense_are_refused(call: Any) -> None:
    with pytest.raises(UsageError):
        call()


def test_threads_are_chosen_unless_the_environment_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from jensen.cli.start import settle_threads, start_torch
    from jensen.space import Space

    small, large = Space.levels((1, 8, 8), 17), Space.levels((1, 28, 28), 256)
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    start_torch()
    settle_threads(None, large)
    assert asked == []
    start_torch(3)
    settle_threads(3, large)
    assert asked == [3]
    monkeypatch.delenv("OMP_NUM_THREADS")
    settle_threads(None, small)
    settle_threads(None, large)
    assert asked == [3, 1, 8]


def test_waiting_threads_sleep_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    from jensen.cli import main

    monkeypatch.setattr("jensen.cli.cli", lambda **words: None)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    main()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    main()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def moment(step: int, valid: Any = None) -> Any:
    from jensen.train import Moment

    return Moment(step, float(step), step / 100, 12.3456, 1e-3, 4321.0, valid)


def test_lines_come_at_once_then_at_their_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1000.0]
    monkeypatch.setattr("jensen.cli.progress.time.perf_counter", lambda: now[0])
    from jensen.quantity import Kind, Quantity

    with Lines() as lines:
        for step in range(1, 30):
            now[0] += 1
            valid = Quantity(-9.876, Kind.LOWER, "nats", "mass") if step == 4 else None
            lines.stage("made", "fit", moment(step, valid))
        lines.stage("made", "score")
        now[0] += 2
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "made: step 1, 1%, loss 12.35, 4,321 rows/s, 1:39 left",
        "made: step 11, 11%, loss 12.35, validation >= -9.876 nats, 4,321 rows/s, 1:29 left",
        "made: step 21, 21%, loss 12.35, validation >= -9.876 nats, 4,321 rows/s, 1:19 left",
        "made: fit 28 s, score 2.0 s",
    ]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with Bars() as bars:
            bars.stage("made", "fit")
            bars.stage("made", "fit", moment(40))
            bars.rich.refresh()
            bars.count("scoring rows", 7)(7)
        terminal.flush()
        monkeypatch.undo()
        seen = ""
        while select.select([ours], [], [], 0)[0]:  # a terminal hands over a few kilobytes at a time
            seen += os.read(ours, 1 << 16).decode(errors="replace")
    os.close(ours)
    assert "made" in seen and "40%" in seen and "1:00 left" in seen and "scoring rows" in seen


def test_durations_are_read_at_a_glance() -> None:
    assert [clock(s) for s in (0.04, 9.5, 59.2, 61, 3601)] == ["0.0 s", "9.5 s", "59 s", "1:01", "1:00:01"]


def test_the_resume_command_repeats_every_word() -> None:
    words = ["fit", "my rows.csv", "--model", "made", "--set", "hidden=[8, 8]", "--overwrite"]
    assert shlex.split(resume_command(words))[1:] == [*words[:-1], "--resume"]


def test_a_budget_of_time_is_shared_by_the_fits() -> None:
    facts = document("compare", "iris", "--models", "independent,made,maf", "--budget", "2s", "--seeds", "2")
    taken = {model["name"]: model["fit_seconds"] for model in facts["models"]}
    assert taken["made"] > 0.3 and taken["maf"] > 0.3 and taken["independent"] < 0.3  # half a second each
    assert facts["methods"]["seeds"] == [0, 1]
