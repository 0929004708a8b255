"""Is the log-determinant that a flow states that of its Jacobian, in both directions?"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from jensen.checks.fixed import both_ways
from jensen.checks.maps import Columns, base_points, encoded, has, log_dets, near_and_far, whole
from jensen.checks.subject import precise
from jensen.checks.verdict import Verdict
from jensen.functional.module_state import device_of, float_type
from jensen.space import Space

NAME = "log_det"
LARGE = 256
"""Features beyond which the Jacobian, a backward pass a feature, is not formed."""
WORK = 2048
"""Rows times features that are looked at: 1024 rows of two numbers, 32 of 63 or more."""
ALLOWED = 1e-5
"""Nats, in float64: closed forms stay below 1e-12; a library's own float32 constants and roots cost up to 1e-6."""
FAR = 1e-4
"""Nats far from the rows, where what one map loses the next may magnify."""

BLIND = 1e-4
"""Nats that rounding may hide of a row that is judged."""


class Found(NamedTuple):
    """`error`: the largest |stated - log|det J||, nats; `allowed` there; `blind`: rows too nearly singular to tell."""

    error: float
    allowed: float
    blind: int
    one_sign: bool


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    module, space, _ = both_ways(module, space)
    if not has(module, "encode") and not has(module, "decode"):
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

    Its log|det| must be the stated one on every row, near and ten spreads out, and its sign one and the same: a map that
    folds is no bijection. A `decode` without gradients is held to the Jacobian of `encode` at the rows it finds. What
    rounding hides where the Jacobian is nearly singular is allowed for. Beside it: what the model's own float type
    costs, in nats.
    """
    outer = module
    module, space, said = both_ways(module, space)
    rows = rows if module is outer else None
    assert space is not None
    n = max(32, WORK // space.dims)
    model: Any = module
    if not has(module, "encode"):
        z = base_points(module, space, n, seed)
        subject: Any = precise(model, lambda m: m.decode(z.double())[1])
        found = [("decode", _found(*log_dets(_back(subject), z.to(float_type(subject)))))]
        return _verdict(found, n, subject, said, ("", None))
    x = near_and_far(module, rows, space, n, seed)
    subject = precise(model, lambda m: m.encode(x.double())[1])
    columns = x.to(float_type(subject)).flatten(1).T
    forward = whole(subject, space.shape)
    found = [("encode", _found(*encoded(subject, columns)))]
    if has(subject, "decode"):
        with torch.no_grad():
            z = forward(columns)[0]
        found.append(("decode", _decoded(subject, forward, z)))
    return _verdict(found, n, subject, said, _own_type(module, x, forward(columns)[1].detach()))


def _back(subject: Any) -> Columns:
    def decode(z: Tensor) -> tuple[Tensor, Tensor]:
        x, log_det = subject.decode(z)
        return x.flatten(1).T, log_det

    return decode


def _decoded(subject: Any, forward: Columns, z: Tensor) -> Found:
    """What decode states, against its own Jacobian or, without gradients, encode's at the rows that it finds.

    How far a base point comes back from where it was is what the two ways lost to rounding, or to a root's tolerance.
    """
    with torch.no_grad():
        x, back = _back(subject)(z)
        gap = ((forward(x)[0] - z).abs() / (1 + z.abs())).amax(0).nan_to_num(nan=float("inf"))
    if _carries(subject, z):
        log_det, sign, stated, lost = log_dets(_back(subject), z)
    else:
        log_det, sign, _, lost = encoded(subject, x)
        stated = -back.double()
    return _found(log_det, sign, stated, lost + 10 * gap)


def _found(log_det: Tensor, sign: Tensor, stated: Tensor, lost: Tensor) -> Found:
    near = torch.arange(len(lost), device=lost.device) < len(lost) // 2
    allowed, seen = torch.where(near, ALLOWED, FAR) + lost, lost < BLIND
    gap = (log_det - stated).abs().nan_to_num(nan=float("inf"))
    if not bool(seen.any()):
        return Found(float(gap.max()), float("inf"), len(gap), True)
    worst = int((gap - allowed).masked_fill(~seen, -1.0).argmax())
    return Found(
        float(gap[worst]),
        float(allowed[worst]),
        int((~seen).sum()),
        bool((sign[seen] == sign[seen][0]).all()),
    )


def _verdict(
    found: list[tuple[str, Found]], n: int, subject: Any, where: str, own: tuple[str, float | None]
) -> Verdict:
    said = [
        f"{way} states log|det| of its Jacobian within {one.error:.1g} nats"
        + (f" ({one.blind} rows too nearly singular to tell)" if one.blind else "")
        for way, one in found
    ]
    text = f"{where}{', '.join(said)}, on {n} rows near and far{own[0]}"
    folds = any(not one.one_sign for _, one in found)
    if folds:
        text += "; the sign of the determinant changes between rows: the map folds"
    exact = float_type(subject) == torch.float64
    wrong = any(one.error > (one.allowed if exact else 1e-3) for _, one in found)
    blind = any(one.blind == n for _, one in found)
    error = max(one.error for _, one in found)
    holds = False if wrong or folds else None if blind else True
    return Verdict(NAME, holds, text, {"largest_error": error, "own_type_error": own[1]})


def _carries(subject: Any, z: Tensor) -> bool:
    """Whether decode carries gradients to its base points: the weights of another map may carry one where they do not."""
    with torch.enable_grad():
        first = z[:, :1].clone().requires_grad_()
        probe, _ = subject.decode(first)
        if not probe.requires_grad:
            return False
        return torch.autograd.grad(probe.sum(), first, allow_unused=True)[0] is not None


def _own_type(module: Any, x: Tensor, stated: Tensor) -> tuple[str, float | None]:
    """What the type of the module's weights costs, in words and in nats; nothing for float64."""
    dtype = float_type(module)
    if dtype == torch.float64:
        return "", None
    with torch.no_grad():
        _, own = module.encode(x.to(device_of(module), dtype))
    # the half that lies near: what is lost ten spreads out is nobody's row
    half = len(x) // 2
    cost = float((own.double() - stated.double()).abs()[:half].max())
    return (
        f"; in {str(dtype).removeprefix('torch.')} it is off by up to {cost:.1g} nats on the near ones",
        cost,
    )
