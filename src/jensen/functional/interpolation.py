"""Ways between two points of a space of latents."""

from __future__ import annotations

import torch
from torch import Tensor

ALIKE = 1e-4
"""Radians between two directions below which, or below pi less which, a great circle is not told from a line."""


def linear(a: Tensor, b: Tensor, steps: Tensor) -> Tensor:
    """(1 - t) a + t b at every t of `steps` (m,): points (m, d) from a (d,) to b (d,).

    >>> linear(torch.tensor([0.0]), torch.tensor([4.0]), torch.tensor([0.0, 0.5])).tolist()
    [[0.0], [2.0]]
    """
    return torch.lerp(a, b, steps.unsqueeze(1))


def spherical(a: Tensor, b: Tensor, steps: Tensor) -> Tensor:
    """Along the great circle from the direction of a to that of b (d,), the length going evenly from one to the other.

    Points (m, d) at `steps` (m,). Draws of a standard normal law in d dimensions have lengths near sqrt(d); a line between
    two of them passes where there are hardly any (White 2016). The line where a or b is 0, or directions are alike or opposite.

    >>> round(
    ...     spherical(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0]), torch.tensor([0.5])).norm().item(),
    ...     5,
    ... )
    2.0
    """
    t, lengths = steps.unsqueeze(1), torch.stack([a.norm(), b.norm()])
    if not bool((lengths > 0).all()):
        return linear(a, b, steps)
    one, other = a / lengths[0], b / lengths[1]
    # the angle by both chords: accurate for directions that are nearly alike
    angle = 2 * torch.atan2((one - other).norm(), (one + other).norm())
    if not ALIKE < float(angle) < torch.pi - ALIKE:
        return linear(a, b, steps)
    directions = (((1 - t) * angle).sin() * one + (t * angle).sin() * other) / angle.sin()
    return torch.lerp(lengths[0], lengths[1], t) * directions
