"""`jensen sample`: rows drawn from a run."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from jensen.cli import options
from jensen.cli.drawn import as_csv, column_names, refuse_long
from jensen.cli.output import emit, refuse_taken_file
from jensen.cli.progress import open_progress
from jensen.cli.terminal import echo, rows_out
from jensen.cli.verb import verb

EXAMPLES = (
    "jensen sample runs/made-wine -n 5 --seed 1",
    "jensen sample runs/pixelcnn-digits -n 64 --out samples",
    "jensen sample runs/digit-by-label -n 64 --context 7 --out sevens",
)


@verb("sample", examples=EXAMPLES)
@click.argument("run", metavar="RUN")
@click.option("-n", default=16, help="How many rows.")
@click.option("--seed", type=int, help="Seed of the draws.  [default: a fresh one, which is printed]")
@click.option(
    "--out",
    metavar="PATH",
    help="A file .csv, .parquet, .npy or .npz, or without suffix a folder of PNG images.",
)
@click.option(
    "--context",
    multiple=True,
    metavar="VALUE",
    help="What a conditional run is given: a class or number for all rows, a file with one a row, or NAME=VALUE for each "
    "of several columns.",
)
@click.option(
    "--temperature",
    default=1.0,
    help="Of every site given the earlier ones, autoregressive models only. Below 1 sharpens; such rows do not follow "
    "the likelihood that score prints.",
)
@click.option(
    "--sampler", default="auto", help="auto: the fastest exact one. naive: a full pass a site, the same rows."
)
@options.overwrite
@options.threads
@options.quiet
@options.as_json
def sample(
    run: str,
    n: int,
    seed: int | None,
    out: str | None,
    context: tuple[str, ...],
    temperature: float,
    sampler: str,
    overwrite: bool,
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Draw rows from the run in the folder RUN, in the units of the rows it was fitted to.

    Without --out a table is printed as CSV.
    """
    from jensen.cli.start import settle_threads, start_torch

    if out is not None:
        refuse_taken_file(Path(out), overwrite)
    start_torch(threads)
    import jensen
    from jensen.data import check_target, write
    from jensen.data.settle import beyond

    fitted = jensen.load(run)
    settle_threads(threads, fitted.space)
    if out is None:
        refuse_long(n, fitted.space, as_json)
    else:
        check_target(out, fitted.space, overwrite=overwrite)
    given = options.parse_context(context, [] if fitted.context_codec is None else fitted.context_codec.names)
    seed = secrets.randbits(31) if seed is None else seed
    with open_progress(quiet) as progress:
        watch = progress.count(f"sampling {fitted.name}", n)
        rows = fitted.sample(n, seed, given, temperature=temperature, sampler=sampler, watch=watch)
    if out is not None:
        write(out, rows, fitted.space, overwrite=overwrite)
    if as_json:
        facts = {
            "run": run,
            "model": fitted.name,
            "n": n,
            "seed": seed,
            "context": list(context) or None,
            "temperature": temperature,
            "follows_log_prob": temperature == 1,
            "out": out,
        }
        emit({**facts, "columns": column_names(fitted.space), "rows": rows.tolist() if out is None else None})
    elif out is None:
        rows_out(as_csv(rows, fitted.space))
    moved = beyond(rows, fitted.space) if out is None or Path(out).suffix in (".csv", ".parquet") else ""
    if moved and not as_json and not quiet:
        echo(f"note: {moved}", err=True)
    if not quiet and not as_json:
        echo(f"{n:,} rows, seed {seed}" + (f": {out}" if out else ""), err=True)
    if temperature != 1 and not as_json:
        echo(f"drawn at temperature {temperature:g}: these rows do not follow the model's log_prob", err=True)
