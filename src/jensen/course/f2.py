"""F2: KL(P_F(U) || P_X) = KL(P_U || P_F^-1(X))."""

from __future__ import annotations

from jensen.course.bijections import kl_on_both_sides
from jensen.course.claim import Shown


def show(seed: int = 0, *, n: int = 8000) -> Shown:
    """The reverse divergence on both sides of four kinds of flow, and in closed form."""
    return kl_on_both_sides(seed, n, reverse=True)
