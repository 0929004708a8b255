"""Logistic regression on products of columns: the right critic for two Gaussian laws, and quick."""

from __future__ import annotations

import numpy as np

from jensen.critics import Features, Logit, Rows
from jensen.critics.dense import dense
from jensen.critics.logistic import fit_logistic, quadratic
from jensen.space import Space

MOST_COLUMNS = 30


def needs(space: Space, features: Features | None) -> str:
    """Few columns: their products grow with the square."""
    return "" if space.dims <= MOST_COLUMNS else f"at most {MOST_COLUMNS} columns"


def fit(x0: Rows, x1: Rows, space: Space, seed: int, features: Features | None) -> Logit:
    """The log-odds of x1 as a quadratic form of the columns, with a ridge. Categories beyond the limit stay linear."""
    encode = dense(np.concatenate([x0, x1]), space)

    def expand(x: Rows) -> Rows:
        z = encode(x)
        return np.concatenate([quadratic(z[:, :MOST_COLUMNS]), z[:, MOST_COLUMNS:]], axis=1)

    logit = fit_logistic(expand(x0), expand(x1))
    return lambda x: logit(expand(x))
