"""What the estimators stand on: checked input, a fit with rows of its own for validation, seeds."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from jensen.arguments import number, said, settings, sizes
from jensen.data import Rows
from jensen.data import rows as read_rows
from jensen.errors import DataError, UsageError, nearest
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
    with protocol(X):
        found: NDArray[np.float64] = validate_data(
            estimator, X, reset=first, dtype=np.float64, ensure_min_samples=FEWEST if first else 1
        )
    return found


@contextmanager
def protocol(X: Any) -> Iterator[None]:
    """What scikit-learn says of input stays as its protocol wants it, ValueError or TypeError; what others say becomes ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)  # half of every number would be lost
            yield
    except (ValueError, TypeError) as error:
        place, step = "", error.__traceback__
        while step is not None:
            place, step = step.tb_frame.f_globals.get("__name__", ""), step.tb_next
        if place.startswith("sklearn"):
            raise
        raise _unreadable(X, error) from error
    except Exception as error:
        raise _unreadable(X, error) from error


def _unreadable(X: Any, error: Exception) -> DataError:
    told = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(
        f"X cannot be read as rows of numbers: {told}", f"got {type(X).__name__}", "pass an array (n, d)"
    )


def shaped(estimator: Any, X: NDArray[Any]) -> NDArray[Any]:
    """Flat rows (n, d) as the images that `image_shape` says they are."""
    shape = estimator.image_shape
    if shape is None:
        return X
    shape = sizes("image_shape", shape)
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
    share = number("validation_fraction", share, 0, 1, "0.1 is usual", inside=True)
    valid = max(2, round(share * n))
    if n - valid < 2:
        raise UsageError(
            "too few rows are left to train on", f"got {n} rows, {valid} of them for validation", "pass more"
        )
    seed = drawn_seed(estimator.random_state)
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
        plan=_plan(estimator.settings),
        steps=estimator.steps,
        seconds=estimator.seconds,
        seed=data.seed,
        device=estimator.device,
        **settings("hyper", estimator.hyper, "pass a dict, such as {'hidden': (64,)}"),
    )
    found.model.double()
    return found


def drawn(fitted: Fitted, n_samples: int, random_state: Any) -> NDArray[Any]:
    """n_samples rows of the model."""
    return fitted.sample(n_samples, seed=None if random_state is None else drawn_seed(random_state))


def drawn_seed(random_state: Any) -> int:
    """A seed from what scikit-learn calls a random state. Raises UsageError for anything else."""
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except (ValueError, TypeError):
        raise UsageError(
            "random_state is a seed, a RandomState or None", f"got {said(random_state)}", "pass 0, say"
        ) from None


def _plan(given: Any) -> Plan:
    """Settings of the loop by name. Raises UsageError for one that it does not have."""
    chosen, known = settings("settings", given), [one.name for one in fields(Plan)]
    for name in chosen:
        if name not in known:
            raise UsageError("unknown setting of the training loop", f"got {name!r}", nearest(name, known))
    return Plan(**chosen)
