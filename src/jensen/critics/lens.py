"""Logistic regression on features that somebody else learnt: an encoder of yours, the lens of a comparison."""

from __future__ import annotations

from typing import Any

import numpy as np

from jensen.critics import Features, Logit, Rows
from jensen.critics.dense import dense
from jensen.critics.logistic import fit_logistic
from jensen.errors import UsageError
from jensen.space import Space


def needs(space: Space, features: Features | None) -> str:
    """Features."""
    return "" if features is not None else "features"


def fit(x0: Rows, x1: Rows, space: Space, seed: int, features: Features | None) -> Logit:
    """The log-odds of x1, linear in the standardised features, with a ridge."""
    assert features is not None
    f0, f1 = (lens_features(x, space, features) for x in (x0, x1))
    encode = dense(np.concatenate([f0, f1]), Space.real(f0.shape[1]))
    logit = fit_logistic(encode(f0), encode(f1), strength=0.1)
    return lambda x: logit(encode(lens_features(x, space, features)))


def lens_features(x: Rows, space: Space, features: Features) -> Rows:
    """Features (n, f) of rows (n, d) as an array of float64. Raises UsageError for any other shape."""
    found: Any = features(x.reshape(len(x), *space.shape))
    found = found.detach().cpu().numpy() if hasattr(found, "detach") else np.asarray(found)
    if found.ndim != 2 or len(found) != len(x):
        raise UsageError(
            f"features of {len(x)} rows have the shape ({len(x)}, f)",
            f"got {found.shape}",
            "return one vector of numbers a row",
        )
    return found.astype(np.float64)
