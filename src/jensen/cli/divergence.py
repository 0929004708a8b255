"""`jensen divergence`: are two sets of rows from one law, and where do they differ?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jensen.cli import options
from jensen.cli.failures import command_line
from jensen.cli.output import emit, make_parent, pairs, refuse_taken_file, shown
from jensen.cli.terminal import echo, secho, style
from jensen.cli.verb import verb
from jensen.cli.wording import as_options, folded
from jensen.printable import printable

if TYPE_CHECKING:
    from jensen.discrepancy import Divergence
    from jensen.shifts import ColumnShift

EXAMPLES = (
    "jensen divergence january.csv june.csv",
    "jensen divergence data.csv samples.csv --drop id --json",
    "jensen divergence january.csv june.csv --html drift.html",
)
COLUMNS_SHOWN = 5


@verb("divergence", examples=EXAMPLES, listing=options.LISTING)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--columns", metavar="A,B", help="Compare these columns only.  [default: all]")
@options.drop
@click.option(
    "--html",
    metavar="FILE.html",
    help="Write a page that opens offline: the numbers and what they mean, the critics, the columns and rows that differ.",
)
@options.overwrite
@options.seed("Seed of the split and of the critics.")
@options.threads
@options.as_json
@click.pass_context
def divergence(
    ctx: click.Context,
    a: str,
    b: str,
    columns: str | None,
    drop: tuple[str, ...],
    html: str | None,
    overwrite: bool,
    seed: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Tell the rows of A from those of B: drift between two months, or a generator's samples against the data.

    Critics learn to tell them apart on one part of the rows and are judged on another. Printed is what that proves: a
    lower bound of the Jensen-Shannon divergence (0: one law, log 2 = 0.693 nats: no overlap), whose limit holds at any
    sample size, a p-value, and the columns and rows that differ most. Exit code 0 whatever the answer.
    """
    from jensen.cli.start import settle_divergence

    if html is not None:
        refuse_taken_file(Path(html), overwrite)
    for source in (a, b):
        options.warn_of_namesake(source)
    import jensen

    with settle_divergence(threads):
        found = jensen.divergence(a, b, seed=seed, columns=options.parse_names(columns) or (), drop=drop)
    if as_json:
        emit({"a": a, "b": b, **found.to_dict()})
    else:
        _print(a, b, found)
    if html is not None:  # after the numbers: a full disk must not cost them
        make_parent(Path(html))
        found.to_html(html, titles=(a, b), command=command_line(ctx), overwrite=overwrite)
        echo(f"\nreport: {style(html, bold=True)}", err=as_json)


def _print(a: str, b: str, found: Divergence) -> None:
    colour = "yellow" if found.different else "green"
    echo(f"a = {printable(a)}, b = {printable(b)}: {style(found.verdict, fg=colour, bold=True)}")
    pairs(_numbers(found))
    echo(f"\n{style('what to do', bold=True)}: {folded(found.advice, 2, sys.stdout)}")
    if found.different or any(one.alone for one in found.columns):
        _print_columns(found)
        _print_rows(found)
    for note in found.notes:
        echo(f"{style('note', fg='yellow')}: {folded(as_options(printable(note)), 4, sys.stdout)}")


def _numbers(found: Divergence) -> list[tuple[str, str]]:
    sure = 1 - (1 - found.jsd.level) / 2
    lines = [("divergence", f"{shown(found.jsd)}, {found.share:.0%} of the largest, log 2")]
    if found.limit > 0:
        lines.append(("at least", f"{found.limit:.3g} nats, {sure:.0%} sure at any sample size"))
    lines.append(("p-value", f"{found.p_value:.2g} of one law behind both"))
    if found.critic:
        lines.append(("accuracy", f"{shown(found.accuracy)} of telling a new row's side; chance is 0.5"))
        others = ", ".join(f"{name} {value:.3f}" for name, value in found.chances.items())
        lines.append(("critic", f"{found.critic}, chosen on other rows (nats there: {others})"))
        low, high = found.normaliser.interval or (1.0, 1.0)
        checks = f"normaliser ~ {found.normaliser.value:.2f} [{low:.2f}, {high:.2f}], 1 if the ratio is right"
        lines.append(("checks", f"{checks}; train-held-out gap {round(found.gap.value, 3) + 0.0:.3f} nats"))
    if found.kl is not None:
        lines.append(
            ("KL(b || a)", f"{shown(found.kl)}, an estimate over {found.kl.how['bridges']} bridges, no bound")
        )
    return lines


def _print_columns(found: Divergence) -> None:
    told = [one for one in found.columns if one.alone or one.needed][:COLUMNS_SHOWN]
    if not told:
        return
    secho("\ncolumns that differ most (a -> b)", bold=True)
    width = max(len(printable(one.name)) for one in told)
    for one in told:
        echo(f"  {printable(one.name):<{width}}  {printable(one.change)}")
        secho(f"  {'':<{width}}  {_evidence(one)}", dim=True)


def _evidence(one: ColumnShift) -> str:
    short = "total variation" if "total" in str(one.distance.how.get("of")) else "KS distance"
    alone = f"alone: {short} ~ {one.distance.value:.2f}, p {one.p_value:.1g}"
    if one.loss is None:
        return alone
    return f"{alone}; shuffled, the bound loses {shown(one.loss)}"


def _print_rows(found: Divergence) -> None:
    secho("\nrows most unlike the other side (counted from 0, among those not trained on)", bold=True)
    for side in "ab":
        told = ", ".join(str(one.row) for one in found.rows if one.side == side)
        echo(f"  {side}: {told}")
