"""How the critics that are networks are trained: the same few lines for all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

Array = NDArray[np.float64]

HELD_OUT = 0.15
"""The share of the rows that says when to stop."""

BATCH, MOST_EPOCHS, PATIENCE = 128, 80, 8


def train_logit(
    build: Callable[[], nn.Module], x0: Array, x1: Array, seed: int, steps: int = 3000
) -> Callable[[Array], Array]:
    """Train a network from features (n, *shape) to log-odds (n, 1), stopped early; torch's own seed is left alone.

    The same seed, rows and number of threads give the same weights, on one CPU. `steps`: of gradient, at most.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build()
        _train(net, *_tensors(x0, x1), steps)
    net.eval()

    def logit(x: Array) -> Array:
        with torch.no_grad():
            parts = torch.as_tensor(x, dtype=torch.float32).split(4096)
            return torch.cat([net(part)[:, 0] for part in parts]).double().numpy()

    return logit


def _tensors(x0: Array, x1: Array) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, targets and weights that make the two sides equally heavy."""
    x = torch.as_tensor(np.concatenate([x0, x1]), dtype=torch.float32)
    y = torch.cat([torch.zeros(len(x0)), torch.ones(len(x1))])
    weight = torch.where(y == 1, len(x) / (2 * len(x1)), len(x) / (2 * len(x0)))
    return x, y, weight


def _train(net: nn.Module, x: Tensor, y: Tensor, weight: Tensor, steps: int) -> None:
    """Adam on the log-loss; the weights of the epoch with the least held-out loss are kept."""
    order = torch.randperm(len(x))
    held, kept = order[: max(2, int(HELD_OUT * len(x)))], order[max(2, int(HELD_OUT * len(x))) :]
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3, weight_decay=1e-4)
    best, weights, since, step = torch.inf, _copy(net), 0, 0
    for _ in range(MOST_EPOCHS):
        net.train()
        for batch in kept[torch.randperm(len(kept))].split(BATCH):
            loss = _loss(net, x[batch], y[batch], weight[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
        net.eval()
        with torch.no_grad():
            now = float(_loss(net, x[held], y[held], weight[held]))
        best, weights, since = (now, _copy(net), 0) if now < best else (best, weights, since + 1)
        if since == PATIENCE or step >= steps:
            break
    net.load_state_dict(weights)


def _loss(net: nn.Module, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(net(x)[:, 0], y, weight=weight)


def _copy(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}
