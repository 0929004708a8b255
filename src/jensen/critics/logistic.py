"""Logistic regression on features, and quadratic features: what several critics and the telescope stand on."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fit_logistic(x0: Array, x1: Array, strength: float = 1.0) -> Callable[[Array], Array]:
    """Ridge logistic regression of features (n, f): log-odds of x1, both sides of equal weight.

    `strength`: of the data against the ridge; 1 is as if each weight had a standard normal prior.
    """
    from sklearn.linear_model import LogisticRegression

    y = np.repeat([0, 1], [len(x0), len(x1)])
    model = LogisticRegression(
        C=strength, solver="newton-cholesky", class_weight="balanced", max_iter=50, tol=1e-4
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # separable rows never converge; calibration and clipping see to those
        model.fit(np.concatenate([x0, x1]), y)
    weights, bias = model.coef_[0], float(model.intercept_[0])
    return lambda x: x @ weights + bias


def quadratic(z: Array) -> Array:
    """(n, f) -> (n, f (f + 3) / 2): the features, and their products two by two.

    >>> quadratic(np.array([[2.0, 3.0]])).tolist()
    [[2.0, 3.0, 4.0, 6.0, 9.0]]
    """
    first, second = np.triu_indices(z.shape[1])
    return np.concatenate([z, z[:, first] * z[:, second]], axis=1)
