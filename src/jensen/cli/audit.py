"""`jensen audit`: is a model what it claims to be?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jensen.cli import options
from jensen.cli.failures import command_line
from jensen.cli.field import document, drawn, look
from jensen.cli.output import emit, make_parent, refuse_taken_file
from jensen.cli.subject import AUTOENCODERS, FLOWS, subject_of
from jensen.cli.terminal import echo, secho, style
from jensen.cli.verb import verb
from jensen.cli.wording import as_options, folded
from jensen.errors import Cannot, UsageError

if TYPE_CHECKING:
    from jensen.checks.verdict import Verdict
    from jensen.functional.site_links import SiteLinks

EXAMPLES = (
    "jensen audit runs/pixelcnn-digits --rows digits",
    "jensen audit mynet.py:make --input-shape 1,5,5 --at 3,3",
    "jensen audit mynet.py:make --input-shape 1,28,28 --html audit.html",
    "jensen audit myflow.py:make --adapt zuko",
)
MODES = ("ring", "grid", "stacked-digits")


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
@click.option(
    "--channel-order",
    is_flag=True,
    help="The channels of a place come one after the other, R before G before B. A RUN knows its own order.",
)
@click.option(
    "--adapt",
    type=click.Choice([*FLOWS, *AUTOENCODERS]),
    help="FACTORY makes a flow or transform of this library, or an autoencoder (pythae); torch: of torch.distributions, or "
    "returning (z, log_det).",
)
@click.option(
    "--modes",
    type=click.Choice(MODES),
    help="Do the samples reach every mode of this law? For a model fitted to its rows.",
)
@click.option(
    "--html",
    metavar="FILE.html",
    help="Write a page that opens offline: the verdicts, and maps of what is seen, missed and drawn in parallel.",
)
@options.overwrite
@options.seed("Seed of the random rows.")
@options.threads
@options.as_json
@click.pass_context
def audit(
    ctx: click.Context,
    target: str,
    input_shape: str | None,
    at: str | None,
    rows: str | None,
    checks: str | None,
    channel_order: bool,
    adapt: str | None,
    modes: str | None,
    html: str | None,
    overwrite: bool,
    seed: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Check what a model promises: the run in the folder RUN, or a torch module of your own.

    FILE.py:FACTORY executes FILE.py, as `python FILE.py` would, and calls FACTORY() for the module. Nothing in a RUN is
    ever executed.

    A check holds, fails, or is undecided, always with the evidence. Exit code 1 if one fails. With --json a list of
    {"check", "holds": true|false|null, "evidence", ...}.

    --adapt looks at a flow of another library: its log-determinants, both directions, triangles, integral and samples.
    FACTORY() may return (flow, context) for a conditional one; --input-shape only where the object does not say it.
    Autoencoders of pythae are looked at by our bounds; a hand-written one is what jensen.adapt.autoencoder makes of it.

    --at adds what the place sees of the sites before it, and, where the module is proven to be autoregressive, the
    number of exact parallel steps that draw a row. The page of --html shows the place in the middle without it.
    """
    from jensen.cli.start import start_torch

    if html is not None:
        refuse_taken_file(Path(html), overwrite)

    shape = options.parse_shape(input_shape, "--input-shape")
    place = options.parse_shape(at, "--at")
    start_torch(threads)
    import jensen

    subject = subject_of(target, adapt)
    if adapt is not None and (at is not None or html is not None):
        raise UsageError(
            "--at and --html show what the outputs of a module see",
            f"got --adapt {adapt} as well",
            "leave one of them out",
        )
    x = _rows(subject, rows)
    verdicts = jensen.audit(
        subject,
        x,
        input_shape=shape,
        seed=seed,
        channel_order=channel_order,
        checks=options.parse_names(checks),
        adapt=adapt,
        modes=modes,
    )
    wanted = place is not None or html is not None
    field = look(subject, x, shape, place, channel_order) if wanted else None
    shown = field if place is not None else None
    if as_json:
        emit([*(verdict.to_dict() for verdict in verdicts), *([] if shown is None else [document(shown)])])
    else:
        _print(target, verdicts, shown)
    if html is not None and field is not None:
        _write(Path(html), target, command_line(ctx), verdicts, field, overwrite, as_json)
    if any(verdict.holds is False for verdict in verdicts):
        raise click.exceptions.Exit(1)


def _write(
    path: Path,
    target: str,
    command: str,
    verdicts: Sequence[Verdict],
    field: SiteLinks | Cannot,
    overwrite: bool,
    as_json: bool,
) -> None:
    """The page, after the verdicts are printed: a full disk must not cost them."""
    from jensen.report.audit_page import write_audit

    make_parent(path)
    write_audit(path, target, command, verdicts, field, overwrite=overwrite)
    echo(f"\nreport: {style(str(path), bold=True)}", err=as_json)


def _rows(subject: Any, source: str | None) -> Any:
    """Rows for the checks: a run reads them in its own space, a module gets the numbers as they are."""
    if source is None:
        return None
    if hasattr(subject, "codec"):
        from jensen.context import rows_alone

        return rows_alone(subject.context_codec, source, subject.space)
    import jensen

    return jensen.rows(source).test[:]


def _print(target: str, verdicts: Sequence[Verdict], field: SiteLinks | Cannot | None) -> None:
    applied = [verdict for verdict in verdicts if verdict.details.get("applies", True)]
    secho(target, bold=True)
    width = max((len(verdict.name) for verdict in applied), default=0)
    for verdict in applied:
        word, colour = _WORDS[verdict.holds]
        text = folded(as_options(verdict.evidence), width + 15, sys.stdout)
        echo(f"  {style(f'{word:<9}', fg=colour, bold=True)}  {verdict.name:<{width}}  {text}")
    others = [verdict.name for verdict in verdicts if verdict not in applied]
    if others:
        left_out = f"these do not apply: {', '.join(others)}"
        secho(f"  {folded(left_out, 2, sys.stdout)}", dim=True)
    if field is not None:
        echo(f"\n{drawn(field)}")


_WORDS = {True: ("holds", "green"), False: ("FAILS", "red"), None: ("undecided", "yellow")}
