"""`jensen compare`: several models on the same held-out rows, and a report."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jensen.cli import options
from jensen.cli.failures import command_line
from jensen.cli.output import base_name, describe, emit, make_parent, refuse_taken_file
from jensen.cli.progress import open_progress
from jensen.cli.terminal import echo, style
from jensen.cli.verb import verb
from jensen.cli.wording import folded
from jensen.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

    from jensen.comparison import Comparison
    from jensen.data import Rows
    from jensen.fitted import Fitted
    from jensen.plan import Plan

EXAMPLES = (
    "jensen compare digits --seconds 20",
    "jensen compare mine.csv --samples theirs.csv",
    "jensen compare mine.csv --models independent,mixture --runs runs/mine --report report/mine.html",
)


@verb("compare", examples=EXAMPLES, listing=options.LISTING)
@click.argument("rows", metavar="ROWS")
@click.option(
    "--models",
    metavar="A,B,C",
    help="Models to fit.  [default: what suits the rows, unless --runs or --samples is given]",
)
@click.option(
    "--runs", multiple=True, metavar="DIR", help="A run of jensen fit to take part. May be repeated."
)
@click.option(
    "--samples",
    multiple=True,
    metavar="FILE",
    help="Rows drawn by a model made elsewhere, to take part as what can only sample. May be repeated.",
)
@click.option(
    "--lens",
    metavar="RUN",
    default="auto",
    show_default=True,
    help="Judge samples in the features of an encoder: the run of one, train to fit one to the rows, none, or auto, which "
    "fits one to images within a third of the budget.",
)
@options.steps
@options.seconds
@options.seed("Seed of the fits, the samples and the noise; the split of the rows stays the same.")
@click.option(
    "--budget",
    metavar="2m",
    help="Time for all fits together, shared equally: 90s, 2m, 1h. In place of --steps and --seconds.",
)
@click.option(
    "--seeds",
    default=1,
    show_default=True,
    help="Fits of every named model, with as many seeds: above 1 the report also says what is proven of the methods.",
)
@options.draws
@click.option(
    "--report", metavar="FILE.html", help="Where to write the report.  [default: report/<rows>.html]"
)
@options.overwrite
@options.device
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the loop (batch, rate, patience, ...) for all models. Arguments of one model: fit it with jensen "
    "fit and pass --runs.",
)
@options.binarise
@options.gaps
@options.kinds
@options.drop
@options.context
@options.threads
@options.quiet
@options.as_json
@click.pass_context
def compare(
    ctx: click.Context,
    rows: str,
    models: str | None,
    runs: tuple[str, ...],
    samples: tuple[str, ...],
    lens: str,
    steps: int | None,
    seconds: float | None,
    seed: int,
    budget: str | None,
    seeds: int,
    k: int,
    report: str | None,
    overwrite: bool,
    device: str,
    settings: tuple[str, ...],
    binarise: str | None,
    gaps: str | None,
    kinds: tuple[str, ...],
    drop: tuple[str, ...],
    context: tuple[str, ...],
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Fit models to ROWS, score all of them on the same held-out rows, and print what that proves.

    The budget is that of each model. An order of two models is printed only where the paired differences prove it. Ends
    by naming the report: one HTML file that opens offline.
    """
    from jensen.cli.start import settle_threads, start_torch

    path = Path(report or f"report/{base_name(rows)}.html")
    refuse_taken_file(path, overwrite)
    start_torch(threads)
    import jensen

    plan = options.make_plan(steps, seconds, options.split_settings(settings, [])[0])
    chosen = _chosen(options.parse_names(models), runs, samples)
    eye = None if lens == "none" else lens if lens in ("train", "auto") else jensen.load(lens)
    data = options.read_rows(rows, kinds, drop, binarise, context, gaps)
    chosen = chosen and {
        t: one if not isinstance(one, Path) else _drawn(t, one, data, drop) for t, one in chosen.items()
    }
    settle_threads(threads, data.space)
    describe(data, as_json, quiet)
    if budget is not None:
        plan = _shared(plan, budget, chosen, data, seeds, steps, seconds)
    with open_progress(quiet) as progress:
        result = jensen.compare(
            chosen,
            data,
            lens=eye,
            seed=seed,
            seeds=seeds,
            plan=plan,
            k=k,
            device=device,
            command=command_line(ctx),
            watch=progress.stage,
        )
    if not as_json:
        _print(result)  # before the report: a full disk must not cost the numbers
    make_parent(path)
    result.to_html(path, overwrite=overwrite)
    if as_json:
        emit({**result.to_dict(), "report": str(path)})
    else:
        echo(f"\nreport: {style(str(path), bold=True)}")


