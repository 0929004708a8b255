"""Is the log-determinant that a flow states that of its Jacobian, in both directions?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from jensen.checks.fixed import both_ways
from jensen.checks.subject import device_of, float_type, precise, some_rows
from jensen.checks.verdict import Verdict
from jensen.space import Space

NAME = "log_det"
ROWS = 16
LARGE = 256
"""Features beyond which the Jacobian, a backward pass a feature, is not formed."""
ALLOWED = 1e-8
"""Nats, in float64: a determinant of d factors loses d roundings of 1e-16, magnified by the map's own stretch."""


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    module, space, _ = both_ways(module, space)
    if not callable(getattr(module, "encode", None)) or not callable(getattr(module, "decode", None)):
        return "the module has no encode and decode"
    if space is None:
        return "the space of the rows is not known"
    return (
        ""
        if space.dims <= LARGE
        else f"{space.dims} features are too many for their Jacobian (at most {LARGE})"
    )


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """Form the Jacobian of `encode`, and of `decode` where it carries gradients, by autograd in float64, a pass a feature.

    Its log|det| must be the stated one on every row, and its sign one and the same: a map that folds is no bijection.
    Beside it: what the model's own float type costs, in nats.
    """
    model, inner, said = both_ways(module, space)
    assert inner is not None
    x = some_rows(model, rows if model is module else None, inner, ROWS, seed)
    subject = precise(model, lambda m: m.log_prob(x.double()))
    x = x.to(float_type(subject))
    with torch.no_grad():
        z, stated = subject.encode(x)
    error, signs = _against_jacobian(
        lambda v: subject.encode(v.T.reshape(x.shape))[0], x.flatten(1).T, stated
    )
    text = f"{said}encode states log|det| of its Jacobian within {error:.1g} nats on {len(x)} rows"
    back = _decodes(subject, z)
    if back is not None:
        error = max(error, back)
        text += f", decode within {back:.1g}"
    twin = _own_type(model, x, stated)
    text += f"; in {twin[1]} it is off by up to {twin[0]:.1g} nats" if twin else ""
    if not signs:
        text += "; the sign of the determinant changes between rows: the map folds"
    exact = float_type(subject) == torch.float64
    holds = error <= (ALLOWED if exact else 1e-3) and signs
    return Verdict(
        NAME, bool(holds), text, {"largest_error": error, "own_type_error": twin[0] if twin else None}
    )


def _against_jacobian(function: Callable[[Tensor], Tensor], x: Tensor, stated: Tensor) -> tuple[float, bool]:
    """The largest |stated - log|det J|| over columns x (d, n), and whether all determinants have one sign."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        y = function(x)
        rows = [torch.autograd.grad(y[i].sum(), x, retain_graph=True)[0] for i in range(len(y))]
    sign, log_det = torch.linalg.slogdet(torch.stack(rows).permute(2, 0, 1).double())
    gap = float((log_det - stated.double()).abs().nan_to_num(nan=float("inf")).max())
    return gap, bool((sign == sign[0]).all())


def _decodes(subject: Any, z: Tensor) -> float | None:
    """The largest error of decode's statement, or None where decode carries no gradient."""
    with torch.enable_grad():
        first = z[:, :1].clone().requires_grad_()
        probe, _ = subject.decode(first)
        # the weights of another map may carry one where the base point does not
        found = torch.autograd.grad(probe.sum(), first, allow_unused=True)[0] if probe.requires_grad else None
    if found is None:
        return None
    with torch.no_grad():
        _, stated = subject.decode(z)
    return _against_jacobian(lambda v: subject.decode(v)[0].flatten(1).T, z, stated)[0]


def _own_type(module: Any, x: Tensor, stated: Tensor) -> tuple[float, str] | None:
    """What the type of the module's weights costs, in nats, and its name; None for float64."""
    dtype = float_type(module)
    if dtype == torch.float64:
        return None
    with torch.no_grad():
        _, own = module.encode(x.to(device_of(module), dtype))
    return float((own.double() - stated.double()).abs().max()), str(dtype).removeprefix("torch.")
