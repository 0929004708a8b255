"""A density or mass of rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted

from jensen.sklearn.ground import checked, drawn, fitted_to, parted, shaped


class Density(DensityMixin, BaseEstimator):
    """log p of rows, nats in their own units, by any model of jensen that has a likelihood.

    Parameters
    ----------
    model : str, Model class or Model, default="maf"
        A name of `jensen models`. One that has only a lower bound of log p, such as "vae", gives that bound.
    steps, seconds : int and float, default=None
        The budget of the fit; 2000 steps where both are None.
    kinds : str or None, default="real"
        What the columns are: "real", "levels", "binary", "categorical"; None to find out. Models of discrete rows, such
        as "made", need one of the others.
    image_shape : (channels, height, width), default=None
        For rows that are flat images.
    validation_fraction : float, default=0.1
        Of the rows of the fit: they decide which weights are kept.
    hyper, settings : dict, default=None
        Arguments of the model; settings of the training loop (`jensen.Plan`), such as batch and rate.
    k : int, default=64
        Draws a row where log p is a bound.
    device : str, default="auto"
    random_state : int, RandomState or None, default=0

    Attributes
    ----------
    fitted_ : jensen.Fitted
        The model: `fitted_.score(X)` has the kind of the numbers and their interval, `fitted_.save(path)` keeps it.
    n_features_in_, feature_names_in_ : of X at the fit.

    `fit` raises ValueError for rows that do not fit the kinds, for constant columns and for fewer than four rows.

    >>> rows = np.random.default_rng(0).normal(size=(200, 2))
    >>> density = Density(steps=50, hyper={"transforms": 1, "hidden": (8,)}).fit(rows)
    >>> density.score_samples(rows).shape, density.sample(3, random_state=0).shape
    ((200,), (3, 2))
    """

    def __init__(
        self,
        model: Any = "maf",
        *,
        steps: int | None = None,
        seconds: float | None = None,
        kinds: str | None = "real",
        image_shape: tuple[int, int, int] | None = None,
        validation_fraction: float = 0.1,
        hyper: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        k: int = 64,
        device: str = "auto",
        random_state: Any = 0,
    ) -> None:
        self.model = model
        self.steps, self.seconds, self.kinds, self.image_shape = steps, seconds, kinds, image_shape
        self.validation_fraction, self.hyper, self.settings, self.k = validation_fraction, hyper, settings, k
        self.device, self.random_state = device, random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model to rows X (n, d); y is not looked at."""
        rows = shaped(self, checked(self, X, first=True))
        self.fitted_ = fitted_to(self, parted(self, rows, len(rows)), self.model)
        return self

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """log p (n,), nats, of every row; a lower bound where the model has no more."""
        check_is_fitted(self)
        return self.fitted_.score(shaped(self, checked(self, X)), k=self.k).values

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`: larger is better."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> NDArray[Any]:
        """n_samples rows (n_samples, d) of the model; None draws fresh ones."""
        check_is_fitted(self)
        return drawn(self.fitted_, n_samples, random_state).reshape(n_samples, -1)
