"""How a problem is judged: every share of repeats with its own binomial interval, and no rounding in the product's favour."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np
from problem import HIGH, LOW, Bounded, Covered, Exact, Ordered, Problem
from scipy.stats import beta

SMALL = 1e-3
"""Truths nearer to zero than this are held to an absolute error of 1e-5 of it."""

SURE = 0.95
"""Of the binomial interval of a share of repeats."""


@dataclass(frozen=True)
class Verdict:
    """`figure`: the error, or the share of hits or misses; `ends`: its binomial interval; `decided`: they leave no doubt."""

    name: str
    family: str
    kind: str
    truth: str
    found: str
    figure: float
    ends: tuple[float, float] | None
    repeats: int
    holds: bool
    decided: bool = True
    note: str = ""
    seconds: float = 0.0
    count: int = 0
    """False orders."""


def judge(problem: Problem, scale: float = 1.0) -> Verdict:
    """Solve it, with `scale` times as many repeats as it asks for."""
    begun = time.process_time()
    return replace(_judge(problem, scale), seconds=time.process_time() - begun)


def binomial(hits: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's interval, by scipy: not by what is tested here."""
    half = (1 - SURE) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(half, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(1 - half, hits + 1, n - hits))
    return low, high


@singledispatch
def _judge(problem: Any, scale: float) -> Verdict:
    raise TypeError(f"no problem: {problem!r}")


@_judge.register
def _(problem: Exact, scale: float) -> Verdict:
    worst, shown = -1.0, ("", "")
    for truth, found in problem.compute():
        truth, found = np.asarray(truth, np.float64), np.asarray(found, np.float64)
        if truth.shape != found.shape or truth.size == 0:
            raise ValueError(f"{problem.name}: {truth.shape} and {found.shape} do not compare")
        errors = np.atleast_1d(np.abs(found - truth) / np.maximum(np.abs(truth), SMALL))
        errors = np.where(np.atleast_1d(found == truth), 0.0, np.where(np.isnan(errors), math.inf, errors))
        at = int(errors.argmax())
        if float(errors.flat[at]) > worst:
            worst = float(errors.flat[at])
            shown = f"{float(truth.flat[at]):.6g}", f"{float(found.flat[at]):.6g}"
    if worst < 0:
        raise ValueError(f"{problem.name} has no pair of numbers")
    return Verdict(
        problem.name,
        problem.family,
        "exact",
        *shown,
        worst,
        None,
        1,
        worst <= problem.within,
        note=problem.why,
    )


@_judge.register
def _(problem: Covered, scale: float) -> Verdict:
    target = max(20, math.ceil(problem.repeats * scale))
    most = math.ceil(problem.most * scale)
    high = 1.0 if problem.conservative else HIGH
    hits, done, truths, widths = 0, 0, [], []
    while True:
        for seed in range(done, target):
            low, end, truth = problem.draw(seed)
            hits += low <= truth <= end
            truths.append(truth)
            widths.append(end - low)
        done, share, ends = target, hits / target, binomial(hits, target)
        inside = ends[0] >= LOW and ends[1] <= high
        outside = ends[1] < LOW or ends[0] > high
        if inside or outside or done >= most:
            break
        target = min(2 * target, most)
    return Verdict(
        problem.name,
        problem.family,
        "interval, at least" if problem.conservative else "interval",
        f"{np.mean(truths):.5g}",
        f"width {np.median(widths):.3g}",
        share,
        ends,
        done,
        LOW <= share <= high,
        inside or outside,
        problem.of,
    )


@_judge.register
def _(problem: Bounded, scale: float) -> Verdict:
    repeats = max(20, math.ceil(problem.repeats * scale))
    pairs = np.array([problem.draw(seed) for seed in range(repeats)])
    gaps = (pairs[:, 0] - pairs[:, 1]) * (-1 if problem.above else 1)
    # equal but for rounding is on the right side
    misses = int((gaps > 1e-9 * np.maximum(1.0, np.abs(pairs[:, 1]))).sum())
    ends = binomial(misses, repeats)
    return Verdict(
        problem.name,
        problem.family,
        "upper bound" if problem.above else "lower bound",
        f"{pairs[:, 1].mean():.5g}",
        f"{np.median(pairs[:, 0]):.5g}",
        misses / repeats,
        ends,
        repeats,
        ends[0] <= problem.misses,
        note=f"wrong in at most {problem.misses:.1%}",
    )


@_judge.register
def _(problem: Ordered, scale: float) -> Verdict:
    repeats = max(20, math.ceil(problem.repeats * scale))
    found = np.array([problem.draw(seed) for seed in range(repeats)])
    wrong = int((found[:, 1] > 0).sum())
    ends, most = binomial(wrong, repeats), 1 - problem.level
    return Verdict(
        problem.name,
        problem.family,
        "orders",
        "no false one",
        f"{int(found[:, 0].sum()):,} proven",
        wrong / repeats,
        ends,
        repeats,
        ends[0] <= most,
        note=f"of the comparisons at most {most:.0%} with a false one",
        count=wrong,
    )
