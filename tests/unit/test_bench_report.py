"""The report of the benchmarks: what it calls noise, what it refuses, and what it writes."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scipy.stats import binom

BENCH = Path(__file__).parents[2] / "bench"
MODULES = ("record", "interleave", "report_plan", "report_table", "report")
NOT_REPORTED = {"record", "interleave", "report", "report_plan", "report_table"} | {
    "peers",
    "flow_peers",
    "flow_jax",
    "vae_peers",
}


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """The modules of bench/, which is no package, and none of them afterwards."""
    sys.path.insert(0, str(BENCH))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(BENCH))
        for name in MODULES:
            sys.modules.pop(name, None)


def speed(bench: SimpleNamespace, **other: Any) -> Any:
    """A quiet speed of 2, goal 1.5, met."""
    fields: dict[str, Any] = {
        "name": "a step",
        "peer": "a peer",
        "ratio": 2.0,
        "low": 1.9,
        "high": 2.1,
        "unit": bench.record.TIMES,
        "goal": 1.5,
        "command": "python bench/a.py --rounds 9",
        "control": (1.0, 0.98, 1.02),
        "rounds": 9,
    }
    return bench.record.Record(**fields | other)


def lines(bench: SimpleNamespace, **rounds: list[float]) -> list[Any]:
    """Lines whose CPU milliseconds, round by round, are these."""
    none = (math.nan,) * 3
    return [bench.interleave.Line(name, 0.0, 0.0, none, none, tuple(of)) for name, of in rounds.items()]


@pytest.mark.parametrize("n", range(6, 60))
def test_interval_of_the_median_is_the_narrowest_that_covers_it_at_95_percent(bench: Any, n: int) -> None:
    middle, low, high = bench.record.median_interval([float(i) for i in range(n)])
    assert middle == (n - 1) / 2
    assert low + high == n - 1  # as many values are cut off below as above
    assert 1 - 2 * binom.cdf(low, n, 0.5) >= 0.95 > 1 - 2 * binom.cdf(low + 1, n, 0.5)


def test_a_speed_is_paired_so_that_load_on_both_sides_of_a_round_cancels(bench: Any) -> None:
    load = [1.0, 5.0, 2.0, 9.0, 1.5, 3.0, 1.0]
    found = bench.interleave.speed(
        lines(bench, ours=load, peer=[3 * x for x in load], **{"ours, again": load}),
        "ours",
        "peer",
        name="x",
        goal=2.0,
        command="c",
        scale=2.0,
    )
    assert (found.ratio, found.low, found.high) == (6.0, 6.0, 6.0)
    assert found.control == (1.0, 1.0, 1.0) and found.rounds == 7
    assert found.verdict() == "met" and found.trouble() is None


@pytest.mark.parametrize(
    ("low", "high", "less", "verdict"),
    [
        (1.5, 2.1, False, "met"),
        (1.4, 2.1, False, "undecided"),
        (1.0, 1.49, False, "missed"),
        (1.0, 1.5, True, "met"),
        (1.4, 2.1, True, "undecided"),
        (1.6, 2.1, True, "missed"),
    ],
)
def test_a_goal_is_met_or_missed_by_the_whole_interval(
    bench: Any, low: float, high: float, less: bool, verdict: str
) -> None:
    assert speed(bench, low=low, high=high, less=less).verdict() == verdict
    assert speed(bench, low=low, high=high, less=less, goal=None).verdict() == ""


def test_a_number_without_interval_is_judged_by_itself(bench: Any) -> None:
    assert speed(bench, low=None, high=None, control=None).verdict() == "met"
    assert speed(bench, low=None, high=None, control=None, goal=2.1).verdict() == "missed"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"control": (1.06, 1.04, 1.08)}, "1.060 [1.040, 1.080]"),
        ({"control": (1.0, 0.93, 1.02)}, "1.000 [0.930, 1.020]"),
        ({"control": (0.93, 0.92, 0.94)}, "0.952 to 1.05"),
        ({"low": 1.6, "high": 2.1}, "a factor of 1.31"),
        ({"rounds": 5}, "5 rounds"),
    ],
)
def test_a_run_is_too_noisy_when_jensen_differs_from_itself_or_the_ratio_is_loose(
    bench: Any, change: dict[str, Any], says: str
) -> None:
    assert speed(bench).trouble() is None
    trouble = speed(bench, **change).trouble()
    assert trouble is not None and says in trouble


def test_what_was_not_timed_is_never_too_noisy(bench: Any) -> None:
    loose = speed(bench, low=-10.0, high=3.0, unit="nats a row", control=None, rounds=None)
    assert loose.trouble() is None and loose.verdict() == "undecided"


def test_a_control_runs_the_same_variant_twice_a_round(bench: Any) -> None:
    calls = {"a": 0, "b": 0}

    def count(name: str) -> Any:
        def work() -> None:
            calls[name] += 1
            sum(range(20_000))

        return work

    found = bench.interleave.interleave(
        {"a": count("a"), "b": count("b")}, "a", rounds=7, units=1, warmup=0, twice=["a"]
    )
    assert calls == {"a": 14, "b": 7}
    assert [line.name for line in found] == ["a", "b", "a, again"]
    assert all(len(line.cpu_rounds) == 7 for line in found)


def test_records_survive_json(bench: Any) -> None:
    made = [speed(bench), speed(bench, control=None, low=None, high=None)]
    assert bench.record.loads(json.loads(bench.record.dumps(made, conditions={}))) == made


def test_a_noisy_benchmark_is_run_again_with_twice_the_rounds(bench: Any) -> None:
    seen: list[str] = []

    def measure(run: Any) -> dict[str, Any]:
        seen.append(run.words)
        control = (1.0, 0.98, 1.02) if len(seen) == 3 else (1.1, 1.0, 1.2)
        made = [speed(bench, control=control)]
        return json.loads(bench.record.dumps(made, conditions={}))

    run = bench.report_plan.Run("flows.py --family 'spline coupling' --rounds 9")
    found = bench.report.quiet(run, measure, 5, lambda _: None)
    assert seen == [f"flows.py --family 'spline coupling' --rounds {n}" for n in (9, 18, 36)]
    assert not found.noisy()
    seen.clear()
    assert bench.report.quiet(run, measure, 2, lambda _: None).noisy()
    assert bench.report_plan.Run("vae_bounds.py").longer().words == "vae_bounds.py"


@pytest.fixture
def stage(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """main() over two benchmarks that do not exist; what they will say stands in the dict."""
    (tmp_path / "README.md").write_text(
        f"before\n{bench.report_table.BEGIN}\nold\n{bench.report_table.END}\nafter\n"
    )
    runs = (
        bench.report_plan.Run("quiet.py --rounds 9"),
        bench.report_plan.Run("loud.py"),
        bench.report_plan.Run("peerless.py", "pythae"),
    )
    said: dict[str, Any] = {"ran": [], "quiet": [speed(bench)], "loud": [speed(bench, name="loud")]}
    facts = {
        "date": "2020-01-02",
        "processor": "2 cores of X",
        "python": "3.11",
        "torch": "9",
        "threads": "1",
    }

    def measured(run: Any, threads: int, mnist: Path | None) -> dict[str, Any]:
        name = run.words.partition(".")[0]
        said["ran"].append(name)
        return json.loads(bench.record.dumps(said[name], conditions=facts))

    monkeypatch.setattr(bench.report, "QUICK", runs)
    monkeypatch.setattr(bench.report, "ROOT", tmp_path)
    monkeypatch.setattr(bench.report, "KEPT", tmp_path / "build" / "kept.json")
    monkeypatch.setattr(bench.report, "measured", measured)
    monkeypatch.setattr(bench.report, "versions", lambda: {"torch": "9", "zuko": "1.6.0"})
    monkeypatch.setattr(bench.report.importlib.util, "find_spec", lambda name: name == "zuko" or None)
    monkeypatch.setattr(sys, "argv", ["report.py", "--write", "--tries", "2"])
    return said


def test_it_prints_nothing_when_a_row_was_too_noisy_and_goes_on_with_that_row(
    bench: Any, stage: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tmp_path / "README.md").read_text()
    stage["loud"] = [speed(bench, name="the loud one", control=(1.0, 0.7, 1.3))]
    with pytest.raises(SystemExit) as stopped:
        bench.report.main()
    words = str(stopped.value.code)  # a text as code: printed on stderr, status 1
    assert "1 of 2 rows" in words and "the loud one, over a peer" in words and "1.000 [0.700, 1.300]" in words
    assert "give the same command again" in words and "a step" not in words
    assert capsys.readouterr().out == ""
    assert (tmp_path / "README.md").read_text() == before
    assert stage["ran"] == ["quiet", "loud", "loud"]

    stage["ran"].clear()
    stage["loud"] = [speed(bench, name="the loud one")]
    bench.report.main()
    assert stage["ran"] == ["loud"]
    out = capsys.readouterr().out
    assert "| the loud one | a peer | 2 [1.9, 2.1] times as fast | at least 1.5 | met |" in out
    assert "| a step |" in out and out.rstrip().endswith(
        "Goals: 2 met, 0 missed, 0 undecided; 0 rows have none."
    )
    assert "not installed: nflows" in out and "pythae" in out

    bench.report.main()  # a report that was printed leaves nothing to go on from
    assert stage["ran"] == ["loud", "quiet", "loud"]


def test_what_was_kept_is_of_these_sources_and_this_machine(
    bench: Any, stage: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage["loud"] = [speed(bench, rounds=3)]
    with pytest.raises(SystemExit):
        bench.report.main()
    monkeypatch.setattr(bench.report, "versions", lambda: {"torch": "10", "zuko": "1.6.0"})
    stage["ran"].clear()
    with pytest.raises(SystemExit):
        bench.report.main()
    assert stage["ran"] == ["quiet", "loud", "loud"]


def test_the_table_goes_between_the_markers_and_nowhere_else(
    bench: Any, stage: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    for _ in range(2):
        bench.report.main()
        content = page.read_text()
        assert content.startswith(
            f"before\n{bench.report_table.BEGIN}\n2020-01-02, 2 cores of X, Python 3.11"
        )
        assert content.endswith(f"{bench.report_table.END}\nafter\n")
        assert "old" not in content and content.count("| a step |") == 1
        assert bench.report_table.folded(capsys.readouterr().out.strip()) in content
        goals, rows = content.index("Goals: 2 met"), content.index("| a step |")
        assert goals < content.index("<details>") < rows < content.index("</details>")


@pytest.mark.parametrize("content", ["", "<!-- bench -->", "<!-- /bench -->\n<!-- bench -->"])
def test_a_page_without_one_pair_of_markers_is_left_alone(bench: Any, tmp_path: Path, content: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(content)
    with pytest.raises(ValueError, match="no one place for the table"):
        bench.report_table.written(page, "text")
    assert page.read_text() == content


def test_a_missed_goal_stands_out_and_a_goal_says_its_side(bench: Any) -> None:
    missed = bench.report_table.row(speed(bench, goal=3.0))
    assert "| at least 3 | **missed** |" in missed and "`a.py --rounds 9`" in missed
    assert "| at most 3 | met |" in bench.report_table.row(speed(bench, goal=3.0, less=True))


def test_the_last_line_names_what_was_missed(bench: Any) -> None:
    records = [speed(bench, name="slow", goal=3.0), speed(bench), speed(bench, name="no goal", goal=None)]
    expected = "Goals: 1 met, 1 missed, 0 undecided; 1 rows have none. Missed: slow, over a peer."
    assert bench.report_table.summary(records) == expected
    assert "Missed" not in bench.report_table.summary(records[1:])


def test_the_full_report_runs_every_benchmark_of_a_cpu(bench: Any) -> None:
    scripts = {path.stem for path in BENCH.glob("*.py")} - NOT_REPORTED
    full = {run.arguments()[0].removesuffix(".py") for run in bench.report_plan.FULL}
    quick = {run.arguments()[0].removesuffix(".py") for run in bench.report_plan.QUICK}
    assert full == scripts and quick <= full
    for name in scripts:
        assert re.search(r'"--json"|options\(', (BENCH / f"{name}.py").read_text()), f"{name} has no --json"


def test_the_readme_has_a_place_for_the_table(bench: Any) -> None:
    content = (BENCH.parent / "README.md").read_text()
    assert content.count(bench.report_table.BEGIN) == content.count(bench.report_table.END) == 1