def _chosen(
    names: Sequence[str] | None, runs: Sequence[str], samples: Sequence[str]
) -> dict[str, str | Fitted | Path] | None:
    """Titles and what stands behind them; None for the default line-up. Unknown names and broken runs raise here."""
    if names is None and not runs and not samples:
        return None
    import jensen
    from jensen.models import model_class

    chosen: dict[str, str | Fitted | Path] = {}
    for name in names or []:
        model_class(name)
        chosen[_free(name, chosen)] = name
    for run in runs:
        chosen[_free(Path(run).name or run, chosen)] = jensen.load(run)
    for drawn in samples:
        chosen[_free(Path(drawn).stem or drawn, chosen)] = Path(drawn)
    return chosen


def _drawn(title: str, path: Path, data: Rows, drop: Sequence[str]) -> Fitted:
    """The rows of a file as a model that can only sample."""
    from jensen.adapt.samples import samples_of

    return samples_of(title, path, data.space, drop)


def _free(title: str, taken: dict[str, Any]) -> str:
    """A title that nobody has yet."""
    numbered = (f"{title}-{number}" for number in itertools.count(2))
    return title if title not in taken else next(name for name in numbered if name not in taken)


def _shared(
    plan: Plan,
    budget: str,
    chosen: Any,
    data: Rows,
    seeds: int,
    steps: int | None,
    seconds: float | None,
) -> Plan:
    """The plan with an equal share of a time for every fit; models that are solved in one call need none."""
    from jensen.lineup import line_up
    from jensen.model import Model
    from jensen.models import model_class

    if steps is not None or seconds is not None:
        raise UsageError("a budget is shared by all fits", "got --steps or --seconds too", "pass one of them")
    names = line_up(data) if chosen is None else [one for one in chosen.values() if isinstance(one, str)]
    trained = [name for name in names if model_class(name).solve is Model.solve]
    share = options.duration(budget) / max(1, len(trained) * seeds)
    return plan.replaced(steps=None, seconds=share)


def _print(result: Comparison) -> None:
    from jensen.report.fidelity import fidelity_lines
    from jensen.report.lens_table import lens_lines
    from jensen.report.methods import method_lines
    from jensen.report.tables import audit_lines, order_lines, plain_table, separation_lines

    record = result.to_dict()
    if sys.stdout.isatty():
        _draw(record)
    else:
        echo(plain_table(record))
    lines = order_lines(record)
    if lines:
        echo(f"\nOrders at level {record['order_level']:g}, {record['orders_note']}:")
    for line in lines:
        colour = None if line.startswith("undecided") else "green"
        echo(f"  {style(folded(line, 4, sys.stdout), fg=colour)}")
    for line in method_lines(record):
        echo(line)
    for line in separation_lines(record):
        echo(folded(line, 4, sys.stdout))
    for line in lens_lines(record) + fidelity_lines(record):
        echo(line)
    checks = audit_lines(record)
    if checks:
        echo("\nChecks of the models (evidence in the report):")
    for line in checks:
        colour = "red" if " fails " in line else None
        echo(f"  {style(folded(line, 4, sys.stdout), fg=colour)}")


def _draw(record: dict[str, Any]) -> None:
    """The table in a terminal; where it is too narrow the last columns stay in the report."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console

    from jensen.report.tables import terminal_table

    console, table = Console(), terminal_table(record)
    table.box, table.show_edge, table.pad_edge, table.padding = SIMPLE_HEAD, False, False, (0, 1, 0, 0)
    table.columns[0].no_wrap = True
    hidden = 0
    while (
        len(table.columns) > 2 and console.measure(table, options=_unbounded(console)).maximum > console.width
    ):
        table.columns.pop()
        hidden += 1
    console.print(table)
    if hidden:
        console.print(
            f"{hidden} more columns in the report, or in a wider terminal", style="dim", highlight=False
        )


def _unbounded(console: Console) -> ConsoleOptions:
    """Options under which a table says how wide it would like to be."""
    return console.options.update(width=10_000)
