"""All CPU benchmarks in one command, against the peers that are installed: the table that the README shows.

    python bench/report.py             about ten CPU minutes on one thread
    python bench/report.py --full      everything: some hours; --mnist FOLDER adds the recipes on MNIST
    python bench/report.py --write     also put the table between the markers of README.md

A speed is how many times the CPU time of jensen's side the peer's takes in one interleaved run, the median over rounds with its
95 % interval. A row is met or missed where the whole interval is on one side of the goal, else undecided. A run
that was too noisy (`record.py`) is repeated with twice the rounds; if it stays so, nothing is printed, the exit status is 1,
and the same command goes on with what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from record import Record, dumps, loads
from report_plan import FULL, PEERS, QUICK, Run
from report_table import folded, refusal, table, written

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "build" / "bench.json"


@dataclass(frozen=True)
class Result:
    """The records of one benchmark and the conditions of its run."""

    records: list[Record]
    conditions: dict[str, str]

    def noisy(self) -> list[Record]:
        """The records that may not be printed."""
        return [one for one in self.records if one.trouble() is not None]


Measure = Callable[[Run], dict[str, Any]]
"""Runs a benchmark and gives the JSON object that it prints."""


def measured(run: Run, threads: int, mnist: Path | None) -> dict[str, Any]:
    """One benchmark in a process of its own, jensen from this checkout. Raises RuntimeError when it fails."""
    script, *arguments = run.arguments()
    if run.needs == "mnist":
        arguments.insert(0, str(mnist))
    if script != "startup.py":
        arguments += ["--threads", str(threads)]
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    surroundings = {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": str(threads),
    }
    words = [sys.executable, "-W", "ignore", str(ROOT / "bench" / script), *arguments, "--json"]
    done = subprocess.run(words, capture_output=True, text=True, env=surroundings, cwd=ROOT)
    if done.returncode != 0:
        last = "\n".join(done.stderr.splitlines()[-8:])
        raise RuntimeError(f"bench/{run.words} failed with status {done.returncode}:\n{last}")
    return dict(json.loads(done.stdout))


def quiet(run: Run, measure: Measure, tries: int, say: Callable[[str], None]) -> Result:
    """The first run that is quiet, or else the last of `tries`; each has twice the rounds of the one before."""
    for attempt in range(tries):
        began = time.perf_counter()
        content = measure(run)
        found = Result(loads(content), dict(content["conditions"]))
        noisy = found.noisy()
        say(
            f"{run.words}: {len(found.records)} rows, {len(noisy)} too noisy, {time.perf_counter() - began:.0f} s"
        )
        for one in noisy:
            say(f"  {one.name}, over {one.peer}: {one.trouble()}")
        if not noisy or attempt + 1 == tries:
            break
        run = run.longer()
    return found


def chosen(
    runs: Sequence[Run], mnist: Path | None, has: Callable[[str], bool]
) -> tuple[list[Run], list[str]]:
    """The runs that can be made here, and the peers, or files, that are not here."""
    absent = [peer for peer in PEERS if not has(peer)]
    if mnist is None and any(run.needs == "mnist" for run in runs):
        absent.append("the files of MNIST (--mnist FOLDER)")
    able = [run for run in runs if run.needs not in absent and (run.needs != "mnist" or mnist is not None)]
    return able, absent


def fingerprint(threads: int) -> str:
    """Of all that a kept result depends on: sources, versions, machine, threads."""
    scripts = [path for path in (ROOT / "bench").glob("*.py") if not path.name.startswith("report")]
    sources = sorted([*(ROOT / "src").rglob("*.py"), *scripts])
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    facts = [sys.version, os.uname().nodename, str(threads), *(f"{k}={v}" for k, v in versions().items())]
    digest.update("\n".join(facts).encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Of torch and of the peers that are here."""
    found = {}
    for name in ("torch", *PEERS):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def kept(path: Path, mark: str) -> dict[str, Any]:
    """What a refused run left: words of a benchmark -> its JSON object; nothing where sources or machine changed."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return dict(content["runs"]) if content.get("mark") == mark else {}


def keep(path: Path, mark: str, results: dict[str, Result]) -> None:
    """Leave the quiet results for the next call."""
    good = {
        words: json.loads(dumps(one.records, conditions=one.conditions))
        for words, one in results.items()
        if not one.noisy()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"mark": mark, "runs": good}))


def given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="every CPU benchmark, all sizes")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tries", type=int, default=3, help="runs of a benchmark that is too noisy")
    parser.add_argument("--mnist", type=Path, help="folder of MNIST's four IDX files, for --full")
    parser.add_argument("--only", default="", help="the benchmarks whose line holds this text")
    return parser.parse_args()


def say(words: str) -> None:
    """Progress, on stderr: stdout is the table's."""
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    """Run, then print the table last, or say why there is none."""
    asked = given()
    runs = [run for run in (FULL if asked.full else QUICK) if asked.only in run.words]
    able, absent = chosen(runs, asked.mnist, lambda peer: importlib.util.find_spec(peer) is not None)
    if absent:
        say(f"not here, so left out: {', '.join(absent)}")
    if not able:
        sys.exit(f"nothing to report: no benchmark that can run here has {asked.only!r} in its line")
    mark, results = fingerprint(asked.threads), {}
    before = kept(KEPT, mark)
    for run in able:
        if run.words in before:
            say(f"{run.words}: kept from the run before")
            results[run.words] = Result(loads(before[run.words]), before[run.words]["conditions"])
            continue
        results[run.words] = quiet(
            run, lambda one: measured(one, asked.threads, asked.mnist), asked.tries, say
        )
        keep(KEPT, mark, results)
    records = [one for result in results.values() for one in result.records]
    noisy = [one for result in results.values() for one in result.noisy()]
    if noisy:
        sys.exit(refusal(noisy, len(records), os.getloadavg()[0], len(os.sched_getaffinity(0))))
    KEPT.unlink(missing_ok=True)
    peers = versions()
    conditions = next(iter(results.values())).conditions
    facts = {**conditions, "torch": peers.pop("torch"), "threads": str(asked.threads)}
    text = table(records, facts, peers, absent)
    if asked.write:
        written(ROOT / "README.md", folded(text))
    print(text)


if __name__ == "__main__":
    main()
