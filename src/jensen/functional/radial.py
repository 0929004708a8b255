"""The radial flow both ways in closed form: x = z + beta (z - centre) / (alpha + r), r = ||z - centre||.

Rezende and Mohamed 2015, equation 14; the inverse is the root of a quadratic (ours: every library we know of has
this flow one way). Feature-major: z (d, n), centre (d,) or (d, n), alpha and beta () or (n,). The map rises along
every ray for alpha > 0 and beta > -alpha, which `constrain` sees to.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from jensen.errors import UsageError
from jensen.functional.tanh_root import DELTA, above_minus_one


def constrain(raw_alpha: Tensor, raw_beta: Tensor, delta: float = DELTA) -> tuple[Tensor, Tensor]:
    """alpha = delta + softplus(raw) and beta = alpha m(raw), m > -1 + delta and m(0) = 0: a raw beta of 0 is the identity.

    >>> constrain(torch.tensor(0.0), torch.tensor([0.0, -1e4]))
    (tensor(0.7031), tensor([ 0.0000, -0.6961]))
    """
    alpha = delta + softplus(raw_alpha)
    return alpha, alpha * above_minus_one(raw_beta, delta)


def forward(z: Tensor, centre: Tensor, alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """x (d, n) and log|det dx/dz| (n,), exact. NaN where alpha <= 0 or beta <= -alpha.

    >>> z = torch.tensor([[3.0], [4.0]])
    >>> x, log_det = forward(z, torch.zeros(2), torch.tensor(1.0), torch.tensor(6.0))
    >>> x.T, log_det
    (tensor([[6., 8.]]), tensor([0.8473]))
    """
    away = z - _column(z, centre, alpha, beta)
    r = torch.linalg.vector_norm(away, dim=0)
    return z + beta / (alpha + r) * away, _log_det(r, alpha, beta, len(z))


def inverse(x: Tensor, centre: Tensor, alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """z (d, n) and log|det dz/dx| (n,): the radius solves r^2 - p r - alpha y = 0, y = ||x - centre||, p = y - alpha - beta.

    Its positive root without cancellation: (p + q) / 2 if p >= 0, else 2 alpha y / (q - p), q = sqrt(p^2 + 4 alpha y).
    Rounding of x is magnified by at most 1 / (1 + beta / alpha).

    >>> x = torch.tensor([[6.0], [8.0]])
    >>> z, log_det = inverse(x, torch.zeros(2), torch.tensor(1.0), torch.tensor(6.0))
    >>> z.T, log_det
    (tensor([[3., 4.]]), tensor([-0.8473]))
    """
    centre = _column(x, centre, alpha, beta)
    away = x - centre
    y = torch.linalg.vector_norm(away, dim=0)
    p = y - alpha - beta
    q = (p * p + 4 * alpha * y).sqrt()
    far = p >= 0
    r = torch.where(far, (p + q) / 2, 2 * alpha * y / torch.where(far, 1, q - p))
    # not r / y, which has no value at the centre
    return centre + away / (1 + beta / (alpha + r)), -_log_det(r, alpha, beta, len(x))


def _log_det(r: Tensor, alpha: Tensor, beta: Tensor, d: int) -> Tensor:
    """d - 1 directions across the ray, one along it."""
    reach = alpha + r
    return (d - 1) * torch.log1p(beta / reach) + torch.log1p(alpha * beta / (reach * reach))


def _column(z: Tensor, centre: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    scalars = ((), z.shape[1:])
    if (
        z.dim() != 2
        or centre.shape not in (z.shape[:1], z.shape)
        or alpha.shape not in scalars
        or beta.shape not in scalars
    ):
        raise UsageError(
            "expected z (d, n), centre (d,) or (d, n), alpha and beta () or (n,)",
            f"got z {tuple(z.shape)}, centre {tuple(centre.shape)}, alpha {tuple(alpha.shape)}, beta {tuple(beta.shape)}",
            "features come first here: transpose rows",
        )
    return centre[:, None] if centre.dim() == 1 else centre
