"""`jensen tightness`: how loose the bound of a model with latents is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jensen.cli import options
from jensen.cli.output import emit, pairs, shown
from jensen.cli.subject import fitted_of
from jensen.cli.terminal import echo, style
from jensen.cli.verb import verb

if TYPE_CHECKING:
    from jensen.bracketing import Tightness

EXAMPLES = (
    "jensen tightness runs/vae-digits",
    "jensen tightness runs/vae-digits -k 4096 --levels 0",
    "jensen tightness theirs.py:make --adapt pythae",
)


@verb("tightness", examples=EXAMPLES)
@click.argument("run", metavar="RUN|FILE.py:FACTORY")
@click.option("-n", "n", default=100, help="Rows to simulate.")
@options.draws
@options.adapt
@click.option(
    "--levels",
    default=300,
    help="Of annealing between the posterior and the true one, both ways; 0: without it.",
)
@click.option(
    "--width", type=float, help="Of the draws, in posteriors. Default: as `jensen score` draws them."
)
@click.option(
    "--context",
    multiple=True,
    metavar="VALUE|FILE",
    help="What a conditional run is given: a class or number for all rows, a file, or NAME=VALUE for each of several columns.",
)
@options.seed("Seed of the simulated rows and of the noise.")
@options.threads
@options.as_json
def tightness(
    run: str,
    n: int,
    k: int,
    adapt: str | None,
    levels: int,
    width: float | None,
    context: tuple[str, ...],
    seed: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """How far the lower bound of RUN, a model with latents, lies below log p at most, on rows that the model itself makes.

    The latents that made such a row are known, and give an upper bound beside the lower one. Rows of anybody else have no
    upper bound: theirs may be looser. Numbers are nats a row in the model's own units.
    """
    from jensen.cli.start import settle_threads, start_torch

    start_torch(threads)
    import jensen

    fitted = fitted_of(run, adapt)
    settle_threads(threads, fitted.space)
    asked = options.parse_context(context, [] if fitted.context_codec is None else fitted.context_codec.names)
    found = jensen.tightness(fitted, n, k, levels=levels, width=width, context=asked, seed=seed)
    if as_json:
        emit({"run": run, "model": fitted.name, **found.to_dict()})
    else:
        echo(f"{style(fitted.name, bold=True)}: {found.label}: {n:,} rows")
        pairs(lines(found))


def lines(found: Tightness) -> list[tuple[str, str]]:
    """Both pairs of bounds, and how far apart they are."""
    how = found.how
    wide = "" if how["width"] == 1 else f" {how['width']:g} times as wide"
    said = [
        ("draws", f"{how['k']:,} of the posterior{wide} a row"),
        (" log p", f"{shown(found.lower)}, and {shown(found.upper)}"),
        (" loose by", shown(found.gap)),
    ]
    if (
        found.annealed_lower is not None
        and found.annealed_upper is not None
        and found.annealed_gap is not None
    ):
        said += [
            ("annealed", f"by {how['levels']:,} levels from the posterior, there and back"),
            (" log p", f"{shown(found.annealed_lower)}, and {shown(found.annealed_upper)}"),
            (" loose by", shown(found.annealed_gap)),
        ]
    return [
        *said,
        ("certified", f"the tighter one is loose by {shown(found.certified)} with probability 0.95"),
    ]
