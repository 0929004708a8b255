"""Posteriors of two regressions: their log Z is a log evidence. One is Gaussian; the other is not, and log-concave.

Both use X = RandomState(0).randn(50, 5), weights w ~ N(0, I), true weights 1, -1, 0.5, 0, 2. `RandomState` is frozen by
NumPy: the rows are the same for ever.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.data.target_draws import LOG_ROOT_2PI, normals, reject
from jensen.data.targets import Target

ROWS, TRUE_WEIGHTS, NOISE = 50, (1.0, -1.0, 0.5, 0.0, 2.0), 0.5
DIM = len(TRUE_WEIGHTS)
LOG_Z_LOGISTIC = -24.653074067
MODE_LOGISTIC = (
    0.6732140755705757,
    -0.9118808600098507,
    0.41911079923585925,
    0.1164374769324593,
    1.931386440580166,
)
MEAN_LOGISTIC = (0.723754954, -0.984834051, 0.470147636, 0.120633403, 2.120929878)
VARIANCE_LOGISTIC = (0.164062350, 0.163356689, 0.169363210, 0.105255379, 0.276867410)


def linear_rows() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """X (50, 5) and y (50,) = X w + 0.5 randn(50)."""
    state = np.random.RandomState(0)
    x = state.randn(ROWS, DIM)
    return x, x @ TRUE_WEIGHTS + NOISE * state.randn(ROWS)


def logistic_rows() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """X (50, 5) and labels y (50,) of 0 and 1: rand(50) < 1 / (1 + exp(-X w))."""
    state = np.random.RandomState(0)
    x = state.randn(ROWS, DIM)
    return x, (state.rand(ROWS) < 1 / (1 + np.exp(-x @ TRUE_WEIGHTS))).astype(np.float64)


def linear_regression() -> Target:
    """log N(y; X w, 0.25 I) + log N(w; 0, I): the posterior is Gaussian, the evidence N(y; 0, 0.25 I + X X^T).

    >>> round(linear_regression().log_z, 12)
    -53.055181832953
    """
    x, y = linear_rows()
    precision = x.T @ x / NOISE**2 + np.eye(DIM)
    covariance = np.linalg.inv(precision)
    mean = covariance @ x.T @ y / NOISE**2
    root = torch.from_numpy(np.linalg.cholesky(covariance))
    centre, design, answers = torch.from_numpy(mean), torch.from_numpy(x), torch.from_numpy(y)

    def log_density(w: Tensor) -> Tensor:
        errors = (w @ design.to(w).T - answers.to(w)) / NOISE
        return (
            -0.5 * errors.square().sum(1)
            - ROWS * (float(np.log(NOISE)) + LOG_ROOT_2PI)
            - 0.5 * w.square().sum(1)
            - DIM * LOG_ROOT_2PI
        )

    def sample(n: int, generator: torch.Generator) -> Tensor:
        return centre.to(generator.device) + normals(generator, n, DIM) @ root.to(generator.device).T

    # log Z = log density at the mean of the posterior, less its normalised log density there
    at_mean = float(log_density(centre[None]))
    log_z = at_mean + DIM * LOG_ROOT_2PI - 0.5 * float(np.linalg.slogdet(precision)[1])
    return Target(
        "linear-regression",
        "posterior of 5 weights of a linear regression on 50 rows",
        DIM,
        log_density,
        log_z,
        "closed form",
        sample=sample,
        mean=tuple(mean.tolist()),
        variance=tuple(np.diag(covariance).tolist()),
    )


def logistic_regression() -> Target:
    """sum over rows of log sigmoid((2 y - 1) x.w) + log N(w; 0, I): log-concave, log Z without a closed form.

    log Z, mean and variance are by Gauss-Hermite quadrature of 5 dimensions around the mode (20 and 24 nodes a
    dimension agree); the tests find log Z again by importance sampling. Samples are exact: the curvature of the prior
    alone makes exp(-||w - mode||^2 / 2) an envelope, under which about one proposal in 110 is kept.

    >>> law = logistic_regression()
    >>> law.dim, round(law.log_z, 4)
    (5, -24.6531)
    """
    x, y = logistic_rows()
    signed = torch.from_numpy((2 * y - 1)[:, None] * x)
    mode = torch.tensor(MODE_LOGISTIC, dtype=torch.float64)

    def log_density(w: Tensor) -> Tensor:
        likelihood = torch.nn.functional.logsigmoid(w @ signed.to(w).T).sum(1)
        return likelihood - 0.5 * w.square().sum(1) - DIM * LOG_ROOT_2PI

    top = log_density(mode[None])

    def log_accept(w: Tensor) -> Tensor:
        return log_density(w) - top.to(w) + 0.5 * (w - mode.to(w)).square().sum(1)

    def sample(n: int, generator: torch.Generator) -> Tensor:
        return reject(
            lambda count, source: mode.to(source.device) + normals(source, count, DIM),
            log_accept,
            n,
            generator,
        )

    return Target(
        "logistic-regression",
        "posterior of 5 weights of a logistic regression on 50 rows",
        DIM,
        log_density,
        LOG_Z_LOGISTIC,
        "Gauss-Hermite quadrature in float64",
        log_z_error=1e-8,
        sample=sample,
        mean=MEAN_LOGISTIC,
        variance=VARIANCE_LOGISTIC,
    )
