"""Does everything a model declares work, and does everything else say that it cannot?"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from jensen.checks.subject import indices, some_rows
from jensen.checks.verdict import Verdict
from jensen.errors import Cannot, JensenError
from jensen.model import Can, abilities
from jensen.space import Space

NAME = "declared_abilities"
ROWS = 5
FEW = 2
"""Samples drawn: a row can cost a pass a site."""
SOLVE_ROWS = 256


class Fault(Exception):
    """A declared ability does not keep its promise."""


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    if not isinstance(getattr(module, "can", None), Can):
        return "the module declares no abilities"
    return "" if space is not None else "the space of the rows is not known"


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """Call every method of the interface: the declared ones give what their docstrings say, the others raise Cannot.

    Looked at: shapes, types, finite values, samples inside the space, the same samples from the same generator,
    a lower bound for k = 1 and 4. An exception inside a declared ability is a failure, named in the evidence.
    """
    assert space is not None
    model: Any = copy.deepcopy(module)  # solve changes its model
    x = some_rows(model, rows, indices(space), SOLVE_ROWS, seed)
    declared = list(abilities(model.can))
    # a method that is not there cannot be called
    missing = [name for name in abilities(~model.can) if hasattr(model, name)]
    faults = [_failure(name, partial(_PROMISES[name], model, x, space, seed)) for name in declared]
    faults += [_refusal(name, model, x, seed) for name in missing]
    found = [fault for fault in faults if fault]
    if found:
        return Verdict(NAME, False, "; ".join(found), {"declared": declared, "faults": len(found)})
    text = f"{', '.join(declared) or 'nothing'} work as declared"
    if missing:
        text += f"; {', '.join(missing)} raise Cannot"
    return Verdict(NAME, True, text, {"declared": declared, "faults": 0})


def _failure(name: str, promise: Callable[[], None]) -> str:
    try:
        with torch.random.fork_rng(devices=[]):
            promise()
    except Fault as fault:
        return f"{name} {fault}"
    except Exception as error:
        return f"{name} is declared and raises {type(error).__name__}: {error}"
    return ""


def _refusal(name: str, model: Any, x: Tensor, seed: int) -> str:
    """What is wrong with the refusal of an ability that is not declared."""
    arguments = (ROWS,) if name.startswith("sample") else (x[:ROWS],)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            value = getattr(model, name)(*arguments)
    except Cannot as refused:
        return "" if refused.wrong and refused.given else f"{name} raises Cannot without a reason"
    except Exception as error:
        return f"{name} is not declared and raises {type(error).__name__} in place of Cannot: {error}"
    return f"{name} is not declared and returns {type(value).__name__} in place of raising Cannot"


# --- the promises ----------------------------------------------------------------------------------------------------


def _sample(model: Any, x: Tensor, space: Space, seed: int) -> None:
    with torch.no_grad():
        _in_space(model.sample(1, generator=torch.Generator().manual_seed(seed)), 1, space)
        again = [model.sample(FEW, generator=torch.Generator().manual_seed(seed)) for _ in range(2)]
    _in_space(again[0], FEW, space)
    _require(
        torch.equal(*(x.nan_to_num(nan=-1e9) for x in again)), "gives other rows from an equal generator"
    )


def _log_prob(model: Any, x: Tensor, space: Space, seed: int) -> None:
    with torch.no_grad():
        values = model.log_prob(x[:ROWS])
    _one_a_row(values, len(x[:ROWS]))
    if space.measure == "mass":
        # d sites, each rounded by 2^-24 of a few nats
        _require(
            bool((values <= 1e-5 * space.dims).all()),
            f"gives a mass above one: {float(values.max()):.3g} nats",
        )


def _log_prob_lower(model: Any, x: Tensor, space: Space, seed: int) -> None:
    with torch.no_grad():
        for k in (1, 4):
            _one_a_row(model.log_prob_lower(x[:ROWS], k=k), len(x[:ROWS]))


def _log_weights(model: Any, x: Tensor, space: Space, seed: int) -> None:
    with torch.no_grad():
        values = model.log_weights(x[:ROWS], k=3)
    n = len(x[:ROWS])
    _require(tuple(values.shape) == (n, 3), f"gives shape {tuple(values.shape)} for 3 draws of {n} rows")
    _require(bool(values.isfinite().all()), "gives weights that are not finite on legal rows")


def _sample_with_log_prob(model: Any, x: Tensor, space: Space, seed: int) -> None:
    y, values = model.sample_with_log_prob(ROWS, generator=torch.Generator().manual_seed(seed))
    _in_space(y, ROWS, space)
    _one_a_row(values, ROWS)
    if any(parameter.requires_grad for parameter in model.parameters()):
        _require(y.requires_grad and values.requires_grad, "carries no gradient to the weights")
    if Can.LOG_PROB in model.can:
        gap = float((model.log_prob(y) - values).detach().abs().max())
        # float32 through a map and back: 2^-24 of a few nats a site, with room for maps that stretch
        allowed = 1e-3 * space.dims * (1 + float(values.detach().abs().max()))
        _require(gap <= allowed, f"states another density than log_prob, by {gap:.2g} nats")


def _embed(model: Any, x: Tensor, space: Space, seed: int) -> None:
    with torch.no_grad():
        features = model.embed(x[:ROWS])
    _require(
        features.ndim == 2 and len(features) == len(x[:ROWS]),
        f"gives shape {tuple(features.shape)} for {len(x[:ROWS])} rows, expected (n, features)",
    )
    _require(
        features.is_floating_point() and bool(features.isfinite().all()), "gives features that are not finite"
    )


def _solve(model: Any, x: Tensor, space: Space, seed: int) -> None:
    if (
        len(x) < SOLVE_ROWS
    ):  # few rows given: shaken copies would be no rows of theirs, so the space's own are taken
        x = some_rows(model, None, indices(space), SOLVE_ROWS, seed)
    model.solve(x, seed=seed)
    if Can.LOG_PROB in model.can:
        _log_prob(model, x, space, seed)


_PROMISES: dict[str, Callable[[Any, Tensor, Space, int], None]] = {
    "sample": _sample,
    "log_prob": _log_prob,
    "log_prob_lower": _log_prob_lower,
    "log_weights": _log_weights,
    "sample_with_log_prob": _sample_with_log_prob,
    "embed": _embed,
    "solve": _solve,
}


def _require(kept: bool, otherwise: str) -> None:
    if not kept:
        raise Fault(otherwise)


def _one_a_row(values: Any, n: int) -> None:
    _require(isinstance(values, Tensor), f"gives {type(values).__name__}, expected a tensor")
    _require(tuple(values.shape) == (n,), f"gives shape {tuple(values.shape)} for {n} rows, expected ({n},)")
    _require(values.is_floating_point(), f"gives {values.dtype}, expected floats")
    _require(bool(values.isfinite().all()), "gives values that are not finite on legal rows")


def _in_space(x: Any, n: int, space: Space) -> None:
    _require(isinstance(x, Tensor), f"gives {type(x).__name__}, expected a tensor")
    _require(len(x) == n, f"gives {len(x)} rows, {n} were asked for")
    if space.measure == "mass":
        _require(not x.is_floating_point(), f"gives {x.dtype}, expected integer indices")
    else:
        _require(x.is_floating_point(), f"gives {x.dtype}, expected floats")
    try:
        indices(space).check(x.detach().cpu().numpy())
    except JensenError as outside:
        raise Fault(f"gives rows outside the space: {outside}") from outside
