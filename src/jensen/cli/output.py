"""What verbs print and where they write."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.cli.terminal import echo, secho, style
from jensen.cli.wording import as_options, folded
from jensen.disk import contents
from jensen.errors import Cannot, OutputError
from jensen.printable import printable

if TYPE_CHECKING:
    from jensen.quantity import Quantity, Scores


def emit(document: Any) -> None:
    """One JSON document on stdout; a number that is not finite becomes null."""
    echo(json.dumps(_finite(document), indent=2, allow_nan=False))


def pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values below one another."""
    rows = [(printable(name), printable(text)) for name, text in rows]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        echo(f"  {style(name.ljust(width), dim=True)}  {text}")


def shown(quantity: Quantity) -> str:
    """A number with its sign, unit and interval, and as many digits as the interval can carry."""
    from jensen.report.numbers import show

    return str(show(quantity.to_dict()))


def describe(data: Any, as_json: bool, quiet: bool) -> None:
    """What the rows are: the beginning of every verb that reads rows. With --json on stderr."""
    if quiet:
        return
    stream = sys.stderr if as_json else sys.stdout
    first, *others = as_options(data.describe()).splitlines()
    secho(first, bold=True, err=as_json)
    for line in others:
        text = folded(line, 4, stream)
        echo(
            f"  {style('note', fg='yellow')}{text[4:]}" if line.startswith("note:") else f"  {text}",
            err=as_json,
        )
    echo(err=as_json)


def score_numbers(scores: Scores) -> dict[str, Quantity]:
    """The mean log-likelihood, and for masses its cost in bits per dimension."""
    found = {"log_likelihood": scores.mean()}
    if scores.measure == "mass":
        found["bits_per_dim"] = scores.bits_per_dim.mean()
    return found


def score_lines(scores: Scores) -> list[tuple[str, str]]:
    """The same numbers for a reader: what is scored, in which measure, on how many rows."""
    numbers = score_numbers(scores)
    mean = numbers["log_likelihood"]
    sure = f" {100 * mean.level:g}% interval," if mean.interval is not None else ""
    given = f" given {', '.join(scores.how['context'])}" if scores.how.get("context") else ""
    lines = [("log-likelihood", f"{shown(mean)}, a {mean.measure}{given};{sure} {len(scores):,} rows")]
    if "bits_per_dim" in numbers:
        made = scores.how.get("binarisation")
        of = f", of binarised rows ({made})" if made else ""
        lines.append(("cost", f"{shown(numbers['bits_per_dim'])}{of}"))
    if "method" in scores.how:
        lines += bound_lines(scores)
    elif "bound" in scores.how:
        lines.append(("bound", f"by {scores.how['bound']}, {scores.how['k']} draws a row"))
    return lines


def bound_lines(scores: Scores) -> list[tuple[str, str]]:
    """What a bound by weights says, its statements apart: how it was made, noise, bias, certificate, weights."""
    how = scores.how
    wide = "" if how["width"] == 1 else f" {how['width']:g} times as wide"
    chains = f"chains of {how.get('levels')} levels from" if how["method"] == "annealed" else "draws of"
    lines = [("bound", f"by {how['k']:,} {chains} the posterior{wide} a row")]
    if how.get("noise_sd") is not None:
        noise = scores.on_these_rows()
        lines.append((" noise", f"{shown(noise)}: Monte-Carlo alone, on these rows"))
    certified = scores.certified()
    said = f"{shown(certified)} on these rows with probability {certified.level:g}, whatever the weights"
    lines += [(" certified", said), (" bias", "how far the bound lies below log p: in none of the intervals")]
    if "weights" in how:
        lines.append((" weights", _weights(how["weights"], how["method"])))
    return lines


def _weights(weights: Mapping[str, Any], method: str) -> str:
    text = f"median effective sample size {weights['median_ess']:.3g} of {weights['draws']:,}"
    if "heavy" in weights:
        text += f"; Pareto k-hat above 0.7 in {100 * weights['heavy']:.0f}% of {weights['looked_at']:,} rows"
    if method != "annealed" and (weights["median_ess"] < 10 or weights.get("heavy", 0) > 0.5):
        text += "; poor: raise -k, or pass --method annealed"
    return text


def score_document(scores: Scores | Cannot) -> dict[str, Any]:
    """The same numbers as plain JSON types; the reason where there are none."""
    if isinstance(scores, Cannot):
        return {"log_likelihood": None, "bits_per_dim": None, "why_not": str(scores)}
    numbers: Mapping[str, Quantity] = score_numbers(scores)
    found: dict[str, Any] = {
        name: numbers[name].to_dict() if name in numbers else None
        for name in ("log_likelihood", "bits_per_dim")
    }
    if "method" in scores.how:
        known = scores.how.get("noise_sd") is not None
        found["on_these_rows"] = scores.on_these_rows().to_dict() if known else None
        found["certified"] = scores.certified().to_dict()
    return found


def health_lines(health: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an objective says of a finished training: name and number, beside it the chance level if there is one."""
    from jensen.report.numbers import show

    lines = []
    for name, record in health.items():
        chance = record["how"].get("chance")
        of = record["how"].get("d")
        beside = (
            f", a guess has {chance:.3f}" if chance is not None else f" of {of}" if of is not None else ""
        )
        lines.append((name, f"{show(record)}{beside}"))
    return lines


def base_name(source: str) -> str:
    """A short name for rows, for the names of folders and reports.

    >>> base_name("data/My rows.csv.gz"), base_name("digits"), base_name("photos/")
    ('My-rows', 'digits', 'photos')
    """
    stem = Path(source).name.partition(".")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in stem) or "rows"


def refuse_taken_folder(folder: Path, allowed: bool) -> None:
    """Raise OutputError when a run cannot be written to `folder`: asked before the rows are read."""
    if folder.exists() and not folder.is_dir():
        raise OutputError("a run is a folder", f"{folder} is a file", "choose another name with --out")
    if folder.is_dir() and contents(folder) and not allowed:
        raise OutputError(
            "the output folder is not empty",
            f"got {folder}",
            "choose another with --out, or pass --overwrite",
        )
    _refuse_read_only(folder)


def refuse_taken_file(path: Path, overwrite: bool) -> None:
    """Raise OutputError when `path` cannot be written: asked before the work."""
    if path.exists() and not overwrite:
        raise OutputError(
            "the output exists already", f"got {path}", "choose another name, or pass --overwrite"
        )
    _refuse_read_only(path)


def _refuse_read_only(path: Path) -> None:
    """Raise OutputError when the nearest folder above that exists cannot be written to."""
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(f"{path} cannot be written", f"{parent} cannot hold it", "choose another place")


@contextmanager
def nothing_halved(folder: Path) -> Iterator[None]:
    """A new folder of a run goes again when writing it fails, unless a checkpoint in it can be resumed."""
    fresh = not folder.exists()
    try:
        yield
    except OutputError:
        resumable = any((folder / name).exists() for name in ("checkpoint.safetensors", "model.json"))
        if fresh and not resumable:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def make_parent(path: Path) -> None:
    """Make the folder of an output file. Raises OutputError when that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            "cannot make the folder of the output", f"{path.parent}: {error.strerror}", "choose another place"
        ) from None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
