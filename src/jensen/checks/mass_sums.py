"""Does the likelihood sum to one over all rows?"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from jensen.checks import tables
from jensen.checks.densities import density_mass
from jensen.checks.sites import site_densities
from jensen.checks.subject import can, enumerable, precise, some_rows
from jensen.checks.twin import table, twin
from jensen.checks.verdict import Verdict, both, sentences
from jensen.errors import Cannot
from jensen.functional.enumerate import all_rows
from jensen.functional.module_state import device_of, float_type
from jensen.model import Can
from jensen.space import Space

NAME = "mass_sums"
EXACT = 1e-10
"""In float64: 2^16 masses of d sites, each wrong by at most d * levels * 1e-16 of itself, stay below 1e-12."""
DRAWS = 64
ROWS = 4
NOISE = 5.0
"""Standard errors that a lower bound's total may exceed one by: a chance of 3e-7."""
WEIGHTS, POOLS = 64, 4
"""Importance weights a row of models that have them, and bounds of theirs: each averages many draws already."""


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    if not can(module) & (Can.LOG_PROB | Can.LOG_PROB_LOWER):
        return "the module has no likelihood"
    if space is not None and space.kind in ("real", "mixed") and Can.LOG_PROB not in can(module):
        return "a lower bound of a density is not integrated: its noise has no grid"
    return "" if space is not None else "the space of the rows is not known"


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """Sum exp(log_prob) over every row of a small discrete space: one, within rounding.

    A larger space: the same sum for a tiny twin of the model with strong weights, and on the model's own space, where
    it is autoregressive, the masses of every site given the earlier ones. Real rows: quadrature of every site given the
    earlier ones where the model is autoregressive, else what `densities.density_mass` tries. For a model with a lower
    bound only, the sum may not exceed one by more than its noise, and that of a model's importance weights is one within
    theirs. Mixed rows: site by site, summed or integrated, where the model is autoregressive, else by draws from
    around some of them (`tables.total`). None where no sum is feasible.
    """
    assert space is not None
    if space.kind == "mixed":
        return _mixed(module, rows, space, seed)
    if space.kind == "real":
        return _density(module, rows, space, seed)
    if enumerable(space):
        return _total(module, space, seed, "")
    return _by_twin(module, rows, space, seed)


def _by_twin(module: nn.Module, rows: Tensor | None, space: Space, seed: int) -> Verdict:
    own, own_text = _conditional_masses(module, some_rows(module, rows, space, 16, seed), space)
    try:
        small = twin(module, seed)
    except Cannot as refused:
        return Verdict(NAME, False if own is False else None, sentences(str(refused), own_text))
    total = _total(small, small.space, seed, f"a twin on {small.space.describe()}, strong weights: ")
    # a model without conditionals rests on its twin
    holds = total.holds if own is None else both(own, total.holds)
    return Verdict(NAME, holds, sentences(total.evidence, own_text), total.details)


def _total(model: Any, space: Space, seed: int, prefix: str) -> Verdict:
    if Can.LOG_PROB not in can(model):
        return _total_of_bound(model, space, seed, prefix)
    first = all_rows(space.levels_by_site(), space.shape)[:2].to(device_of(model))
    subject = precise(model, lambda m: m.log_prob(first))
    log_p = table(subject)
    total, error = float(log_p.exp().sum()), abs(float(log_p.exp().sum()) - 1)
    allowed = _float32_allowance(log_p, space)
    holds = bool(error <= max(allowed, EXACT))  # nan fails
    how = "in float64" if float_type(subject) == torch.float64 else "in float32"
    amount = f"1 within {max(error, 1e-16):.1g}" if error < 1e-3 else f"{total:.6g}"
    text = f"{prefix}the masses of {len(log_p)} rows sum to {amount} {how}"
    if holds and error > EXACT:
        text += f"; numbers stored in float32 allow {allowed:.0e}"
    return Verdict(NAME, holds, text, {"rows": len(log_p), "total": total, "allowed": max(allowed, EXACT)})


def _float32_allowance(log_p: Tensor, space: Space) -> float:
    """Stored or computed in float32, each of d log masses is rounded by about 2^-24 of itself and of its logits.

    The mean over rows, weighted by their masses, of d * 2^-24 * (4 + |log p|), four times over, and 1e-6 at least.
    """
    cost = float((log_p.exp() * log_p.clamp(min=-1e4).abs()).sum())
    spread = cost if math.isfinite(cost) else 0.0
    return min(1e-5, max(1e-6, 4 * space.dims * 2.0**-24 * (4 + spread)))


