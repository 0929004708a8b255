"""A small convolutional network with dropout, for images: without dropout it tells single training rows apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from jensen.critics import Features, Logit, Rows
from jensen.critics.nets import train_logit
from jensen.space import Space

WIDTH, DROPOUT = 32, 0.4


def needs(space: Space, features: Features | None) -> str:
    """Images of at least 4x4."""
    return "" if space.is_image and min(space.shape[1:]) >= 4 else "images of at least 4x4 pixels"


def fit(x0: Rows, x1: Rows, space: Space, seed: int, features: Features | None) -> Logit:
    """The log-odds of x1 by convolutions that halve the image until it is about 4x4."""
    pooled = np.concatenate([x0, x1])
    mean, sd = float(np.nanmean(pooled)), max(float(np.nanstd(pooled)), 1e-7)

    def encode(x: Rows) -> Rows:
        return np.nan_to_num((x - mean) / sd).reshape(len(x), *space.shape)

    logit = train_logit(lambda: _Critic(space), encode(x0), encode(x1), seed, steps=1500)
    return lambda x: logit(encode(x))


class _Critic(nn.Module):
    """Convolutions with strides, dropout, a line."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        width, layers, size, channels = WIDTH, list[nn.Module](), min(space.shape[1:]), space.shape[0]
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.SiLU()]
        while size > 4:
            layers += [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.SiLU()]
            width, size = 2 * width, (size + 1) // 2
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(DROPOUT))
        with torch.no_grad():
            features = self.body(torch.zeros(1, *space.shape)).shape[1]
        self.head = nn.Linear(features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Log-odds (n, 1) of images (n, channels, height, width)."""
        out: Tensor = self.head(self.body(x))
        return out
