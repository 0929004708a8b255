"""Options that several verbs share, and what their texts mean."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jensen.cli.subject import AUTOENCODERS
from jensen.cli.terminal import echo
from jensen.errors import UsageError, nearest

if TYPE_CHECKING:
    from jensen.data import Rows
    from jensen.plan import Plan
    from jensen.space import Space

Function = TypeVar("Function", bound=Callable[..., Any])

# the same words as jensen.data.examples.EXAMPLES, which would import scikit-learn's neighbours for the help
EXAMPLES = (
    ("digits", "1,797 handwritten digits, 1x8x8, 17 levels"),
    ("photos", "8x8 colour patches of two photographs, 3x8x8, 256 levels"),
    (
        "patches",
        "8x8 grey patches of the same photographs as 63 real numbers, a benchmark of density estimation",
    ),
    ("breast_cancer", "569 tumours, 30 real columns"),
    ("diabetes", "442 patients, 10 columns, one of them binary"),
    ("iris", "150 flowers, 4 real columns on a lattice of 0.1"),
    ("wine", "178 wines, 13 real columns"),
)
LISTING = (("Examples of ROWS that are bundled", EXAMPLES),)

MOST_THREADS = 1024
"""What OpenMP may be asked for: more than the system gives end the process without a word of ours."""

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, errors included."
)
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress, only the result.")
threads = click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    metavar="N",
    help="Threads for torch, else OMP_NUM_THREADS, else 1 for small rows and every core (up to 8) for large images.",
)
overwrite = click.option("--overwrite", is_flag=True, help="Replace what is there.")
device = click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
devices = click.option(
    "--devices",
    type=click.IntRange(1),
    metavar="N",
    help="Processes on this machine that train together, each on a device of its own and with its share of every batch; on "
    "several machines, start the command by torchrun.  [default: 1]",
)
strategy = click.option(
    "--strategy",
    default="ddp",
    metavar="NAME",
    help="With --devices: ddp, every device holds the whole model; fsdp, it is cut among them.  [default: ddp]",
)
steps = click.option("--steps", type=int, help="Budget in steps.  [default: 2000, unless --seconds is given]")
UNITS = {"s": 1, "m": 60, "h": 3600}
seconds = click.option(
    "--seconds", type=float, help="Budget in seconds; with --steps too, whichever ends first."
)


def duration(text: str) -> float:
    """Seconds of a duration: 90, 90s, 2m or 1.5h. Raises UsageError for anything else.

    >>> duration("2m"), duration("1.5h"), duration("90")
    (120.0, 5400.0, 90.0)
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        seconds = float(number) * UNITS[unit]
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError("a budget is a length of time above 0", f"got {text!r}", "write 90s, 2m or 1h")
    return seconds


def _draws(ctx: click.Context, option: click.Parameter, text: str) -> int:
    from jensen.functional.counts import read_draws

    return read_draws(text)


draws = click.option(
    "-k",
    default="64",
    metavar="K",
    callback=_draws,
    help="Draws where the number is a bound: more is tighter.",
)
adapt = click.option(
    "--adapt",
    type=click.Choice(AUTOENCODERS),
    help="FACTORY makes an autoencoder of this library, which is scored by our bounds.",
)
kinds = click.option(
    "--kinds",
    multiple=True,
    metavar="[COLUMN=]KIND",
    help="real, levels, binary or categorical, for a column or for all. May be repeated.",
)
drop = click.option(
    "--drop",
    multiple=True,
    metavar="COLUMN",
    help="A column that is no part of a row, such as a label. May be repeated.",
)

context = click.option(
    "--context",
    multiple=True,
    metavar="COLUMN|FILE",
    help="What rows are conditioned on: a column (may be repeated), or a file with one class or vector a row, in the "
    "order of ROWS; of an example: label.",
)
binarise = click.option(
    "--binarise",
    metavar="dynamic|0.5",
    help="Make bits of grey rows: draw them (afresh for every training batch), or cut at a share of the range.",
)
gaps = click.option(
    "--gaps",
    type=click.Choice(["value", "unseen", "refuse"]),
    help="Empty cells: one more value of their column (default for tables), values that nobody saw, or an error.",
)


def seed(what: str) -> Callable[[Function], Function]:
    """The option --seed, with what it decides."""
    return click.option("--seed", default=0, help=what)


def read_rows(
    source: str,
    kinds: Sequence[str],
    drop: Sequence[str],
    binarise: str | None = None,
    context: Sequence[str] = (),
    gaps: str | None = None,
) -> Rows:
    """The rows of a source, split by the seed 0 whatever --seed says: all runs hold the same rows out."""
    import jensen

    warn_of_namesake(source)
    given = context[0] if len(context) == 1 else list(context) or None
    return jensen.rows(
        source,
        kinds=parse_kinds(kinds),
        drop=drop,
        binarise=parse_binarise(binarise),
        context=given,
        gaps=gaps,
    )


