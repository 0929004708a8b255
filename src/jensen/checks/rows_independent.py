"""Does the value of a row depend on the other rows of its batch?"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from jensen.checks.subject import Bare, View, can, precise, some_rows
from jensen.checks.verdict import Verdict
from jensen.functional.module_state import device_of, float_type
from jensen.functional.receptive import dependence
from jensen.model import Can
from jensen.space import Space

NAME = "rows_independent"
ROWS = 8
SMALL = 1024
"""Sites up to which the taint of a row is followed: it takes about a pass a site."""


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    if isinstance(module, Bare):
        return ""
    if space is None:
        return "the space of the rows is not known"
    return "" if _functions(module) or Can.LOG_PROB_LOWER in can(module) else "no function of rows to look at"


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """Score the same rows in another order, one by one, and beside other rows: the values must agree within rounding.

    In eval mode this must hold; what happens in training mode (BatchNorm) is reported beside it. Taint proves it
    where it knows all the operations. A noisy lower bound is compared beside other rows only, with the same noise.
    """
    x, other = _batches(module, rows, space, seed)
    gaps = {name: _gap(module, name, x, other, seed) for name in _functions(module)}
    if Can.LOG_PROB_LOWER in can(module):
        gaps["log_prob_lower"] = _gap(module, "log_prob_lower", x, other, seed, companions_only=True)
    bad = [f"{name} differs by {gap:.2g}" for name, (gap, allowed) in gaps.items() if not gap <= allowed]
    mixes = _rows_mix(module, x)
    worst = max(gap for gap, _ in gaps.values())
    names = ", ".join(gaps)
    if bad:
        text = f"a row's value depends on its batch: {'; '.join(bad)} of itself"
    else:
        text = f"{names} of {len(x)} rows: the same in another order, alone and beside other rows within {worst:.1g}"
        text += {False: "; proven by taint", True: "; taint cannot exclude a link", None: ""}[mixes]
    return Verdict(NAME, not bad, f"{text}; {_in_training(module, x, other, seed)}", {"largest_gap": worst})


def _functions(module: nn.Module) -> list[str]:
    """The functions of rows without noise."""
    if isinstance(module, Bare):
        return ["forward"]
    able = can(module)
    found = [name for name, one in (("log_prob", Can.LOG_PROB), ("embed", Can.EMBED)) if one in able]
    return [*found, "conditionals"] if hasattr(module, "conditionals") else found


def _batches(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> tuple[Tensor, Tensor]:
    if isinstance(module, Bare):
        shape = (2 * ROWS, *module.input_shape)
        generator = torch.Generator().manual_seed(seed)
        if module.dtype.is_floating_point:
            drawn = torch.randn(shape, generator=generator)
        else:
            drawn = torch.randint(module.levels, shape, generator=generator)
        drawn = drawn.to(device_of(module), module.dtype)
        return drawn[:ROWS], drawn[ROWS:]
    assert space is not None
    other = some_rows(module, None, space, ROWS, seed + 1)
    x = some_rows(module, rows, space, ROWS, seed)
    return x, other[:1].expand_as(x) if len(x) > len(other) else other[: len(x)]


def _gap(
    module: nn.Module, name: str, x: Tensor, other: Tensor, seed: int, companions_only: bool = False
) -> tuple[float, float]:
    """The largest difference, relative to 1 + |value|, and what rounding allows.

    Products of matrices add up their terms in an order that depends on the batch's size: 1e3 terms in each of ten
    layers are wrong by 10 * sqrt(1e3) * 2^-24 = 2e-5 in float32 and by 4e-14 in float64. Allowed: 1e-4 and 1e-9,
    the latter with room for layers that amplify.
    """
    subject = precise(module, lambda m: getattr(m, name)(_as(m, x)))
    x, other = _as(subject, x), _as(subject, other)
    function = getattr(subject, name)
    base = _quietly(function, x, seed)
    gaps = (
        [_difference(base[:1], _quietly(function, torch.cat([x[:1], other[1:]]), seed)[:1])]
        if len(x) > 1
        else []
    )
    if not companions_only:
        gaps.append(_alone(function, x, base, seed))
        gaps.append(_difference(base, _quietly(function, x.flip(0), seed).flip(0)))
        gaps.append(_difference(base, _quietly(function, torch.cat([x, other]), seed)[: len(x)]))
    return max(gaps, default=0.0), 1e-9 if base.dtype == torch.float64 else 1e-4


def _alone(function: Callable[[Tensor], Tensor], x: Tensor, base: Tensor, seed: int) -> float:
    """The largest difference to rows on their own; 0 where a single row is refused, for the other batches to decide."""
    try:
        return _difference(base, torch.cat([_quietly(function, row, seed) for row in x.split(1)]))
    except (RuntimeError, ValueError):
        return 0.0


def _as(module: nn.Module, x: Tensor) -> Tensor:
    return x.to(float_type(module)) if x.is_floating_point() else x


def _quietly(function: Callable[[Tensor], Tensor], x: Tensor, seed: int) -> Tensor:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return function(x)


def _difference(a: Tensor, b: Tensor) -> float:
    """Largest |a - b| / (1 + |a|); equal infinities and two nans do not differ, other ones differ by infinity."""
    same = (a == b) | (a.isnan() & b.isnan())
    gap = ((a - b).abs() / (1 + a.abs())).double().nan_to_num(nan=float("inf"))
    return float(torch.where(same, 0.0, gap).max())


def _in_training(module: nn.Module, x: Tensor, other: Tensor, seed: int) -> str:
    """The same noise, other companions, in training mode: BatchNorm shows here."""
    subject: Any = copy.deepcopy(module).train()
    bad = []
    for name in _functions(module):
        try:
            base = _quietly(getattr(subject, name), x, seed)
            beside = _quietly(getattr(subject, name), torch.cat([x[:1], other[1:]]), seed)
        except (RuntimeError, ValueError):
            return "training mode refuses such a batch"
        if not _difference(base[:1], beside[:1]) <= 1e-4:
            bad.append(name)
    return (
        f"in training mode {', '.join(bad)} does depend on the batch" if bad else "the same in training mode"
    )


def _rows_mix(module: Any, x: Tensor) -> bool | None:
    if x[0].numel() > SMALL:
        return None
    name = next(iter(_functions(module)), None)
    if name is None:
        return None
    return dependence(View(module, getattr(module, name)), x.shape[1:], dtype=x.dtype, example=x[0]).rows_mix
