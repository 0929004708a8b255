"""`jensen fit`: rows or a density in, a run in a folder out."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jensen.cli import options
from jensen.cli.cautions import cautions
from jensen.cli.launch import rank_of, start_together
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
from jensen.cli.target import (
    name_of,
    print_target,
    read_target,
    refuse_options_of_rows,
    refuse_options_of_targets,
)
from jensen.cli.terminal import echo, style
from jensen.cli.verb import verb
from jensen.errors import UsageError

if TYPE_CHECKING:
    from jensen.data import Rows
    from jensen.errors import Cannot
    from jensen.fitted import Fitted
    from jensen.quantity import Scores

EXAMPLES = (
    "jensen fit digits --model made --steps 500 --set 'hidden=[256, 256]' --set rate=0.001",
    "jensen fit digits --model made --context label --out runs/digit-by-label",
    "jensen fit digits --model pixelcnn --devices 2 --set batch=256",
    "jensen fit --target posterior.py:log_density --dim 10 --model spline-flow",
)


@verb("fit", examples=EXAMPLES, listing=options.LISTING)
@click.argument("rows", metavar="[ROWS]", required=False)
@click.option(
    "--target",
    metavar="FILE.py:FUNCTION|NAME",
    help="In place of ROWS, a log density: FUNCTION takes a tensor (n, dim), gives (n,) and may be unnormalised. FILE.py is "
    "executed. Or the NAME of a density of known truth: funnel, banana, many-well, ...",
)
@click.option("--dim", type=int, help="Coordinates of the target density.")
@click.option("--support", metavar="LOW:HIGH", help="Where the target is positive.  [default: everywhere]")
@click.option("--location", metavar="X,Y,...", help="Where to look for the target.  [default: around 0]")
@click.option("--scale", metavar="S", help="How wide to look.  [default: tried out]")
@click.option("--model", required=True, metavar="NAME", help="A name that jensen models lists.")
@options.steps
@options.seconds
@options.seed("Seed of the weights, the batches and the noise; the split of the rows stays the same.")
@click.option("--out", metavar="DIR", help="Folder of the run.  [default: runs/<model>-<rows>]")
@click.option("--resume", is_flag=True, help="Continue an interrupted run; the other options as before.")
@options.overwrite
@options.device
@options.devices
@options.strategy
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
@options.gaps
@options.kinds
@options.drop
@options.context
@options.threads
@options.quiet
@options.as_json
def fit(
    rows: str | None,
    target: str | None,
    dim: int | None,
    support: str | None,
    location: str | None,
    scale: str | None,
    model: str,
    steps: int | None,
    seconds: float | None,
    seed: int,
    out: str | None,
    resume: bool,
    overwrite: bool,
    device: str,
    devices: int | None,
    strategy: str,
    settings: tuple[str, ...],
    objective: str | None,
    binarise: str | None,
    gaps: str | None,
    kinds: tuple[str, ...],
    drop: tuple[str, ...],
    context: tuple[str, ...],
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Fit a model to ROWS, or to a --target density, and keep the run in a folder.

    The rows are split into a training, a validation and a held-out part; the score that is printed at the end is that
    of the held-out part. A target has no rows: the model is fitted by reverse KL to samples of its own, and what they tell
    of log Z is printed, with bounds and with what a search found that the model misses. Ctrl-C or SIGTERM
    finishes the step, writes a checkpoint and says how to resume; a second process on the same folder is refused.
    """
    start_together(devices)
    rank = rank_of(devices)
    from jensen.cli.start import settle_threads, start_torch

    start_torch(threads)
    import jensen
    from jensen.fitting import FOR_A_DENSITY
    from jensen.models import model_class

    arguments = [
        name for name in inspect.signature(model_class(model)).parameters if name not in ("space", "context")
    ]
    loop, hyper = options.split_settings(settings, arguments)
    if (rows is None) == (target is None):
        given = "got neither" if rows is None else f"got {rows} and --target {target}"
        raise UsageError("fit takes ROWS or a --target density", given, "name one of them")
    folder = Path(out or f"runs/{model}-{base_name(rows or name_of(str(target)))}")
    if rank == 0:
        refuse_taken_folder(folder, overwrite or resume)
    of_rows = {"binarise": binarise, "gaps": gaps, "kinds": kinds, "drop": drop, "context": context}
    of_target = {"dim": dim, "support": support, "location": location, "scale": scale}
    what = _read(rows, target, of_rows, of_target, seed)
    data: Rows | None = what.get("rows")
    usual = {} if data is not None else {"batch": FOR_A_DENSITY.batch, "patience": FOR_A_DENSITY.patience}
    plan = options.make_plan(steps, seconds, {**usual, **loop})
    settle_threads(threads, what["target"].codec.space if data is None else data.space, devices or 1)
    if data is not None and rank == 0:
        describe(data, as_json, quiet)
    with (
        nothing_halved(folder) if rank == 0 else nullcontext(),
        open_progress(quiet or rank > 0) as progress,
        cautions(),
    ):
        progress.stage(model, "fit")
        fitted = jensen.fit(
            model,
            objective=objective,
            plan=plan,
            seed=seed,
            out=folder,
            resume=resume,
            overwrite=overwrite,
            device=device,
            devices=devices,
            strategy=strategy,
            watch=lambda moment: progress.stage(model, "fit", moment),
            **what,
            **hyper,
        )
        if rank > 0:  # the first process says it all
            return
        scores = None if data is None else _held_out(fitted, data, seed, progress)
    if as_json:
        emit(_document(fitted, data, scores, folder))
    elif data is None or scores is None:
        print_target(fitted, _how(fitted), folder)
    else:
        _print(fitted, data, scores, folder)


