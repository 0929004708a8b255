"""Utility: is a classifier that was trained on samples as good on held-out rows as one that was trained on real rows?

Esteban, Hyland & Ratsch 2017 (train on synthetic, test on real). One learner, histogram gradient boosting with fixed settings, for
every target and every model; numbers are cut at the quartiles of the real rows, so that every target is a class and every score
a share of rows that are told right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.errors import Cannot, UsageError, nearest
from jensen.functional.binomial import clopper_pearson
from jensen.functional.intervals import mean_interval
from jensen.metrics.features import estimate
from jensen.metrics.table import Tables, cells, name_of
from jensen.quantity import Quantity
from jensen.space import Space

CLASSES = 4
"""Of a target that is a number; of categories the most frequent ones, but for the last, which holds all others."""

ITERATIONS, LEAVES, LEAST = 40, 15, 50
"""Of the learner; training and held-out rows, at least."""

WIDEST, MOST_CODES = 200, 254
"""Columns that a learner sees, at most; categories that it tells apart."""

Values = NDArray[np.float64]
Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Use:
    """Shares of held-out rows whose target is told right: trained on samples, on real rows, and the first less the second."""

    target: str
    synthetic: Quantity
    real: Quantity
    lost: Quantity


def measure(tables: Tables) -> dict[str, Quantity]:
    """The three numbers of the column that the others tell most about."""
    use = utility(tables, targets(tables, 1)[0])
    return {
        f"{use.target}, trained on samples": use.synthetic,
        f"{use.target}, trained on real rows": use.real,
        f"{use.target}, difference": use.lost,
    }


def targets(tables: Tables, most: int) -> list[int]:
    """The sites of at most `most` columns that the others tell most about, by trees on the training rows themselves.

    A column's rank is what a shallow learner gains over its most frequent class on half of them.
    """
    train = _needed(tables)
    half, gains = len(train) // 2, []
    for site in range(min(tables.space.dims, WIDEST)):
        labels = _labels(tables, train, site)
        seen = labels >= 0
        first, second = seen & (np.arange(len(train)) < half), seen & (np.arange(len(train)) >= half)
        if len(np.unique(labels[first])) < 2 or not second.any():
            continue
        told = _quick(_inputs(tables.space, train, site), labels, first, second)
        usual = np.bincount(labels[second]).max() / second.sum()
        gains.append((usual - told, site))
    if not gains:
        raise Cannot("no column varies", "got one class a column", "pass more rows")
    return [site for _, site in sorted(gains)[:most]]


def utility(tables: Tables, target: int | str, *, known: Right | None = None) -> Use:
    """Both learners on one target, a site or a name, by as many training rows each, on the same held-out rows.

    `known`: what `trained_on_real` gave, of which held-out rows are told right. The difference is paired, row by row. Raises
    Cannot for too few rows and a target of one class, UsageError for an unknown name.
    """
    train, site = _needed(tables), _site(tables, target)
    count = min(len(train), len(tables.fake))
    right_real = trained_on_real(tables, site) if known is None else known
    right_fake = _right(tables, tables.fake[:count], site)
    labels = _labels(tables, tables.real, site)
    seen = labels >= 0
    counts = np.bincount(labels[seen])
    how: dict[str, Any] = {
        "target": name_of(tables.space, site),
        "classes": int((counts > 0).sum()),
        "chance": float(counts.max() / counts.sum()),
        "trained_on": count,
        "learner": f"histogram gradient boosting, {ITERATIONS} iterations of {LEAVES} leaves",
        **tables.how(),
    }
    gain = right_fake[seen].astype(np.float64) - right_real[seen]
    low, high = mean_interval(gain)
    return Use(
        name_of(tables.space, site),
        _share(right_fake[seen], how),
        _share(right_real[seen], how),
        estimate(
            float(gain.mean()),
            (max(-1.0, low), min(1.0, high)),
            interval="Student t, widened for skew, of paired differences over held-out rows, both learners held fixed",
            **how,
        ),
    )


def trained_on_real(tables: Tables, target: int | str) -> Right:
    """Which held-out rows (n,) a learner tells right that was trained on as many training rows as there are samples."""
    train = _needed(tables)
    return _right(tables, train[: min(len(train), len(tables.fake))], _site(tables, target))


def _needed(tables: Tables) -> Values:
    if tables.train is None:
        raise Cannot("a learner needs training rows", "got held-out rows alone", "pass Rows")
    if tables.space.dims < 2:
        raise Cannot("a target needs other columns to be told from", "got 1 column", "pass a table of more")
    if min(map(len, (tables.train, tables.real, tables.fake))) < LEAST:
        raise Cannot(
            f"a learner needs {LEAST} rows of each part",
            f"got {len(tables.train)} to train on, {len(tables.fake)} samples and {len(tables.real)} held out",
            "pass more rows",
        )
    return tables.train


def _site(tables: Tables, target: int | str) -> int:
    if isinstance(target, int):
        return target
    if target not in tables.names():
        raise UsageError("unknown target", f"got {target!r}", nearest(target, tables.names()))
    return tables.names().index(target)


def _labels(tables: Tables, rows: Values, site: int) -> NDArray[np.int64]:
    """The class (n,) of every row, a gap being one; -1 where nobody saw it."""
    return cells(tables.space.column(site), tables.real[:, site], CLASSES).codes(rows[:, site])


def _right(tables: Tables, train: Values, site: int) -> Right:
    """Which held-out rows a learner tells right that was trained on `train`."""
    labels, truth = _labels(tables, train, site), _labels(tables, tables.real, site)
    there = labels >= 0
    kinds = np.unique(labels[there])
    if not len(kinds):
        raise Cannot("a target needs values", f"got none of {name_of(tables.space, site)}", "")
    if len(kinds) == 1:  # a model that yields one class alone tells nothing more
        return np.asarray(truth == kinds[0])
    inputs, category = _inputs(tables.space, train, site)
    model = _learner(category, ITERATIONS, LEAVES, tables.seed).fit(inputs[there], labels[there])
    return np.asarray(model.predict(_inputs(tables.space, tables.real, site)[0]) == truth)


def _learner(category: list[bool], iterations: int, leaves: int, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=iterations,
        learning_rate=0.15,
        max_leaf_nodes=leaves,
        min_samples_leaf=10,
        early_stopping=False,
        categorical_features=category,
        random_state=seed,
    )


def _quick(
    inputs: tuple[Values, list[bool]], labels: NDArray[np.int64], first: Right, second: Right
) -> float:
    """The share of `second` that one shallow tree tells right, trained on `first`."""
    from sklearn.tree import DecisionTreeClassifier

    x = inputs[0]
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=10, random_state=0)
    return float((tree.fit(x[first], labels[first]).predict(x[second]) == labels[second]).mean())


def _inputs(space: Space, rows: Values, target: int) -> tuple[Values, list[bool]]:
    """All other columns, and which of them are categories."""
    sites = [site for site in range(min(space.dims, WIDEST)) if site != target]
    category = [
        space.column(site).kind == "categorical" and 2 < (space.column(site).levels or 0) <= MOST_CODES
        for site in sites
    ]
    return rows[:, sites], category


def _share(right: Right, how: Mapping[str, Any]) -> Quantity:
    hits, n = int(right.sum()), len(right)
    return estimate(
        hits / n,
        clopper_pearson(hits, n),
        of="share of held-out rows told right",
        interval="Clopper-Pearson over held-out rows, the learner held fixed",
        **how,
    )
