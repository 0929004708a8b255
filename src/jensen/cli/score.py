"""`jensen score`: log-likelihood of rows under a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jensen.cli import options
from jensen.cli.output import emit, make_parent, pairs, refuse_taken_file, score_document, score_lines
from jensen.cli.progress import open_progress
from jensen.cli.subject import fitted_of
from jensen.cli.terminal import echo, style
from jensen.cli.verb import verb
from jensen.cli.wording import folded
from jensen.errors import UsageError

if TYPE_CHECKING:
    from jensen.data import Contexts
    from jensen.fitted import Fitted
    from jensen.quantity import Scores

EXAMPLES = (
    "jensen score runs/made-digits digits",
    "jensen score runs/mine new.csv --drop label --out scores.csv",
    "jensen score theirs.py:make bits.npy --adapt pythae -k 5000",
    "jensen score runs/mine new.csv --worst 10",
)


@verb("score", examples=EXAMPLES)
@click.argument("run", metavar="RUN|FILE.py:FACTORY")
@click.argument("rows", metavar="ROWS")
@options.draws
@options.adapt
@click.option(
    "--binarise",
    metavar="dynamic|0.5",
    help="Make the bits of a FACTORY's model of grey ROWS: draw them, or cut at a share of the range. A RUN knows how.",
)
@options.seed("Seed of the noise, where the number has any.")
@click.option("--all", "everything", is_flag=True, help="All rows, those the model was fitted to included.")
@click.option(
    "--method",
    type=click.Choice(["auto", "importance", "annealed"]),
    default="auto",
    help="Of models with latents: weigh draws of the posterior, or chains annealed from it, dearer and tighter.",
)
@click.option(
    "--width",
    type=float,
    help="Of those draws, in posteriors. Default: as the fit chose it, from 64 draws on.",
)
@click.option("--levels", type=int, help="Of annealing; default: 300.")
@options.drop
@click.option(
    "--context",
    multiple=True,
    metavar="VALUE|FILE",
    help="What a conditional run is given, where ROWS do not hold it: a class or number for all rows, a file with one a "
    "row, or NAME=VALUE for each of several columns.",
)
@click.option(
    "--worst",
    type=click.IntRange(1),
    metavar="N",
    help="Also the N most surprising rows of a table, each with the columns to blame.",
)
@click.option("--out", metavar="FILE.csv", help="Write one score a row.")
@options.overwrite
@options.threads
@options.quiet
@options.as_json
def score(
    run: str,
    rows: str,
    k: int,
    adapt: str | None,
    binarise: str | None,
    seed: int,
    everything: bool,
    method: str,
    width: float | None,
    levels: int | None,
    drop: tuple[str, ...],
    context: tuple[str, ...],
    worst: int | None,
    out: str | None,
    overwrite: bool,
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Score ROWS under the run in the folder RUN: log-likelihood in nats, in the rows' own units.

    Where ROWS are those the run was fitted to, its held-out part alone is scored, unless --all is given.

    FILE.py:FACTORY executes FILE.py and scores somebody else's autoencoder by our bounds, to check a published number: a
    model of a library (--adapt), or what FACTORY made by jensen.adapt.autoencoder of an encoder, a decoder and a prior.
    """
    from jensen.cli.start import settle_threads, start_torch

    if out is not None:
        _refuse_other_format(out)
        refuse_taken_file(Path(out), overwrite)
    start_torch(threads)
    fitted = fitted_of(run, adapt)
    options.warn_of_namesake(rows)
    if binarise is not None:
        binarised(fitted, rows, binarise, drop)
    settle_threads(threads, fitted.space)
    asked = options.parse_context(context, [] if fitted.context_codec is None else fitted.context_codec.names)
    values, given, part = chosen(fitted, rows, asked, drop, everything)
    with open_progress(quiet) as progress:
        watch = progress.count(f"scoring {rows}", len(values))
        scores = fitted.score(
            values, k, given, seed=seed, method=method, width=width, levels=levels, watch=watch
        )
        odd = None if worst is None else fitted.surprise(values, worst, context=given, seed=seed)
    if out is not None:
        _write(Path(out), scores)
    if as_json:
        names = None if fitted.context_codec is None else list(fitted.context_codec.names)
        facts = {"run": run, "model": fitted.name, "rows": rows, "part": part, "n": len(scores), "out": out}
        found = {} if odd is None else {"surprise": odd.to_dict()}
        emit({**facts, "context": names, **score_document(scores), **found})
    else:
        echo(f"{style(fitted.name, bold=True)} on {SAYS[part].format(rows=rows, n=len(scores))}")
        pairs([*score_lines(scores), *([("scores", out)] if out else [])])
        for line in [] if odd is None else ["most surprising", *odd.describe()]:
            echo(f"  {folded(line, 4, sys.stdout)}")


SAYS = {
    "held-out": "the held-out part of {rows}, {n:,} rows that it was not fitted to (--all: every row)",
    "all": "all {n:,} rows of {rows}, most of which it was fitted to",
    "new": "all {n:,} rows of {rows}",
}


def chosen(
    fitted: Fitted, source: str, context: Any, drop: tuple[str, ...], everything: bool
) -> tuple[Any, Contexts | None, str]:
    """The rows to score, their contexts, and which part of the source they are: held-out, all (of known rows) or new."""
    import jensen
    from jensen.context import rows_to_score
    from jensen.data import Bits, hash_rows

    values, given = rows_to_score(fitted.context_codec, fitted.name, source, fitted.space, context, drop)
    known = fitted.record.get("data", {})
    origin = (
        values.key if isinstance(values, Bits) else hash_rows(values)
    )  # the hash of a run is that of grey rows
    if origin != known.get("hash"):
        return values, given, "new"
    if everything:
        return values, given, "all"
    counts = tuple(known["counts"][part] for part in ("train", "valid", "test"))
    for split in (None, counts):  # some examples have a split of their own; other rows are split by counts
        data = jensen.rows(
            source, space=fitted.space, drop=drop, seed=known["split_seed"], split=split, context=given
        )
        if (len(data.train), len(data.valid), len(data.test)) == counts:
            break
    return data.test, None if data.context is None else data.context.held_out, "held-out"


def binarised(fitted: Fitted, source: str, binarise: str, drop: tuple[str, ...]) -> None:
    """Let a model of bits read grey rows. Raises UsageError for a run, and for a model of anything but bits."""
    import jensen
    from jensen.codec import Integers

    if fitted.record or fitted.space.kind != "binary":
        raise UsageError(
            "--binarise is for autoencoders of bits that a FACTORY makes",
            f"got {fitted.name}, which takes rows of {fitted.space.describe()}",
            "leave it out: a run knows how its bits were made",
        )
    space = jensen.rows(source, binarise=options.parse_binarise(binarise), drop=drop).space
    fitted.space.check_shape((1, *space.shape))
    fitted.codec = Integers(space)


def _refuse_other_format(out: str) -> None:
    if Path(out).suffix.lower() != ".csv":
        raise UsageError("scores are written as CSV", f"got --out {out}", "choose a name that ends in .csv")


def _write(path: Path, scores: Scores) -> None:
    """One line a row; the name of the column says when a score is a bound."""
    from jensen.disk import write_text

    lines = [f"row,log_likelihood{'' if scores.kind.value == 'exact' else f'_{scores.kind.value}'}_nats"]
    lines += [f"{row},{value!r}" for row, value in enumerate(scores.values.tolist())]
    make_parent(path)
    write_text(path, "\n".join([*lines, ""]))
