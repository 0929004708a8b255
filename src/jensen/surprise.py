"""The most surprising rows of a table, and which of their columns to blame.

Rows are ranked by their log-likelihood. The blame of column i of a row x is how many nats its value costs beside ordinary ones:

    blame_i = log mean over v of p(x with v in column i) - log p(x),    v drawn from the column's ordinary values

All else of the row stays, so that p(rest) cancels: it is large where x_i is unlikely given all other columns, those that come
later in a model's order included, and 0 where it is as likely as ordinary values are. The rest of a row is not to blame for
one wrong cell. Of a model whose number is a bound, bounds are subtracted: an estimate. A density of column i is taken per
standard deviation of its ordinary values, in which it compares with the mass of a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.arguments import whole
from jensen.context import rows_to_score
from jensen.data import Contexts, Rows
from jensen.data.settle import settle
from jensen.data.shown import shown_value
from jensen.errors import Cannot
from jensen.model import Can
from jensen.quantity import Scores
from jensen.scoring import log_likelihood, some_rows
from jensen.space import Space

DRAWS = 64
"""Ordinary values that are put into every column."""

ORDINARY = 2000
"""Rows whose values are ordinary, at most."""

MOST_VALUES = 20_000_000
"""Values of the rows that are scored for one row, at most: columns times columns times draws."""

TOLD, LEAST_BLAME = 3, 1.0
"""Columns of a row that are told, at most, and the nats from which on a column is."""


@dataclass(frozen=True, eq=False)
class Surprise:
    """The n least likely of some rows, the least likely first.

    index (n,): their numbers among the rows given. rows (n, d): themselves, nan at gaps. blame, error (n, d): nats, and the
    Monte-Carlo standard error of the ordinary values drawn; nan where a gap is unseen. likelier (n, d): of those values
    the one that makes the row likeliest. scores: of all rows given.
    """

    space: Space
    index: NDArray[np.intp]
    rows: NDArray[np.float64]
    blame: NDArray[np.float64]
    error: NDArray[np.float64]
    likelier: NDArray[np.float64]
    scores: Scores
    ordinary: str

    def __len__(self) -> int:
        return len(self.index)

    def columns(self, row: int, most: int = TOLD, least: float = LEAST_BLAME) -> list[int]:
        """The sites of the row-th row with the largest blames, of at least `least` nats."""
        blame = np.nan_to_num(self.blame[row], nan=-np.inf)
        return [int(site) for site in np.argsort(-blame, kind="stable")[:most] if blame[site] >= least]

    def to_dict(self, most: int = TOLD) -> dict[str, Any]:
        """Plain JSON types: a record a row, with its values by column and the columns to blame."""
        found = self.scores.values
        return {
            "ordinary": self.ordinary,
            "kind": self.scores.kind.value,
            "rows": [
                {
                    "row": int(index),
                    "log_likelihood": float(found[index]),
                    "below_the_mean": float(found.mean() - found[index]),
                    "values": {name_of(self.space, site): self._shown(self.rows, row, site) for site in range(self.space.dims)},
                    "blame": [
                        {
                            "column": name_of(self.space, site),
                            "value": self._shown(self.rows, row, site),
                            "nats": float(self.blame[row, site]),
                            "error": float(self.error[row, site]),
                            "likelier": self._shown(self.likelier, row, site),
                        }
                        for site in self.columns(row, most)
                    ],
                }
                for row, index in enumerate(self.index)
            ],
        }  # fmt: skip

    def describe(self) -> list[str]:
        """A line a row, and how to read it."""
        lines = []
        for one in self.to_dict()["rows"]:
            told = [
                f"{it['column']} = {it['value']} ({it['nats']:.1f} nats; {it['likelier']} is likelier)"
                for it in one["blame"]
            ]
            blamed = "; ".join(told) or "no single column"
            lines.append(
                f"row {one['row']:,}: {one['log_likelihood']:.2f} nats, {one['below_the_mean']:.1f} below the mean: {blamed}"
            )
        lines.append(
            f"blame: nats that a value costs beside {self.ordinary}, all other columns as they are; one of 5 makes a row "
            "150 times as unlikely"
        )
        return lines

    def __repr__(self) -> str:
        return "\n".join(self.describe())

    def _shown(self, rows: NDArray[np.float64], row: int, site: int) -> str:
        return shown_value(float(rows[row, site]), self.space.column(site))


def surprise(
    fitted: Any,
    rows: Any,
    n: int = 10,
    *,
    ordinary: Any = None,
    draws: int = DRAWS,
    k: int = 16,
    context: Any = None,
    seed: int = 0,
) -> Surprise:
    """See `Fitted.surprise`."""
    space = fitted.space
    n, draws, seed = whole("n", n, 1), whole("draws", draws, 1), whole("seed", seed, 0)
    if space.is_image:
        raise Cannot("columns to blame are those of a table", f"got {space.describe()}", "use score")
    if space.dims**2 * 4 > MOST_VALUES:
        raise Cannot(
            "blame puts other values into every column, which is too much for so many",
            f"got {space.dims:,} columns",
            "use score, or drop columns",
        )
    scores = fitted.score(rows, k, context, seed=seed)
    source, given = rows_to_score(fitted.context_codec, fitted.name, rows, space, context)
    index = np.argsort(scores.values, kind="stable")[:n]
    chosen = np.stack([np.asarray(source[int(row)], np.float64) for row in index])
    usual, said = _ordinary(fitted, rows, ordinary, source, given, seed)
    found = [
        _blame(fitted, chosen[place], usual, None if given is None else given[np.array([row])], draws, k, [seed, int(row)])
        for place, row in enumerate(index)
    ]  # fmt: skip
    blame, error, likelier = (np.stack(parts) for parts in zip(*found))
    return Surprise(space, index.astype(np.intp), chosen, blame, error, likelier, scores, said)


def name_of(space: Space, site: int) -> str:
    """The user's name of a column, or its number."""
    return space.column(site).name or f"column {site + 1}"


