"""The planar flow both ways: x = z + v tanh(w.z + b), Rezende and Mohamed 2015, Variational inference with normalizing flows.

Feature-major: z (d, n), w and u (d,) or one a column, (d, n), b () or (n,). v is u moved along w so that
w.v = m > -1, where the map is invertible (`tanh_root.constrain`); u = 0 is the identity, w = 0 a shift by u tanh(b).
"""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.tanh_root import DELTA, constrain, slope, solve


def forward(z: Tensor, w: Tensor, u: Tensor, b: Tensor, *, delta: float = DELTA) -> tuple[Tensor, Tensor]:
    """x (d, n) and log|det dx/dz| (n,) = log1p(m (1 - tanh^2)), exact.

    >>> z = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    >>> x, log_det = forward(z, torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]), torch.tensor(0.0))
    >>> x[1], log_det
    (tensor([0., 1.]), tensor([0.5494, 0.2681]))
    """
    w, u = _columns(z, w, u, b)
    v, m = constrain(w, u, delta)
    t = torch.tanh((w * z).sum(0) + b)
    return torch.addcmul(z, v, t), torch.log1p(slope(t, m))


def inverse(
    x: Tensor, w: Tensor, u: Tensor, b: Tensor, *, delta: float = DELTA
) -> tuple[Tensor, Tensor, Tensor]:
    """z (d, n), log|det dz/dx| (n,), and the error (n,) of w.z to first order. Computed in float64, returned like x.

    w.z is the root a of a + m tanh(a + b) = w.x. `error` bounds |a - w.z| for an x that was made and rounded in its own
    type, and what is left of the equation: about eps |w||x| / (1 + m (1 - tanh^2)), at most 1 / delta times the
    rounding. Print it: sixteen such layers in float32 lost everything where m was near -1. Gradients to second order.

    >>> w, u, b = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> z = torch.linspace(-3, 3, 8, dtype=torch.float64).expand(4, 8)
    >>> x, log_det = forward(z, w, u, b[0])
    >>> back, log_back, error = inverse(x, w, u, b[0])
    >>> bool((back - z).abs().max() < 1e-13), bool((log_back + log_det).abs().max() < 1e-13)
    (True, True)
    """
    kept, epsilon = x.dtype, torch.finfo(x.dtype).eps
    w, u = _columns(x, w, u, b)
    x, w, u, b = (given.double() for given in (x, w, u, b))
    v, m = constrain(w, u, delta)
    y, m, b = torch.broadcast_tensors((w * x).sum(0), m, b)
    a = solve(y, m, b)
    t = torch.tanh(a + b)
    steep = 1 + slope(t, m)
    with torch.no_grad():
        bend = slope(t, m).abs()
        size = (1 + bend) * (w * x).abs().sum(0) + (w * v).abs().sum(0) + bend * b.abs()
        error = ((a + m * t - y).abs() + epsilon * size) / steep
    return torch.addcmul(x, v, t, value=-1).to(kept), -steep.log().to(kept), error.to(kept)


def _columns(z: Tensor, w: Tensor, u: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """w and u as (d, 1) or (d, n)."""
    shapes = [(len(z),), tuple(z.shape)] if z.dim() == 2 else []
    if tuple(w.shape) not in shapes or tuple(u.shape) not in shapes or b.shape not in ((), z.shape[1:]):
        raise UsageError(
            "expected z (d, n), w and u (d,) or (d, n), b () or (n,)",
            f"got z {tuple(z.shape)}, w {tuple(w.shape)}, u {tuple(u.shape)}, b {tuple(b.shape)}",
            "features come first here: transpose rows",
        )
    return tuple(one[:, None] if one.dim() == 1 else one for one in (w, u))  # type: ignore[return-value]