def _total_of_bound(model: Any, space: Space, seed: int, prefix: str) -> Verdict:
    """1. The bound's expectation m_i obeys sum exp(m_i) <= 1. 2. exp of a mean of D draws with spread s_i is too
    large by exp(m_i) s_i^2 / 2D in expectation, and spreads by exp(m_i) s_i / sqrt(D): both are allowed for."""
    rows = all_rows(space.levels_by_site(), space.shape).to(device_of(model))
    if len(rows) > 4096 and not prefix:
        small = twin(model, seed)
        return _total_of_bound(
            small, small.space, seed, f"a twin on {small.space.describe()}, strong weights: "
        )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        count = POOLS if Can.LOG_WEIGHTS in can(model) else DRAWS
        draws = torch.stack([model.log_prob_lower(rows).double().cpu() for _ in range(count)])
    mass, variance = draws.mean(0).exp(), draws.var(0) / count
    total, bias = float(mass.sum()), float((mass * variance).sum()) / 2
    noise = NOISE * math.sqrt(float((mass.square() * variance).sum()))
    text = f"{prefix}exp of the mean bound ({count} draws) of {len(rows)} rows sums to {total:.6g}, allowed 1 + {bias + noise:.2g}"
    details = {"rows": len(rows), "total": total, "allowed": bias + noise}
    found = Verdict(NAME, bool(total <= 1 + 1e-5 + bias + noise), text, details)
    return _with_weights(found, model, rows, seed) if Can.LOG_WEIGHTS in can(model) else found


def _with_weights(bound: Verdict, model: Any, rows: Tensor, seed: int) -> Verdict:
    """exp of a log weight has the mass of its row as its mean, so that the mean weights of all rows sum to one."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        weights = torch.cat(
            [model.log_weights(part, k=WEIGHTS).double().cpu().exp() for part in rows.split(64)]
        )
    total = float(weights.mean(1).sum())
    noise = NOISE * math.sqrt(float(weights.var(1).sum()) / WEIGHTS)
    text = (
        f"{bound.evidence}; mean weights ({WEIGHTS} draws) sum to {total:.6g}, allowed 1 within {noise:.2g}"
    )
    holds = bool(bound.holds and abs(total - 1) <= 1e-4 + noise)
    return Verdict(NAME, holds, text, {**bound.details, "weights": total})


def _conditional_masses(module: Any, x: Tensor, space: Space) -> tuple[bool | None, str]:
    """On the model's own space: every site's masses sum to one, and the sites' log masses sum to log_prob."""
    head = getattr(module, "head", None)
    if head is None or not hasattr(module, "conditionals") or Can.LOG_PROB not in can(module):
        return None, ""
    subject = precise(module, lambda m: m.log_prob(x))
    levels = torch.tensor(space.levels_by_site(), device=x.device).reshape(space.shape)
    with torch.no_grad():
        parameters = subject.conditionals(x)
        total = torch.zeros(x.shape, dtype=torch.float64, device=x.device)
        for level in range(int(levels.max())):
            at = torch.full_like(x, level).minimum(levels - 1)
            total += torch.where(level < levels, subject.head.log_prob(parameters, at).double().exp(), 0.0)
        chain = subject.head.log_prob(parameters, x).double().flatten(1).sum(1)
        gap = float((chain - subject.log_prob(x)).abs().max()) / (1 + float(chain.abs().max()))
    error = float((total - 1).abs().max())
    # at most 1e3 terms of a few nats, each rounded by 2^-24 or 2^-53 of itself
    allowed = EXACT if float_type(subject) == torch.float64 else 1e-4
    holds = error <= allowed and gap <= allowed
    text = (
        f"On its own space, the masses of each of {space.dims} sites sum to 1 within {error:.1g} on {len(x)} rows, "
        f"and log_prob is the sum of its sites within {gap:.1g} of itself"
    )
    return bool(holds), text


def _mixed(module: Any, rows: Tensor | None, space: Space, seed: int) -> Verdict:
    if hasattr(module, "conditionals") and hasattr(module, "head"):
        return site_densities(module, some_rows(module, rows, space, ROWS, seed), space, seed)
    return tables.total(module, rows, space, seed)


def _density(module: Any, rows: Tensor | None, space: Space, seed: int) -> Verdict:
    if hasattr(module, "conditionals") and hasattr(module, "head"):
        return site_densities(module, some_rows(module, rows, space, ROWS, seed), space, seed)
    return density_mass(module, rows, seed)
