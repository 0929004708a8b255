"""A network of two hidden layers with early stopping: the best ratios of smooth laws."""

from __future__ import annotations

import numpy as np
from torch import nn

from jensen.critics import Features, Logit, Rows
from jensen.critics.dense import dense
from jensen.critics.nets import train_logit
from jensen.space import Space

WIDTH = 64


def needs(space: Space, features: Features | None) -> str:
    """Nothing."""
    return ""


def fit(x0: Rows, x1: Rows, space: Space, seed: int, features: Features | None) -> Logit:
    """The log-odds of x1 by a small network on standardised columns, categories and gaps as indicators."""
    encode = dense(np.concatenate([x0, x1]), space)
    z0, z1 = encode(x0), encode(x1)

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Linear(z0.shape[1], WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 1)
        )

    logit = train_logit(build, z0, z1, seed)
    return lambda x: logit(encode(x))
