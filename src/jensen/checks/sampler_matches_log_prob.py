"""Do samples follow the distribution that log_prob states?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jensen.checks.goodness import chi_squared, jumps, stein_p_value
from jensen.checks.quadrature import cell_masses
from jensen.checks.subject import can, enumerable, precise
from jensen.checks.tables import samples_follow
from jensen.checks.twin import TINY, cells, table, twin
from jensen.checks.verdict import Verdict, both, sentences
from jensen.errors import Cannot, UsageError
from jensen.functional.module_state import device_of, float_type
from jensen.model import Can
from jensen.space import Space

NAME = "sampler_matches_log_prob"
THRESHOLD = 1e-4
"""P-value below which the sampler fails: a right one is called wrong once in ten thousand audits."""
SAMPLES = 5000
DIRECTIONS = 64


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    if Can.SAMPLE not in can(module) or Can.LOG_PROB not in can(module):
        return "the module does not both sample and score exactly"
    return "" if space is not None else "the space of the rows is not known"


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """Chi-squared test of samples against the masses of all rows of a small discrete space, or of cells of the plane.

    A space that is too large to enumerate: a tiny twin of the model with strong weights. Real rows in more than two
    dimensions: a twin in two, and Stein's identity on the model itself; the identity alone decides nothing but a
    failure. Mixed rows: the labels of samples among draws of a law around them (`labels.label_test`). A sample where there
    is no mass fails at once.
    """
    assert space is not None
    if space.kind == "mixed":
        return samples_follow(module, rows, space, seed, THRESHOLD)
    if enumerable(space, TINY):
        return _discrete(module, seed, "")
    if space.kind == "real" and space.dims <= 2:
        return _real(module, seed, "")
    own = _stein(module, seed) if space.kind == "real" else Verdict(NAME, None, "")
    try:
        small = twin(module, seed)
    except Cannot as refused:
        return Verdict(NAME, own.holds, sentences(str(refused), own.evidence), own.details)
    prefix = f"a twin on {small.space.describe()}{'' if space.kind == 'real' else ', strong weights'}: "
    found = (_real if space.kind == "real" else _discrete)(small, seed, prefix)
    holds = found.holds if own.holds is None else both(found.holds, own.holds)
    return Verdict(NAME, holds, sentences(found.evidence, own.evidence), {**own.details, **found.details})


def _discrete(model: Any, seed: int, prefix: str) -> Verdict:
    x = _draw(model, SAMPLES, seed)
    try:
        if x.is_floating_point() or x.shape != (SAMPLES, *model.space.shape):
            raise UsageError(
                "expected integer rows of the space",
                f"got {x.dtype} {tuple(x.shape)}",
                "encode the rows first",
            )
        counts = np.bincount(cells(model, x).numpy(), minlength=0).astype(float)
    except UsageError as wrong:
        return Verdict(NAME, False, f"{prefix}samples are no rows of the space: {wrong}")
    log_p = table(precise(model, lambda m: m.log_prob(x[:2])))
    if bool(log_p.isnan().any()) or not bool((log_p.exp().sum() > 0).item()):
        return Verdict(NAME, False, f"{prefix}log_prob is not a number on some row")
    counts = np.pad(counts, (0, len(log_p) - len(counts)))
    return _verdict(counts, log_p.exp().numpy(), prefix, f"{len(log_p)} rows")


def _verdict(counts: np.ndarray[Any, Any], masses: np.ndarray[Any, Any], prefix: str, what: str) -> Verdict:
    fit = chi_squared(counts, masses)
    n = int(counts.sum())
    text = f"{prefix}{n} samples against the masses of {what}: "
    if fit.impossible:
        text += f"{fit.impossible} lie where log_prob leaves no mass"
    else:
        text += f"chi-squared {fit.statistic:.1f} on {fit.freedom} degrees, p = {fit.p_value:.2g} (fails below {THRESHOLD:g})"
    if fit.freedom == 0 and not fit.impossible:
        return Verdict(NAME, None, f"{text}; all mass lies in one cell, which tests nothing")
    details = {"samples": n, "p_value": fit.p_value, "impossible": fit.impossible, "threshold": THRESHOLD}
    return Verdict(NAME, fit.p_value >= THRESHOLD, text, details)


def _real(model: Any, seed: int, prefix: str) -> Verdict:
    d = model.space.dims
    # the cells come from samples of their own, so that they are fixed before the ones that are counted
    pilot = _draw(model, 2000, seed + 1).reshape(2000, d).double().cpu()
    x = _draw(model, SAMPLES, seed).reshape(SAMPLES, d).double().cpu()
    if not bool(x.isfinite().all() and pilot.isfinite().all()):
        return Verdict(NAME, False, f"{prefix}some samples are not finite")
    repeats = SAMPLES - len(x.unique(dim=0))
    if repeats > SAMPLES // 100:
        # a density gives no point twice; float32 rounds a few together
        return Verdict(
            NAME, False, f"{prefix}{repeats} of {SAMPLES} samples are repeats: no density does that"
        )
    cut = torch.linspace(0.005, 0.995, 41 if d == 1 else 13, dtype=torch.float64)
    edges = [pilot[:, axis].quantile(cut) for axis in range(d)]
    first = pilot[:2].reshape(2, *model.space.shape).to(device_of(model))
    exact = precise(model, lambda m: m.log_prob(first))

    def log_prob(z: Tensor) -> Tensor:
        z = z.reshape(-1, *model.space.shape).to(device_of(exact), float_type(exact))
        return exact.log_prob(z)

    masses, coarse = cell_masses(log_prob, edges, 16), cell_masses(log_prob, edges, 12)
    # far below the noise of a count, sqrt(n masses): then quadrature plays no part in the test
    if not (np.abs(masses - coarse).sum() < 0.1 / np.sqrt(SAMPLES)):
        return Verdict(
            NAME, None, f"{prefix}quadrature did not settle: the density is too rough for its cells"
        )
    if masses.sum() > 1.001:
        return Verdict(
            NAME, False, f"{prefix}the density's mass near the samples is {masses.sum():.4f}, above one"
        )
    counts = _counts(x, edges)
    return _verdict(counts, np.append(masses, max(1 - masses.sum(), 0.0)), prefix, f"{len(counts)} cells")


def _counts(x: Tensor, edges: list[Tensor]) -> np.ndarray[Any, Any]:
    """Samples in every cell of the grid, and in all that lies outside it."""
    inside = np.histogramdd(x.numpy(), [edge.numpy() for edge in edges])[0].flatten()
    return np.append(inside, len(x) - inside.sum())


def _stein(model: Any, seed: int) -> Verdict:
    shape = model.space.shape
    x = _draw(model, 4000, seed).flatten(1)
    exact = precise(model, lambda m: m.log_prob(x[:2].double().reshape(2, *shape)))
    dtype = float_type(exact)

    def log_prob(z: Tensor) -> Tensor:
        value: Tensor = exact.log_prob(z.reshape(-1, *shape))
        return value

    z = x.to(dtype)
    spread = z.std(0) * torch.randn(z.shape, generator=torch.Generator().manual_seed(seed)).to(z)
    try:
        with torch.no_grad():
            everywhere = bool(log_prob(z + 5 * spread).isfinite().all())
        p_value = stein_p_value(log_prob, z, DIRECTIONS, seed) if everywhere else None
    except (RuntimeError, ValueError) as error:
        return Verdict(NAME, None, f"Stein's identity cannot be tried on the model itself: {error}")
    if p_value is None:
        return Verdict(NAME, None, "Stein's identity needs a density that is positive everywhere: not tried")
    if p_value < THRESHOLD and jumps(log_prob, z):
        return Verdict(NAME, None, "Stein's identity needs a density without jumps: not tried")
    text = f"Stein's identity on the model itself, {DIRECTIONS} functions: p = {p_value:.2g} (fails below {THRESHOLD:g})"
    return Verdict(NAME, None if p_value >= THRESHOLD else False, text, {"stein_p_value": p_value})


def _draw(model: Any, n: int, seed: int) -> Tensor:
    # not the stream that a twin's weights came from: samples must be independent of what they are tested against
    generator = torch.Generator().manual_seed(seed + 1_000_003)
    with torch.no_grad():
        x: Tensor = model.sample(n, generator=generator)
    return x
