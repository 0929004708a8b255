"""`jensen course`: the claims, executed one after the other."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from jensen.cli import options
from jensen.cli.failures import command_line
from jensen.cli.output import emit, make_parent, refuse_taken_file
from jensen.cli.terminal import echo, secho, style
from jensen.cli.verb import verb
from jensen.cli.wording import folded
from jensen.course import CATALOGUE, CHAPTERS, chosen, execute_all

EXAMPLES = (
    "jensen course",
    "jensen course a2",
    "jensen course V --json",
    "jensen course --html course.html",
)
CHAPTER_LINES = tuple((name, f"{title}: {', '.join(c for c in CATALOGUE if c[0] == name)}") for name, title in CHAPTERS.items())  # fmt: skip
MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}


@verb("course", examples=EXAMPLES, listing=(("Claims, by chapter", CHAPTER_LINES),))
@click.argument("claims", metavar="[CLAIM|CHAPTER]...", nargs=-1)
@click.option("--html", metavar="FILE.html", help="Write the illustrated page, which opens offline.")
@options.overwrite
@options.seed("Seed of every random number.")
@click.option(
    "--threads",
    type=click.IntRange(1, options.MOST_THREADS),
    metavar="N",
    help="Threads for torch.  [default: OMP_NUM_THREADS, else 1]",
)
@options.as_json
@click.pass_context
def course(
    ctx: click.Context,
    claims: tuple[str, ...],
    html: str | None,
    overwrite: bool,
    seed: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Execute claims about deep generative models, live, and print the evidence. All of them: some two minutes.

    A claim holds (✓), fails (✗), or is not decided by this run (?): then its numbers are too noisy. Every verdict is computed
    from what the run found. With names of claims, what was looked at is printed line by line.

    Exit code 1 if a claim fails. With --json a list of {"claim", "statement", "holds": true|false|null, "evidence", ...}.
    The derivations are in docs/course.md.
    """
    from jensen.cli.start import settle_divergence

    names = chosen(claims)
    if html is not None:
        refuse_taken_file(Path(html), overwrite)
    found: list[dict[str, Any]] = []
    with settle_divergence(threads):
        for claim in execute_all(names, seed):
            found.append(claim.to_dict())
            if not as_json:
                _print(found[-1], in_full=bool(claims))
    if as_json:
        emit(found)
    else:
        _print_total(found)
    if html is not None:
        _write(Path(html), command_line(ctx), found, overwrite, as_json)
    if any(claim["holds"] is False for claim in found):
        raise click.exceptions.Exit(1)


def _print(claim: Mapping[str, Any], in_full: bool) -> None:
    """A claim as it finishes: verdict, statement, what was found; and line by line where it was asked for by name."""
    mark, colour = MARKS[claim["holds"]]
    evidence = claim["evidence"]
    head = style(f"{mark} {claim['claim']}", fg=colour, bold=True)
    took = style(f"{claim['seconds']:.1f} s", dim=True)
    echo(f"{head}  {folded(claim['statement'], 6, sys.stdout)}")
    echo(f"      {folded(evidence['summary'], 6, sys.stdout)}  {took}")
    if in_full:
        _print_findings(evidence)
    sys.stdout.flush()


def _print_findings(evidence: Mapping[str, Any]) -> None:
    from jensen.cli.field import signs_drawn
    from jensen.report.course_words import numbers_said

    for finding in evidence["findings"]:
        mark, colour = MARKS[finding["holds"]]
        echo(f"    {style(mark, fg=colour)} {folded(finding['what'], 6, sys.stdout)}")
        for line in numbers_said(finding["numbers"]):
            secho(f"        {folded(line, 8, sys.stdout)}", dim=True)
    for figure in evidence["figures"]:
        if figure["kind"] == "maps":
            echo(f"\n{signs_drawn(figure)}")


def _print_total(found: list[dict[str, Any]]) -> None:
    counts = {answer: sum(claim["holds"] is answer for claim in found) for answer in MARKS}
    parts = [
        f"{counts[True]} of {len(found)} claim{'s' if len(found) > 1 else ''} hold{'s' if len(found) == 1 else ''}"
    ]
    parts += [f"{counts[False]} fail"] if counts[False] else []
    parts += [f"{counts[None]} not decided by this run"] if counts[None] else []
    seconds = sum(claim["seconds"] for claim in found)
    secho(f"\n{', '.join(parts)}; {seconds:.0f} s", bold=True)


def _write(path: Path, command: str, found: list[dict[str, Any]], overwrite: bool, as_json: bool) -> None:
    """The page, after the claims are printed: a full disk must not cost them."""
    from jensen.report.course_page import write_course

    make_parent(path)
    write_course(path, command, found, overwrite=overwrite)
    echo(f"\nreport: {style(str(path), bold=True)}", err=as_json)
