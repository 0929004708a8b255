"""V4: the ladder of bounds L_k."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import above, difference, exactly, mean, rising
from jensen.course.figures import curves
from jensen.course.known_latents import linear, rows_of
from jensen.functional.bounds import certified, iwae
from jensen.latent import POOL
from jensen.quantity import Kind, Quantity

ROUNDING = 1e-8
AT_ONCE = 1 << 17
"""Draws that are weighed together."""


def show(seed: int = 0, *, ks: Sequence[int] = (1, 2, 4, 8, 16, 64, 256, 1024, 8192), n: int = 200) -> Shown:
    """A linear model whose q is twice too wide: fresh draws for each k, and one pool of draws for all k up to 64."""
    model = linear(widen=2.0, seed=seed)
    x = rows_of(model, n, seed + 1)
    with torch.no_grad():
        truth = model.log_prob(x)
        gaps, sure = {}, {}
        for number, k in enumerate(ks):
            fresh = torch.Generator().manual_seed(seed + 100 + number)
            parts = x.split(max(1, AT_ONCE // k))
            bound = torch.cat([iwae(model.log_weights(part, k=k, generator=fresh)) for part in parts])
            gaps[k], sure[k] = (truth - bound).numpy(), float(certified(bound, 1e-6))
        pool = [
            model.log_prob_lower(x, k=k, generator=torch.Generator().manual_seed(seed))
            for k in range(1, POOL + 1)
        ]
    total = float(truth.mean())
    last = ks[-1]
    findings = (
        Finding("L_k, less what chance can add, is at most log p(x) for every k", max(sure.values()) <= total,
                {"log p": total, **{f"L_{k} - log(1e6)/n": value for k, value in sure.items()}}),
        above("L_2 is larger than L_1, from separate draws", difference(gaps[1], gaps[2])),
        exactly("no step of k from 1 to 64 lowers the bound, on any row, for one pool of draws", max(rising([float(v) for v in row]) for row in torch.stack(pool, 1)), ROUNDING,
                rows=n),
        above("the gap to log p(x) is smaller at the end than at the beginning, from separate draws", difference(gaps[ks[0]], gaps[last])),
        _reached(mean(gaps[last]), mean(gaps[ks[0]])),
    )  # fmt: skip
    ladder = {k: _plus(-mean(gap), total) for k, gap in gaps.items()}
    figure = curves(
        "The ladder of L_k", ("k", list(ks)), "nats a row, with 95 % intervals", {"L_k": list(ladder.values())},
        lines={"log p(x)": total}, log_x=True,
    )  # fmt: skip
    told = ", ".join(f"L_{k} {ladder[k].value:.2f}" for k in (ks[0], ks[1], ks[len(ks) // 2], last))
    return Shown(findings, f"{told}; log p(x) {total:.2f} nats", (figure,))


def _plus(gap: Quantity, total: float) -> Quantity:
    """log p(x) less the mean gap: its interval is that of the bound on these rows, without the rows' own spread."""
    assert gap.interval is not None
    low, high = gap.interval
    return Quantity(gap.value + total, Kind.LOWER, "nats", interval=(low + total, high + total), how=gap.how)


def _reached(gap: Quantity, first: Quantity) -> Finding:
    """What is left is at most a hundredth of the first gap, and not below 0 beyond chance."""
    assert gap.interval is not None
    low, high = gap.interval
    small = first.value / 100
    holds = False if low > small else True if high <= small else None
    return Finding(
        "at the largest k less than a hundredth of the first gap is left",
        holds,
        {"gap": gap, "first gap": first},
    )