def _read(
    rows: str | None, target: str | None, of_rows: dict[str, Any], of_target: dict[str, Any], seed: int
) -> dict[str, Any]:
    """What is fitted to, by the name that `jensen.fit` gives it. Raises UsageError for options of the other."""
    if rows is None:
        refuse_options_of_rows(of_rows)
        return {"target": read_target(str(target), **of_target, seed=seed)}
    refuse_options_of_targets(of_target)
    return {"rows": options.read_rows(rows, **of_rows)}


def _held_out(fitted: Fitted, data: Rows, seed: int, progress: Progress) -> Scores | Cannot:
    """The scores of the held-out rows, or why there are none."""
    from jensen.errors import Cannot

    progress.stage(fitted.name, "score")
    try:
        held_out = None if data.context is None else data.context.held_out
        return fitted.score(data.test, context=held_out, seed=seed)
    except Cannot as error:
        return error


def _document(
    fitted: Fitted, data: Rows | None, scores: Scores | Cannot | None, folder: Path
) -> dict[str, Any]:
    found: dict[str, Any] = {"run": str(folder), "model": fitted.name, "hyper": fitted.model.hyper}
    if data is not None and scores is not None:
        found |= {
            "rows": data.name,
            "space": data.space.describe(),
            "context": None if data.context is None else list(data.context.names),
            **score_document(scores),
        }
    return {**found, "record": fitted.record}


def _print(fitted: Fitted, data: Rows, scores: Scores | Cannot, folder: Path) -> None:
    from jensen.errors import Cannot
    from jensen.model import Can

    health = fitted.record.get("health")
    part = "validation" if health else "held-out"
    echo(f"{style(fitted.name, bold=True)} on {data.name}, {part} rows")
    if health:
        lines = health_lines(health)
    else:
        lines = [("score", str(scores))] if isinstance(scores, Cannot) else score_lines(scores)
    lines += [
        ("fit", _how(fitted)),
        *((note["name"], _told(note)) for note in fitted.record["notes"]),
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


def _how(fitted: Fitted) -> str:
    """How the training went, in a sentence."""
    run = fitted.record["run"]
    spent = clock(run["seconds"])
    if not run["steps"]:
        return f"{run['stopped']}, {spent}"
    how = f"{run['steps']:,} steps in {spent}, {run['stopped']}"
    if run["best_step"] is None or run["best_step"] == run["steps"]:
        return how
    return f"{how}; kept: step {run['best_step']:,}, the best validation"


def _told(note: dict[str, Any]) -> str:
    head = style("warning: ", fg="yellow", bold=True) if note["doubtful"] else ""
    return f"{head}{note['text']}"
