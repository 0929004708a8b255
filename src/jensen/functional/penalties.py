"""Penalties on the slope of a discriminator with respect to its input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def squared_slope(logit: Tensor, x: Tensor) -> Tensor:
    """mean |d logit / dx|^2 over rows, (), with a graph: R1 at data, R2 at samples, before the factor gamma / 2.

    `logit` (m,) of rows x (n, ...), which asked for a gradient; m divides n where rows are packed, and the mean is over
    the m logits. Reference: Mescheder, Geiger, Nowozin 2018, equation 9.

    >>> x = torch.tensor([[1.0], [2.0]], requires_grad=True)
    >>> squared_slope(x[:, 0] ** 2, x)  # slopes 2 and 4
    tensor(10., grad_fn=<DivBackward0>)
    """
    (slope,) = torch.autograd.grad(logit.sum(), x, create_graph=True)
    return slope.square().sum() / len(logit)


def unit_slope(logit: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, at: Tensor) -> Tensor:
    """mean (|d logit / dx| - 1)^2 at x = at real + (1 - at) fake, (), with a graph.

    `at` (n,): where between each pair of rows (n, ...). Reference: Gulrajani et al. 2017, equation 3.
    """
    share = at.reshape(-1, *[1] * (real.ndim - 1))
    x = (share * real + (1 - share) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(logit(x).sum(), x, create_graph=True)
    # the square root has no slope at 0
    return (slope.flatten(1).square().sum(1).add(1e-12).sqrt() - 1).square().mean()
