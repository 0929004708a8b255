"""The samples of a comparison's models as tables: columns, pairs, usefulness and nearness to single training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.adapt.samples import Samples
from jensen.data import Rows
from jensen.entry import Entry, Stage
from jensen.errors import Cannot, JensenError
from jensen.metrics.closeness import CAUTION, Near, closeness, held_out
from jensen.metrics.columns import column_distances, columns_real_to_real
from jensen.metrics.pairs import COLUMNS as PAIRED
from jensen.metrics.pairs import Pairs, pair_differences, pairs_real_to_real
from jensen.metrics.table import MOST, Tables, name_of, written
from jensen.metrics.utility import Right, Use, targets, trained_on_real, utility
from jensen.quantity import Quantity
from jensen.sampled import check_sampled
from jensen.scoring import some_places

COLUMNS = 200
"""The first columns, which have a number each."""

TARGETS = 3
"""Columns that a learner is to tell from the others, at most."""

VALUES = 4_000_000
"""Values that are looked at of each part, at most: rows times columns."""

LEAST = 20
"""Held-out rows, at least."""

METRICS = ("columns", "pairs", "utility", "closeness")


@dataclass
class Likeness:
    """One model's samples (m, d) and their numbers; a metric that could not be computed is in `why_not`, with the reason."""

    name: str
    samples: NDArray[np.float64] | None = None
    columns: dict[str, Quantity] = field(default_factory=dict)
    pairs: Pairs | None = None
    uses: list[Use] = field(default_factory=list)
    closeness: dict[str, Quantity] = field(default_factory=dict)
    why_not: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "name": self.name,
            "columns": {name: one.to_dict() for name, one in self.columns.items()},
            "pairs": None if self.pairs is None else _pairs_dict(self.pairs),
            "utility": [
                {
                    "target": use.target,
                    "synthetic": use.synthetic.to_dict(),
                    "real": use.real.to_dict(),
                    "lost": use.lost.to_dict(),
                }
                for use in self.uses
            ],
            "closeness": {name: one.to_dict() for name, one in self.closeness.items()},
            "why_not": dict(self.why_not),
        }


