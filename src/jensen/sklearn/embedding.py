"""Features of rows, learned without labels."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from jensen.sklearn.ground import checked, fitted_to, parted, shaped


class Embedding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Rows to features by an encoder that was trained by contrast (SimCLR), or by any model of jensen that embeds.

    Parameters
    ----------
    model : str, Model class or Model, default="encoder"
        A name of `jensen models` that can embed: "encoder", "vae", "ppca".
    objective : str or Objective, default=None
        How it is trained, as `jensen.fit` takes it: "contrastive:temperature=0.1".
    steps, seconds, kinds, image_shape, validation_fraction, hyper, settings, device, random_state
        As in `Density`. With an image_shape the views are those of images, and the net is convolutional.

    Attributes
    ----------
    fitted_ : jensen.Fitted
        The model; `fitted_.record["health"]` says what is known of the features without labels.
    n_features_in_, feature_names_in_ : of X at the fit.

    `fit` raises ValueError for rows that do not fit the kinds, for constant columns and for fewer than four rows.

    >>> rows = np.random.default_rng(0).normal(size=(400, 6)).cumsum(1)
    >>> Embedding(steps=100, hyper={"features": 16}).fit_transform(rows).shape
    (400, 16)
    """

    def __init__(
        self,
        model: Any = "encoder",
        *,
        objective: Any = None,
        steps: int | None = None,
        seconds: float | None = None,
        kinds: str | None = "real",
        image_shape: tuple[int, int, int] | None = None,
        validation_fraction: float = 0.1,
        hyper: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        device: str = "auto",
        random_state: Any = 0,
    ) -> None:
        self.model, self.objective = model, objective
        self.steps, self.seconds, self.kinds, self.image_shape = steps, seconds, kinds, image_shape
        self.validation_fraction, self.hyper, self.settings = validation_fraction, hyper, settings
        self.device, self.random_state = device, random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the encoder to rows X (n, d); y is not looked at."""
        rows = shaped(self, checked(self, X, first=True))
        self.fitted_ = fitted_to(self, parted(self, rows, len(rows)), self.model, self.objective)
        self._n_features_out = self.fitted_.embed(rows[:1]).shape[1]
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Features (n, features) of rows X (n, d)."""
        check_is_fitted(self)
        return self.fitted_.embed(shaped(self, checked(self, X))).astype(np.float64, copy=False)
