"""Annealed importance sampling (Neal 2001), in the space of the noise that a proposal is made of.

Noise e (n, k, d) is standard normal, k chains a row, and `log_weight` gives log w(e) (n, k), where w has mean Z under that
law: log p(x, z) - log q(z) at the z that e becomes. The path from the proposal to p is then f_t(e) = N(e; 0, 1) w(e)^t,
t from 0 to 1: q^(1-t) p^t, whatever q is, and one step size suits all dimensions as far as q does.

At every level one Hamiltonian move leaves f_t as it is: fresh momentum, 5 leapfrog steps, accepted or not chain by chain
(Neal 2011, section 5.3). Step sizes come from a pilot and stay as they are: adapted inside the run they would break the
proof that weights are unbiased.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.normal import normals

LogWeight = Callable[[Tensor], Tensor]

LEAPS = 5
"""Leapfrog steps a move."""
LONGEST = 0.35
"""Of a step: 5 of them then turn a standard normal law by a quarter, and longer ones would come back."""
WANTED, RATE = 0.75, 0.2
"""The pilot lets log steps grow by RATE times the acceptance probability above WANTED."""
STEEP = 4.0
"""Levels lie as a logistic function between -STEEP and STEEP does: dense at both ends."""


class State(NamedTuple):
    """Where chains are: noise (n, k, d), log weights (n, k) in float64, their gradient (n, k, d)."""

    noise: Tensor
    log_w: Tensor
    slope: Tensor


def temperatures(levels: int) -> list[float]:
    """t_0 = 0 to t_levels = 1 (Wu, Burda, Salakhutdinov & Grosse 2017). Raises UsageError for fewer than 1 level.

    >>> temperatures(2)
    [0.0, 0.5, 1.0]
    """
    if isinstance(levels, bool) or not isinstance(levels, int) or levels < 1:
        raise UsageError("annealing takes 1 or more levels", f"got levels={levels!r}", "300 is usual")
    raw = [1 / (1 + math.exp(-STEEP * (2 * j / levels - 1))) for j in range(levels + 1)]
    return [(one - raw[0]) / (raw[-1] - raw[0]) for one in raw]


def pilot(
    log_weight: LogWeight, noise: Tensor, levels: int, generator: torch.Generator | None = None
) -> Tensor:
    """Step sizes (levels, n) for rows whose chains start at `noise`, adapted from level to level on the way.

    The generator is one that the runs with these steps do not see: the steps are then fixed before their noise is.
    """
    state, log_step = _at(log_weight, noise), noise.new_full((len(noise),), math.log(LONGEST))
    steps = []
    for t in temperatures(levels)[1:]:
        steps.append(log_step.exp())
        state, accepted = _move(log_weight, state, t, steps[-1], generator)
        log_step = (log_step + RATE * (accepted.mean(1) - WANTED)).clamp(max=math.log(LONGEST))
    return torch.stack(steps)


def forward(
    log_weight: LogWeight, noise: Tensor, steps: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Log weights (n, k), float64, of chains that start at standard normal `noise`: exp of each has mean Z.

    So their logarithm is a lower bound on log Z in expectation, as with plain weights, which it is with one level.
    """
    return _run(log_weight, noise, steps, range(len(steps)), generator)


def reverse(
    log_weight: LogWeight, exact: Tensor, steps: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Log weights (n, k), float64, of chains that start at draws of f_1 itself: exp(-weight) has mean 1 / Z.

    So each is an upper bound on log Z in expectation (bidirectional Monte Carlo: Grosse, Ghahramani & Adams 2015).
    """
    return _run(log_weight, exact, steps, range(len(steps) - 1, -1, -1), generator)


def _run(
    log_weight: LogWeight, noise: Tensor, steps: Tensor, order: range, generator: torch.Generator | None
) -> Tensor:
    """Both directions visit the same extended space: the point that weighs f_(j+1) / f_j, and a move at t_j between two."""
    t = temperatures(len(steps))
    state = _at(log_weight, noise)
    total = torch.zeros_like(state.log_w)
    for place, j in enumerate(order):
        if place:
            between = max(j, order[place - 1])
            state, _ = _move(log_weight, state, t[between], steps[between - 1], generator)
        total += (t[j + 1] - t[j]) * state.log_w
    return total


def _at(log_weight: LogWeight, noise: Tensor) -> State:
    with torch.enable_grad():
        noise = noise.detach().requires_grad_()
        log_w = log_weight(noise)
        (slope,) = torch.autograd.grad(log_w.sum(), noise)
    return State(noise.detach(), log_w.detach().double(), slope)


def _move(
    log_weight: LogWeight, state: State, t: float, step: Tensor, generator: torch.Generator | None
) -> tuple[State, Tensor]:
    """One Hamiltonian move at temperature t, steps (n,): the new state, and the probability of acceptance (n, k)."""
    step = step[:, None, None].to(state.noise.dtype)
    momentum = normals(*state.noise.shape, like=state.noise, generator=generator)
    before = _energy(state, momentum, t)
    moved = state
    momentum = momentum + 0.5 * step * (t * state.slope - state.noise)
    for leap in range(LEAPS):
        moved = _at(log_weight, moved.noise + step * momentum)
        half = 0.5 if leap == LEAPS - 1 else 1.0
        momentum = momentum + half * step * (t * moved.slope - moved.noise)
    # where nothing is finite the comparison is false and the chain stays
    accept = (before - _energy(moved, momentum, t)).exp().nan_to_num(0.0).clamp(max=1)
    source = accept.device if generator is None else generator.device
    u = torch.rand(accept.shape, generator=generator, dtype=accept.dtype, device=source).to(accept.device)
    taken = u < accept
    wide = taken.unsqueeze(-1)
    kept = State(
        torch.where(wide, moved.noise, state.noise),
        torch.where(taken, moved.log_w, state.log_w),
        torch.where(wide, moved.slope, state.slope),
    )
    return kept, accept


def _energy(state: State, momentum: Tensor, t: float) -> Tensor:
    squares = state.noise.double().square().sum(-1) + momentum.double().square().sum(-1)
    return 0.5 * squares - t * state.log_w
