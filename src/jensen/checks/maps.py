"""The maps of a flow as the checks look at them: columns in and out, their Jacobians, and rows near and far."""

from __future__ import annotations

import math
from collections.abc import Callable
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jensen.checks.fixed import context_columns
from jensen.checks.subject import can, some_rows
from jensen.functional.module_state import device_of, float_type
from jensen.model import Can, Model
from jensen.space import Space

Columns = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Columns (d, n) to columns (d, n) and a stated log|det|, (n,)."""


class Part(NamedTuple):
    """One map towards the base. `order`: feature order[i] depends on order[: i + 1] alone; None: it declares none.

    `foreign`: of another library, which declares nothing, so that the Jacobian itself must show what it is.
    """

    name: str
    encode: Columns
    order: Tensor | None
    foreign: bool = False


def has(module: Any, way: str) -> bool:
    """Whether a module maps rows to base points by `encode`, or back by `decode`.

    The encoder of a model with latents gives a law of z, not a point.
    """
    latent = isinstance(module, Model) and Can.LOG_WEIGHTS in module.can
    return not latent and callable(getattr(module, way, None))


def parts(module: Any, n: int) -> list[Part]:
    """The maps of a flow from rows to base, in order, for n columns; none where it does not list them."""
    given = context_columns(module, n)
    return [_part(one, given) for one in getattr(module, "maps", ())]


def _part(one: Any, given: Tensor | None) -> Part:
    name = str(getattr(one, "said", type(one).__name__))
    order = getattr(one, "triangular_in", None)
    return Part(name, lambda x: one.encode(x, given), order, foreign=hasattr(one, "said"))


def whole(module: Any, shape: tuple[int, ...]) -> Columns:
    """`encode` of a flow on columns (d, n)."""
    return lambda x: module.encode(x.T.reshape(-1, *shape))


def jacobians(function: Columns, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Columns y (d, n), the Jacobians dy/dx (n, d, d) by a backward pass a feature, and the stated log|det| (n,)."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        y, stated = function(x)
        rows = [_gradient(y[i].sum(), x) for i in range(len(y))]
    return y.detach(), torch.stack(rows).permute(2, 0, 1), stated.detach()


def log_dets(function: Columns, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """log|det J| (n,) in float64, its sign (n,), the stated one (n,), and what rounding hides of it (n,).

    Elimination does not mind the scales of rows and columns, so they are taken out before the condition number is read:
    a log|det| loses about d eps times that.
    """
    _, matrices, stated = jacobians(function, x)
    double = matrices.double().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    sign, log_det = torch.linalg.slogdet(double)
    tiny = torch.finfo(torch.float64).tiny
    even = double / double.abs().amax(2, keepdim=True).clamp(min=tiny)
    even = even / even.abs().amax(1, keepdim=True).clamp(min=tiny)
    inverse = torch.linalg.inv_ex(even).inverse.nan_to_num(nan=math.inf)
    condition = even.abs().sum(1).amax(1) * inverse.abs().sum(1).amax(1)
    return log_det, sign, stated.double(), torch.finfo(matrices.dtype).eps * len(x) * condition


def encoded(module: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`log_dets` of encode at columns x (d, n): map by map where the flow lists them, which loses less to rounding.

    The maps are used only if they do what encode does; the stated log|det| is always that of encode.
    """
    forward = whole(module, module.space.shape)
    with torch.no_grad():
        z, stated = forward(x)
    nothing = torch.zeros_like(stated).double()
    at, total, signs, lost = x, nothing, nothing + 1, nothing
    for part in parts(module, x.shape[1]):
        log_det, sign, _, noise = log_dets(part.encode, at)
        total, signs, lost = total + log_det, signs * sign, lost + noise
        with torch.no_grad():
            at = part.encode(at)[0]
    if at is x or not torch.equal(at, z):
        return log_dets(forward, x)
    return total, signs, stated.double(), lost


def pattern_order(links: Tensor) -> list[int] | None:
    """An order of features in which links (d, d), out from in, lead from earlier ones only; None where they go round.

    >>> pattern_order(torch.tensor([[False, True], [False, False]]))
    [1, 0]
    """
    before = {out: row.nonzero().flatten().tolist() for out, row in enumerate(links.cpu())}
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError:
        return None


def base_points(module: Any, space: Space, n: int, seed: int, spread: float = 1.0) -> Tensor:
    """n base points (d, n), standard normal, times `spread`."""
    drawn = torch.randn(space.dims, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (spread * drawn).to(device_of(module), float_type(module))


def near_and_far(module: Any, rows: Tensor | None, space: Space, n: int, seed: int) -> Tensor:
    """n rows: half of them given, or samples, a quarter three of their spreads around their centre, a quarter ten.

    A map may be right where the rows are and wrong beyond: at the edge of a spline's box, in a tail of its own.
    """
    near = _near(module, rows, space, n, seed)
    generator = torch.Generator().manual_seed(seed)
    centre, spread = near.mean(0), near.std(0).nan_to_num(nan=1.0).clamp(min=1e-6)
    draws = torch.randn(n - n // 2, *space.shape, generator=generator, dtype=torch.float64).to(near)
    reach = torch.tensor([3.0, 10.0], dtype=near.dtype, device=near.device).repeat(len(draws))[: len(draws)]
    far = centre + spread * draws * reach.reshape(-1, *[1] * len(space.shape))
    return torch.cat([near[: n // 2], far])


def _near(module: Any, rows: Tensor | None, space: Space, n: int, seed: int) -> Tensor:
    if rows is None and Can.SAMPLE in can(module):
        with torch.no_grad():
            x: Tensor = module.sample(n, generator=torch.Generator().manual_seed(seed))
        if bool(x.isfinite().all()):
            return x
    x = some_rows(module, rows, space, n, seed)
    return x.to(device_of(module), float_type(module))


def _gradient(value: Tensor, x: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(x)
    found = torch.autograd.grad(value, x, retain_graph=True, allow_unused=True)[0]
    return torch.zeros_like(x) if found is None else found
