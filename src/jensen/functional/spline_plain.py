"""The rational-quadratic spline in ordinary torch operations: what the fast one of `spline` must equal.

Autograd, forward mode, `torch.func` and `torch.compile` see through every line; `spline` calls it where they are at
work. Shapes, bounds and limits are those of `spline`, which checks them; here nothing is checked.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad, softplus

STRAIGHT = 40.0
"""Beyond it softplus is a straight line, to the last digit of float64; torch's own 20 is off by 2e-9."""


class Piece(NamedTuple):
    """The bin of every element, all of the shape of x: its left and lower edge, its size, the slopes at its ends."""

    left: Tensor
    width: Tensor
    bottom: Tensor
    height: Tensor
    d0: Tensor
    d1: Tensor


def unit_logit(minimum: float) -> float:
    """What is added to a slope logit so that a logit of 0 means a slope of 1: m + softplus(c) = 1.

    >>> round(0.25 + math.log1p(math.exp(unit_logit(0.25))), 12)
    1.0
    """
    return math.log(math.expm1(1 - minimum))


def forward(x: Tensor, logits: Tensor, bound: float, minimum: float) -> tuple[Tensor, Tensor]:
    """y and log dy/dx of the spline (Durkan et al. 2019, equations 4 and 5): see `spline.forward`.

    Two bins, of heights 0.25 and 0.75: the knot between them lies at (0, -0.5), with slope 1.

    >>> logits = torch.tensor([[0.0], [0], [0], [math.log(3)], [0]])
    >>> y, log_slope = forward(torch.zeros(1), logits, 1.0, 1e-6)
    >>> y, abs(log_slope.item()) < 1e-5
    (tensor([-0.5000]), True)
    """
    u, inside = _to_unit(x, bound)
    piece = _piece(u, logits, minimum, axis=0)
    t = _in_bin((u - piece.left) / piece.width)
    value, log_slope = _ratio(t, piece)
    y = bound * (2 * (piece.bottom + piece.height * value) - 1)
    return torch.where(inside, y, x), torch.where(inside, log_slope, 0)


def inverse(y: Tensor, logits: Tensor, bound: float, minimum: float) -> tuple[Tensor, Tensor]:
    """x and log dx/dy of the same spline (equations 6 to 8): see `spline.inverse`.

    >>> logits = torch.tensor([[0.0], [0], [0], [math.log(3)], [0]])
    >>> y, _ = forward(torch.tensor([0.75]), logits, 1.0, 1e-3)
    >>> inverse(y, logits, 1.0, 1e-3)[0]
    tensor([0.7500])
    """
    v, inside = _to_unit(y, bound)
    piece = _piece(v, logits, minimum, axis=1)
    t = _in_bin(_root(v - piece.bottom, piece))
    _, log_slope = _ratio(t, piece)
    x = bound * (2 * (piece.left + piece.width * t) - 1)
    return torch.where(inside, x, y), torch.where(inside, -log_slope, 0)


def _to_unit(x: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """From [-B, B] to [0, 1]. Clamped first: `where` alone would pass the NaN gradients of the side not taken."""
    return x.clamp(-bound, bound) / (2 * bound) + 0.5, x.abs() <= bound


def _in_bin(t: Tensor) -> Tensor:
    """Into [0, 1], which rounding leaves by a few ulp of 1 / width; the gradient passes as if it had not."""
    return t + (t.clamp(0, 1) - t).detach()


def _piece(u: Tensor, logits: Tensor, minimum: float, axis: int) -> Piece:
    """The bin that u falls into along x (axis 0) or y (axis 1)."""
    bins = (len(logits) + 1) // 3
    sizes = minimum + (1 - bins * minimum) * logits[: 2 * bins].unflatten(0, (2, bins)).softmax(1)
    ends = sizes.cumsum(1)
    index = (u >= ends[axis, :-1]).sum(0)[None]
    width, height = (part.gather(0, index)[0] for part in sizes)
    right, top = (part.gather(0, index)[0] for part in ends)
    # a logit of 0 at both ends: the slope there is 1, as outside
    slope_logits = pad(logits[2 * bins :].flatten(1), (0, 0, 1, 1)).unflatten(1, u.shape)
    d0, d1 = (_slope(slope_logits.gather(0, index + i)[0], minimum) for i in (0, 1))
    return Piece(right - width, width, top - height, height, d0, d1)


def _slope(logit: Tensor, minimum: float) -> Tensor:
    return minimum + softplus(logit + unit_logit(minimum), threshold=STRAIGHT)


def _ratio(t: Tensor, piece: Piece) -> tuple[Tensor, Tensor]:
    """How far up the bin the curve is at t of its width, both in [0, 1], and the log of its slope."""
    _, width, _, height, d0, d1 = piece
    s, rest = height / width, 1 - t
    below = s + (d0 + d1 - 2 * s) * t * rest
    value = (s * t * t + d0 * t * rest) / below
    # no squared denominator: the square of 1e-20 is 0 in float32
    return value, 2 * (s / below).log() + (d1 * t * t + 2 * s * t * rest + d0 * rest * rest).log()


def _root(v: Tensor, piece: Piece) -> Tensor:
    """t with `_ratio(t)` = v / height: the root in [0, 1] of a t^2 + b t = s v.

    a + b = height * s > 0, so that one of them is positive: 2 s v / (b + root) cancels nothing where b >= 0, and
    (root - b) / 2a nothing where b < 0. (The paper has the first alone: with slopes of 1e4 it loses float32.)
    """
    _, width, _, height, d0, d1 = piece
    s = height / width
    bent = v * (d0 + d1 - 2 * s)
    a, b, c = height * (s - d0) + bent, height * d0 - bent, s * v
    root = (b * b + 4 * a * c).clamp(min=torch.finfo(v.dtype).tiny).sqrt()
    up = b >= 0
    over, under = torch.where(up, 2 * c, root - b), torch.where(up, b + root, 2 * a)
    return over / under
