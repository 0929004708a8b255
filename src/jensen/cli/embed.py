"""`jensen embed`: what an encoder makes of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jensen.cli import options
from jensen.cli.output import emit, pairs
from jensen.cli.progress import open_progress
from jensen.cli.terminal import echo, style
from jensen.cli.verb import verb
from jensen.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jensen.fitted import Fitted
    from jensen.probing import Probe

EXAMPLES = (
    "jensen embed runs/encoder-digits digits --out features.parquet",
    "jensen embed runs/encoder-digits digits --probe label --neighbours 7",
)
FEW = 8
"""Neighbours that are shown."""


@verb("embed", examples=EXAMPLES)
@click.argument("run", metavar="RUN")
@click.argument("rows", metavar="ROWS")
@click.option(
    "--out", metavar="FILE", help="Write the features, one line a row: .parquet, .csv, .npy or .npz."
)
@click.option(
    "--probe",
    "label",
    metavar="LABEL",
    help="Classify frozen features by LABEL, beside raw rows, PCA and the untrained encoder: a column, a file of "
    "labels, or label for an example.",
)
@click.option(
    "--neighbours", type=int, metavar="ROW", help="The rows most similar to row ROW, counted from 0."
)
@options.seed("Seed of the labels that are drawn for --probe, and of its untrained encoder.")
@options.drop
@options.overwrite
@options.threads
@options.quiet
@options.as_json
def embed(
    run: str,
    rows: str,
    out: str | None,
    label: str | None,
    neighbours: int | None,
    seed: int,
    drop: tuple[str, ...],
    overwrite: bool,
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Features of all ROWS from the run in the folder RUN, in their own order.

    --probe splits ROWS as the run did, where they are those it was fitted to: accuracies are of the held-out part.
    """
    from jensen.cli.start import settle_threads, start_torch

    if out is None and label is None and neighbours is None:
        raise UsageError(
            "nothing to do with the features", "got none of them", "pass --out, --probe or --neighbours"
        )
    if out is not None:
        _refuse(out, overwrite)
    start_torch(threads)
    import jensen
    from jensen.context import rows_to_score

    fitted = jensen.load(run)
    settle_threads(threads, fitted.space)
    options.warn_of_namesake(rows)
    # a label that is a column of the rows' own table is no part of a row
    beside = [label] if label is not None and _has_column(rows, label, fitted) else []
    values, given = rows_to_score(
        fitted.context_codec, fitted.name, rows, fitted.space, None, [*drop, *beside]
    )
    with open_progress(quiet) as progress:
        watch = progress.count(f"embedding {rows}", len(values))
        features = fitted.embed(values, given)
        watch(len(values))
        found = None if label is None else _probe(fitted, rows, label, drop, seed)
    near = None if neighbours is None else _near(features, neighbours)
    if out is not None:
        _write(out, features, overwrite)
    facts = {"run": run, "model": fitted.name, "rows": rows, "n": len(features), "d": features.shape[1]}
    if as_json:
        probed = None if found is None else found.to_dict()
        emit({**facts, "out": out, "probe": probed, "neighbours": near})
    else:
        echo(
            f"{style(fitted.name, bold=True)} on {rows}: {len(features):,} rows, {features.shape[1]} features"
        )
        _print(out, found, near, neighbours)


def _print(out: str | None, found: Probe | None, near: list[dict[str, Any]] | None, row: int | None) -> None:
    if near is not None:
        said = ", ".join(f"{one['row']} ({one['cosine']:.3f})" for one in near)
        pairs([(f"nearest to row {row}", f"{said}; cosines of features")])
    if out is not None:
        pairs([("features", out)])
    if found is not None:
        echo()
        echo(found.table())
        echo(
            f"\nAccuracy on {found.facts['n']:,} held-out rows of {len(found.facts['classes'])} classes, 95 % intervals "
            f"over rows; the encoder was frozen (weights {found.weights})."
        )
        if found.facts["seen"]:
            echo(f"{style('note:', fg='yellow')} {found.facts['seen']}")
        echo(
            "\nLabels of the 5 nearest raw rows after each view: one that costs much may change what a row is."
        )
        pairs([(name, repr(accuracy)) for name, accuracy in found.views.items()])


def _probe(fitted: Fitted, rows: str, label: str, drop: tuple[str, ...], seed: int) -> Probe:
    """The probe of rows split as the run's own, where the counts agree."""
    import jensen

    known = fitted.record.get("data", {})
    counts = tuple(known.get("counts", {}).values())
    for split in (None, counts or None):
        data = jensen.rows(
            rows,
            space=fitted.space,
            drop=drop,
            context=label,
            seed=known.get("split_seed", seed),
            split=split,
        )
        if tuple(data.counts.values()) == counts or sum(data.counts.values()) != sum(counts):
            break
    return jensen.probe(fitted, data, seed=seed)


def _has_column(rows: str, label: str, fitted: Fitted) -> bool:
    from jensen.context import context_columns
    from jensen.space import Column, Space

    return bool(context_columns(rows, Space((1,), (Column("real", name=label),))))


def _near(features: NDArray[Any], row: int) -> list[dict[str, Any]]:
    import torch

    from jensen.functional.votes import nearest_by_angle

    n = len(features)
    if not 0 <= row < n:
        raise UsageError(f"--neighbours is a row from 0 to {n - 1}", f"got {row}", "count from 0")
    all_rows = torch.from_numpy(features)
    places, cosines = nearest_by_angle(all_rows[row : row + 1], all_rows, min(FEW + 1, n))
    found = zip(places[0].tolist(), cosines[0].tolist())
    return [{"row": place, "cosine": cosine} for place, cosine in found if place != row][:FEW]


def _refuse(out: str, overwrite: bool) -> None:
    from jensen.cli.output import refuse_taken_file

    if Path(out).suffix.lower() not in (".parquet", ".csv", ".npy", ".npz"):
        raise UsageError(
            "features are written as .parquet, .csv, .npy or .npz", f"got --out {out}", "choose such a name"
        )
    refuse_taken_file(Path(out), overwrite)


def _write(out: str, features: NDArray[Any], overwrite: bool) -> None:
    from jensen.cli.output import make_parent
    from jensen.data import write
    from jensen.space import Column, Space

    d = features.shape[1]
    make_parent(Path(out))
    write(
        out, features, Space((d,), tuple(Column("real", name=f"h{i}") for i in range(d))), overwrite=overwrite
    )
