"""Checks: one property a file. They are the laws that the tests hold, and what `jensen audit` runs.

A check's file has `needs(module, space) -> str`, the reason why the check does not apply (empty when it does), and
`check(module, rows, space, seed) -> Verdict`. Rows are encoded: what the model itself sees.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jensen.errors import UsageError, nearest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jensen.checks.verdict import Verdict
    from jensen.space import Space

CHECKS: dict[str, str] = {
    "no_leak": "jensen.checks.no_leak:check",
    "mass_sums": "jensen.checks.mass_sums:check",
    "sampler_matches_log_prob": "jensen.checks.sampler_matches_log_prob:check",
    "log_det": "jensen.checks.log_det:check",
    "round_trip": "jensen.checks.round_trip:check",
    "direction_agreement": "jensen.checks.direction_agreement:check",
    "triangular": "jensen.checks.triangular:check",
    "monotone": "jensen.checks.monotone:check",
    "onto": "jensen.checks.onto:check",
    "mode_coverage": "jensen.checks.mode_coverage:check",
    "generator_gradient": "jensen.checks.generator_gradient:check",
    "rows_independent": "jensen.checks.rows_independent:check",
    "declared_abilities": "jensen.checks.declared_abilities:check",
    "save_load_same": "jensen.checks.save_load_same:check",
}


def check_names() -> list[str]:
    """The names of all checks.

    >>> "no_leak" in check_names()
    True
    """
    return list(CHECKS)


def reason_to_skip(name: str, module: nn.Module, space: Space | None) -> str:
    """Why a check does not apply to a module; empty when it does. Raises UsageError for an unknown name."""
    needs: Callable[[nn.Module, Space | None], str] = _part(name, "needs")
    return needs(module, space)


def run(
    name: str, module: nn.Module, rows: Tensor | None = None, space: Space | None = None, seed: int = 0
) -> Verdict:
    """One check on one module in eval mode. Raises UsageError for an unknown name, and what the check raises.

    A check that does not apply gives a verdict of None whose evidence says so, with `applies` False in its details.
    """
    from jensen.checks.verdict import Verdict

    reason = reason_to_skip(name, module, space)
    if reason:
        return Verdict(name, None, f"does not apply: {reason}", {"applies": False})
    check: Callable[..., Verdict] = _part(name, CHECKS[name].partition(":")[2])
    return check(module, rows, space, seed)


def _part(name: str, part: str) -> Any:
    if name not in CHECKS:
        raise UsageError("unknown check", f"got {name!r}", nearest(name, CHECKS))
    return getattr(import_module(CHECKS[name].partition(":")[0]), part)
