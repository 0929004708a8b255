"""`jensen complete`: the missing part of rows, drawn given the rest."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jensen.cli import options
from jensen.cli.cautions import cautions
from jensen.cli.drawn import as_csv, column_names, refuse_long
from jensen.cli.missing import parse_missing
from jensen.cli.output import emit, refuse_taken_file
from jensen.cli.progress import open_progress
from jensen.cli.score import chosen
from jensen.cli.terminal import echo, rows_out, style
from jensen.cli.verb import verb
from jensen.cli.wording import as_options, folded
from jensen.errors import DataError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jensen.completing import Completion
    from jensen.fitted import Fitted

EXAMPLES = (
    "jensen complete runs/pixelcnn-digits digits --first 8 --missing bottom -n 4 --out completed",
    "jensen complete runs/made-wine new.csv --missing alcohol,hue -n 10",
    "jensen complete runs/made-wine gaps.csv --out whole.csv",
)


@verb("complete", examples=EXAMPLES)
@click.argument("run", metavar="RUN")
@click.argument("rows", metavar="ROWS")
@click.option(
    "--missing",
    metavar="SPEC",
    help="What to draw. Images: bottom, top, left, right, rows:1-4, columns:1-4 (from 1). Tables: names of columns, "
    "between commas. Both: a mask file, NPY or PNG, not 0 where to draw.  [default: empty cells and NaN]",
)
@click.option("-n", default=1, help="How many completions of each row, independent of each other.")
@click.option(
    "--particles",
    default=256,
    show_default=True,
    help="A completion is chosen among so many where observed sites come late in the model's order: more is closer.",
)
@click.option("--seed", type=int, help="Seed of the draws.  [default: a fresh one, which is printed]")
@click.option("--first", type=click.IntRange(min=1), metavar="M", help="Only the first M rows.")
@click.option("--all", "everything", is_flag=True, help="All rows, those the model was fitted to included.")
@options.drop
@click.option(
    "--context",
    multiple=True,
    metavar="VALUE",
    help="What a conditional run is given, as in score; columns of that name beside the rows need no option.",
)
@click.option(
    "--out",
    metavar="PATH",
    help="A file .csv, .parquet, .npy or .npz, or without suffix a folder of PNG images: row by row, all completions "
    "of the first row first.",
)
@options.overwrite
@options.threads
@options.quiet
@options.as_json
def complete(
    run: str,
    rows: str,
    missing: str | None,
    n: int,
    particles: int,
    seed: int | None,
    first: int | None,
    everything: bool,
    drop: tuple[str, ...],
    context: tuple[str, ...],
    out: str | None,
    overwrite: bool,
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Draw the missing part of ROWS from what the run in the folder RUN says of it, given the rest.

    Exact where the rest comes first in the model's order; otherwise by weighted particles, with their effective sample
    size, and a warning where it is low. Without --out a table is printed as CSV. Of rows the run was fitted to, only the
    held-out part is completed, unless --all is given.
    """
    from jensen.cli.start import settle_threads, start_torch

    if out is not None:
        refuse_taken_file(Path(out), overwrite)
    start_torch(threads)
    import jensen
    from jensen.data import check_target, write

    fitted = jensen.load(run)
    settle_threads(threads, fitted.space)
    options.warn_of_namesake(rows)
    asked = options.parse_context(context, [] if fitted.context_codec is None else fitted.context_codec.names)
    values, mask, given = _rows(fitted, rows, missing, asked, drop, everything, first)
    if out is None:
        refuse_long(n * len(values), fitted.space, as_json)
    else:
        check_target(out, fitted.space, overwrite=overwrite)
    seed = secrets.randbits(31) if seed is None else seed
    with open_progress(quiet) as progress, cautions():
        watch = progress.count(f"completing {rows}", n * len(values))
        found = fitted.complete(values, mask, n, particles=particles, seed=seed, context=given, watch=watch)
    drawn = found.rows.reshape(-1, *fitted.space.shape)
    if out is not None:
        write(out, drawn, fitted.space, overwrite=overwrite)
    if as_json:
        facts = {"run": run, "model": fitted.name, "rows": rows, "n": n, "seed": seed, "out": out}
        printed = found.rows.tolist() if out is None else None
        emit({**facts, **_document(found), "columns": column_names(fitted.space), "completions": printed})
    elif out is None:
        rows_out(as_csv(drawn, fitted.space))
    if not as_json:
        _tell(found, f"seed {seed}" + (f": {out}" if out else ""), quiet)


def _rows(
    fitted: Fitted,
    source: str,
    missing: str | None,
    context: Any,
    drop: tuple[str, ...],
    everything: bool,
    first: int | None,
) -> tuple[NDArray[Any], NDArray[Any], Any]:
    """The rows to complete, in memory, a mask of what is to be drawn, and the context."""
    import numpy as np

    from jensen.data.gaps import read_gaps, refuse_gaps

    mask = None if missing is None else parse_missing(missing, fitted.space)
    if mask is not None:
        try:
            rows, given, _ = chosen(fitted, source, context, drop, everything)
        except DataError:
            pass  # gaps, perhaps: those that are to be drawn do not matter
        else:
            own = mask[:first] if mask.ndim > len(fitted.space.shape) else mask
            return np.asarray(rows[slice(first)]), own, None if given is None else given[slice(first)]
    given, beside = _beside(fitted, source, context, first)
    values, gaps = read_gaps(source, fitted.space, mask, drop=[*drop, *beside], first=first)
    if mask is None:
        if not gaps.any():
            raise UsageError(
                "there is nothing to draw", f"{source} has no empty cells", "name what to draw with --missing"
            )
        return values, gaps, given
    refuse_gaps(gaps, fitted.space)
    return values, mask[:first] if mask.ndim > len(fitted.space.shape) else mask, given


def _beside(fitted: Fitted, source: str, context: Any, first: int | None) -> tuple[Any, list[str]]:
    """The context of rows with gaps, asked for or found beside them, and the columns that hold it."""
    from jensen.data.given import context_columns, contexts_of

    if fitted.context_codec is None:
        return context, []
    space = fitted.context_codec.space
    found = contexts_of(source, space) if context is None else context
    return found if context is not None or found is None else found[slice(first)], context_columns(
        source, space
    )


def _document(found: Completion) -> dict[str, Any]:
    return {
        "particles": found.particles,
        "exact": found.exact.tolist(),
        "effective_sample_size": found.ess.tolist(),
        "log_observed": found.log_observed.mean().to_dict(),
        "log_observed_by_row": found.log_observed.values.tolist(),
        "notes": list(found.notes),
    }


def _tell(found: Completion, made: str, quiet: bool) -> None:
    """On stderr, so that a table on stdout stays one; a low effective sample size also where all else is quiet."""
    low = len(found.notes) > 1
    if not quiet:
        first, *others = found.describe().splitlines()
        for line in (f"{first}, {made}", *others[: 2 if low else None]):
            echo(folded(as_options(line), 0, sys.stderr), err=True)
    if low:
        head = style("warning:", fg="yellow", bold=True)
        echo(f"{head} {folded(as_options(found.notes[-1]), 9, sys.stderr)}", err=True)
