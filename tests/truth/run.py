"""Solve every problem with a known answer and print what was found; the figures come last.

    python tests/truth/run.py                      # all, about 6 minutes of one core
    python tests/truth/run.py --workers 2
    python tests/truth/run.py --only frechet       # those whose name holds a word
    python tests/truth/run.py --exact              # those without repeats

It ends with status 1 when a goal is missed: a number called exact that is off by more than 1e-5, an interval of 95 % that
covers in less than 93 or more than 97.5 % of the repeats (by design wider ones: in less than 93 %), a bound on the wrong
side, or a comparison with a false proven order, more often than it says. A share of repeats comes with its own 95 % binomial
interval; repeats are doubled until that leaves no doubt or a limit is reached, and what is then undecided is marked.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import torch
from catalogue import problems
from judging import Verdict, binomial, judge
from problem import Exact


def solve(name: str, scale: float) -> Verdict:
    """By name, so that a worker can."""
    torch.set_num_threads(1)
    return judge(problems()[name], scale)


def solved(names: Sequence[str], scale: float, workers: int) -> Iterator[Verdict]:
    """The verdicts, in order."""
    if workers == 1:
        yield from (solve(name, scale) for name in names)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(partial(solve, scale=scale), names)


def line(one: Verdict) -> str:
    """A verdict in a row of the table."""
    figure = f"{one.figure:.1e}" if one.kind == "exact" else f"{one.figure:.2%}"
    ends = "" if one.ends is None else f"[{one.ends[0]:.1%}, {one.ends[1]:.1%}] of {one.repeats:,}"
    said = "MISSED" if not one.holds else "holds" if one.decided else "holds (?)"
    return f"{said:<9} {one.kind:<18} {one.name[:68]:<68} {one.truth:>12} {one.found:>14} {figure:>8} {ends}"


def totals(found: Sequence[Verdict]) -> list[str]:
    """The last lines: what was counted, of what."""
    by = {
        kind: [one for one in found if one.kind == kind] for kind in dict.fromkeys(one.kind for one in found)
    }
    exact, plain, wide = (by.get(kind, []) for kind in ("exact", "interval", "interval, at least"))
    families = sorted({one.family for one in found} - {"every family"})
    lines = [
        f"{len(found)} problems in {len(families)} families: {', '.join(families)}",
        f"exact: {sum(one.holds for one in exact)} of {len(exact)} within 1e-5{_worst(exact)}",
    ]
    if plain:
        lines.append(f"95 % intervals: {sum(one.holds for one in plain)} of {len(plain)} cover in 93 to 97.5 % "
                     f"({_range(plain)}; {sum(not one.decided for one in plain)} not decided by the repeats)")  # fmt: skip
    if wide:
        lines.append(f"intervals wide by design: {sum(one.holds for one in wide)} of {len(wide)} cover in 93 % or more ({_range(wide)})")  # fmt: skip
    for kind in ("lower bound", "upper bound"):
        some = by.get(kind, [])
        if some:
            lines.append(f"{kind}s: {sum(one.holds for one in some)} of {len(some)} on their side at their level "
                         f"(wrong in {_range(some)})")  # fmt: skip
    if some := by.get("orders", []):
        wrong, of = sum(one.count for one in some), sum(one.repeats for one in some)
        low, high = binomial(wrong, of)
        lines.append(f"orders: {wrong} of {of:,} comparisons have a false proven order, {wrong / of:.2%} [{low:.2%}, {high:.2%}]; "
                     f"at most 5 % of each kind may: {sum(one.holds for one in some)} of {len(some)} kinds hold")  # fmt: skip
    lines.append(f"{sum(one.seconds for one in found):,.0f} s of processor time")
    missed = [one.name for one in found if not one.holds]
    lines.append("every goal is met" if not missed else f"MISSED {len(missed)}: {'; '.join(missed)}")
    return lines


def _worst(some: Sequence[Verdict]) -> str:
    return f" (worst {max(one.figure for one in some):.1e})" if some else ""


def _range(some: Iterable[Verdict]) -> str:
    shares = [one.figure for one in some]
    return f"{min(shares):.1%} to {max(shares):.1%}"


def chosen(only: str, exact: bool) -> list[str]:
    """Names of the problems asked for."""
    words = only.lower().split()
    return [
        name
        for name, one in problems().items()
        if all(word in name.lower() for word in words) and (isinstance(one, Exact) or not exact)
    ]


def main() -> int:
    """Print a line a problem and the totals; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="words that a problem's name holds")
    parser.add_argument("--exact", action="store_true", help="without the problems that need repeats")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of repeats")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    names = chosen(asked.only, asked.exact)
    if not names:
        print("no problem has such a name", file=sys.stderr)
        return 2
    print(
        f"{'verdict':<9} {'kind':<18} {'problem':<68} {'truth':>12} {'found':>14} {'figure':>8} of the repeats"
    )
    found = []
    for one in solved(names, asked.scale, asked.workers):
        print(line(one), flush=True)
        found.append(one)
    print(*totals(found), sep="\n", flush=True)
    return 0 if all(one.holds for one in found) else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
