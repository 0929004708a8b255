"""F1: KL(P_X || P_F(U)) = KL(P_F^-1(X) || P_U)."""

from __future__ import annotations

from jensen.course.bijections import kl_on_both_sides
from jensen.course.claim import Shown


def show(seed: int = 0, *, n: int = 8000) -> Shown:
    """The forward divergence on both sides of four kinds of flow, and in closed form."""
    return kl_on_both_sides(seed, n, reverse=False)
