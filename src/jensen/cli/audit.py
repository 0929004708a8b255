"""`jensen audit`: is a model what it claims to be?"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from jensen.cli import options
from jensen.cli.field import Field, reach
from jensen.cli.output import emit
from jensen.cli.verb import verb
from jensen.cli.wording import as_options, folded
from jensen.errors import UsageError

if TYPE_CHECKING:
    from jensen.checks.verdict import Verdict

EXAMPLES = (
    "jensen audit runs/pixelcnn-digits --rows digits",
    "jensen audit mynet.py:make --input-shape 1,5,5 --at 3,3",
)
_FACTORY = re.compile(r"(?P<file>.+\.py):(?P<factory>[^\W\d]\w*)")


@verb("audit", examples=EXAMPLES)
@click.argument("target", metavar="RUN|FILE.py:FACTORY")
@click.option(
    "--input-shape", metavar="1,28,28", help="Shape of one row that the module takes, without the batch axis."
)
@click.option(
    "--at",
    metavar="ROW,COLUMN",
    help="Print the receptive field of the output at this place, counted from 1.",
)
@click.option(
    "--rows", metavar="ROWS", help="Rows to check on.  [default: the model's own samples, or random ones]"
)
@click.option("--checks", metavar="A,B", help="Some checks only.  [default: all that apply]")
@options.seed("Seed of the random rows.")
@options.threads
@options.as_json
def audit(
    target: str,
    input_shape: str | None,
    at: str | None,
    rows: str | None,
    checks: str | None,
    seed: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Check what a model promises: the run in the folder RUN, or a torch module of your own.

    FILE.py:FACTORY executes FILE.py, as `python FILE.py` would, and calls FACTORY() for the module. Nothing in a RUN is
    ever executed.

    A check holds, fails, or is undecided, always with the evidence. Exit code 1 if one fails. With --json a list of
    {"check", "holds": true|false|null, "evidence", ...}.
    """
    from jensen.cli.start import start_torch

    shape = options.parse_shape(input_shape, "--input-shape")
    place = options.parse_shape(at, "--at")
    start_torch(threads)
    import jensen

    subject = _subject(target)
    x = _rows(subject, rows)
    verdicts = jensen.audit(
        subject,
        x,
        input_shape=shape,
        seed=seed,
        checks=options.parse_names(checks),
    )
    field = (
        None
        if place is None
        else reach(subject, x.shape[1:] if shape is None and x is not None else shape, place)
    )
    if as_json:
        emit([*(verdict.to_dict() for verdict in verdicts), *([] if field is None else [field.to_dict()])])
    else:
        _print(target, verdicts, field)
    if any(verdict.holds is False for verdict in verdicts):
        raise click.exceptions.Exit(1)


def _subject(target: str) -> Any:
    """The fitted model of a run, or the module that the user's file makes."""
    found = _FACTORY.fullmatch(target)
    if found is not None:
        from jensen.cli.factory import make

        return make(found["file"], found["factory"])
    if target.endswith(".py"):
        raise UsageError("which module of the file?", f"got {target}", f"name its factory: {target}:make")
    import jensen

    return jensen.load(target)


def _rows(subject: Any, source: str | None) -> Any:
    """Rows for the checks: a run reads them in its own space, a module gets the numbers as they are."""
    if source is None:
        return None
    if hasattr(subject, "codec"):
        from jensen.data import read

        return read(source, subject.space)
    import jensen

    return jensen.rows(source).test[:]


def _print(target: str, verdicts: Sequence[Verdict], field: Field | None) -> None:
    applied = [verdict for verdict in verdicts if verdict.details.get("applies", True)]
    click.secho(target, bold=True)
    width = max((len(verdict.name) for verdict in applied), default=0)
    for verdict in applied:
        word, colour = _WORDS[verdict.holds]
        text = folded(as_options(verdict.evidence), width + 15, sys.stdout)
        click.echo(f"  {click.style(f'{word:<9}', fg=colour, bold=True)}  {verdict.name:<{width}}  {text}")
    others = [verdict.name for verdict in verdicts if verdict not in applied]
    if others:
        left_out = f"these do not apply: {', '.join(others)}"
        click.secho(f"  {folded(left_out, 2, sys.stdout)}", dim=True)
    if field is not None:
        click.echo(f"\n{field.text()}")


_WORDS = {True: ("holds", "green"), False: ("FAILS", "red"), None: ("undecided", "yellow")}
