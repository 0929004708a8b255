"""Does encode reach every base point? What it does not reach is probability that no row has."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from jensen.checks.base_mass import centre_and_spread
from jensen.checks.maps import Columns, has, jacobians, near_and_far, whole
from jensen.checks.subject import can, precise
from jensen.checks.verdict import Verdict
from jensen.functional.module_state import device_of, float_type
from jensen.model import Can
from jensen.space import Space

NAME = "onto"
LARGE = 64
RADII = (3.0, 6.0)
"""Spreads of the base: one normal draw in 370 and one in five hundred million lie beyond, in each direction."""
RANDOM = 32
STEPS = 80
REACHED = 1e-5
"""Of 1 + |z|, in float64."""
FAR = 0.1
"""A base point that is missed by more is not one that rounding lost."""

FALLEN = 1e-3
"""Of the slope that a path starts with."""


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    if space is None or not has(module, "encode"):
        return "the module does not encode rows"
    return (
        "" if space.dims <= LARGE else f"{space.dims} features are too many to follow paths (at most {LARGE})"
    )


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """Reach base points three and six spreads out, along every axis both ways and in 32 random directions, in float64.

    First by `decode`, held to encode. Else by following the straight line in base space from a row: x moves by
    J^-1 (z - encode(x)), damped. A smooth local bijection is onto if and only if every line can be followed (Hadamard;
    Plastock 1974); where x runs off to infinity, or the Jacobian to nothing, while z is still far, it is not. To have
    reached so many is evidence and no proof.
    """
    assert space is not None
    near = near_and_far(module, rows, space, 64, seed)[:32]
    model: Any = module
    subject: Any = precise(model, lambda m: m.encode(near.double())[1])
    x = near.to(float_type(subject))
    middle, spread = torch.zeros(space.dims), torch.ones(space.dims)
    if Can.SAMPLE in can(module):
        with torch.no_grad():
            drawn = subject.sample(1000, generator=torch.Generator().manual_seed(seed))
        middle, spread = centre_and_spread(subject, drawn)
    z = _targets(middle, spread, seed).to(device_of(subject), float_type(subject))
    if _outside(subject, z):
        return Verdict(NAME, None, "does not apply: the base is not all of space", {"applies": False})
    forward = whole(subject, space.shape)
    missed = _missed_by_decode(subject, forward, z)
    walked = (missed > REACHED).nonzero().flatten()
    apart, ends = _followed(forward, x.flatten(1).T, z[:, walked])
    lost = apart > REACHED
    details = {"points": z.shape[1], "not_decoded": len(walked), "not_reached": int(lost.sum())}
    what = (
        f"{z.shape[1]} base points {RADII[0]:g} and {RADII[1]:g} spreads out, along every axis and at random"
    )
    if bool(lost.any()):
        worst, ended = float(apart.max()), bool((ends & (apart > FAR)).any())
        text = f"{int(lost.sum())} of {what}, are not reached, the nearest rows miss by up to {worst:.2g}"
        why = "the slope there falls to nothing" if ended else "the paths are lost in rounding"
        return Verdict(NAME, False if ended else None, f"{text}: {why}", details)
    if not has(subject, "decode"):
        return Verdict(
            NAME, True, f"all {what}, are reached, by following a line from a row to each", details
        )
    worst = float(missed.max())
    if worst > FAR:
        text = f"decode misses {len(walked)} of {what}, which encode does reach, by up to {worst:.2g}"
        return Verdict(NAME, False, text, details)
    text = f"all {what}, are reached: encode brings back what decode makes of them within {worst:.1g}"
    return Verdict(NAME, True, text, details)


def _targets(middle: Tensor, spread: Tensor, seed: int) -> Tensor:
    """Base points (d, n)."""
    d = len(middle)
    random = torch.randn(d, RANDOM if d > 1 else 0, generator=torch.Generator().manual_seed(seed))
    axes = torch.eye(d)
    directions = torch.cat([axes, -axes, random / random.norm(dim=0).clamp(min=1e-12)], 1).double()
    points = torch.cat([radius * directions for radius in RADII], 1)
    return middle[:, None] + spread[:, None] * points


def _outside(subject: Any, z: Tensor) -> bool:
    if not has(subject, "base_log_prob"):
        return False
    with torch.no_grad():
        return not bool(subject.base_log_prob(z).isfinite().all())


@torch.no_grad()
def _missed_by_decode(subject: Any, forward: Columns, z: Tensor) -> Tensor:
    """How far (n,) encode ends from base points that decode has put somewhere; inf where there is no decode."""
    if not has(subject, "decode"):
        return z.new_full((z.shape[1],), math.inf)
    x = subject.decode(z)[0].flatten(1).T
    return _apart(forward(x)[0], z)


def _followed(forward: Columns, starts: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """How far (n,) from the base points z (d, n) the paths end that start at the nearest of some columns, and whether
    the smallest singular value of the Jacobian has fallen to a thousandth on the way."""
    if not z.shape[1]:
        return z.new_zeros(0), torch.zeros(0, dtype=torch.bool, device=z.device)
    with torch.no_grad():
        at = forward(starts)[0]
    first = torch.cdist(z.T, at.T.nan_to_num(nan=1e30)).argmin(1)
    x, damping = starts[:, first].clone(), z.new_full((z.shape[1],), 1.0)
    y, matrices, _ = jacobians(forward, x)
    best, smallest = _apart(y, z), torch.linalg.svdvals(matrices)[:, -1]
    for _ in range(STEPS):
        step = torch.linalg.lstsq(matrices, (z - y).T.unsqueeze(-1)).solution.squeeze(-1).T
        moved = x + damping * step.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        new, new_matrices, _ = jacobians(forward, moved)
        found = _apart(new, z)
        better = found < best
        x, y, best = (
            torch.where(better, moved, x),
            torch.where(better, new, y),
            torch.where(better, found, best),
        )
        matrices = torch.where(better[:, None, None], new_matrices, matrices)
        damping = torch.where(better, (2 * damping).clamp(max=1.0), damping / 4)
        if bool((best <= REACHED).all()):
            break
    return best, torch.linalg.svdvals(matrices)[:, -1] < FALLEN * smallest


def _apart(y: Tensor, z: Tensor) -> Tensor:
    """The largest |y - z| / (1 + |z|) of each column."""
    return ((y - z).abs() / (1 + z.abs())).amax(0).nan_to_num(nan=math.inf)
