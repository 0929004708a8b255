"""Does every feature of a triangular map, and every map of one feature, move one way only?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from jensen.checks.maps import Part, has, jacobians, near_and_far, parts, pattern_order, whole
from jensen.checks.subject import precise
from jensen.checks.verdict import Verdict
from jensen.functional.module_state import float_type
from jensen.space import Space

NAME = "monotone"
LARGE = 256
ROWS = 32
LINES, POINTS, FEATURES = 4, 401, 16
"""Rows that a line is drawn through, points on it, and features that it is drawn along."""
REACH = 10.0
"""Spreads to each side."""


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    if space is None or not has(module, "encode"):
        return "the module does not encode rows"
    if space.dims > 1 and not any(part.order is not None or part.foreign for part in parts(module, 1)):
        return "no map of it is known to move features one by one"
    return "" if space.dims <= LARGE else f"{space.dims} features are too many for their Jacobian"


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """The diagonal of each triangular map's Jacobian has one sign over rows near and far, and each feature, moved along
    a line ten spreads to either side with the others held, goes one way only, in float64: otherwise two rows are one
    base point. One feature: all of encode."""
    assert space is not None
    x = near_and_far(module, rows, space, ROWS, seed)
    model: Any = module
    subject = precise(model, lambda m: m.encode(x.double())[1])
    at, faults, count = x.to(float_type(subject)).flatten(1).T, [], 0
    listed = parts(subject, ROWS) or [Part("encode", whole(subject, space.shape), torch.arange(space.dims))]
    for number, part in enumerate(listed, 1):
        y, matrices, _ = jacobians(part.encode, at)
        if _triangular(part, matrices):
            count += 1
            fault = _fault(matrices.diagonal(dim1=1, dim2=2)) or _fault_on_lines(
                parts(subject, LINES * POINTS)[number - 1] if has(subject, "maps") else part, at
            )
            faults += [f"map {number}, {part.name}: {fault}"] if fault else []
        at = y
    if not count:
        return Verdict(NAME, None, "does not apply: no map is triangular", {"applies": False})
    details = {"maps": count, "faults": len(faults)}
    if faults:
        return Verdict(NAME, False, faults[0] + f" ({len(faults)} of {count} maps)", details)
    text = f"the features of {count} of {len(listed)} maps move one way only, at {ROWS} rows and along lines through {LINES}"
    return Verdict(NAME, True, text, details)


def _triangular(part: Part, matrices: Tensor) -> bool:
    if part.order is not None:
        return True
    d = matrices.shape[1]
    links = (matrices != 0).any(0) & ~torch.eye(d, dtype=torch.bool, device=matrices.device)
    moves = bool((matrices.diagonal(dim1=1, dim2=2) != 0).any(0).all())
    return d == 1 or (moves and pattern_order(links) is not None)


def _fault(slopes: Tensor) -> str:
    """What is wrong with the slopes (n, d) of features at rows, if anything."""
    rises, falls = (slopes > 0).any(0), (slopes < 0).any(0)
    if bool((rises & falls).any()):
        return f"feature {int((rises & falls).nonzero()[0])} rises at one row and falls at another"
    return ""


def _fault_on_lines(part: Part, x: Tensor) -> str:
    """Whether a feature turns back on a line along itself through some of the columns x (d, n)."""
    d = len(x)
    near = x[:, : x.shape[1] // 2]
    middle, spread = near.mean(1), near.std(1).clamp(min=1e-6)
    steps = torch.linspace(-REACH, REACH, POINTS, dtype=x.dtype, device=x.device)
    for feature in torch.linspace(0, d - 1, min(d, FEATURES)).round().long().unique().tolist():
        line = x[:, :LINES].repeat_interleave(POINTS, dim=1)
        line[feature] = (middle[feature] + spread[feature] * steps).repeat(LINES)
        with torch.no_grad():
            y = part.encode(line)[0][feature].reshape(LINES, POINTS).double()
        step = y.diff(dim=1)
        # a step that is lost in the rounding of its ends says nothing
        slack = 1e-12 * (1 + y.abs().amax(1, keepdim=True))
        if bool((((step > slack).any(1)) & ((step < -slack).any(1))).any()):
            return f"feature {feature} turns back along a line with the other features held"
    return ""