def _ordinary(
    fitted: Any, rows: Any, told: Any, source: Any, given: Contexts | None, seed: int
) -> tuple[NDArray[np.float64], str]:
    """Rows (m, d) whose values are ordinary, and what they are."""
    space = fitted.space
    if told is not None:
        values, said = rows_to_score(None, fitted.name, told, space, None)[0], "values of the rows given"
    elif isinstance(rows, Rows) and fitted.space.binarised(None) == rows.space.binarised(None):
        values, said = rows.train, "values of the training rows"
    elif Can.SAMPLE in fitted.can:
        where = np.resize(np.arange(len(source)), ORDINARY)
        values = fitted.sample(ORDINARY, seed=seed, context=None if given is None else given[where])
        said = "values that the model draws"
    else:
        values, said = source, "values of these rows"
    found = np.asarray(some_rows(values, ORDINARY, seed), np.float64)
    return np.stack([settle(found[:, site], space.column(site)) for site in range(space.dims)], 1), said


def _blame(
    fitted: Any,
    row: NDArray[np.float64],
    usual: NDArray[np.float64],
    given: Contexts | None,
    draws: int,
    k: int,
    seed: Sequence[int],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Blame, its error, and the likeliest value (d,) of one row (d,)."""
    d = len(row)
    draws = max(4, min(draws, MOST_VALUES // (d * d)))
    drawn, scale = _values(fitted.space, usual, draws, seed)
    changed = np.repeat(row[None], 1 + d * draws, 0)
    for site in range(d):
        changed[1 + site * draws : 1 + (site + 1) * draws, site] = drawn[site]
    c = None if given is None else fitted.encoded_context(given[np.zeros(len(changed), np.intp)])
    # one seed for all: of a bound the row itself and its changes differ by what was changed, and by their noise
    values, _, _ = log_likelihood(fitted.model, fitted.codec, changed, k=k, seed=int(seed[0]), context=c)
    per = np.where(np.isnan(drawn), 0.0, np.log(scale)[:, None])
    own = values[0] + np.where(np.isnan(row), 0.0, np.log(scale))
    others = values[1:].reshape(d, draws) + per
    top = others.max(1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    weights = np.exp(others - top)
    mean = np.maximum(weights.mean(1), 1e-300)
    blame = np.log(mean) + top[:, 0] - np.maximum(own, -1e300)
    error = weights.std(1, ddof=1) / mean / np.sqrt(draws)
    unseen = np.array([fitted.space.column(site).gaps == "unseen" for site in range(d)]) & np.isnan(row)
    likelier = drawn[np.arange(d), others.argmax(1)]
    return np.where(unseen, np.nan, blame), np.where(unseen, np.nan, error), likelier


def _values(
    space: Space, usual: NDArray[np.float64], draws: int, seed: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ordinary values (d, draws) of every column, and the standard deviation (d,) of a real one; 1 for any other."""
    rng, scale = np.random.default_rng([*seed, 37]), np.ones(space.dims)
    drawn = np.empty((space.dims, draws))
    for site in range(space.dims):
        column, values = space.column(site), usual[:, site]
        there = values[~np.isnan(values)]
        if column.kind == "real" and len(there) > 1:
            scale[site] = float(there.std()) or 1.0
        # an unseen gap would leave the column out of the likelihood
        known = there if column.gaps == "unseen" and len(there) else values
        drawn[site] = known[rng.integers(0, len(known), draws)]
    return drawn, scale