def parse_context(texts: Sequence[str], names: Sequence[str]) -> Any:
    """The context that a run's rows are given: one value, a file, or NAME=VALUE for each of several columns.

    >>> parse_context(["setosa"], ["label"]), parse_context(["age=40", "sex=f"], ["sex", "age"])
    ('setosa', {'age': '40', 'sex': 'f'})
    """
    if not texts or set(texts) == set(names):
        return None  # the columns by name, as they were told to fit: ROWS hold them
    pairs = dict(text.partition("=")[::2] for text in texts)
    if set(pairs) <= set(names) and len(pairs) == len(texts) and all("=" in text for text in texts):
        return pairs
    if len(texts) == 1:
        return Path(texts[0]) if Path(texts[0]).is_file() else texts[0]
    wrong = next((name for name in pairs if name not in names), texts[0])
    raise UsageError(
        "several --context are NAME=VALUE, one a column", f"got {wrong!r}", nearest(wrong, names)
    )


def example_context(space: Space) -> str:
    """Options --context that name the first class, or 0, of each column."""
    from jensen.data.context import class_name, context_names

    columns = [space.column(site) for site in range(space.dims)]
    values = [class_name(column, column.low) for column in columns]
    if len(values) == 1:
        return f"--context {shlex.quote(values[0])}"
    pairs = zip(context_names(space), values)
    return " ".join(f"--context {shlex.quote(f'{name}={value}')}" for name, value in pairs)


def parse_binarise(text: str | None) -> str | float | None:
    """A threshold where the text is a number, else the word as it is.

    >>> parse_binarise("0.5"), parse_binarise("dynamic")
    (0.5, 'dynamic')
    """
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def warn_of_namesake(source: str) -> None:
    """Say which of the two is read when the name of an example is also that of a file or folder here."""
    if source in dict(EXAMPLES) and Path(source).exists():
        echo(f"{source} is the bundled example here; your own is ./{source}", err=True)


def parse_kinds(texts: Sequence[str]) -> str | dict[str, str] | None:
    """One kind for all columns, or kinds by column.

    >>> parse_kinds(["levels"]), parse_kinds(["a=real", "b=levels"])
    ('levels', {'a': 'real', 'b': 'levels'})
    """
    found = [text.rpartition("=") for text in texts]
    if not found:
        return None
    if len(found) == 1 and not found[0][1]:
        return found[0][2]
    wrong = next((text for text, (column, _, _) in zip(texts, found) if not column), None)
    if wrong is not None:
        raise UsageError(
            "one kind for all columns cannot be mixed with others",
            f"got --kinds {wrong}",
            "name its column: COLUMN=KIND",
        )
    return {column: kind for column, _, kind in found}


def parse_shape(text: str | None, option: str) -> tuple[int, ...] | None:
    """Whole numbers above zero between commas.

    >>> parse_shape("1,5,5", "--input-shape")
    (1, 5, 5)
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(
            f"{option} takes whole numbers from 1 on", f"got {text!r}", f"for example {option} 1,5,5"
        )
    return tuple(int(part) for part in parts)


def parse_names(text: str | None) -> list[str] | None:
    """Names between commas."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE each: a value is JSON where it can be read so, else a string.

    >>> parse_settings(["hidden=[64, 64]", "head=categorical"])
    {'hidden': [64, 64], 'head': 'categorical'}
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise UsageError("--set takes KEY=VALUE", f"got {text!r}", "for example --set batch=64")
        try:
            found[key.strip()] = json.loads(value)
        except ValueError:
            found[key.strip()] = value
    return found


def plan_names() -> list[str]:
    """The settings of the training loop that --set takes."""
    from jensen.plan import Plan

    return [field.name for field in fields(Plan) if field.name not in ("steps", "seconds")]


def make_plan(steps: int | None, seconds: float | None, settings: Mapping[str, Any]) -> Plan:
    """The plan of a training. Raises UsageError for a value of another type or out of range."""
    from jensen.plan import Plan

    whole = {field.name for field in fields(Plan) if field.type == "int"}
    others = {field.name for field in fields(Plan) if field.type in ("str", "bool")}
    for name, value in settings.items():
        if name in others:
            continue  # Plan says which words it takes
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number or (name in whole and value != int(value)):
            kind = "whole number" if name in whole else "number"
            raise UsageError(
                f"{name} is a {kind}", f"got {value!r}", f"pass --set {name}={getattr(Plan, name)}"
            )
    typed: dict[str, Any] = {name: int(value) if name in whole else value for name, value in settings.items()}
    return Plan(steps=steps, seconds=seconds, **typed)


def split_settings(texts: Sequence[str], arguments: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of the loop, then those of the model, whose `arguments` are known. Raises UsageError for others."""
    settings, loop = parse_settings(texts), plan_names()
    for name in settings:
        if name in ("steps", "seconds"):
            raise UsageError("the budget has options of its own", f"got --set {name}", f"pass --{name}")
        if name not in loop and name not in arguments:
            raise UsageError("unknown setting", f"got {name!r}", nearest(name, [*loop, *arguments]))
    mine = {name: value for name, value in settings.items() if name in loop}
    return mine, {name: value for name, value in settings.items() if name not in loop}
