"""Timing on a busy machine: short slices of every variant, interleaved in random order, compared as ratios.

A slice does the same work in every variant. Other people's load hits all of them alike, so a ratio of medians is
repeatable where a time is not. CPU time counts all threads of the process and ignores waiting for a core.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from record import TIMES, Record, dumps, median_interval

Variants = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Line:
    """One variant: median milliseconds of a unit of work, and how many times the reference that is.

    `wall_ratio` and `cpu_ratio` are (ratio of the medians, lower and upper quartile of the ratios round by round).
    `cpu_rounds`: CPU milliseconds of a unit, round by round; round i of one line was timed beside round i of the others.
    """

    name: str
    wall_ms: float
    cpu_ms: float
    wall_ratio: tuple[float, float, float]
    cpu_ratio: tuple[float, float, float]
    cpu_rounds: tuple[float, ...] = ()


def again(name: str) -> str:
    """The name of the control of a variant: the variant itself, timed a second time in every round."""
    return f"{name}, again"


def interleave(
    variants: Variants,
    reference: str,
    *,
    rounds: int,
    units: int,
    warmup: int = 2,
    seed: int = 0,
    twice: Sequence[str] = (),
) -> list[Line]:
    """Time `rounds` slices of every variant, in a new random order every round; a slice does `units` of work.

    The variants of `twice` get a control (`again`): its true ratio is 1, so how far from 1 it comes out says what this
    machine's noise does to a ratio.
    """
    order = random.Random(seed)
    variants = {**variants, **{again(name): variants[name] for name in twice}}
    wall: dict[str, list[float]] = {name: [] for name in variants}
    cpu: dict[str, list[float]] = {name: [] for name in variants}
    for i in range(-warmup, rounds):
        for name in order.sample(list(variants), len(variants)):
            began, cpu_began = time.perf_counter(), time.process_time()
            variants[name]()
            cpu_spent, spent = time.process_time() - cpu_began, time.perf_counter() - began
            if i >= 0:
                wall[name].append(spent / units * 1e3)
                cpu[name].append(cpu_spent / units * 1e3)
    return [
        Line(
            name,
            statistics.median(wall[name]),
            statistics.median(cpu[name]),
            _ratio(wall[name], wall[reference]),
            _ratio(cpu[name], cpu[reference]),
            tuple(cpu[name]),
        )
        for name in variants
    ]


def _ratio(mine: list[float], reference: list[float]) -> tuple[float, float, float]:
    pairs = [a / b for a, b in zip(mine, reference)]
    low, _, high = statistics.quantiles(pairs, n=4) if len(pairs) > 1 else pairs * 3
    return statistics.median(mine) / statistics.median(reference), low, high


def over(slow: Line, fast: Line, scale: float = 1.0) -> tuple[float, float, float]:
    """CPU time of one line over another's, paired round by round: median and its interval."""
    return median_interval([scale * a / b for a, b in zip(slow.cpu_rounds, fast.cpu_rounds, strict=True)])


def speed(
    lines: Sequence[Line], ours: str, peer: str, *, name: str, goal: float | None, command: str, **how: Any
) -> Record:
    """How many times as fast as a peer's line jensen's is; `how`: `scale` of the peer's time, `called` its name."""
    line = {one.name: one for one in lines}
    ratio = over(line[peer], line[ours], how.get("scale", 1.0))
    control = over(line[again(ours)], line[ours]) if again(ours) in line else None
    rounds = len(line[ours].cpu_rounds)
    return Record(name, how.get("called", peer), *ratio, TIMES, goal, command, control=control, rounds=rounds)


def options(about: str, rounds: int, **extra: type) -> argparse.Namespace:
    """The command line of a benchmark: --threads, --rounds, --seed, --json and its own numbers in `extra`."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    for name, kind in extra.items():
        parser.add_argument(f"--{name}", type=kind, default=None)
    return parser.parse_args()


def passive() -> None:
    """Start this script again with OMP_WAIT_POLICY=PASSIVE, if unset: OpenMP reads it once, when torch is loaded.

    With active waiting two threads on shared cores spend most of their time waiting for each other.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.execv(sys.executable, [sys.executable, *sys.argv])


def conditions(threads: int | None = None) -> dict[str, str]:
    """The command, the hardware and the versions, in plain words."""
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "command": command(),
        "processor": f"{len(os.sched_getaffinity(0))} cores of {_processor()}",
        "python": platform.python_version(),
    }
    if threads is not None:
        import torch

        facts |= {
            "threads": str(threads),
            "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "unset"),
            "torch": str(torch.__version__),
        }
    return facts


def command() -> str:
    """How this script was called, but for `--json`: it changes what is printed, not what is measured."""
    given = shlex.join(word for word in sys.argv[1:] if word != "--json")
    return f"python bench/{Path(sys.argv[0]).name} {given}".strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (x.partition(":")[2].strip() for x in lines if x.startswith("model name")), platform.machine()
    )


def report(
    tables: Mapping[str, list[Line]],
    facts: dict[str, str],
    *,
    unit: str,
    as_json: bool,
    records: Sequence[Record] = (),
) -> None:
    """Print Markdown tables, one a title, or one JSON object, with the records in it."""
    if as_json:
        content = {title: [asdict(line) for line in lines] for title, lines in tables.items()}
        print(dumps(records, conditions=facts, unit=unit, tables=content))
        return
    print(", ".join(f"{key}: {value}" for key, value in facts.items()))
    for title, lines in tables.items():
        print(f"\n{title}\n\n{markdown(lines, unit)}", flush=True)


def markdown(lines: list[Line], unit: str) -> str:
    """A table whose ratios read: ratio of the medians (lower to upper quartile of the rounds)."""
    head = (
        f"| variant | ms a {unit} | CPU ms a {unit} | wall, ratio | CPU, ratio |\n|---|---:|---:|---:|---:|"
    )
    rows = [
        f"| {x.name} | {x.wall_ms:.3f} | {x.cpu_ms:.3f} | {_words(x.wall_ratio)} | {_words(x.cpu_ratio)} |"
        for x in lines
    ]
    return "\n".join([head, *rows])


def _words(ratio: tuple[float, float, float]) -> str:
    return f"{ratio[0]:.3f} ({ratio[1]:.3f} to {ratio[2]:.3f})"
