"""Density ratios from a critic: f1 = f0 D / (1 - D), and what to check before it is believed.

A critic D = sigmoid(logit) that is told rows of f1 from equally many of f0 and trained to the end has
logit = log f1 - log f0. It is so only for a proper loss (logistic, least squares), not for hinge or Wasserstein critics.

References: Sugiyama, Suzuki, Kanamori 2012, Density Ratio Estimation in Machine Learning; Rhodes, Xu, Gutmann 2020,
Telescoping density-ratio estimation.
"""

from __future__ import annotations

import math

from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.given import reals
from jensen.functional.importance import effective_share, tail_index
from jensen.functional.intervals import mean_interval
from jensen.quantity import Kind, Quantity


def log_density(log_f0: Tensor, logit: Tensor) -> Tensor:
    """log f1 = log f0 + logit, (n,) each, in nats: an estimate, as good as the critic. Differentiable.

    Raises UsageError where the two are not of the same rows.

    >>> import torch
    >>> log_density(torch.tensor([-1.0, -2.0]), torch.tensor([0.5, 0.0]))
    tensor([-0.5000, -2.0000])
    """
    if reals("log_f0", log_f0).shape != reals("logit", logit).shape:
        raise UsageError(
            "expected log f0 and the logit of the same rows",
            f"got {tuple(log_f0.shape)} and {tuple(logit.shape)}",
            "evaluate both on the same rows, one number a row",
        )
    return log_f0 + logit


def normaliser(logit: Tensor, *, level: float = 0.95) -> Quantity:
    """Z = E_f0[D / (1 - D)] = E_f0 e^logit, which is 1 where the logit is a log ratio; an estimate, no unit.

    `logit` (n,) at rows of f0 that the critic did not see. Z = 1 is necessary, not sufficient: a logit of 0 has it too.
    `how` has the effective sample size (sum e^l)^2 / sum e^2l and k-hat of the weights: the interval is Student's t, widened for skew, and
    too narrow where k-hat is above 0.5, that is where f1 has mass that f0 hardly visits.

    >>> import torch
    >>> x = torch.randn(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> normaliser(x - 0.5)  # N(1, 1) over N(0, 1)
    ~ 0.977 [0.939, 1.017]
    """
    share = effective_share(logit)  # checks the logits
    weights = logit.detach().double().cpu().exp()
    how = {
        "of": "E_f0 D / (1 - D)",
        "n": len(weights),
        "ess": share * len(weights),
        "k_hat": tail_index(weights).k,
        "interval": "Student t, widened for skew",
    }
    value = float(weights.mean())
    if not math.isfinite(value):
        raise UsageError(
            "e^logit is too large to be averaged", f"got a logit of {float(logit.max()):.4g}", "clip it"
        )
    low, high = mean_interval(weights.numpy(), level)
    ends = (min(low, value), max(high, value))  # equal weights: nothing but rounding lies between
    return Quantity(value, Kind.ESTIMATE, "", interval=ends, level=level, how=how)


def waymarks(x1: Tensor, x0: Tensor, bridges: int) -> list[Tensor]:
    """Rows on the way from x1 to x0, (n, d) each, paired at random: bridges + 1 sets of them, from x1 to x0.

    x_k = sqrt(1 - a_k^2) x1 + a_k x0 with a_k = sin(k pi / (2 bridges)). Neighbouring sets overlap, so that a critic can
    tell by how much they differ; the sum of the log ratios of neighbours is that of the ends.

    >>> import torch
    >>> [float(x) for x in waymarks(torch.ones(1, 1), torch.zeros(1, 1), 2)]
    [1.0, 0.7071067690849304, 0.0]
    """
    if x1.shape != x0.shape or bridges < 1:
        raise UsageError(
            "expected as many rows on either side, and a bridge",
            f"got {tuple(x1.shape)}, {tuple(x0.shape)} and {bridges} bridges",
            "take as many rows of either",
        )
    angles = [k * math.pi / (2 * bridges) for k in range(1, bridges)]
    return [x1, *(math.cos(angle) * x1 + math.sin(angle) * x0 for angle in angles), x0]
