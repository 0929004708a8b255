"""Tables like the one that was given."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from jensen.data.tables import is_frame
from jensen.errors import SpaceError
from jensen.models import CATALOGUE, model_class
from jensen.sklearn.frames import Likeness, eager
from jensen.sklearn.ground import FEWEST, drawn, fitted_to, parted, protocol, validate_data

PREFERRED = ("maf", "made")
"""What "auto" tries first: a flow for real columns, an autoregressive model for discrete ones."""


class Synthesizer(BaseEstimator):
    """Draws rows that look like those of a table: the same columns, types and labels, in the same kind of frame.

    Texts are categories, two values are bits, whole numbers levels, everything else is real, unless `kinds` says else. A
    sample is no anonymised copy: look at `jensen.metrics` for copied rows before you hand one on.

    Parameters
    ----------
    model : str, Model class or Model, default="auto"
        A name of `jensen models` that can sample. "auto" is "maf" for real columns, "made" for discrete ones.
    kinds : str, dict from column to str, or None, default=None
        What the columns are; None to find out.
    steps, seconds, validation_fraction, hyper, settings, device, random_state
        As in `Density`.

    Attributes
    ----------
    fitted_ : jensen.Fitted
    n_features_in_, feature_names_in_ : of X at the fit.

    `fit` raises ValueError for gaps, constant columns, fewer than four rows, and columns that no model takes together.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).integers(0, 3, size=(100, 2))
    >>> Synthesizer(steps=20, hyper={"hidden": (8,)}).fit(rows).sample(5, random_state=0).dtype
    dtype('int64')
    """

    def __init__(
        self,
        model: Any = "auto",
        *,
        steps: int | None = None,
        seconds: float | None = None,
        kinds: Any = None,
        validation_fraction: float = 0.1,
        hyper: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        device: str = "auto",
        random_state: Any = 0,
    ) -> None:
        self.model = model
        self.steps, self.seconds, self.kinds = steps, seconds, kinds
        self.validation_fraction, self.hyper, self.settings = validation_fraction, hyper, settings
        self.device, self.random_state = device, random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model to X, a DataFrame that narwhals knows or an array (n, d); y is not looked at."""
        with protocol(X):
            X = eager(X)
            if is_frame(X):
                validate_data(self, X, reset=True, skip_check_array=True)
            else:
                X = validate_data(self, X, reset=True, ensure_min_samples=FEWEST)
        self._likeness = Likeness.of(X)
        data = parted(self, self._likeness.plain(X), len(X))
        self.fitted_ = fitted_to(self, data, self._suited(data.space.kind))
        return self

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """n_samples rows, as a frame or an array like the one of the fit; None draws fresh ones."""
        check_is_fitted(self)
        rows = drawn(self.fitted_, n_samples, random_state)
        return self._likeness.again(rows, self.fitted_.space)

    def _suited(self, kind: str) -> Any:
        """The model for rows of a kind of space."""
        if not isinstance(self.model, str) or self.model != "auto":
            return self.model
        for name in (*PREFERRED, *CATALOGUE):
            if kind in model_class(name).accepts:
                return name
        raise SpaceError(
            f"no model takes {kind} rows",
            f"got kinds={self.kinds}",
            "make all columns of one kind with kinds",
        )
