"""The scalar map a -> a + m tanh(a + b) with m > -1, on which planar and Sylvester flows stand, and its inverse."""

from __future__ import annotations

import math

import torch
from torch import Tensor

DELTA = 1e-2
"""How far m stays above -1. The inverse magnifies rounding by up to 1 / (1 + m): with 1e-2 by a hundred at most."""

STEPS = 60
"""Halvings of the bracket: 2^-60 of it is less than one rounding of its ends."""


def above_minus_one(s: Tensor, delta: float = DELTA) -> Tensor:
    """m(s) = softplus(s + c) - (1 - delta), increasing from -1 + delta, with c so that m(0) = 0.

    Rezende and Mohamed (2015, appendix A.1) have c = 0 and delta = 0; then s = 0 is no identity, and the correction of
    u, (m(s) - s) w / ||w||^2, grows without bound as w goes to 0. With m(0) = 0 it is at most the size of u. Written as
    log((1 - p) + p e^s), p = 1 - e^(delta - 1), it is exact relative to m where s is tiny.

    >>> above_minus_one(torch.tensor([0.0, 1e-30, -1e4]))
    tensor([ 0.0000e+00,  6.2842e-31, -9.9000e-01])
    """
    p = -math.expm1(delta - 1)
    # each side of the `where` is finite for either sign; no clamp, whose slope at its bound torch 2.15 has as 0
    low, high = torch.where(s <= 0, s, 0), torch.where(s <= 0, 0, s)
    return torch.where(
        s <= 0, torch.log1p(p * torch.expm1(low)), high + torch.log1p((1 - p) * torch.expm1(-high))
    )


def constrain(w: Tensor, u: Tensor, delta: float = DELTA) -> tuple[Tensor, Tensor]:
    """v = u + (m - w.u) w / ||w||^2 and m = w.v > -1 + delta, with w.u and ||w|| over dim 0. Where ||w||^2 is 0, v is u.

    Divided by ||w|| twice: the gradient of one division by the square would divide by its square, 0 in float32 below
    ||w|| = 1e-11.

    >>> constrain(torch.tensor([1.0, 0.0]), torch.tensor([-9.0, 2.0]))
    (tensor([-0.9898,  2.0000]), tensor(-0.9898))
    """
    s, square = (w * u).sum(0), (w * w).sum(0)
    m = above_minus_one(s, delta)
    there = square > torch.finfo(square.dtype).tiny
    length = torch.where(there, square, 1).sqrt()
    return u + torch.where(there, (m - s) / length, 0) * (w / length), m


def slope(t: Tensor, m: Tensor) -> Tensor:
    """m (1 - t^2) for t = tanh(a + b): the slope of the map is 1 more.

    >>> slope(torch.tensor(0.0), torch.tensor(-0.5))
    tensor(-0.5000)
    """
    return m * ((1 - t) * (1 + t))


def solve(y: Tensor, m: Tensor, b: Tensor) -> Tensor:
    """The root a of a + m tanh(a + b) = y, for float64 tensors of one shape, m > -1: exact to rounding over its slope.

    (1) The root lies in [y - |m|, y + |m|], the map rises: bisection, without a gradient.
    (2) Two Newton steps with the graph of y, m, b: the first makes da = (dy - tanh dm - m tanh' db) / (1 + m tanh'), the
        gradient of the implicit function theorem, the second makes second derivatives right too.

    >>> y, m, b = torch.tensor([[2.0], [-0.9], [0.1]], dtype=torch.float64)
    >>> a = solve(y, m, b)
    >>> (a + m * torch.tanh(a + b) - y).abs().item() < 1e-14
    True
    """
    with torch.no_grad():
        low, high = y - m.abs(), y + m.abs()
        for _ in range(STEPS):
            middle = (low + high) / 2
            over = middle + m * torch.tanh(middle + b) > y
            low, high = torch.where(over, low, middle), torch.where(over, middle, high)
        a = (low + high) / 2
    for _ in range(2):
        t = torch.tanh(a + b)
        a = a - (a + m * t - y) / (1 + slope(t, m))
    return a
