"""What a representation is like, told without labels."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.functional.contrastive import unit_rows


def partner_found(a: Tensor, b: Tensor, tile: int = 1024) -> Tensor:
    """Whether the partner is the most similar of the other 2n - 1 views, for each of 2n views, bool; ties count as misses.

    a, b (n, d): two views of the same rows. A guess is right with probability 1 / (2n - 1).

    >>> partner_found(torch.eye(3), torch.eye(3)).tolist()
    [True, True, True, True, True, True]
    """
    z = unit_rows(torch.cat([a, b]))
    n = len(a)
    places = torch.arange(2 * n, device=z.device)
    found = []
    for rows in places.split(tile):
        similar = z[rows] @ z.T
        here, partner = rows - rows[0], (rows + n) % (2 * n)
        own = similar[here, partner].clone()
        similar[here, rows] = -torch.inf
        similar[here, partner] = -torch.inf
        found.append(own > similar.amax(1))
    return torch.cat(found)


def alignment(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance |a_i - b_i|^2 (n,) between the directions of the two views of a row, 0 to 4 (Wang, Isola 2020)."""
    return (unit_rows(a) - unit_rows(b)).square().sum(1)


def uniformity(z: Tensor, tile: int = 1024) -> Tensor:
    """log mean over pairs i < j of exp(-2 |z_i - z_j|^2) for directions z (n, d): 0 collapsed, towards -4 spread evenly.

    Rows spread evenly over the sphere have -4 + log 0F1(; d/2; 4), -3.87 for d = 64 (Wang, Isola 2020, t = 2).

    >>> round(float(uniformity(torch.eye(4))), 4)  # orthogonal: |z_i - z_j|^2 = 2
    -4.0
    """
    z = unit_rows(z)
    n = len(z)
    # |u - v|^2 = 2 - 2 u.v; the n pairs of a row with itself have exp(0) = 1 and leave
    total = sum(float((4 * (part @ z.T) - 4).double().exp().sum()) for part in z.split(tile))
    return z.new_tensor(max((total - n) / (n * (n - 1)), 1e-300), dtype=torch.float64).log().clamp(max=0.0)


def effective_rank(h: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values of h (n, d), uncentred: 1 to min(n, d).

    1 where all rows lie on a line through 0: a collapsed representation (RankMe; Garrido, Balestriero, Najman, LeCun 2023).

    >>> round(float(effective_rank(torch.eye(4))), 6)
    4.0
    """
    singular = torch.linalg.svdvals(h.double())
    share = singular / singular.sum().clamp(min=torch.finfo(torch.float64).tiny)
    return torch.special.entr(share).sum().exp()
