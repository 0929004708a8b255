"""`jensen fit`: rows in, a run in a folder out."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jensen.cli import options
from jensen.cli.output import (
    base_name,
    describe,
    emit,
    health_lines,
    nothing_halved,
    pairs,
    refuse_taken_folder,
    score_document,
    score_lines,
)
from jensen.cli.progress import Progress, clock, open_progress
from jensen.cli.verb import verb
from jensen.errors import JensenWarning

if TYPE_CHECKING:
    from jensen.data import Rows
    from jensen.errors import Cannot
    from jensen.fitted import Fitted
    from jensen.quantity import Scores

EXAMPLES = (
    "jensen fit digits --model made --steps 500 --set 'hidden=[256, 256]' --set rate=0.001",
    "jensen fit digits --model made --context label --out runs/digit-by-label",
)


@verb("fit", examples=EXAMPLES, listing=options.LISTING)
@click.argument("rows", metavar="ROWS")
@click.option("--model", required=True, metavar="NAME", help="A name that jensen models lists.")
@options.steps
@options.seconds
@options.seed("Seed of the weights, the batches and the noise; the split of the rows stays the same.")
@click.option("--out", metavar="DIR", help="Folder of the run.  [default: runs/<model>-<rows>]")
@click.option("--resume", is_flag=True, help="Continue an interrupted run; the other options as before.")
@options.overwrite
@options.device
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the loop (batch, rate, clip, patience, average, ...) or an argument of the model (see jensen "
    "models NAME). May be repeated.",
)
@click.option(
    "--objective",
    metavar="NAME[:KEY=VALUE,...]",
    help="What to minimise, with options.  [default: what suits the model's abilities]",
)
@options.binarise
@options.kinds
@options.drop
@options.context
@options.threads
@options.quiet
@options.as_json
def fit(
    rows: str,
    model: str,
    steps: int | None,
    seconds: float | None,
    seed: int,
    out: str | None,
    resume: bool,
    overwrite: bool,
    device: str,
    settings: tuple[str, ...],
    objective: str | None,
    binarise: str | None,
    kinds: tuple[str, ...],
    drop: tuple[str, ...],
    context: tuple[str, ...],
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Fit a model to ROWS and keep the run in a folder.

    The rows are split into a training, a validation and a held-out part; the score that is printed at the end is that
    of the held-out part. Ctrl-C finishes the step, writes a checkpoint and says how to resume.
    """
    from jensen.cli.start import settle_threads, start_torch

    start_torch(threads)
    import jensen
    from jensen.models import model_class

    arguments = [
        name for name in inspect.signature(model_class(model)).parameters if name not in ("space", "context")
    ]
    loop, hyper = options.split_settings(settings, arguments)
    plan = options.make_plan(steps, seconds, loop)
    folder = Path(out or f"runs/{model}-{base_name(rows)}")
    refuse_taken_folder(folder, overwrite or resume)
    data = options.read_rows(rows, kinds, drop, binarise, context)
    settle_threads(threads, data.space)
    describe(data, as_json, quiet)
    with nothing_halved(folder), open_progress(quiet) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore", JensenWarning)  # the last lines say the same
        progress.stage(model, "fit")
        fitted = jensen.fit(
            model,
            data,
            objective=objective,
            plan=plan,
            seed=seed,
            out=folder,
            resume=resume,
            overwrite=overwrite,
            device=device,
            watch=lambda moment: progress.stage(model, "fit", moment),
            **hyper,
        )
        scores = _held_out(fitted, data, seed, progress)
    if as_json:
        emit(_document(fitted, data, scores, folder))
    else:
        _print(fitted, data, scores, folder)


def _held_out(fitted: Fitted, data: Rows, seed: int, progress: Progress) -> Scores | Cannot:
    """The scores of the held-out rows, or why there are none."""
    from jensen.errors import Cannot

    progress.stage(fitted.name, "score")
    try:
        held_out = None if data.context is None else data.context.held_out
        return fitted.score(data.test, context=held_out, seed=seed)
    except Cannot as error:
        return error


def _document(fitted: Fitted, data: Rows, scores: Scores | Cannot, folder: Path) -> dict[str, Any]:
    return {
        "run": str(folder),
        "model": fitted.name,
        "hyper": fitted.model.hyper,
        "rows": data.name,
        "space": data.space.describe(),
        "context": None if data.context is None else list(data.context.names),
        **score_document(scores),
        "record": fitted.record,
    }


def _print(fitted: Fitted, data: Rows, scores: Scores | Cannot, folder: Path) -> None:
    from jensen.errors import Cannot
    from jensen.model import Can

    run = fitted.record["run"]
    spent = clock(run["seconds"])
    how = (
        f"{run['steps']:,} steps in {spent}, {run['stopped']}"
        if run["steps"]
        else f"{run['stopped']}, {spent}"
    )
    if run["best_step"] is not None and run["best_step"] != run["steps"]:
        how += f"; kept: step {run['best_step']:,}, the best validation"
    health = fitted.record.get("health")
    part = "validation" if health else "held-out"
    click.echo(f"{click.style(fitted.name, bold=True)} on {data.name}, {part} rows")
    if health:
        lines = health_lines(health)
    else:
        lines = [("score", str(scores))] if isinstance(scores, Cannot) else score_lines(scores)
    lines += [
        ("fit", how),
        ("size", f"{fitted.record['parameters']:,} parameters"),
        ("run", str(folder)),
    ]
    if Can.SAMPLE in fitted.can:
        given = "" if data.context is None else f" {options.example_context(data.context.space)}"
        lines.append(
            ("next", f"jensen sample {folder} -n 16{given}{' --out samples' if data.space.is_image else ''}")
        )
    elif Can.EMBED in fitted.can:
        lines.append(("next", f"jensen embed {folder} ROWS --out features.parquet --probe LABEL"))
    pairs(lines)
    if fitted.record.get("doubt"):
        click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {fitted.record['doubt']}", err=True)
