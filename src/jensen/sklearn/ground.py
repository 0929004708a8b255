"""What the estimators stand on: checked input, a fit with rows of its own for validation, seeds."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from jensen.data import Rows
from jensen.data import rows as read_rows
from jensen.errors import UsageError
from jensen.fitted import Fitted
from jensen.fitting import fit
from jensen.plan import Plan

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # scikit-learn before 1.6

    def validate_data(estimator: Any, X: Any, *, skip_check_array: bool = False, **checks: Any) -> Any:
        """The same, as a method of the estimator."""
        return estimator._validate_data(X, cast_to_ndarray=not skip_check_array, **checks)


FEWEST = 4
"""Rows that a fit needs: two to train on and two to validate on."""


def checked(estimator: Any, X: Any, *, first: bool = False) -> NDArray[np.float64]:
    """X as finite float64 (n, d), by scikit-learn's own checks; `first`: at the fit, which notes d and names."""
    found: NDArray[np.float64] = validate_data(
        estimator, X, reset=first, dtype=np.float64, ensure_min_samples=FEWEST if first else 1
    )
    return found


def shaped(estimator: Any, X: NDArray[Any]) -> NDArray[Any]:
    """Flat rows (n, d) as the images that `image_shape` says they are."""
    shape = estimator.image_shape
    if shape is None:
        return X
    if len(shape) != 3 or int(np.prod(shape)) != X.shape[1]:
        raise UsageError(
            "image_shape is (channels, height, width), whose product is the number of columns",
            f"got {tuple(shape)} for {X.shape[1]} columns",
            "pass (1, 8, 8) for flat digits",
        )
    return X.reshape(len(X), *shape)


def parted(estimator: Any, X: Any, n: int) -> Rows:
    """n rows X, a share of them for validation; nothing is held out, which is the caller's affair.

    Their seed is drawn from the estimator's random_state.
    """
    share = estimator.validation_fraction
    if not 0 < share < 1:
        raise UsageError("validation_fraction lies between 0 and 1", f"got {share}", "0.1 is usual")
    valid = max(2, round(share * n))
    if n - valid < 2:
        raise UsageError(
            "too few rows are left to train on", f"got {n} rows, {valid} of them for validation", "pass more"
        )
    seed = int(check_random_state(estimator.random_state).randint(2**31 - 1))
    found = read_rows(X, kinds=estimator.kinds, split=(n - valid - 1, valid, 1), seed=seed, name="X")
    train = np.concatenate([np.asarray(found.train[:]), np.asarray(found.test[:])])
    return replace(found, train=train, test=found.valid)


def fitted_to(estimator: Any, data: Rows, model: Any, objective: Any = None) -> Fitted:
    """The model fitted to rows by the estimator's own settings.

    It computes in float64: no row's number then depends on the rows beside it by more than its last digits.
    """
    found = fit(
        deepcopy(model),  # a fit leaves the estimator's arguments as they are; a Model is trained in place
        data,
        objective=deepcopy(objective),
        plan=Plan(**(estimator.settings or {})),
        steps=estimator.steps,
        seconds=estimator.seconds,
        seed=data.seed,
        device=estimator.device,
        **(estimator.hyper or {}),
    )
    found.model.double()
    return found


def drawn(fitted: Fitted, n_samples: int, random_state: Any) -> NDArray[Any]:
    """n_samples rows of the model."""
    seed = None if random_state is None else int(check_random_state(random_state).randint(2**31 - 1))
    return fitted.sample(n_samples, seed=seed)
