"""Histogram gradient boosting with early stopping: the strongest critic on most tables, gaps and categories included."""

from __future__ import annotations

import numpy as np

from jensen.critics import Features, Logit, Rows
from jensen.space import Space

MOST_COLUMNS = 1024
MOST_CODES = 254
"""The most categories that a histogram tells apart; rarer ones come last and share a bin."""


def needs(space: Space, features: Features | None) -> str:
    """A histogram a column: not too many of them."""
    return "" if space.dims <= MOST_COLUMNS else f"at most {MOST_COLUMNS} columns"


def fit(x0: Rows, x1: Rows, space: Space, seed: int, features: Features | None) -> Logit:
    """Boosted trees, stopped by their own held-out rows. Large leaves keep the ratios from running off on few rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    x = np.concatenate([x0, x1])
    category = [site for site in range(x.shape[1]) if space.column(site).kind == "categorical"]
    n = len(x)
    model = HistGradientBoostingClassifier(
        max_iter=300,
        learning_rate=0.1 if n < 4000 else 0.05,
        max_leaf_nodes=15,
        min_samples_leaf=50 if n >= 4000 else max(5, min(20, n // 20)),
        early_stopping=True,
        validation_fraction=0.15,
        n_iter_no_change=15,
        class_weight="balanced",
        categorical_features=category or None,
        random_state=seed,
    )
    ranks = {site: _ranks(x[:, site]) for site in category}

    def ready(rows: Rows) -> Rows:
        out = rows.copy() if ranks else rows
        for site, known in ranks.items():
            out[:, site] = _ranked(rows[:, site], known)
        return out

    model.fit(ready(x), np.repeat([0, 1], [len(x0), len(x1)]))
    return lambda rows: model.decision_function(ready(rows))


def _ranks(codes: Rows) -> Rows:
    """The codes, most frequent first."""
    values, counts = np.unique(codes[~np.isnan(codes)], return_counts=True)
    return values[np.argsort(-counts, kind="stable")]


def _ranked(codes: Rows, known: Rows) -> Rows:
    """The place of each code among the known ones; the last place for those that are rare or new, nan for a gap."""
    order = np.argsort(known)
    at = np.clip(np.searchsorted(known, codes, sorter=order), 0, max(len(known) - 1, 0))
    place = (
        np.where(known[order[at]] == codes, order[at], MOST_CODES) if len(known) else np.full(len(codes), 0.0)
    )
    return np.where(np.isnan(codes), np.nan, np.minimum(place, MOST_CODES).astype(np.float64))
