"""Does the density of real rows integrate to one? The ways in which that is decided, and how sure each of them is."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from jensen.checks import base_mass, quadrature, weighed
from jensen.checks.maps import has
from jensen.checks.subject import can, precise, some_rows
from jensen.checks.twin import twin
from jensen.checks.verdict import Verdict, sentences
from jensen.errors import Cannot
from jensen.functional.module_state import device_of, float_type
from jensen.model import Can

NAME = "mass_sums"
MIDDLING, SMALL = 60_000, 20_000
"""Parameters up to which 640,000 and 2.6 million points take seconds."""
DENSITY = 1e-4
"""Allowance for tails: a Cauchy law has 6e-5 of its mass outside the quadrature's grid."""
CLOSE = 0.01
"""Half the width of the widest interval around one that says "one", where draws decide: 2 % are never overlooked."""
DRAWS = 65_536
LARGE = 256
"""Features beyond which no Jacobian is formed."""


def density_mass(module: Any, rows: Tensor | None, seed: int) -> Verdict:
    """The integral of a density over R^d, by the first way that decides.

    1. A flow: in base coordinates, on a grid in one or two dimensions, else by draws: rows of any number of features.
    2. One or two dimensions: the trapezoid rule. 3. More: that of a twin in two dimensions, which has its class in
    common with the model and not its weights. 4. Draws from a wide law around rows: decides where it is precise enough.
    """
    tried = []
    for way in (_in_base_coordinates, _on_a_grid, _by_twin, _by_draws):
        found = way(module, rows, seed)
        own = way is _in_base_coordinates and module.space.dims > 2
        # what a flow's own base points leave open is not for a twin to close
        if found is not None and (found.holds is not None or own):
            return found
        tried.append(found)
    said = [found.evidence for found in tried if found is not None]
    return Verdict(NAME, None, sentences(*said))


def _in_base_coordinates(module: Any, rows: Tensor | None, seed: int) -> Verdict | None:
    """A flow's own density, where its base points come back: None where it is no flow or they do not."""
    dims = module.space.dims
    if not (has(module, "encode") and has(module, "decode")) or dims > LARGE:
        return None
    if dims > 2 and not has(module, "base_log_prob"):
        return None
    near = _near(module, rows, seed)
    subject = precise(module, lambda m: m.log_prob(near[:2].double()))
    if float_type(subject) != torch.float64:
        return None
    centre, spread = base_mass.centre_and_spread(subject, near)
    if not bool(centre.isfinite().all() and spread.isfinite().all()):
        return None
    grid = dims <= 2
    found = (
        base_mass.on_a_grid(subject, centre, spread)
        if grid
        else base_mass.by_draws(subject, centre, spread, seed)
    )
    if not found.missed <= 1e-5 or (grid and not found.error <= DENSITY):
        return None
    allowed = found.error + (DENSITY if grid else 1e-6)  # draws: what rounding leaves of the ratio
    off = abs(found.total - 1)
    holds = False if off > allowed else True if grid or found.error <= CLOSE else None
    return Verdict(NAME, holds, found.text, {"total": found.total, "allowed": allowed})


def _on_a_grid(module: Any, rows: Tensor | None, seed: int) -> Verdict | None:
    return _integral(module, rows, seed, "") if module.space.dims <= 2 else None


def _by_twin(module: Any, rows: Tensor | None, seed: int) -> Verdict | None:
    if module.space.dims <= 2:
        return None
    try:
        small = twin(module, seed)
    except Cannot as refused:
        dims = module.space.dims
        return Verdict(NAME, None, f"{dims} dimensions are too many for quadrature, and {refused}")
    prefix = f"a twin on {small.space.describe()}: "
    found = _in_base_coordinates(small, None, seed)
    if found is None:
        return _integral(small, None, seed, prefix)
    return Verdict(NAME, found.holds, prefix + found.evidence, found.details)


def _by_draws(module: Any, rows: Tensor | None, seed: int) -> Verdict | None:
    """Draws from around the rows. A density that is too small there may lie elsewhere: samples of its own must agree."""
    shape = module.space.shape
    near = _near(module, rows, seed)
    exact = precise(module, lambda m: m.log_prob(near[:2].double()))

    def log_prob(x: Tensor) -> Tensor:
        return exact.log_prob(x.reshape(-1, *shape).to(device_of(exact), float_type(exact)))

    flat = near.flatten(1).double().cpu()
    law = weighed.Around(flat[: len(flat) // 2])
    found = weighed.integral(log_prob, law, DRAWS, seed)
    text = f"the density integrates to {found.text}"

    def back() -> weighed.Weighed:
        x = flat[len(flat) // 2 :]
        return weighed.weighed(law.log_prob(x) - log_prob(x).detach().double().cpu())

    return weighed.decided(NAME, text, found, CLOSE, back if Can.SAMPLE in can(module) else None)


def _integral(model: Any, rows: Tensor | None, seed: int, prefix: str) -> Verdict:
    shape = model.space.shape
    near = _near(model, rows, seed)
    exact = precise(model, lambda m: m.log_prob(near[:2].double()))
    dtype, device = float_type(exact), device_of(exact)

    def log_prob(x: Tensor) -> Tensor:
        return exact.log_prob(x.reshape(-1, *shape).to(device, dtype))

    centre, scale = quadrature.centre_and_scale(near.flatten(1).cpu())
    with torch.no_grad():
        highest = float(log_prob(near).max())
    size = sum(p.numel() for p in model.parameters())
    grids = [201, 401, *([801] if size < MIDDLING else []), *([1601] if size < SMALL else [])]
    if model.space.dims == 1:
        grids = [1001, 8001]
    before, settled, total, error = math.inf, False, math.nan, math.inf
    for points in grids:
        found = quadrature.total_mass(log_prob, centre, scale, points)
        # half the points of one grid can agree with all of them by chance, on ridges that both miss: the grid before
        # must agree too. A peak between the points of both would be missed: some sample then lies higher than the grid
        total, error, before = found.value, max(found.error, abs(found.value - before)), found.value
        settled = error <= DENSITY and highest <= found.peak + 1
        if settled and abs(total - 1) <= DENSITY + error:
            break  # what numbers do wrong goes away on a finer grid, and what the model does wrong stays
    text = f"{prefix}the density integrates to {total:.6f}, quadrature error {error:.1g}"
    if not settled:
        return Verdict(NAME, None, f"{text}: not settled, the density is too rough for the grid")
    holds = abs(total - 1) <= DENSITY + error
    return Verdict(NAME, bool(holds), text, {"total": total, "allowed": DENSITY + error})


def _near(model: Any, rows: Tensor | None, seed: int) -> Tensor:
    """Rows near which the density lies."""
    if Can.SAMPLE in can(model):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            x: Tensor = model.sample(1000, generator=generator)
        return x if bool(x.isfinite().all()) else some_rows(model, rows, model.space, 1000, seed)
    return some_rows(model, rows, model.space, 1000, seed)
