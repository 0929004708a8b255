"""Do the two directions of a flow undo each other?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from jensen.checks.fixed import both_ways
from jensen.checks.maps import has
from jensen.checks.subject import precise, some_rows
from jensen.checks.verdict import Verdict
from jensen.functional.module_state import float_type
from jensen.space import Space

NAME = "round_trip"
ROWS = 256
ALLOWED = 1e-5
"""Of the rows' spread, in float64: splines with slopes down to 1e-3 in five layers may magnify a rounding by 1e10 or so;
a wrong inverse is off by the size of the data."""


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    module, space, _ = both_ways(module, space)
    if not has(module, "encode") or not has(module, "decode"):
        return "the module has no encode and decode"
    return "" if space is not None else "the space of the rows is not known"


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """Rows to base and back, base points to rows and back, in float64: each returns, and the log-determinants cancel.

    Errors are in units of the spread of a feature. Beside them: the same in the model's own float type.
    """
    model, inner, said = both_ways(module, space)
    assert inner is not None
    x = some_rows(model, rows if model is module else None, inner, ROWS, seed)
    subject = precise(model, lambda m: m.log_prob(x.double()))
    there, back, gap = _both_ways(subject, x.to(float_type(subject)), seed)
    text = (
        f"{said}rows return within {there:.1g} of their spread, base points within {back:.1g}, and the log-determinants "
        f"cancel within {gap:.1g} nats, on {len(x)} rows"
    )
    own = float_type(module)
    if own != torch.float64:
        text += (
            f"; in {str(own).removeprefix('torch.')} rows return within {_both_ways(model, x, seed)[0]:.1g}"
        )
    exact = float_type(subject) == torch.float64
    worst = max(there, back, gap)
    return Verdict(NAME, bool(worst <= (ALLOWED if exact else 1e-2)), text, {"largest_error": worst})


@torch.no_grad()
def _both_ways(subject: Any, x: Tensor, seed: int) -> tuple[float, float, float]:
    """(rows there and back, base points there and back, sum of the log-determinants), the largest errors."""
    z, log_det = subject.encode(x)
    again, log_back = subject.decode(z)
    spread = x.flatten(1).std(0).clamp(min=1e-12) if len(x) > 1 else x.new_ones(1)
    there = ((again - x).flatten(1) / spread).abs()
    base = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed)).to(z)
    back = (subject.encode(subject.decode(base)[0])[0] - base).abs()
    gaps = (log_det + log_back).abs()
    return tuple(float(one.nan_to_num(nan=float("inf")).max()) for one in (there, back, gaps))  # type: ignore[return-value]
