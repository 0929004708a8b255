"""CPU seconds before anything happens: bare Python, `import jensen`, `jensen --help`, and torch for comparison."""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from interleave import again, command, conditions
from record import Record, dumps, median_interval

COMMANDS: dict[str, list[str]] = {
    "bare Python": ["-c", "pass"],
    "import jensen": ["-c", "import jensen"],
    "jensen --help": [str(Path(sys.executable).with_name("jensen")), "--help"],
    "import torch": ["-c", "import torch"],
}
REFERENCE = "bare Python"
GOALS = {"import jensen": 0.1, "jensen --help": 0.2}
"""CPU seconds: of the import on top of bare Python, of the help in all."""


def cpu_seconds(arguments: Sequence[str]) -> float | None:
    """User and system seconds of one process and its children, or None when it fails."""
    child = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime if child.returncode == 0 else None


def measure(rounds: int, seed: int, torch: bool = True) -> dict[str, list[float]]:
    """CPU seconds of every command, interleaved; a command that fails in the warm-up is left out."""
    commands = {**COMMANDS, again("import jensen"): COMMANDS["import jensen"]}
    if not torch:
        del commands["import torch"]
    able = [name for name, arguments in commands.items() if cpu_seconds(arguments) is not None]
    order = random.Random(seed)
    seconds: dict[str, list[float]] = {name: [] for name in able}
    for _ in range(rounds):
        for name in order.sample(able, len(able)):
            spent = cpu_seconds(commands[name])
            if spent is None:
                raise RuntimeError(f"{name} ran before and fails now")
            seconds[name].append(spent)
    return seconds


def table(seconds: dict[str, list[float]]) -> str:
    """Markdown: median CPU seconds (quartiles), and how much above bare Python."""
    bare = statistics.median(seconds[REFERENCE])
    rows = ["| command | CPU s, median (quartiles) | over bare Python |", "|---|---:|---:|"]
    for name in COMMANDS:
        if name not in seconds:
            rows.append(f"| {name} | does not run yet | |")
            continue
        low, middle, high = statistics.quantiles(seconds[name], n=4)
        rows.append(f"| {name} | {middle:.3f} ({low:.3f} to {high:.3f}) | {middle - bare:+.3f} |")
    return "\n".join(rows)


def records(seconds: dict[str, list[float]]) -> list[Record]:
    """CPU seconds of the import over bare Python, round by round, and of the help."""
    ours, bare, twice = (seconds[name] for name in ("import jensen", REFERENCE, again("import jensen")))
    control = median_interval([a / b for a, b in zip(twice, ours)])
    found = {
        "import jensen": (REFERENCE + ", on top of it", [a - b for a, b in zip(ours, bare)]),
        "jensen --help": ("in all", seconds.get("jensen --help")),
    }
    return [
        Record(name, peer, *median_interval(of), "CPU s", GOALS[name], command(), True, control, len(of))
        for name, (peer, of) in found.items()
        if of is not None
    ]


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--without-torch", action="store_true", help="leave out `import torch`, seconds each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    seconds = measure(given.rounds, given.seed, not given.without_torch)
    if given.json:
        print(dumps(records(seconds), conditions=conditions(), seconds=seconds))
        return
    print(", ".join(f"{key}: {value}" for key, value in conditions().items()))
    print(f"\n{table(seconds)}")


if __name__ == "__main__":
    main()
