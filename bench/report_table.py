"""The report as text: the table with its conditions, its place in the README, and the refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from record import Record

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
VERDICTS = ("met", "missed", "undecided")


def table(
    records: Sequence[Record], facts: Mapping[str, str], versions: Mapping[str, str], absent: Sequence[str]
) -> str:
    """Conditions, one Markdown row a record, and how many goals were met."""
    rounds = [one.rounds for one in records if one.rounds is not None]
    ends = dict.fromkeys(map(str, (min(rounds), max(rounds)))) if rounds else ["no"]
    spread = f"{' to '.join(ends)} rounds"
    names = ", ".join(f"{name} {version}" for name, version in versions.items()) or "none"
    lines = [
        f"{facts['date']}, {facts['processor']}, Python {facts['python']}, torch {facts['torch']}, "
        f"{_threads(facts['threads'])}, {spread}. Peers: {names}."
        + (f" Left out, because not installed: {', '.join(absent)}." if absent else ""),
        "",
        "| what | over | figure [95 %] | goal | | `python bench/...` |",
        "|---|---|---:|---|---|---|",
        *(row(one) for one in records),
        "",
        summary(records),
    ]
    return "\n".join(lines)


def _threads(count: str) -> str:
    return "one thread" if count == "1" else f"{count} threads"


def row(one: Record) -> str:
    """One record; a verdict that is no success stands out."""
    goal = "" if one.goal is None else f"{'at most' if one.less else 'at least'} {one.goal:.3g}"
    verdict = one.verdict()
    verdict = f"**{verdict}**" if verdict == "missed" else verdict
    interval = "" if one.low is None or one.high is None else f" [{one.low:.3g}, {one.high:.3g}]"
    command = one.command.removeprefix("python bench/")
    return f"| {one.name} | {one.peer} | {one.ratio:.3g}{interval} {one.unit} | {goal} | {verdict} | `{command}` |"


def summary(records: Sequence[Record]) -> str:
    """How many goals were met, missed and left undecided; which were missed."""
    count = Counter(one.verdict() for one in records)
    words = ", ".join(f"{count[verdict]} {verdict}" for verdict in VERDICTS)
    missed = "; ".join(f"{one.name}, over {one.peer}" for one in records if one.verdict() == "missed")
    return f"Goals: {words}; {count['']} rows have none." + (f" Missed: {missed}." if missed else "")


def refusal(noisy: Sequence[Record], of: int, load: float, cores: int) -> str:
    """Why nothing is printed: every row that was too noisy and how noisy, and what to do."""
    lines = [f"{len(noisy)} of {of} rows were too noisy, so no table is printed:"]
    lines += [f"  {one.name}, over {one.peer}: {one.trouble()}\n    {one.command}" for one in noisy]
    lines.append(
        f"The load of this machine is {load:.1f} on {cores} cores. Stop other work and give the same command again: it "
        "measures these benchmarks anew and keeps the others. --tries 4 tries longer, with twice the rounds each time."
    )
    return "\n".join(lines)


def folded(text: str) -> str:
    """The report as a page shows it: what was met and missed before the rows, which open on a click."""
    facts, rows, verdicts = text.split("\n\n")
    return f"{facts}\n\n{verdicts}\n\n<details><summary>All rows</summary>\n\n{rows}\n\n</details>"


def written(page: Path, text: str) -> None:
    """Put a text between the two markers of a page. Raises ValueError where the page has not one pair of them."""
    content = page.read_text(encoding="utf-8")
    if content.count(BEGIN) != 1 or content.count(END) != 1 or content.index(BEGIN) > content.index(END):
        raise ValueError(
            f"{page} has no one place for the table: it holds {content.count(BEGIN)} times {BEGIN} and "
            f"{content.count(END)} times {END}. Put one line of each where the table is to stand, in this order."
        )
    before, rest = content.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
