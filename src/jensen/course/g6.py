"""G6: what the best discriminator knows, and what any other one proves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import above, agree, exactly, mean
from jensen.course.figures import curves
from jensen.course.two_laws import LOG_2, Shifted, bound_terms
from jensen.critics.judgement import judge
from jensen.functional.divergence import jsd_lower
from jensen.functional.ratio import log_density
from jensen.quantity import Kind, Quantity
from jensen.space import Space

TEMPERS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 4.0)


def show(
    seed: int = 0,
    *,
    n: int = 4000,
    rows: int = 400,
    dims: int = 10,
    shifts: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0),
) -> Shown:
    """D* on the line, other critics by quadrature, and critics trained on few rows of laws ever further apart."""
    line = Shifted(1.0, 0.7)
    values = {temper: line.value(temper) for temper in TEMPERS}
    moved = [line.value(1.0, move) for move in (-1.0, -0.2, 0.2, 1.0)]
    held, trained, truths = {}, {}, {}
    for number, shift in enumerate(shifts):
        pair = Shifted(shift, dims=dims)
        truths[shift] = pair.jsd
        held[shift], trained[shift] = _critic(pair, rows, seed + number)
    findings = (
        exactly("G[D*] / 2 + log 2 is the Jensen-Shannon divergence, by quadrature", abs(line.value() - line.jsd), 1e-9, truth=Quantity(line.jsd, unit="nats")),
        agree("so is its mean over rows, and the interval has it", _terms(line, n, seed), line.jsd),
        exactly("f0 D* / (1 - D*) is f1", _density(line, n, seed), 1e-9),
        exactly("no critic that is flatter, steeper or shifted has more", max(0.0, *(v - line.jsd for v in (*values.values(), *moved))), 1e-12, tried=len(values) + len(moved)),
        _never_above(held, truths),
        above("on its training rows a critic of one law claims a divergence that is not there", trained[shifts[0]], round(truths[shifts[0]], 12)),
        above("over all distances it exceeds what the critic proves on rows it never saw", mean(np.array([trained[s].value - held[s].value for s in shifts]))),
    )  # fmt: skip
    known = curves(
        f"A critic's divergence against the truth: two Gaussians in {dims} dimensions, {rows} rows each",
        ("shift between their means", list(shifts)), "nats, with intervals",
        {"the truth": [truths[s] for s in shifts], "on rows the critic never saw": list(held.values()), "on its training rows": list(trained.values())},
        lines={"log 2": LOG_2},
    )  # fmt: skip
    other = curves(
        "Every critic but the best has less", ("logit as a multiple of the log ratio", list(TEMPERS)), "G[D] / 2 + log 2, nats",
        {"flatter or steeper critics": list(values.values())}, lines={"the divergence": line.jsd}, log_x=True,
    )  # fmt: skip
    null = shifts[0]
    summary = f"truth {line.jsd:.4f}, D* {line.value():.4f} nats; one law behind both: {held[null]} on unseen rows, {trained[null]} on training rows"
    return Shown(findings, summary, (known, other))


def _terms(pair: Shifted, n: int, seed: int) -> np.ndarray:
    """One value a pair of rows, whose mean is G[D*] / 2 + log 2."""
    x0, x1 = pair.draw(n, seed)
    one, zero = bound_terms(pair.log_ratio(x1), pair.log_ratio(x0))
    return LOG_2 + (one + zero) / 2


def _density(pair: Shifted, n: int, seed: int) -> float:
    """The largest error of log f0 + log(D* / (1 - D*)) as log f1, D* from the densities."""
    x = pair.draw(n, seed)[0][:, 0]
    log_f1 = -(x**2) / 2 - np.log(2 * np.pi) / 2
    log_f0 = -(((x - pair.shift) / pair.scale) ** 2) / 2 - np.log(pair.scale) - np.log(2 * np.pi) / 2
    d = np.exp(log_f1) / (np.exp(log_f0) + np.exp(log_f1))
    kept = (d > 1e-12) & (d < 1 - 1e-12)  # beyond, 1 - D has no digits left
    found = log_density(torch.from_numpy(log_f0), torch.from_numpy(np.log(d) - np.log1p(-d))).numpy()
    return float(np.abs(found - log_f1)[kept].max())


def _critic(pair: Shifted, rows: int, seed: int) -> tuple[Quantity, Quantity]:
    """A quadratic critic from few rows: the formula on rows that it never saw, and on those it was trained on."""
    x0, x1 = pair.draw(rows, seed)
    found = judge(x0, x1, Space.real(pair.dims), seed=seed, names=("quadratic",), permutations=1)
    at = [part.train for part in found.parts]
    trained = jsd_lower(*(torch.from_numpy(found.critic.raw(x[a])) for x, a in ((x1, at[1]), (x0, at[0]))))
    estimate = Quantity(
        trained.value, Kind.ESTIMATE, "nats", interval=trained.interval, how={"rows": "its training rows"}
    )
    return found.jsd, estimate  # fmt: skip


def _never_above(held: dict[float, Quantity], truths: dict[float, float]) -> Finding:
    """Each limit may miss with 5 %: three misses of six would have a probability of 0.2 %."""
    limits = {shift: float(one.interval[0]) for shift, one in held.items() if one.interval is not None}
    missed = sum(limit > truths[shift] for shift, limit in limits.items())
    return Finding(
        "on rows that a trained critic never saw the number is a lower bound",
        missed <= 2,
        {"limits above the truth": missed, "of": len(limits), **{f"limit at shift {s}": v for s, v in limits.items()}},
    )  # fmt: skip