@dataclass
class Fidelity:
    """All models' likenesses to the same held-out rows `real` (n, d)."""

    real: NDArray[np.float64]
    likenesses: list[Likeness]
    notes: list[str]

    def of(self, name: str) -> Likeness:
        """That of one model."""
        return next(one for one in self.likenesses if one.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        known = next((one.pairs for one in self.likenesses if one.pairs is not None), None)
        return {
            "n_real": len(self.real),
            "notes": list(self.notes),
            "caution": CAUTION,
            "pairs": None if known is None else {"names": known.names, "real": _rounded(known.real)},
            "models": [one.to_dict() for one in self.likenesses],
        }


def look_at_tables(
    entries: Sequence[Entry], data: Rows, seed: int, tell: Stage | None = None
) -> Fidelity | None:
    """Every model's samples against the same held-out rows, in the columns that these have; None for images.

    At most MOST held-out rows, training rows and samples, fewer of wide tables (a note says so). Of a conditional model the
    samples are given the contexts of the held-out rows, again and again.
    """
    if data.space.is_image:
        return None
    most = min(MOST, max(100, VALUES // data.space.dims))
    places = some_places(len(data.test), most, seed)
    real, train = (
        written(part[some], data.space)
        for part, some in ((data.test, places), (data.train, some_places(len(data.train), most, seed)))
    )
    count = min(most, max(len(real), len(train)))
    shared = _Shared(Tables(real, real, train, data.space, seed), count) if len(real) >= LEAST else None
    found = []
    for entry in entries:
        if tell is not None:
            tell(entry.name, "compare columns")
        try:
            if shared is None:
                raise Cannot(f"columns need {LEAST} held-out rows", f"got {len(real)}", "hold out more rows")
            found.append(shared.likeness(entry.name, _drawn(entry, data, places, count, seed)))
        except JensenError as error:
            found.append(Likeness(entry.name, why_not=dict.fromkeys(METRICS, f"cannot, because {error}")))
    return Fidelity(real, found, _notes(data, len(real), len(train)))


class _Shared:
    """What is the same for every model: the real rows, and what real rows against real rows give."""

    def __init__(self, tables: Tables, count: int) -> None:
        self.tables = tables
        # the baselines ask how many samples there are, and not what they hold
        sized = self._with(np.resize(tables.real, (count, tables.space.dims)))
        self.usual = columns_real_to_real(sized, COLUMNS)
        self.usual_pairs: tuple[float, float] | None = None
        self.targets: list[int] = []
        self.right: dict[int, Right] = {}
        self.near: Near | None = None
        self.count = count
        # each metric raises its own reason again, model by model
        with suppress(JensenError):
            self.near = held_out(sized)
        if tables.space.dims > 1:
            self.usual_pairs = pairs_real_to_real(sized)
        with suppress(JensenError):
            self.targets = targets(sized, TARGETS)
            self.right = {site: trained_on_real(sized, site) for site in self.targets}

    def _with(self, fake: NDArray[np.float64]) -> Tables:
        known = self.tables
        return Tables(known.real, fake, known.train, known.space, known.seed)

    def likeness(self, name: str, fake: NDArray[np.float64]) -> Likeness:
        """All numbers of one model's samples, each or the reason why not."""
        tables, found = self._with(fake), Likeness(name, fake)
        as_many = len(fake) == self.count  # of samples made elsewhere there may be fewer

        def columns() -> None:
            found.columns = column_distances(tables, COLUMNS, usual=self.usual if as_many else None)

        def pairs() -> None:
            found.pairs = pair_differences(tables, usual=self.usual_pairs if as_many else None)

        def uses() -> None:
            sites = self.targets or targets(tables, TARGETS)
            found.uses = [
                utility(tables, site, known=self.right.get(site) if as_many else None) for site in sites
            ]

        def near() -> None:
            found.closeness = closeness(tables, self.near)

        steps: Mapping[str, Callable[[], None]] = dict(zip(METRICS, (columns, pairs, uses, near)))
        for metric, step in steps.items():
            try:
                step()
            except JensenError as error:
                found.why_not[metric] = f"cannot, because {error}"
        return found


def _drawn(entry: Entry, data: Rows, places: NDArray[np.intp], count: int, seed: int) -> NDArray[np.float64]:
    """Samples of one model as they are written. Raises Cannot where it draws none, or of another space."""
    fitted = entry.fitted
    check_sampled(fitted, data)
    if isinstance(fitted.model, Samples):
        count = min(count, int(fitted.record.get("samples", count)))
    given = None if data.context is None else data.context.held_out[np.resize(places, count)]
    return written(fitted.sample(count, seed=seed, context=given), data.space)


def _notes(data: Rows, real: int, train: int) -> list[str]:
    """What is not looked at."""
    said = [
        f"{used:,} of {len(part):,} {name} rows are looked at, drawn by the seed"
        for name, used, part in (("held-out", real, data.test), ("training", train, data.train))
        if used < len(part)
    ]
    for what, most in (
        ("columns have a number each", COLUMNS),
        ("columns are looked at pair by pair", PAIRED),
    ):
        if data.space.dims > most:
            last = name_of(data.space, most - 1)
            said.append(f"only the first {most} of {data.space.dims:,} {what}, up to {last}")
    return said


def _pairs_dict(pairs: Pairs) -> dict[str, Any]:
    return {
        "mean": pairs.mean.to_dict(),
        "largest": [
            {"columns": [pairs.names[site] for site in pair], **one.to_dict()} for pair, one in pairs.largest
        ],
        "difference": _rounded(pairs.difference),
    }


def _rounded(matrix: NDArray[np.float64]) -> list[list[float]]:
    return [[round(float(value), 4) for value in row] for row in matrix]
